//! Clients that are slow, silent or gone, and the deadlines of a server, with tokio's paused clock.

mod common;

use std::{sync::Arc, time::Duration};

use common::{echo, panics};
use sockeye_test::{Client, Message, Settings, WebSocket, close_code, connect_to, connect_with};
use sockeye_tokio::{Error, Overflow, Timeouts};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

fn settings(timeouts: Timeouts) -> Settings {
    let mut settings = Settings::new();
    settings.timeouts = Arc::new(timeouts);
    settings
}

/// A client of a handler that receives to the end, and the error that ends it.
fn receiver(settings: Settings) -> (Client, oneshot::Receiver<Option<Error>>) {
    let (done, ended) = oneshot::channel();
    let client = connect_with(settings, async move |mut socket: WebSocket| {
        let mut end = None;
        while let Some(received) = socket.recv().await {
            end = received.err();
        }
        let _ = done.send(end);
    });
    (client, ended)
}

#[tokio::test(start_paused = true)]
async fn a_client_answers_pings_while_the_test_does_something_else() {
    let (mut client, ended) = receiver(settings(Timeouts::new()));
    sleep(3600 * SECOND).await;
    client.assert_nothing(SECOND).await;
    for _ in 0..100 {
        client.assert_ping().await;
    }
    client.close(1000, "").await;
    client.assert_close(1000).await;
    assert!(ended.await.expect("the handler returns").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_dropped_by_the_keep_alive() {
    let (mut client, ended) = receiver(settings(Timeouts::new()));
    client.silence();
    let start = Instant::now();
    assert!(ended.await.expect("the handler returns").expect("a failure").is_timeout());
    assert!(start.elapsed() > 30 * SECOND && start.elapsed() < 45 * SECOND, "{:?}", start.elapsed());
    // It has still read the Ping.
    client.assert_ping().await;
    client.assert_close(close_code::ABNORMAL).await;
    assert_eq!(client.recv().await, None);
    let text = panics(client.assert_text("hi")).await;
    assert!(text.starts_with("expected the text \"hi\", got the end of the stream, without a Close\n"), "{text}");
    let text = panics(client.assert_close(1000)).await;
    assert!(text.starts_with("expected a Close with 1000, got the end of the stream, without a Close\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_can_still_send_and_does_not_answer_a_close() {
    let (done, ended) = oneshot::channel();
    let mut client = connect_to(async move |mut socket: WebSocket| {
        let received = socket.recv().await;
        let _ = socket.close().await;
        while let Some(Ok(_)) = socket.recv().await {}
        let _ = done.send(received);
    });
    let start = Instant::now();
    client.silence();
    client.send_text("hi").await;
    client.assert_close(close_code::NORMAL).await;
    assert!(matches!(ended.await, Ok(Some(Ok(Message::Text(_))))));
    // The deadline for the answer to a Close.
    assert!(start.elapsed() >= 10 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_is_closed_with_1001() {
    let mut client = connect_with(settings(Timeouts::new().idle(600 * SECOND)), echo);
    sleep(500 * SECOND).await;
    client.send_text("still here").await;
    client.assert_text("still here").await;
    client.assert_nothing(600 * SECOND).await;
    sleep(100 * SECOND).await;
    client.assert_close(close_code::AWAY).await;
}

#[tokio::test]
async fn a_client_that_vanishes_is_an_abrupt_end() {
    for vanish in [Client::vanish, drop] {
        let (mut client, ended) = receiver(Settings::new());
        client.send_text("hi").await;
        vanish(client);
        assert!(ended.await.expect("the handler returns").expect("a failure").is_abrupt());
    }
}

/// Pushes messages of 1 KiB until one is not just queued, and sends how many were.
async fn push_until_full(socket: WebSocket, pushed: oneshot::Sender<usize>) {
    let sender = socket.sender();
    for count in 0.. {
        if sender.push(Message::binary([0; 1024])).is_err() || sender.is_closed() {
            let _ = pushed.send(count);
            break;
        }
        // The driver writes.
        sleep(Duration::from_millis(1)).await;
        if count == 10_000 {
            let _ = pushed.send(count);
            break;
        }
    }
    drop(socket);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_fills_the_queue() {
    let mut settings = settings(Timeouts::none());
    settings.overflow = Overflow::Disconnect(close_code::AGAIN);
    let (done, pushed) = oneshot::channel();
    let mut client = connect_with(settings, |socket| push_until_full(socket, done));
    client.stop_reading();
    let pushed = pushed.await.expect("the handler tells");
    // 64 KiB on their way, and 1 MiB in the queue.
    assert!((1000..1200).contains(&pushed), "{pushed}");
    let text = panics(client.recv()).await;
    assert!(text.ends_with("\n  note: this client reads nothing, because of `stop_reading`"), "{text}");
    client.resume_reading();
    while let Some(Message::Binary(_)) = client.recv().await {}
    client.assert_close(close_code::AGAIN).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_is_never_too_slow() {
    let (done, pushed) = oneshot::channel();
    let _client = connect_with(Settings::new(), |socket| push_until_full(socket, done));
    assert_eq!(pushed.await, Ok(10_000));
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_reads_at_its_rate_and_a_fast_one_at_once() {
    // 100 KiB in frames of 1 KiB, with headers of 4 bytes.
    let mut client = connect_to(async |mut socket: WebSocket| {
        for _ in 0..100 {
            let _ = socket.send(Message::binary([0; 1024])).await;
        }
    });
    client.read_rate(1028);
    let start = Instant::now();
    client.set_timeout(10 * SECOND);
    for _ in 0..50 {
        client.recv_binary().await;
    }
    let elapsed = start.elapsed();
    assert!((49 * SECOND..52 * SECOND).contains(&elapsed), "{elapsed:?}");
    client.set_timeout(SECOND / 10);
    let text = panics(client.recv()).await;
    assert!(text.ends_with("\n  note: `read_rate` makes this client read slowly"), "{text}");
    client.resume_reading();
    let start = Instant::now();
    for _ in 0..50 {
        client.recv_binary().await;
    }
    client.assert_close(close_code::NORMAL).await;
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_nothing_is_no_reading() {
    let mut client = connect_to(async |mut socket: WebSocket| {
        let _ = socket.send(Message::text("hi")).await;
    });
    client.read_rate(0);
    sleep(3600 * SECOND).await;
    client.resume_reading();
    // Nothing was read before: it comes only now.
    client.assert_text("hi").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_is_a_panic_after_the_timeout() {
    let mut client = connect_to(async |_socket: WebSocket| std::future::pending().await);
    // What the server reads ahead, and what is on its way.
    client.send_binary([0; 1024]).await;
    let text = panics(client.send_binary(vec![0; 1 << 20])).await;
    assert!(text.starts_with("the server has not read the binary message [00 "), "{text}");
    assert!(text.contains("] (1048576 bytes) within 5s\n  at "), "{text}");
}

#[tokio::test]
async fn a_long_message_goes_both_ways_at_once() {
    let mut client = connect_to(echo);
    for _ in 0..3 {
        client.send_binary(vec![7; 1 << 20]).await;
    }
    for _ in 0..3 {
        client.assert_binary(vec![7; 1 << 20]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_can_move_to_another_task() {
    let mut client = connect_to(echo);
    let client = tokio::spawn(async move {
        client.send_text("hi").await;
        client.assert_text("hi").await;
        client
    });
    let mut client = client.await.expect("no panic");
    client.send_text("bye").await;
    client.assert_text("bye").await;
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_dropped_loses_no_message() {
    let mut client = connect_to(async |mut socket: WebSocket| {
        for text in ["one", "two"] {
            sleep(SECOND).await;
            let _ = socket.send(Message::text(text)).await;
            let _ = socket.send(Message::Pong(text.into())).await;
        }
        let received = socket.recv().await;
        assert!(matches!(received, Some(Ok(Message::Binary(data))) if data == [1; 200 << 10]));
        let _ = socket.send(Message::text("whole")).await;
    });
    for millis in [1, 500, 498, 2, 1000] {
        let millis = Duration::from_millis(millis);
        assert!(timeout(millis, client.assert_ping()).await.is_err());
        assert!(timeout(Duration::ZERO, client.assert_pong("three")).await.is_err());
    }
    client.assert_text("one").await;
    client.assert_text("two").await;
    client.assert_pong("two").await;
    client.assert_pong("one").await;
    // More than fits on the way, so the future waits.
    assert!(timeout(Duration::ZERO, client.send_binary(vec![1; 200 << 10])).await.is_err());
    client.assert_text("whole").await;
}
