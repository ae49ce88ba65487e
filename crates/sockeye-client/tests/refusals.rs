//! Refusals: their status, headers and body, however the body comes.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::time::Duration;

use common::{pipes, read_head, refused};
use sockeye_client::Stage;
use tokio::{io::AsyncWriteExt, time::Instant};

#[tokio::test]
async fn a_refusal_has_its_status_its_headers_and_its_body() {
    let error =
        refused(|_| "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 13\r\n\r\ntoken expired")
            .await;
    assert!(error.is_server() && error.is_final() && !error.is_truncated(), "{error:?}");
    assert_eq!(error.stage(), Stage::Http);
    let response = error.response().unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(response.body(), "token expired");
    assert_eq!(
        error.to_string(),
        "cannot connect to `ws://server.example`: the server answered 401 Unauthorized: `token expired`; see \
         `ClientRequest::bearer` and `basic`"
    );
}

#[tokio::test]
async fn the_status_says_whether_to_try_again() {
    let finals = [200, 301, 400, 401, 403, 404, 410, 426];
    let others = [408, 421, 425, 429, 500, 502, 503, 504];
    let statuses = finals.map(|status| (status, true)).into_iter().chain(others.map(|status| (status, false)));
    for (status, is_final) in statuses.filter(|(status, _)| *status != 200) {
        let error = refused(|_| format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(error.response().unwrap().status(), status);
        assert_eq!(error.is_final(), is_final, "{error:?}");
        assert!(error.is_server() && !error.is_truncated(), "{error:?}");
    }
}

#[tokio::test]
async fn a_refusal_may_say_how_long_to_wait() {
    let error = refused(|_| "HTTP/1.1 429 Slow Down\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(120)));
    let error = refused(|_| "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(error.retry_after(), None);
}

#[tokio::test]
async fn a_page_instead_of_a_websocket_is_a_refusal_too() {
    let error = refused(|_| "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage").await;
    assert!(error.is_server(), "{error:?}");
    assert_eq!(error.response().unwrap().body(), "page");
    assert!(error.to_string().contains("expected 101"), "{error}");
    let error = refused(|_| "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n").await;
    assert!(error.is_final() && error.to_string().contains("redirects are not followed"), "{error}");
}

#[tokio::test]
async fn a_chunked_body_is_read() {
    let error =
        refused(|_| "HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nback\r\n9\r\n at three\r\n0\r\n\r\n")
            .await;
    assert_eq!(error.response().unwrap().body(), "back at three");
    assert!(!error.is_truncated() && !error.is_final(), "{error:?}");
}

#[tokio::test]
async fn of_a_long_body_64_kib_are_kept() {
    for length in [64 << 10, (64 << 10) + 1, 10 << 20] {
        let (client, mut dialed) = pipes();
        let client = client.build();
        let server = async {
            let mut stream = dialed.recv().await.unwrap().stream;
            read_head(&mut stream).await;
            let head = format!("HTTP/1.1 403 X\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            // The client hangs up in the middle of it.
            let _ = stream.write_all(&vec![b'x'; length]).await;
        };
        let (opened, ()) = tokio::join!(client.open("ws://server.example/"), server);
        let error = opened.unwrap_err();
        assert_eq!(error.response().unwrap().body().len(), 64 << 10);
        assert_eq!(error.is_truncated(), length > 64 << 10, "{error:?}");
        assert!(error.to_string().len() < 500, "a message shows only the beginning");
    }
}

#[tokio::test]
async fn the_limit_of_a_body_can_be_lower() {
    for (limit, kept, is_truncated) in [(0, "", true), (3, "wai", true), (4, "wait", false)] {
        let (client, mut dialed) = pipes();
        let client = client.body_limit(limit).build();
        let server = async {
            let mut stream = dialed.recv().await.unwrap().stream;
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 503 X\r\nContent-Length: 4\r\n\r\nwait").await.unwrap();
            stream
        };
        let (opened, _stream) = tokio::join!(client.open("ws://server.example/"), server);
        let error = opened.unwrap_err();
        assert_eq!(error.response().unwrap().body(), kept);
        assert_eq!(error.is_truncated(), is_truncated);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_waited_for_two_seconds() {
    for start in ["Transfer-Encoding: chunked\r\n\r\n4\r\nwait\r\n", "Content-Length: 100\r\n\r\nwait", "\r\nwait"] {
        let began = Instant::now();
        let (client, mut dialed) = pipes();
        let client = client.build();
        let server = async {
            let mut stream = dialed.recv().await.unwrap().stream;
            read_head(&mut stream).await;
            stream.write_all(format!("HTTP/1.1 503 X\r\n{start}").as_bytes()).await.unwrap();
            stream
        };
        let (opened, _stream) = tokio::join!(client.open("ws://server.example/"), server);
        let error = opened.unwrap_err();
        assert_eq!(began.elapsed().as_secs(), 2);
        assert_eq!(error.response().unwrap().body(), "wait");
        assert!(error.is_truncated() && error.is_server() && !error.is_timeout(), "{error:?}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_kept_as_far_as_it_came() {
    let (client, mut dialed) = pipes();
    let client = client.build();
    let server = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 503 X\r\nContent-Length: 100\r\n\r\nhalf of").await.unwrap();
    };
    let (opened, ()) = tokio::join!(client.open("ws://server.example/"), server);
    let error = opened.unwrap_err();
    assert_eq!(error.response().unwrap().body(), "half of");
    assert!(error.is_truncated(), "{error:?}");
}

#[tokio::test]
async fn a_message_shows_the_beginning_of_a_body_in_one_line() {
    let shown = |body: Vec<u8>| async move {
        let head = format!("HTTP/1.1 403 X\r\nContent-Length: {}\r\n\r\n", body.len());
        refused(|_| [head.as_bytes(), &body].concat()).await.to_string()
    };
    let error = shown(b"two\r\nlines \x1b[31m".to_vec()).await;
    assert!(error.contains("`two\\r\\nlines \\u{1b}[31m`"), "{error}");
    let error = shown("é".repeat(150).into_bytes()).await;
    assert!(error.contains(&format!("`{}...`", "é".repeat(100))), "{error}");
    let error = shown(format!("x{}", "é".repeat(150)).into_bytes()).await;
    assert!(error.contains(&format!("`x{}...`", "é".repeat(99))), "{error}");
    let error = shown(vec![0xFF; 300]).await;
    assert!(error.ends_with("403 Forbidden"), "{error}");
}
