//! The example does what its README says.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::time::Duration;

use example_shutdown::{clients, serve};
use sockeye::Shutdown;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_is_closed_with_1001() {
    let report = clients::run(Shutdown::new(), 100, Duration::from_secs(60)).await.unwrap();
    assert_eq!(report.to_string(), "100 closed with 1001, 0 aborted");
    assert!(report.is_clean(100) && !report.is_clean(101));
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_cut_and_reported() {
    let (listener, shutdown) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Shutdown::new());
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, shutdown.clone(), Duration::from_secs(1)));
    let mut client = TcpStream::connect(addr).await.unwrap();
    client
        .write_all(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await
        .unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\n") {
        assert_ne!(client.read_buf(&mut received).await.unwrap(), 0);
    }
    shutdown.begin();
    let drained = server.await.unwrap().unwrap();
    assert_eq!((drained.closed, drained.lost, drained.aborted), (0, 0, 1));
    // It still got 1001 (0x03E9).
    received.clear();
    client.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, [0x88, 2, 0x03, 0xE9]);
}
