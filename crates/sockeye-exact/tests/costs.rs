//! What an echo with axum's types costs, counted by an allocator.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use allocation_counter::measure;
use axum::{Router, routing::any};
use sockeye_exact::{Message, WebSocket, WebSocketUpgrade};
use tokio::{net::TcpListener, task::yield_now};

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let (Message::Text(_) | Message::Binary(_)) = message else { continue };
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

/// Sends all of `bytes` and then reads until `answer` is full or ends with `end`, while the server runs. Allocates nothing.
async fn exchange(stream: &mut TcpStream, bytes: &[u8], answer: &mut [u8], end: &[u8]) {
    stream.write_all(bytes).unwrap();
    let mut length = 0;
    while length < answer.len() && (end.is_empty() || !answer[..length].ends_with(end)) {
        yield_now().await;
        match stream.read(&mut answer[length..]) {
            Ok(0) => panic!("the server has hung up"),
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn small_messages_of_one_size_cost_no_allocation_once_there_has_been_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut stream = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let app = Router::new().route("/", any(|ws: WebSocketUpgrade| async { ws.on_upgrade(echo) }));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        stream
    });
    stream.set_nonblocking(true).unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    runtime.block_on(exchange(&mut stream, request, &mut [0; 1024], b"\r\n\r\n"));
    // Text and binary messages of 20 bytes, with a masking key of zeros, which does not change the payload.
    for first in [0x81, 0x82] {
        let frame = [&[first, 0x80 | 20, 0, 0, 0, 0][..], &[b'x'; 20]].concat();
        let mut answer = [0; 22];
        let mut echoes = async |count: usize| {
            for _ in 0..count {
                exchange(&mut stream, &frame, &mut answer, b"").await;
                assert_eq!(answer[..2], [first, 20]);
            }
        };
        runtime.block_on(echoes(10));
        let cost = measure(|| runtime.block_on(echoes(1000)));
        // The runtime's queues allocate now and then.
        assert!(cost.count_total <= 10, "{cost:?}");
    }
}
