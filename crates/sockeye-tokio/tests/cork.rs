//! Many messages share a system call, and none waits for another.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt, TryStreamExt};
use sockeye_testkit::{Frame, Peer, PipeEnd, parse_frames, pipe, pipe_with_capacity};
use sockeye_tokio::{Config, Message, Role, Stream, WebSocket, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::yield_now,
};

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// The same loop through `futures`.
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

fn pipelined(count: usize) -> Vec<u8> {
    (0..count).flat_map(|i| Frame::binary(vec![i as u8; 32]).mask([1, 2, 3, 4]).bytes()).collect()
}

async fn one_read_and(most: usize, client: &mut PipeEnd, server: &sockeye_testkit::Control) {
    let wire = pipelined(64);
    for round in 0..3 {
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
    let (mut client, server) = pipe();
    let control = server.control();
    tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), echo));
    one_read_and(1, &mut client, &control).await;
}

#[tokio::test]
async fn through_a_split_sink_as_well() {
    let (mut client, server) = pipe();
    let control = server.control();
    tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), split_sink));
    one_read_and(1, &mut client, &control).await;
}

#[tokio::test]
async fn and_through_forward() {
    let (mut client, server) = pipe();
    let control = server.control();
    tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), forward));
    // `SplitSink` keeps one message to itself until it is flushed, which `forward` does after it has waited.
    one_read_and(2, &mut client, &control).await;
}

#[tokio::test]
async fn a_large_payload_goes_out_with_its_header_in_one_call() {
    let (client, server) = pipe_with_capacity(1 << 20);
    let (control, mut client) = (server.control(), Peer::client(client));
    tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |mut socket| async move {
        socket.send(Message::text("small")).await.unwrap();
        socket.send(Message::binary(vec![1; 50_000])).await.unwrap();
        socket.send(Message::text("small again")).await.unwrap();
        std::future::pending::<()>().await;
    }));
    client.expect_text("small").await;
    client.expect_binary(vec![1; 50_000]).await;
    client.expect_text("small again").await;
    assert_eq!(control.counters().writes, 1);
}

#[tokio::test]
async fn so_does_one_of_a_mebibyte() {
    let (client, server) = pipe_with_capacity(2 << 20);
    let (control, mut client) = (server.control(), Peer::client(client));
    tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), echo));
    client.send(Frame::binary(vec![1; 1 << 20])).await;
    client.expect_binary(vec![1; 1 << 20]).await;
    let counters = control.counters();
    assert_eq!((counters.writes, counters.vectored_writes, counters.written_bytes), (1, 1, 10 + (1 << 20)));
}

#[tokio::test]
async fn a_stream_that_takes_one_slice_at_a_time_gets_them_joined() {
    let (client, server) = pipe_with_capacity(1 << 20);
    let (control, mut client) = (server.control(), Peer::client(client));
    control.set_vectored(false);
    tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |mut socket| async move {
        socket.send(Message::binary(vec![1; 50_000])).await.unwrap();
        std::future::pending::<()>().await;
    }));
    client.expect_binary(vec![1; 50_000]).await;
    assert_eq!(control.counters().writes, 1);
}

/// A handler that echoes, counts what it has seen, and notes how many that were when `first` is set.
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
    let (mut client, server) = pipe_with_capacity(1 << 20);
    let seen = Arc::new(AtomicUsize::new(0));
    client.write_all(&pipelined(MANY)).await.unwrap();
    let handler_seen = seen.clone();
    tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |socket| count(socket, handler_seen)));
    // This task is another one, so it runs only if the handler's lets it.
    let mut first = [0; 34];
    client.read_exact(&mut first).await.unwrap();
    assert!(seen.load(Ordering::Relaxed) < 300, "{seen:?}");
    let mut rest = vec![0; (MANY - 1) * 34];
    client.read_exact(&mut rest).await.unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), MANY);
}

#[tokio::test]
async fn nor_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
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
async fn other_tasks_run_in_between() {
    let (mut client, server) = pipe_with_capacity(1 << 20);
    client.write_all(&pipelined(MANY)).await.unwrap();
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
    tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |mut socket| async move {
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
async fn before_a_handler_blocks_it_can_wait_until_all_is_written() {
    let (client, server) = pipe();
    let (control, mut client) = (server.control(), Peer::client(client));
    tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |mut socket| async move {
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
async fn a_handler_that_blocks_on_a_request_and_its_answer() {
    let (client, server) = pipe();
    // When it gives up, the handler's `recv` fails, and the thread that it blocks is free.
    let mut client = Peer::client(client).within(Duration::from_secs(10));
    let task = tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |mut socket| async move {
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
