//! What a scrape of the example sees.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::net::SocketAddr;

use metrics_exporter_prometheus::PrometheusBuilder;
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

async fn scrape(addr: SocketAddr) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_scrape_has_what_the_connections_have_done() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, example_metrics::app(metrics)).await });

    let stream = TcpStream::connect(addr).await.unwrap();
    let (_, mut peer) = Peer::open(stream, UpgradeRequest::new("/ws")).await;
    peer.send(Frame::text("12345")).await;
    peer.expect_text("12345").await;
    let during = scrape(addr).await;
    for line in [
        "sockeye_connections_open 1",
        r#"sockeye_messages_total{direction="received",opcode="text"} 1"#,
        r#"sockeye_payload_bytes_total{direction="sent",opcode="text"} 5"#,
    ] {
        assert!(during.contains(line), "no {line} in\n{during}");
    }

    let evil = UpgradeRequest::new("/ws").header("Origin", "https://evil.example");
    let (head, _) = Peer::open(TcpStream::connect(addr).await.unwrap(), evil).await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    peer.send(Frame::close(1000, "")).await;
    peer.expect_close(1000).await;
    peer.expect_eof().await;
    drop(peer);
    // The connection ends when the server has seen the end of the stream, and a scrape may come earlier.
    let after = loop {
        let after = scrape(addr).await;
        if after.contains("sockeye_connections_open 0") {
            break after;
        }
    };
    for line in [
        r#"sockeye_connections_ended_total{code="1000",by="peer"} 1"#,
        r#"sockeye_handshakes_refused_total{reason="origin_not_allowed"} 1"#,
    ] {
        assert!(after.contains(line), "no {line} in\n{after}");
    }
}
