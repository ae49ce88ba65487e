//! The example does what its README says.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use axum::extract::ws::{Message, Shutdown};
use sockeye_test::Client;

#[tokio::test]
async fn hi_gets_echo_hi() {
    let mut client = Client::to(example_seed::app(&Shutdown::new())).path("/ws").connect().await.unwrap();
    client.send_text("hi").await;
    client.assert_text("Echo: hi").await;
    client.send(Message::Close(None)).await;
    client.assert_close(1005).await;
}

#[tokio::test]
async fn visitors_are_counted_in_the_state() {
    let app = example_seed::app(&Shutdown::new());
    for number in 1..=3 {
        let mut client = Client::to(app.clone()).path("/state").connect().await.unwrap();
        client.assert_text(format!("You are visitor {number}")).await;
    }
}

/// The program as a user runs it, until Ctrl-C.
#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_closes_with_1001_and_ends_the_program() {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };

    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::{
        connect_async,
        tungstenite::{Message, protocol::frame::coding::CloseCode},
    };

    let mut server = Command::new(env!("CARGO_BIN_EXE_example-seed"))
        .args(["--addr", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addr = line.trim().strip_prefix("listening on http://").unwrap();
    let (mut client, _) = connect_async(format!("ws://{addr}/ws")).await.unwrap();
    client.send(Message::text("hi")).await.unwrap();
    client.next().await.unwrap().unwrap();

    let interrupted = Command::new("kill").args(["-INT", &server.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let Message::Close(Some(close)) = client.next().await.unwrap().unwrap() else { panic!("no Close") };
    assert_eq!(close.code, CloseCode::Away);
    assert!(client.next().await.is_none());
    drop(client);
    assert!(server.wait().unwrap().success());
}
