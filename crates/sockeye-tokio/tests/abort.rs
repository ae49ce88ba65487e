//! `abort`: the stream ends without a Close.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, pending},
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use common::{
    connect, connect_with_capacity, connection, echo, give_away, poll_once, receive_all, sender_of, server_end,
    settled, start, tcp, undriven,
};
use sockeye_testkit::{Frame, Peer, pipe};
use sockeye_tokio::{Config, Ended, EndedBy, Error, Message, Role, Stream, Timeouts, WebSocket, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    time::{Instant, timeout},
};

fn assert_aborted(ended: &Ended) {
    assert_eq!((ended.by(), ended.code(), ended.reason()), (EndedBy::Local, None, ""));
    assert!(ended.is_abrupt() && !ended.is_clean());
    assert!(ended.error().unwrap().is_abrupt(), "{ended:?}");
}

fn assert_abrupt(received: Option<Result<Message, Error>>) {
    let error = received.unwrap().unwrap_err();
    assert!(error.is_abrupt() && !error.is_io(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_peer_sees_the_end_of_the_stream_and_no_close() {
    let (mut client, task) = start(|mut socket: WebSocket| async move {
        socket.send("written".into()).await.unwrap();
        socket.flushed().await.unwrap();
        socket.send("queued".into()).await.unwrap();
        socket.abort();
        assert_eq!(socket.sender().dropped(), 1);
        assert_abrupt(socket.recv().await);
        assert!(socket.recv().await.is_none());
        assert!(socket.send("too late".into()).await.unwrap_err().is_abrupt());
        assert!(socket.flushed().await.unwrap_err().is_abrupt());
        assert!(socket.close().await.unwrap_err().is_abrupt());
        socket.abort();
    });
    client.expect_text("written").await;
    client.expect_eof().await;
    let ended = task.await.unwrap();
    assert_aborted(&ended);
    assert_eq!(ended.dropped(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_client_role_aborts_as_well() {
    let (server, client) = pipe();
    let mut server = Peer::server(server);
    let task = tokio::spawn(serve(Stream::boxed(client), Role::Client, Config::default(), |socket| async move {
        socket.abort();
    }));
    server.expect_eof().await;
    assert_aborted(&task.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_sender_in_another_task_ends_a_handler_that_waits_for_a_message() {
    let (mut client, connection) = connect();
    let (sender, task) = sender_of(connection).await;
    client.send(Frame::ping("x")).await;
    client.expect_pong("x").await;
    let began = Instant::now();
    sender.abort();
    assert!(server_end(&client).is_dropped(), "at once, and not when the driver runs");
    client.expect_eof().await;
    assert_aborted(&task.await.unwrap());
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(sender.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_send_that_waits_for_capacity_fails() {
    let (client, connection) = connect_with_capacity(10);
    let (sender, task) = sender_of(connection.config(Config::new().write_buffer_size(100))).await;
    for _ in 0..10 {
        let _ = sender.try_send("x".repeat(100));
    }
    settled().await;
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { (sender.send("y".into()).await, sender.flushed().await) }
    });
    settled().await;
    assert!(!waiting.is_finished());
    sender.abort();
    let (sent, flushed) = waiting.await.unwrap();
    assert!(sent.unwrap_err().is_abrupt() && flushed.unwrap_err().is_abrupt());
    assert_eq!(sender.buffered(), 0);
    assert!(task.await.unwrap().dropped() > 0);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_something_else_is_not_dropped() {
    let (go, gone) = oneshot::channel();
    let (mut client, task) = start(|socket: WebSocket| async move {
        let sender = socket.sender();
        sender.abort();
        gone.await.unwrap();
        drop(socket);
    });
    client.expect_eof().await;
    settled().await;
    assert!(!task.is_finished(), "the handler goes on");
    go.send(()).unwrap();
    assert_aborted(&task.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_socket_in_another_task_sees_the_end() {
    let (mut client, connection) = connect();
    let (mut socket, task) = give_away(connection).await;
    let sender = socket.sender();
    let receiving = tokio::spawn(async move { (socket.recv().await, socket.recv().await, socket.recv().await) });
    client.send(Frame::text("first")).await;
    settled().await;
    sender.abort();
    let (first, second, third) = receiving.await.unwrap();
    assert_eq!(first.unwrap().unwrap(), Message::text("first"));
    assert_abrupt(second);
    assert!(third.is_none());
    client.expect_eof().await;
    assert_aborted(&task.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn halves_both_see_the_end() {
    let (mut client, task) = start(|socket: WebSocket| async move {
        let (to_client, mut from_client) = socket.into_split();
        to_client.abort();
        assert_abrupt(from_client.recv().await);
        assert!(to_client.is_closed());
        to_client.closed().await;
    });
    client.expect_eof().await;
    assert_aborted(&task.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_read_ahead_is_still_received() {
    let (go, gone) = oneshot::channel();
    let (mut client, task) = start(|mut socket: WebSocket| async move {
        gone.await.unwrap();
        socket.abort();
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("ahead"));
        assert_abrupt(socket.recv().await);
    });
    client.send_all([Frame::text("ahead"), Frame::text("behind")]).await;
    settled().await;
    go.send(()).unwrap();
    client.expect_eof().await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_close_handshake_that_does_not_end_is_cut_short() {
    let (mut client, task) = start(|mut socket: WebSocket| async move {
        socket.close_with(4000, "bye").await.unwrap();
        let _ = poll_once(socket.recv()).await;
        socket.abort();
        assert_abrupt(socket.recv().await);
    });
    let began = Instant::now();
    client.expect_close(4000).await;
    client.expect_eof().await;
    let ended = task.await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    // The Close was first.
    assert_eq!(
        (ended.by(), ended.code(), ended.is_abrupt(), ended.is_clean()),
        (EndedBy::Local, Some(4000), false, false)
    );
}

#[tokio::test(start_paused = true)]
async fn an_ending_in_the_background_is_cut_short() {
    let (mut client, connection) = connect();
    let (give, take) = oneshot::channel();
    let task = tokio::spawn(connection.serve(|socket| async move { drop(give.send(socket.sender())) }));
    let sender = take.await.unwrap();
    client.expect_close(1000).await;
    let began = Instant::now();
    sender.abort();
    client.expect_eof().await;
    assert!(!task.await.unwrap().is_clean());
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nothing_changes_after_the_end() {
    let (mut client, connection) = connect();
    let (sender, task) = sender_of(connection).await;
    client.send(Frame::close(4000, "bye")).await;
    client.expect_close(4000).await;
    drop(client);
    let ended = task.await.unwrap();
    sender.abort();
    assert!(sender.send("x".into()).await.unwrap_err().is_closed());
    assert_eq!((ended.by(), ended.code(), ended.is_clean()), (EndedBy::Peer, Some(4000), true));
}

#[tokio::test(start_paused = true)]
async fn a_socket_without_a_driver_aborts_too() {
    let (mut client, mut socket) = undriven();
    socket.send("written".into()).await.unwrap();
    let sender = socket.sender();
    let receiving = tokio::spawn(async move { (socket.recv().await, socket) });
    settled().await;
    sender.abort();
    let (received, mut socket) = receiving.await.unwrap();
    assert_abrupt(received);
    assert!(socket.send("x".into()).await.unwrap_err().is_abrupt());
    client.expect_text("written").await;
    client.expect_eof().await;
}

#[tokio::test]
async fn a_tcp_socket_is_closed_and_what_was_flushed_arrives() {
    let (mut client, server) = tcp().await;
    let task = tokio::spawn(serve(server, Role::Server, Config::default(), |mut socket| async move {
        socket.send(Message::Binary(vec![7; 100_000])).await.unwrap();
        socket.flushed().await.unwrap();
        socket.abort();
    }));
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.unwrap();
    assert_eq!(received.len(), 100_000 + 10, "all of it, and no Close");
    assert_aborted(&task.await.unwrap());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_kernel_resets_a_tcp_socket_with_unread_bytes() {
    let (mut client, server) = tcp().await;
    let (go, gone) = oneshot::channel();
    let task = tokio::spawn(serve(server, Role::Server, Config::default(), |socket| async move {
        gone.await.unwrap();
        socket.abort();
        pending::<()>().await;
    }));
    // More than the driver reads while the handler does not receive.
    client.write_all(&Frame::binary(vec![0; 300_000]).mask([1, 2, 3, 4]).bytes()).await.unwrap();
    go.send(()).unwrap();
    let error = client.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    task.abort();
}

/// A task that runs as soon as it is woken, before the call that wakes it returns: as the fastest of other threads would run it.
struct AtOnce {
    task: Mutex<Pin<Box<dyn Future<Output = Ended> + Send>>>,
    ended: Mutex<Option<Ended>>,
    is_woken: AtomicBool,
}

impl AtOnce {
    fn run(self: &Arc<Self>) {
        // A wakeup out of its own poll.
        let Ok(mut task) = self.task.try_lock() else { return };
        while self.ended.lock().unwrap().is_none() && self.is_woken.swap(false, Ordering::SeqCst) {
            if let Poll::Ready(ended) = task.as_mut().poll(&mut Context::from_waker(&Waker::from(self.clone()))) {
                *self.ended.lock().unwrap() = Some(ended);
            }
        }
    }
}

impl Wake for AtOnce {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.run();
    }
}

#[tokio::test]
async fn a_driver_that_runs_during_an_abort_ends_without_any_deadline() {
    // Unlike a pipe of the tests, this stream wakes nobody when its own end is dropped.
    let (near, far) = tokio::io::duplex(1024);
    let mut client = Peer::client(far);
    let (give, mut take) = oneshot::channel();
    let served =
        connection(near).timeouts(Timeouts::none()).serve(|socket| async move { drop(give.send(socket.sender())) });
    let driver =
        AtOnce { task: Mutex::new(Box::pin(served)), ended: Mutex::default(), is_woken: AtomicBool::new(false) };
    let driver = Arc::new(driver);
    driver.clone().wake();
    let sender = take.try_recv().unwrap();
    client.expect_close(1000).await;
    sender.abort();
    client.expect_eof().await;
    assert!(driver.ended.lock().unwrap().is_some(), "nothing else would wake the driver");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_at_any_moment_ends_the_connection_whatever_its_threads_do() {
    for round in 0..200 {
        let (near, far) = pipe();
        let (give, take) = oneshot::channel();
        let server = tokio::spawn(connection(far).serve(move |socket| async move {
            drop(give.send(socket.sender()));
            match round % 3 {
                0 => echo(socket).await,
                1 => drop(tokio::spawn(receive_all(socket))),
                _ => drop(tokio::spawn(echo(socket)).await),
            }
        }));
        let client =
            tokio::spawn(serve(Stream::boxed(near), Role::Client, Config::default(), |mut socket| async move {
                while socket.send("again".into()).await.is_ok() && matches!(socket.recv().await, Some(Ok(_))) {}
            }));
        let sender = take.await.unwrap();
        for _ in 0..round % 20 {
            tokio::task::yield_now().await;
        }
        sender.abort();
        let ended = timeout(Duration::from_secs(60), server).await.expect("the driver ends").unwrap();
        assert_eq!(ended.by(), EndedBy::Local);
        timeout(Duration::from_secs(60), client).await.expect("the peer sees it").unwrap();
    }
}
