//! Clients that do not finish the handshake, with a clock that the test controls.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use common::{HANDSHAKE_TIMEOUT, Server, echo, open, secured};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_finish_the_handshake_is_dropped_in_time_and_nobody_waits_for_it() {
    let (server, trust) = Server::known("silent").await;
    let connector = trust.connector();
    // Nothing, the first byte of a record, and the header of a record of 512 bytes.
    for beginning in [&[][..], &[0x16], &[0x16, 3, 1, 2, 0]] {
        let start = Instant::now();
        let mut silent = TcpStream::connect(server.addr).await.unwrap();
        silent.write_all(beginning).await.unwrap();
        let mut client = open(server.addr, &connector).await;
        echo(&mut client).await;
        assert!(start.elapsed() < HANDSHAKE_TIMEOUT, "the client has waited for the silent one");

        dropped(silent, start).await;
        echo(&mut client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_request_after_the_handshake_is_dropped_in_time() {
    let (server, trust) = Server::known("no-request").await;
    let start = Instant::now();
    dropped(secured(server.addr, &trust.connector()).await.unwrap(), start).await;
}

/// Waits for the end of a stream that began at `start`.
async fn dropped(mut stream: impl AsyncRead + Unpin, start: Instant) {
    // An error is an end too: TLS has not been ended in order.
    let ended = timeout(2 * HANDSHAKE_TIMEOUT, stream.read(&mut [0; 64])).await.expect("it is still connected");
    assert_eq!(ended.unwrap_or_default(), 0);
    assert!(start.elapsed() >= HANDSHAKE_TIMEOUT && start.elapsed() < 2 * HANDSHAKE_TIMEOUT, "{:?}", start.elapsed());
}
