//! Clients that never finish the head of their request, with a clock that the test controls.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{net::SocketAddr, time::Duration};

use sockeye_extract::Shutdown;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, advance},
};

const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

async fn connect() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(example_hyper::serve(listener, None, Shutdown::new(), HEADER_TIMEOUT));
    TcpStream::connect(address).await.unwrap()
}

/// The bytes until the end of the stream, and the time of the end after `start`.
async fn rest(mut stream: TcpStream, start: Instant) -> (String, Duration) {
    let mut answer = Vec::new();
    // A reset is an end too: the server may drop unread bytes.
    let _ = stream.read_to_end(&mut answer).await;
    (String::from_utf8_lossy(&answer).into_owned(), start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_dropped_in_time() {
    for beginning in
        ["", "G", "GET /ws HTTP/1.1\r\n", "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r"]
    {
        let start = Instant::now();
        let mut stream = connect().await;
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let (answer, time) = rest(stream, start).await;
        assert!(!answer.contains(" 101 "), "{beginning}: {answer}");
        assert!(time >= HEADER_TIMEOUT && time < 2 * HEADER_TIMEOUT, "{beginning}: {time:?}");
    }
}

/// A byte now and then does not extend the deadline.
#[tokio::test(start_paused = true)]
async fn endless_headers_are_dropped_in_time() {
    let start = Instant::now();
    let mut stream = connect().await;
    stream.write_all(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    // The write fails after the server has closed the connection.
    for line in 0.. {
        if stream.write_all(format!("X-{}: x\r\n", line % 10).as_bytes()).await.is_err() || line == 1000 {
            break;
        }
        advance(Duration::from_secs(1)).await;
    }
    let (answer, time) = rest(stream, start).await;
    assert!(!answer.contains(" 101 "), "{answer}");
    assert!(time >= HEADER_TIMEOUT && time < 2 * HEADER_TIMEOUT, "{time:?}");
}
