//! What a test learns of the handler itself: its return, and its panic.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{future::pending, sync::Arc, time::Duration};

use axum::{Router, response::Response, routing::any};
use common::{echo, panics};
use sockeye_extract::WebSocketUpgrade;
#[cfg(feature = "deflate")]
use sockeye_test::Compression;
use sockeye_test::{Client, Message, WebSocket, close_code, connect_to};
use tokio::{sync::Notify, task::yield_now};

/// Panics once it has received a text.
async fn failing(mut socket: WebSocket) {
    let received = socket.recv().await.unwrap().unwrap();
    assert_eq!(received, Message::text("expected"), "the handler's own assertion");
}

#[tokio::test(start_paused = true)]
async fn finish_waits_until_the_handler_has_returned() {
    let done = Arc::new(Notify::new());
    let returns = done.clone();
    let mut client = connect_to(async move |socket: WebSocket| {
        echo(socket).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        returns.notify_one();
    });
    client.close(1000, "").await;
    client.assert_close(1000).await;
    client.finish().await;
    done.notified().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_behind_a_clean_close_fails_finish() {
    let mut client = connect_to(async |_socket: WebSocket| pending().await);
    client.close(1000, "").await;
    client.assert_close(1000).await;
    let text = panics(client.finish()).await;
    assert!(text.starts_with("the handler has not returned within 5s\n"), "{text}");
}

#[tokio::test]
async fn finish_fails_with_the_panic_of_the_handler() {
    let mut client = connect_to(failing);
    client.send_text("other").await;
    let text = panics(client.finish()).await;
    assert!(text.contains("the handler's own assertion"), "{text}");
}

#[tokio::test]
async fn an_assertion_after_a_panic_of_the_handler_says_so() {
    let mut client = connect_to(failing);
    client.send_text("other").await;
    client.assert_close(close_code::ERROR).await;
    let text = loop {
        let text = panics(client.assert_text("hi")).await;
        if text.contains("panicked") {
            break text;
        }
        yield_now().await;
    };
    assert!(text.contains("  the handler has panicked: assertion"), "{text}");
    assert!(text.contains("the handler's own assertion"), "{text}");
}

#[tokio::test]
async fn the_drop_of_a_client_reports_a_panic_that_no_assertion_has_seen() {
    let mut client = connect_to(failing);
    client.send_text("other").await;
    let text = panics(async move {
        // A while later, the handler has panicked.
        for _ in 0..100 {
            yield_now().await;
        }
        drop(client);
    })
    .await;
    assert!(text.starts_with("the handler has panicked, and no assertion has seen it: assertion"), "{text}");
}

#[tokio::test]
async fn a_panic_that_the_test_expects_is_none_of_the_drop() {
    let mut client = connect_to(failing);
    client.send_text("other").await;
    client.assert_close(close_code::ERROR).await;
    for _ in 0..100 {
        yield_now().await;
    }
}

#[tokio::test]
async fn finish_of_an_application_waits_for_the_end_of_the_stream() {
    async fn handler(ws: WebSocketUpgrade) -> Response {
        ws.on_upgrade(echo)
    }
    let mut client = Client::to(Router::new().route("/", any(handler))).connect().await.unwrap();
    client.close(1000, "").await;
    client.assert_close(1000).await;
    client.finish().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_no_finding_of_a_client_that_does_not_read() {
    let mut client = connect_to(echo);
    client.stop_reading();
    let text = panics(client.assert_nothing(Duration::from_secs(1))).await;
    assert!(text.contains("does not read everything") && text.contains("`stop_reading`"), "{text}");
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn what_a_server_compresses_well_is_no_bomb() {
    async fn handler(ws: WebSocketUpgrade) -> Response {
        ws.compression(Compression::new()).on_upgrade(async |mut socket| {
            let _ = socket.send(Message::text("a".repeat(8 << 20))).await;
        })
    }
    let app = Router::new().route("/", any(handler));
    let mut client = Client::to(app).compression(Compression::new()).connect().await.unwrap();
    assert_eq!(client.recv_text().await.len(), 8 << 20);
}
