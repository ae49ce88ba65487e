//! What is sent in another task than the driver's, over TCP, and over another stream in a box: that task writes by itself, and the
//! driver writes what is left.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, poll_fn},
    io::{ErrorKind, Read, Write},
    net::TcpStream as StdStream,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use allocation_counter::measure;
use common::{connect_narrow_over, echo, give_away, poll_once, settled, tcp};
use sockeye_testkit::{Frame, parse_frames};
use sockeye_tokio::{Connection, Ended, EndedBy, Message, Role, Stream, Timeouts, WebSocket};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    sync::oneshot,
    task::JoinHandle,
};

/// A client that never waits, so that no task of the server runs while it looks.
struct Client(StdStream);

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self(stream.into_std().unwrap())
    }

    fn send(&mut self, text: &str) {
        self.0.write_all(&Frame::text(text).mask([1, 2, 3, 4]).bytes()).unwrap();
    }

    /// The texts that have arrived since the last call.
    fn texts(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            ended => panic!("{ended:?}"),
        }
        parse_frames(&bytes).into_iter().map(|frame| String::from_utf8(frame.payload).unwrap()).collect()
    }
}

/// A socket as a `TcpStream`, and as any other stream.
const STREAMS: [fn(TcpStream) -> Stream; 2] = [Stream::from, Stream::boxed];

/// A client, the server's socket in this task, its driver in another one, and how often the driver was polled.
async fn start(over: fn(TcpStream) -> Stream) -> (Client, WebSocket, JoinHandle<Ended>, Arc<AtomicUsize>) {
    let (client, server) = tcp().await;
    let (give, take) = oneshot::channel();
    let connection = Connection::new(over(server), Role::Server);
    let driver = connection.serve(|socket| async move { drop(give.send(socket)) });
    let polls = Arc::new(AtomicUsize::new(0));
    let count = polls.clone();
    let task = tokio::spawn(async move {
        let mut driver = pin!(driver);
        poll_fn(|cx| {
            count.fetch_add(1, Relaxed);
            driver.as_mut().poll(cx)
        })
        .await
    });
    (Client::new(client), take.await.unwrap(), task, polls)
}

/// Receives a text that the client sends now.
async fn receives(client: &mut Client, socket: &mut WebSocket) {
    client.send("a question");
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("a question"));
}

#[tokio::test]
async fn an_answer_is_written_before_send_returns_and_does_not_wake_the_driver() {
    for over in STREAMS {
        let (mut client, mut socket, _task, polls) = start(over).await;
        receives(&mut client, &mut socket).await;
        settled().await;
        let (before, begun) = (polls.load(Relaxed), std::time::Instant::now());
        for number in 0..100 {
            socket.send(Message::text(number.to_string())).await.unwrap();
            assert_eq!(client.texts(), [number.to_string()]);
            receives(&mut client, &mut socket).await;
        }
        settled().await;
        let ticks = begun.elapsed().as_secs() as usize + 1;
        assert!(polls.load(Relaxed) - before <= 2 * ticks);
    }
}

/// Only the first time, one write for each of the first two: that more follows is not known yet.
#[tokio::test]
async fn several_answers_are_written_together_when_the_task_waits() {
    for over in STREAMS {
        let (mut client, mut socket, _task, _) = start(over).await;
        for round in 0..3 {
            receives(&mut client, &mut socket).await;
            for text in ["one", "two", "three"] {
                socket.send(Message::text(text)).await.unwrap();
            }
            let mut texts = client.texts();
            assert_eq!(texts.len(), if round == 0 { 1 } else { 0 });
            // The driver has not run.
            assert!(poll_once(socket.recv()).await.is_none());
            texts.extend(client.texts());
            assert_eq!(texts, ["one", "two", "three"]);
        }
    }
}

#[tokio::test]
async fn answers_to_messages_that_came_together_are_written_together() {
    for over in STREAMS {
        let (mut client, mut socket, _task, _) = start(over).await;
        let question = Frame::text("a question").mask([1, 2, 3, 4]).bytes();
        client.0.write_all(&question.repeat(3)).unwrap();
        for number in 0..3 {
            socket.recv().await.unwrap().unwrap();
            assert!(client.texts().is_empty());
            socket.send(Message::text(number.to_string())).await.unwrap();
        }
        assert_eq!(client.texts(), ["0", "1", "2"]);
    }
}

