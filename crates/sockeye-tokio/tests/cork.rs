//! Many messages share a system call, and none waits for another.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{connect, connect_with_capacity, echo, server_end, start, tcp};
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use sockeye_testkit::{Frame, Peer, PipeEnd, parse_frames};
use sockeye_tokio::{Config, Message, Role, WebSocket, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot},
    task::yield_now,
};

/// [`echo`] through `futures`.
async fn forward(socket: WebSocket) {
    let (sink, stream) = socket.split();
    let data = stream.try_filter(|message| std::future::ready(message.is_data()));
    let _ = data.forward(sink).await;
}

/// And with the sink's own `send`.
async fn split_sink(socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    while let Some(Ok(message)) = stream.next().await {
        if message.is_data() && sink.send(message).await.is_err() {
            break;
        }
    }
}

/// [`echo`] through a channel, which takes two units of the cooperative budget for each message: all of it for 64 messages.
async fn select(mut socket: WebSocket) {
    let (sender, mut receiver) = mpsc::channel(128);
    loop {
        tokio::select! {
            received = socket.recv() => {
                let Some(Ok(message)) = received else { break };
                sender.send(message).await.unwrap();
            }
            Some(message) = receiver.recv() => {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        }
    }
}

fn pipelined(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| Frame::binary(vec![i as u8; 32]).mask([1, 2, 3, 4]).bytes()).collect()
}

async fn one_read_and(most: usize, client: Peer<PipeEnd>) {
    let (server, mut client) = (server_end(&client), client.into_inner());
    let wire = pipelined(64);
    for round in 0..3 {
        // The answers are here before the handler waits again, which they would not be over a network.
        for _ in 0..10 {
            yield_now().await;
        }
        server.take_counters();
        client.write_all(&wire).await.unwrap();
        let mut answers = vec![0; 64 * 34];
        client.read_exact(&mut answers).await.unwrap();
        let frames = parse_frames(&answers);
        assert!(frames.iter().enumerate().all(|(i, frame)| frame.payload == [i as u8; 32]));
        let counters = server.take_counters();
        assert!(counters.reads == 1 && counters.writes <= most, "round {round}: {counters:?}");
    }
}

#[tokio::test]
async fn sixty_four_pipelined_messages_cost_one_read_and_one_write() {
    let (client, _task) = start(echo);
    one_read_and(1, client).await;
}

#[tokio::test]
async fn sixty_four_pipelined_messages_through_a_split_sink_cost_one_read_and_one_write() {
    let (client, _task) = start(split_sink);
    one_read_and(1, client).await;
}

#[tokio::test]
async fn sixty_four_pipelined_messages_through_forward_cost_one_read_and_two_writes() {
    let (client, _task) = start(forward);
    // `SplitSink` keeps one message to itself until it is flushed, which `forward` does after it has waited.
    one_read_and(2, client).await;
}

#[tokio::test]
async fn sixty_four_pipelined_messages_through_a_select_over_a_channel_cost_one_read_and_one_write() {
    let (client, _task) = start(select);
    one_read_and(1, client).await;
}

#[tokio::test]
async fn a_large_payload_is_written_with_its_header_in_one_call() {
    let (mut client, connection) = connect_with_capacity(1 << 20);
    tokio::spawn(connection.serve(|mut socket| async move {
        socket.send(Message::text("small")).await.unwrap();
        socket.send(Message::binary(vec![1; 15_000])).await.unwrap();
        socket.send(Message::text("small again")).await.unwrap();
        std::future::pending::<()>().await;
    }));
    client.expect_text("small").await;
    client.expect_binary(vec![1; 15_000]).await;
    client.expect_text("small again").await;
    assert_eq!(server_end(&client).counters().writes, 1);
}

#[tokio::test]
async fn a_boxed_stream_gets_a_message_of_16_kib_in_one_write() {
    let (mut client, connection) = connect_with_capacity(2 << 20);
    tokio::spawn(connection.serve(echo));
    client.send(Frame::binary(vec![1; 16 << 10])).await;
    client.expect_binary(vec![1; 16 << 10]).await;
    let counters = server_end(&client).counters();
    assert_eq!((counters.writes, counters.written_bytes), (1, 4 + (16 << 10)));
}

#[tokio::test]
async fn a_boxed_stream_is_offered_16_kib_at_a_time() {
    for vectored in [true, false] {
        let (mut client, connection) = connect_with_capacity(2 << 20);
        server_end(&client).set_vectored(vectored);
        tokio::spawn(connection.serve(echo));
        client.send(Frame::binary(vec![1; 1 << 20])).await;
        client.expect_binary(vec![1; 1 << 20]).await;
        // Sixty-four of them; the last one also has as many bytes as the header.
        let counters = server_end(&client).counters();
        assert_eq!((counters.writes, counters.written_bytes), (64, 10 + (1 << 20)));
    }
}

