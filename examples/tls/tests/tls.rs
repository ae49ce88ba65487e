//! The example does what its README says.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use common::{Files, Server, Trust, closed, echo, made, open, secured};
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use hyper::{body::Bytes, ext::Protocol};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockeye_testkit::{Frame, Peer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::rustls::{
    ProtocolVersion,
    version::{TLS12, TLS13},
};

#[tokio::test]
async fn the_server_echoes_over_tls_1_2_and_1_3() {
    let made = made();
    let server = Server::start(Files::with("versions", &made).source()).await;
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let trust = Trust::speaking(&[version], &[&made]).offering("http/1.1");
        let mut client = open(server.addr, &trust.connector()).await;
        let session = client.get_ref().get_ref().1;
        assert_eq!(session.protocol_version(), Some(name));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        echo(&mut client).await;
    }
}

#[tokio::test]
async fn a_client_without_alpn_is_served() {
    let (server, trust) = Server::known("no-alpn").await;
    let mut client = open(server.addr, &trust.connector()).await;
    assert_eq!(client.get_ref().get_ref().1.alpn_protocol(), None);
    echo(&mut client).await;
}

#[tokio::test]
async fn a_websocket_opens_over_http_2() {
    let (server, trust) = Server::known("h2").await;
    let stream = secured(server.addr, &trust.offering("h2").connector()).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    // The answer to any request comes after the server's settings, without which no extended CONNECT is sent.
    let page = Request::get("https://localhost/").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(sender.send_request(page).await.unwrap().status(), StatusCode::OK);
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("https://localhost/ws")
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(Empty::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut client = Peer::client(TokioIo::new(hyper::upgrade::on(response).await.unwrap()));
    client.send(Frame::text("over HTTP/2")).await;
    client.expect_text("over HTTP/2").await;
}

#[tokio::test]
async fn a_handler_knows_the_address_of_its_client() {
    let (server, trust) = Server::known("address").await;
    let mut stream = secured(server.addr, &trust.connector()).await.unwrap();
    let client = stream.get_ref().0.local_addr().unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with(&format!("you are {client}\n")), "{answer}");
}

#[tokio::test]
async fn a_client_without_tls_ends_only_its_own_connection() {
    let (server, trust) = Server::known("plain").await;
    let mut plain = TcpStream::connect(server.addr).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end too: the server may drop unread bytes.
    let _ = plain.read_to_end(&mut answer).await;
    // Nothing, or an alert (RFC 8446 §6).
    assert!(answer.first().is_none_or(|&kind| kind == 21), "{answer:?}");
    echo(&mut open(server.addr, &trust.connector()).await).await;
}

#[tokio::test]
async fn a_shutdown_closes_with_1001_and_then_ends_tls() {
    let made = made();
    for version in [&TLS12, &TLS13] {
        let server = Server::start(Files::with("shutdown", &made).source()).await;
        let mut client = open(server.addr, &Trust::speaking(&[version], &[&made]).connector()).await;
        echo(&mut client).await;
        server.shutdown.begin();
        assert_eq!(closed(client).await, 1001);
        let drained = server.ended.await.unwrap().unwrap();
        assert_eq!((drained.closed, drained.lost, drained.aborted), (1, 0, 0));
        assert!(TcpStream::connect(server.addr).await.is_err());
    }
}
