//! Every future may be dropped at any of its await points: nothing is lost, and nothing is half done.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use sockeye_testkit::{Frame, Peer, PipeEnd, pipe, pipe_with_capacity};
use sockeye_tokio::{Config, Connection, Message, PreparedMessage, Role, Shutdown, Stream, WebSocket, close_code};

/// Polls `future` once, and drops it. What it yields is kept, if it was ready.
async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    match polled {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Drops and makes anew what `make` makes, until one is ready at its first poll.
async fn insist<'a, T: 'a, F, Fut>(mut make: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = T> + 'a,
{
    loop {
        match once(make()).await {
            Some(output) => return output,
            None => tokio::task::yield_now().await,
        }
    }
}

fn serve<F, Fut>(server: PipeEnd, config: Config, handler: F) -> tokio::task::JoinHandle<()>
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(Connection::new(Stream::boxed(server), Role::Server).config(config).serve(handler))
}

/// What a client may send, with fragments, control frames in between, and a large message.
fn conversation() -> (Vec<Frame>, Vec<Message>) {
    let frames = vec![
        Frame::text("κόσμε"),
        Frame::text("in ").fin(false),
        Frame::ping("?"),
        Frame::continuation("pieces"),
        Frame::binary(vec![7; 70_000]),
        Frame::text(""),
        Frame::close(1000, "bye"),
    ];
    let messages = vec![
        Message::text("κόσμε"),
        Message::Ping("?".into()),
        Message::text("in pieces"),
        Message::binary(vec![7; 70_000]),
        Message::text(""),
        Message::Close(Some(sockeye_tokio::CloseFrame::new(1000, "bye"))),
    ];
    (frames, messages)
}

#[tokio::test]
async fn recv_loses_nothing_at_any_byte() {
    // 997 bytes at a time cut the large message often enough; one at a time cut everything.
    for chunk in [1, 2, 997] {
        let (client, server) = pipe();
        server.control().set_read_chunk(chunk);
        let mut client = Peer::client(client);
        let (frames, expected) = conversation();
        let task = serve(server, Config::default(), |mut socket| async move {
            let mut received = Vec::new();
            loop {
                // Each recv is dropped after one poll. A socket is borrowed by its recv, so it cannot be `insist`.
                match once(socket.recv()).await {
                    Some(Some(message)) => received.push(message.unwrap()),
                    Some(None) => break,
                    None => tokio::task::yield_now().await,
                }
            }
            // While nobody receives, Pings are answered and not kept.
            received.retain(|message| !message.is_ping());
            let expected: Vec<_> = expected.into_iter().filter(|message| !message.is_ping()).collect();
            assert!(received == expected, "{} messages of {}", received.len(), expected.len());
        });
        client.send_all(frames).await;
        client.expect_pong("?").await;
        client.expect_close(1000).await;
        drop(client);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn recv_in_another_task_loses_nothing_at_any_byte() {
    let (client, server) = pipe();
    server.control().set_read_chunk(1);
    let mut client = Peer::client(client);
    let (give, take) = tokio::sync::oneshot::channel();
    serve(server, Config::default(), |socket| async move { drop(give.send(socket)) });
    let mut socket: WebSocket = take.await.unwrap();
    let receiver = tokio::spawn(async move {
        let mut texts = Vec::new();
        loop {
            match once(socket.recv()).await {
                Some(Some(Ok(Message::Text(text)))) => texts.push(text),
                Some(Some(_)) => {}
                Some(None) => return texts,
                None => tokio::task::yield_now().await,
            }
        }
    });
    for text in ["one", "two", "three"] {
        client.send(Frame::text(text)).await;
    }
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    assert_eq!(receiver.await.unwrap(), ["one", "two", "three"]);
}

#[tokio::test]
async fn send_queues_the_whole_message_or_nothing() {
    for prepared in [false, true] {
        let (client, server) = pipe_with_capacity(16);
        let mut client = Peer::client(client);
        let mut config = Config::default();
        config.write_buffer_size = 1;
        let task = serve(server, config, move |mut socket| async move {
            for i in 0..20 {
                let text = format!("{i} {}", "x".repeat(50));
                let sender = socket.sender();
                match (prepared, i % 2) {
                    (false, 0) => insist(|| sender.send(Message::text(text.clone()))).await.unwrap(),
                    (true, 0) => insist(|| sender.send_prepared(PreparedMessage::text(&text))).await.unwrap(),
                    (false, _) => socket.send(Message::text(text)).await.unwrap(),
                    (true, _) => socket.send_prepared(PreparedMessage::text(text)).await.unwrap(),
                }
            }
        });
        for i in 0..20 {
            client.expect_text(&format!("{i} {}", "x".repeat(50))).await;
        }
        client.expect_close(1000).await;
        drop(client);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn flushed_can_be_asked_again() {
    let (client, server) = pipe_with_capacity(16);
    let mut client = Peer::client(client);
    let task = serve(server, Config::default(), |mut socket| async move {
        socket.send(Message::binary(vec![1; 1000])).await.unwrap();
        while once(socket.flushed()).await.is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(socket.sender().buffered(), 0);
        let sender = socket.sender();
        sender.send(Message::text("2")).await.unwrap();
        insist(|| sender.flushed()).await.unwrap();
    });
    client.expect_binary(vec![1; 1000]).await;
    client.expect_text("2").await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_close_that_was_polled_once_is_sent() {
    let (client, server) = pipe_with_capacity(16);
    let mut client = Peer::client(client);
    let task = serve(server, Config::default(), |mut socket| async move {
        socket.send(Message::binary(vec![1; 100])).await.unwrap();
        assert!(once(socket.close_with(close_code::POLICY, "enough")).await.is_none());
        assert!(once(socket.close()).await.is_none(), "the first one stands, and is not written yet");
        while let Some(Ok(_)) = socket.recv().await {}
    });
    client.expect_binary(vec![1; 100]).await;
    assert_eq!(client.expect_close(1008).await, "enough");
    client.send(Frame::close(1008, "")).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn waiting_for_the_end_changes_nothing() {
    let (client, server) = pipe();
    let mut client = Peer::client(client);
    let task = serve(server, Config::default(), |mut socket| async move {
        let sender = socket.sender();
        for _ in 0..100 {
            assert!(once(sender.closed()).await.is_none());
        }
        socket.send(Message::text("open")).await.unwrap();
        while let Some(Ok(_)) = socket.recv().await {}
        insist(|| sender.closed()).await;
    });
    client.expect_text("open").await;
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_dropped_has_begun_and_cuts_nothing() {
    let shutdown = Shutdown::new();
    assert!(once(shutdown.begun()).await.is_none());
    let (client, server) = pipe();
    let mut client = Peer::client(client);
    let connection = Connection::new(Stream::boxed(server), Role::Server).shutdown(&shutdown);
    tokio::spawn(connection.serve(|mut socket| async move { while let Some(Ok(_)) = socket.recv().await {} }));
    tokio::task::yield_now().await;

    assert!(once(shutdown.drain(Duration::from_secs(1))).await.is_none());
    insist(|| shutdown.begun()).await;
    client.expect_close(1001).await;
    assert_eq!(shutdown.connections(), 1);
    client.send(Frame::close(1001, "")).await;
    drop(client);
    let drained = shutdown.drain(Duration::from_secs(1)).await;
    assert_eq!((drained.closed, drained.cut), (1, 0));
}