#[tokio::test]
async fn a_stream_without_vectored_writes_gets_header_and_payload_joined() {
    let (mut client, connection) = connect_with_capacity(1 << 20);
    server_end(&client).set_vectored(false);
    tokio::spawn(connection.serve(|mut socket| async move {
        socket.send(Message::binary(vec![1; 15_000])).await.unwrap();
        std::future::pending::<()>().await;
    }));
    client.expect_binary(vec![1; 15_000]).await;
    assert_eq!(server_end(&client).counters().writes, 1);
}

/// A handler that echoes, and counts the messages in `seen`.
async fn count(mut socket: WebSocket, seen: Arc<AtomicUsize>) {
    while let Some(Ok(message)) = socket.recv().await {
        seen.fetch_add(1, Ordering::Relaxed);
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}

const MANY: usize = 10_000;

#[tokio::test]
async fn the_first_of_ten_thousand_answers_does_not_wait_for_the_last() {
    let (client, connection) = connect_with_capacity(1 << 20);
    let mut client = client.into_inner();
    let seen = Arc::new(AtomicUsize::new(0));
    client.write_all(&pipelined(MANY)).await.unwrap();
    let handler_seen = seen.clone();
    tokio::spawn(connection.serve(|socket| count(socket, handler_seen)));
    // This task is another one, so it runs only if the handler's lets it.
    let mut first = [0; 34];
    client.read_exact(&mut first).await.unwrap();
    assert!(seen.load(Ordering::Relaxed) < 300, "{seen:?}");
    let mut rest = vec![0; (MANY - 1) * 34];
    client.read_exact(&mut rest).await.unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), MANY);
}

#[tokio::test]
async fn the_first_of_ten_thousand_answers_over_tcp_does_not_wait_for_the_last() {
    let (client, server) = tcp().await;
    let (mut client, mut writing) = client.into_split();
    // As many as fit into the kernel's buffers are there before the handler runs.
    tokio::spawn(async move {
        writing.write_all(&pipelined(MANY)).await.unwrap();
        writing.forget();
    });
    yield_now().await;
    let seen = Arc::new(AtomicUsize::new(0));
    let handler_seen = seen.clone();
    tokio::spawn(serve(server, Role::Server, Config::default(), |socket| count(socket, handler_seen)));
    let mut first = [0; 34];
    client.read_exact(&mut first).await.unwrap();
    assert!(seen.load(Ordering::Relaxed) < 300, "{seen:?}");
    let mut rest = vec![0; (MANY - 1) * 34];
    client.read_exact(&mut rest).await.unwrap();
}

#[tokio::test]
async fn other_tasks_run_between_ten_thousand_messages_that_are_received_or_sent() {
    let (mut client, connection) = connect_with_capacity(1 << 20);
    client.send_bytes(pipelined(MANY)).await;
    let turns = Arc::new(AtomicUsize::new(0));
    let (others, stop) = (turns.clone(), Arc::new(AtomicUsize::new(0)));
    let stopped = stop.clone();
    tokio::spawn(async move {
        while stopped.load(Ordering::Relaxed) == 0 {
            others.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    });
    let (tell, told) = oneshot::channel();
    tokio::spawn(connection.serve(|mut socket| async move {
        // Only receives, and only sends: either loop has to yield.
        for _ in 0..MANY {
            socket.recv().await.unwrap().unwrap();
        }
        let received = turns.swap(0, Ordering::Relaxed);
        for _ in 0..MANY {
            socket.send(Message::text("x")).await.unwrap();
        }
        tell.send((received, turns.load(Ordering::Relaxed))).unwrap();
    }));
    let (receiving, sending) = told.await.unwrap();
    stop.store(1, Ordering::Relaxed);
    assert!(receiving >= MANY / 128 - 1, "{receiving}");
    assert!(sending >= MANY / 128 / 32, "{sending}");
}

#[tokio::test]
async fn flushed_writes_all_that_is_queued_before_the_handler_yields() {
    let (mut client, connection) = connect();
    let control = server_end(&client);
    tokio::spawn(connection.serve(|mut socket| async move {
        socket.send(Message::text("one")).await.unwrap();
        socket.send(Message::text("two")).await.unwrap();
        assert_eq!(control.in_flight(), 0, "only queued so far");
        socket.flushed().await.unwrap();
        assert_eq!(control.in_flight(), 10, "with the kernel, before the handler lets anybody else run");
        assert_eq!(control.counters().writes, 1);
    }));
    client.expect_text("one").await;
    client.expect_text("two").await;
    client.expect_close(1000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_blocks_its_thread_on_a_request_gets_its_answer() {
    let (client, connection) = connect();
    // When it gives up, the handler's `recv` fails, and the thread that it blocks is free.
    let mut client = client.within(Duration::from_secs(10));
    let task = tokio::spawn(connection.serve(|mut socket| async move {
        let answer = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                socket.send(Message::text("question")).await.unwrap();
                socket.recv().await.unwrap().unwrap()
            })
        });
        assert_eq!(answer, Message::text("answer"));
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                socket.send(Message::text("thanks")).await.unwrap();
                socket.flushed().await.unwrap();
            });
        });
    }));
    client.expect_text("question").await;
    client.send(Frame::text("answer")).await;
    client.expect_text("thanks").await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}
