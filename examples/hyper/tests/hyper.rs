//! The example does what its README says.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use sockeye_extract::Shutdown;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};
use tokio_tungstenite::{client_async, connect_async, tungstenite::Message};

async fn serve(header_timeout: Duration) -> (SocketAddr, Shutdown, JoinHandle<()>) {
    serve_over(None, header_timeout).await
}

async fn serve_over(tls: Option<TlsAcceptor>, header_timeout: Duration) -> (SocketAddr, Shutdown, JoinHandle<()>) {
    let shutdown = Shutdown::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (addr, shutdown.clone(), tokio::spawn(example_hyper::serve(listener, tls, shutdown, header_timeout)))
}

async fn exchange(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn the_server_echoes_messages() {
    let (addr, ..) = serve(Duration::from_secs(60)).await;
    let (mut client, _) = connect_async(format!("ws://{addr}/ws")).await.unwrap();
    for message in [Message::text("hi"), Message::binary(vec![7; 100_000])] {
        client.send(message.clone()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), message);
    }
}

#[tokio::test]
async fn the_server_echoes_messages_over_tls() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = example_hyper::tls(key.cert.pem().as_bytes(), key.signing_key.serialize_pem().as_bytes()).unwrap();
    let (addr, ..) = serve_over(Some(tls), Duration::from_secs(60)).await;

    let mut roots = RootCertStore::empty();
    roots.add(key.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(addr).await.unwrap();
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let (mut client, _) = client_async("ws://localhost/ws", stream).await.unwrap();
    for message in [Message::text("hi"), Message::binary(vec![7; 100_000])] {
        client.send(message.clone()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), message);
    }
}

#[test]
fn a_file_that_is_no_certificate_is_refused_with_what_it_should_be() {
    let error = example_hyper::tls(b"x", b"y").map(drop).unwrap_err();
    assert!(format!("{error:#}").contains("PEM"), "{error:#}");
}

#[tokio::test]
async fn requests_without_an_upgrade_get_an_http_response() {
    let (addr, ..) = serve(Duration::from_secs(60)).await;
    let get =
        |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
    let page = exchange(addr, &get("/", "")).await;
    assert!(page.starts_with("HTTP/1.1 200 ") && page.ends_with("at /ws\n"), "{page}");
    let missing = exchange(addr, &get("/chat", "")).await;
    assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    let wrong = exchange(addr, &get("/ws", "")).await;
    assert!(wrong.starts_with("HTTP/1.1 400 ") && wrong.ends_with("did not include 'upgrade'"), "{wrong}");
    let evil = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://evil.example\r\n";
    let evil = exchange(addr, &get("/ws", evil)).await;
    assert!(
        evil.starts_with("HTTP/1.1 403 ") && evil.contains("Origin `https://evil.example` is not allowed"),
        "{evil}"
    );
}

#[tokio::test]
async fn half_a_request_is_given_up_at_the_header_deadline() {
    let (addr, ..) = serve(Duration::from_millis(1)).await;
    assert!(!exchange(addr, "GET /ws HTTP/1.1\r\nHost:").await.contains("101"));
}

#[tokio::test]
async fn a_shutdown_closes_all_connections_and_ends_the_server() {
    let (addr, shutdown, server) = serve(Duration::from_secs(60)).await;
    let _idle = TcpStream::connect(addr).await.unwrap();
    let (mut client, _) = connect_async(format!("ws://{addr}/ws")).await.unwrap();
    client.send(Message::text("here")).await.unwrap();
    client.next().await.unwrap().unwrap();

    let client = tokio::spawn(async move {
        let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else { panic!("no Close") };
        assert!(client.next().await.is_none());
        u16::from(close.code)
    });
    let drained = shutdown.drain(Duration::from_secs(60)).await;
    assert_eq!(client.await.unwrap(), 1001);
    assert_eq!((drained.closed, drained.lost, drained.aborted), (1, 0, 0));
    server.await.unwrap();
    assert!(TcpStream::connect(addr).await.is_err());
}
