//! Answers that open no WebSocket because they break the opening handshake (RFC 6455 §4.1).

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use common::{answered, pipes, read_head, refused, switching};
use sockeye_client::{ClientRequest, ConnectError, Stage};
use tokio::io::AsyncWriteExt;

/// The answer of a server that breaks one rule.
async fn broken(change: impl Fn(String) -> String) -> ConnectError {
    let error = refused(|request| change(switching(request, ""))).await;
    assert!(error.is_server() && error.is_final() && !error.is_timeout(), "{error:?}");
    assert_eq!(error.stage(), Stage::Http);
    assert_eq!(error.response().unwrap().status(), 101);
    error
}

#[tokio::test]
async fn an_answer_without_what_the_rfc_demands_opens_nothing() {
    let accept = "Sec-WebSocket-Accept: ";
    let error = broken(|answer| answer.replace(accept, "Sec-WebSocket-Accept: x")).await.to_string();
    assert!(error.contains("`Sec-WebSocket-Accept`"), "{error}");
    let error = broken(|answer| answer.replace(accept, "X-Accept: ")).await.to_string();
    assert!(error.contains("`Sec-WebSocket-Accept`"), "{error}");
    let error = broken(|answer| answer.replace("Connection: Upgrade", "Connection: close")).await.to_string();
    assert!(error.contains("`Connection`"), "{error}");
    let error = broken(|answer| answer.replace("Upgrade: websocket", "Upgrade: h2c")).await.to_string();
    assert!(error.contains("`Upgrade`"), "{error}");
    let error = broken(|answer| answer.replace("Upgrade: websocket\r\n", "")).await.to_string();
    assert!(error.contains("`Upgrade`"), "{error}");
}

#[tokio::test]
async fn an_answer_with_what_was_not_asked_for_opens_nothing() {
    let error = refused(|request| switching(request, "Sec-WebSocket-Protocol: soap\r\n")).await;
    assert!(error.is_server() && error.is_final(), "{error:?}");
    assert!(error.to_string().contains("`soap`"), "{error}");
    let error = refused(|request| switching(request, "Sec-WebSocket-Extensions: permessage-deflate\r\n")).await;
    assert!(error.is_server() && error.is_final(), "{error:?}");
    assert!(error.to_string().contains("`permessage-deflate`"), "{error}");
}

#[tokio::test]
async fn a_required_subprotocol_must_be_chosen() {
    for (request, opens) in [
        (ClientRequest::new("ws://server.example/").protocols(["soap"]), true),
        (ClientRequest::new("ws://server.example/").protocols(["soap"]).require_protocol(), false),
    ] {
        let (client, mut dialed) = pipes();
        let client = client.build();
        let server = async {
            let mut stream = dialed.recv().await.unwrap().stream;
            let head = read_head(&mut stream).await;
            stream.write_all(switching(&head, "").as_bytes()).await.unwrap();
            stream
        };
        let (opened, _stream) = tokio::join!(client.open(request), server);
        match opened {
            Ok(_) => assert!(opens),
            Err(error) => {
                assert!(!opens && error.is_server() && error.to_string().contains("soap"), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_head_may_have_32_kib_and_100_headers() {
    let padding = |bytes: usize| format!("X-Padding: {}\r\n", "x".repeat(bytes));
    assert!(answered(|request| switching(request, &padding(30 << 10))).await.0.is_ok());
    let error = refused(|request| switching(request, &padding(33 << 10))).await;
    assert!(error.is_server() && !error.is_timeout(), "{error:?}");
    assert!(
        error.to_string().contains("32768 bytes") && error.to_string().contains("`Builder::head_limit`"),
        "{error}"
    );

    let many = |count: usize| (0..count).map(|number| format!("X-{number}: 1\r\n")).collect::<String>();
    assert!(answered(|request| switching(request, &many(97))).await.0.is_ok());
    let error = refused(|request| switching(request, &many(98))).await;
    assert!(error.is_server() && error.to_string().contains("100 headers"), "{error}");
}

#[tokio::test]
async fn the_limit_of_a_head_can_be_lower() {
    for (limit, padding, opens) in [(1000, 500, true), (1000, 1000, false), (1, 1, false)] {
        let (client, mut dialed) = pipes();
        let client = client.head_limit(limit).build();
        let server = async {
            let mut stream = dialed.recv().await.unwrap().stream;
            let head = read_head(&mut stream).await;
            let answer = switching(&head, &format!("X-Padding: {}\r\n", "x".repeat(padding)));
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        let (opened, _stream) = tokio::join!(client.open("ws://server.example/"), server);
        assert_eq!(opened.is_ok(), opens, "{opened:?}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_told_from_one_that_is_gone() {
    let error = refused(|_| "SSH-2.0-OpenSSH_9.9\r\n\r\n").await;
    assert!(error.is_server() && error.to_string().contains("not HTTP/1.1"), "{error:?}");

    let (client, mut dialed) = pipes();
    let client = client.build();
    let server = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 101 Switching").await.unwrap();
    };
    let (opened, ()) = tokio::join!(client.open("ws://server.example/"), server);
    let error = opened.unwrap_err();
    assert!(error.is_server() && !error.is_final(), "{error:?}");
    assert!(error.to_string().contains("closed the connection before it answered"), "{error}");
}

#[tokio::test]
async fn a_connection_that_is_reset_is_the_networks_fault() {
    let (client, mut dialed) = pipes();
    let client = client.build();
    let server = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        read_head(&mut stream).await;
        stream.control().reset();
        stream
    };
    let (opened, _stream) = tokio::join!(client.open("ws://server.example/"), server);
    let error = opened.unwrap_err();
    assert!(error.is_network() && !error.is_final() && error.stage() == Stage::Http, "{error:?}");
    assert!(error.to_string().contains("the connection was lost"), "{error}");
}
