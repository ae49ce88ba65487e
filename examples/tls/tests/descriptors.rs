//! A server without a free file descriptor. The limit is that of the process, so no other test is in this file.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::time::Duration;

use common::{Server, echo};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{net::TcpStream, time::sleep};
use tokio_tungstenite::client_async;

#[tokio::test(start_paused = true)]
async fn a_server_without_descriptors_accepts_again_once_there_are_some() {
    let (server, trust) = Server::known("descriptors").await;
    let limit = getrlimit(Resource::Nofile);
    // The kernel connects the client, and then the server cannot accept it: none of its tasks has run yet.
    let waiting = std::net::TcpStream::connect(server.addr).unwrap();
    waiting.set_nonblocking(true).unwrap();
    let waiting = TcpStream::from_std(waiting).unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), maximum: limit.maximum }).unwrap();
    assert!(TcpStream::connect(server.addr).await.is_err(), "there is a free descriptor");
    // The clock is paused: this ends when nothing else can happen before.
    sleep(Duration::from_secs(10)).await;
    setrlimit(Resource::Nofile, limit).unwrap();

    let stream = trust.connector().connect("localhost".try_into().unwrap(), waiting).await.unwrap();
    let mut client = client_async("wss://localhost/ws", stream).await.unwrap().0;
    echo(&mut client).await;
    assert!(!server.ended.is_finished());
}
