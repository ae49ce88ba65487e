//! A request for a WebSocket with content, over a real socket: however packets are cut, there is no 101, and the content is
//! never read as frames.

#![cfg(feature = "axum")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::net::SocketAddr;

use axum::{Router, routing::get};
use common::serve;
use sockeye_extract::{Message, WebSocketUpgrade};
use sockeye_testkit::{Frame, UpgradeRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

/// A server that reports what it receives.
async fn server() -> (SocketAddr, mpsc::UnboundedReceiver<Message>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let handler = move |ws: WebSocketUpgrade| async move {
        ws.on_upgrade(|mut socket| async move {
            while let Some(Ok(message)) = socket.recv().await {
                sender.send(message).unwrap();
            }
        })
    };
    (serve(Router::new().route("/", get(handler))).await, receiver)
}

/// A frame that a page cannot send in a message, but anybody can send in a body.
fn smuggled() -> Vec<u8> {
    Frame::text("SMUGGLED").bytes()
}

/// The whole answer to `parts`. Each part is sent after the one before was answered, and the last one at once.
async fn answer(address: SocketAddr, parts: [&[u8]; 2], wait: bool) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answer = Vec::new();
    stream.write_all(parts[0]).await.unwrap();
    if wait {
        stream.read_buf(&mut answer).await.unwrap();
    }
    // The server may have closed the connection by now.
    let _ = stream.write_all(parts[1]).await;
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_opening_handshake_with_content_is_refused_and_its_content_never_taken_for_frames() {
    let (address, mut received) = server().await;
    let body = smuggled();
    let chunked = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let length = body.len().to_string();
    let request = || UpgradeRequest::new("/");
    for (request, body) in [
        (request().header("Content-Length", &length), &body),
        (request().header("Content-Length", &length).header("Expect", "100-continue"), &body),
        (request().header("Transfer-Encoding", "chunked"), &chunked),
        (request().header("Transfer-Encoding", "chunked").header("Expect", "100-continue"), &chunked),
    ] {
        let head = request.to_string();
        let together = [head.as_bytes(), body].concat();
        let cut = head.len() + 5;
        for (first, second, wait) in [
            (head.as_bytes(), &body[..], true),
            (head.as_bytes(), body, false),
            (&together[..], b"", false),
            (&together[..cut], &together[cut..], true),
        ] {
            let answer = answer(address, [first, second], wait).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{request}: {answer}");
            assert!(!answer.contains("HTTP/1.1 1"), "{request}: {answer}");
            assert!(answer.contains("send the request without a body"), "{request}: {answer}");
        }
    }
    assert!(received.try_recv().is_err(), "a body was taken for frames");
}

#[tokio::test]
async fn an_opening_handshake_that_expects_100_continue_is_refused_with_417() {
    let (address, mut received) = server().await;
    let expecting = UpgradeRequest::new("/").header("Expect", "100-continue");
    for request in [expecting.clone(), expecting.header("Content-Length", "0")] {
        let answer = answer(address, [request.to_string().as_bytes(), &smuggled()], true).await;
        assert!(answer.starts_with("HTTP/1.1 417 Expectation Failed\r\n"), "{answer}");
        assert!(!answer.contains("HTTP/1.1 1"), "{answer}");
    }
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn an_opening_handshake_with_a_content_length_of_zero_is_accepted() {
    let (address, mut received) = server().await;
    let request = UpgradeRequest::new("/").header("Content-Length", "0").to_string();
    let answer = answer(address, [request.as_bytes(), &smuggled()], true).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert_eq!(received.recv().await, Some(Message::text("SMUGGLED")));
}