#[tokio::test]
async fn what_a_task_sends_without_a_question_is_written_whatever_the_task_does() {
    for over in STREAMS {
        let (mut client, mut socket, _task, _) = start(over).await;
        for text in ["one", "two", "three"] {
            socket.send(Message::text(text)).await.unwrap();
        }
        // The task receives nothing, and waits for something else.
        settled().await;
        assert_eq!(client.texts(), ["one", "two", "three"]);
    }
}

#[tokio::test]
async fn flushed_writes_what_is_queued() {
    for over in STREAMS {
        let (mut client, mut socket, _task, _) = start(over).await;
        for text in ["one", "two", "three"] {
            socket.send(Message::text(text)).await.unwrap();
        }
        assert!(poll_once(socket.flushed()).await.unwrap().is_ok());
        assert_eq!(client.texts(), ["one", "two", "three"]);
    }
}

#[tokio::test]
async fn what_the_kernel_does_not_take_follows_once_the_peer_reads() {
    for over in STREAMS {
        let (mut client, connection) = connect_narrow_over(over).await;
        let (mut socket, _task) = give_away(connection).await;
        client.write_all(&Frame::text("a question").mask([1, 2, 3, 4]).bytes()).await.unwrap();
        socket.recv().await.unwrap().unwrap();
        let long = "x".repeat(1 << 20);
        let task = tokio::spawn(async move {
            for text in [long, "two".to_owned(), "three".to_owned()] {
                socket.send(Message::text(text)).await.unwrap();
            }
            socket.close().await.unwrap();
        });
        settled().await;
        let mut bytes = Vec::new();
        let closed = Frame::close(1000, "").unmasked().bytes();
        while !bytes.ends_with(&closed) {
            assert!(client.read_buf(&mut bytes).await.unwrap() > 0);
        }
        let lengths: Vec<_> = parse_frames(&bytes).iter().map(|frame| frame.payload.len()).collect();
        assert_eq!(lengths, [1 << 20, 3, 5, 2]);
        task.await.unwrap();
    }
}

/// The task meets the error, and the driver reports it.
#[tokio::test]
async fn a_write_that_fails_ends_the_connection_with_the_error() {
    for over in STREAMS {
        let (client, server) = tcp().await;
        let (mut socket, task) =
            give_away(Connection::new(over(server), Role::Server).timeouts(Timeouts::none())).await;
        settled().await;
        // The kernel answers with a reset what nobody will read.
        let client = client.into_std().unwrap();
        socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
        // Queued, and not written.
        socket.send(Message::text("one")).await.unwrap();
        let error = socket.recv().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("reset"), "{error}");
        assert!(socket.send(Message::text("two")).await.is_err());
        drop(socket);
        assert_eq!(task.await.unwrap().by(), EndedBy::Stream);
    }
}

/// Each task writes its answer before the next one reads: otherwise all answers would be in memory at once.
#[test]
fn tasks_that_answer_long_messages_hold_one_of_them_at_a_time() {
    const LENGTH: usize = 50_000;
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let question = Frame::binary(vec![7; LENGTH]).mask([1, 2, 3, 4]).bytes();
    let mut clients = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..32 {
            let (client, server) = tcp().await;
            let (socket, _task) = give_away(Connection::new(server, Role::Server)).await;
            tokio::spawn(echo(socket));
            clients.push(Client::new(client));
        }
        settled().await;
        clients
    });
    let mut exchange = || {
        for client in &mut clients {
            client.0.write_all(&question).unwrap();
        }
        runtime.block_on(settled());
        let mut left: Vec<usize> = vec![LENGTH + 4; clients.len()];
        let mut buffer = [0; 4096];
        while left.iter().any(|left| *left > 0) {
            for (client, left) in clients.iter_mut().zip(&mut left) {
                while let Ok(read) = client.0.read(&mut buffer) {
                    *left -= read;
                }
            }
            runtime.block_on(settled());
        }
    };
    exchange();
    let second = measure(exchange);
    // One message and the buffer that it was read into, and not 32 messages.
    assert!(second.bytes_max < 6 * LENGTH as u64, "{second:?}");
}
