//! The example does what its README says.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
};

use axum::extract::ws::Shutdown;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, example_seed::app(&Shutdown::new())).into_future());
    addr
}

#[tokio::test]
async fn hi_gets_echo_hi() {
    let (mut client, _) = connect_async(format!("ws://{}/ws", serve().await)).await.unwrap();
    client.send(Message::text("hi")).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::text("Echo: hi"));
    client.close(None).await.unwrap();
    assert!(client.next().await.unwrap().unwrap().is_close());
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn visitors_are_counted_in_the_state() {
    let addr = serve().await;
    for number in 1..=3 {
        let (mut client, _) = connect_async(format!("ws://{addr}/state")).await.unwrap();
        let greeting = client.next().await.unwrap().unwrap();
        assert_eq!(greeting, Message::text(format!("You are visitor {number}")));
    }
}

/// The program as a user runs it, until Ctrl-C.
#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_closes_with_1001_and_ends_the_program() {
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
