//! Every public future is dropped after no poll, after one, after two, and so on until it is ready: whatever it was about
//! has then happened as a whole or not at all, and the connection goes on.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use common::{connect, connect_with_capacity, server_end};
use sockeye_testkit::{Frame, Peer, PipeEnd, RawFrame, opcode};
use sockeye_tokio::{Config, Connection, Error, Message, PreparedMessage, Shutdown, WebSocket};
use tokio::{join, task::yield_now};

/// Polls `future` at most so often, lets all others run in between, and drops it.
async fn at_most<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// Does `once` with a future that is dropped at each of its polls, until `once` says that it has become ready.
async fn at_each_poll(once: impl AsyncFn(usize) -> bool) {
    let mut polls = 0;
    while !once(polls).await {
        polls += 1;
        assert!(polls < 10_000, "it is never ready");
    }
    assert!(polls > 1, "it never had to wait, so nothing was tested");
}

/// Little goes through at once, so whoever writes has to wait many times.
fn narrow(write_buffer_size: usize) -> (Peer<PipeEnd>, Connection) {
    let (client, connection) = connect_with_capacity(7);
    (client, connection.config(Config::new().write_buffer_size(write_buffer_size)))
}

fn long(c: &str) -> Message {
    Message::text(c.repeat(50))
}

/// The texts up to the Close, by their first letters, each of which must be whole; and the code of the Close.
async fn everything(mut client: Peer<PipeEnd>) -> (String, Option<u16>) {
    let mut letters = String::new();
    loop {
        let Some(frame) = client.read_frame().await else { return (letters, None) };
        if frame.opcode == opcode::CLOSE {
            client.send(Frame::close(frame.close_code().unwrap(), "")).await;
            client.expect_eof().await;
            return (letters, frame.close_code());
        }
        letters.push(whole(&frame));
    }
}

fn whole(frame: &RawFrame) -> char {
    let first = frame.text().chars().next().unwrap();
    assert_eq!(frame.text(), first.to_string().repeat(50));
    first
}

/// What `send` sends in the middle of others, through whatever it is called on.
async fn a_send(
    write_buffer_size: usize,
    send: impl AsyncFn(&mut WebSocket, usize) -> Option<Result<(), Error>>,
    may_have_queued: bool,
) {
    at_each_poll(async |polls| {
        let (client, connection) = narrow(write_buffer_size);
        let mut sent = None;
        let handler = async |mut socket: WebSocket| {
            socket.send(long("a")).await.unwrap();
            sent = send(&mut socket, polls).await;
            socket.send(long("z")).await.unwrap();
        };
        let (_, (letters, code)) = join!(connection.serve(handler), everything(client));
        assert_eq!(code, Some(1000));
        match (&sent, &letters[..]) {
            (Some(Ok(())), "abz") | (None, "az") => {}
            (None, "abz") if may_have_queued => {}
            _ => panic!("{sent:?} after {polls} polls, and the peer has {letters:?}"),
        }
        sent.is_some()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_send_of_a_socket_that_is_dropped_at_any_poll_has_sent_nothing() {
    a_send(1, async |socket, polls| at_most(polls, socket.send(long("b"))).await, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_send_of_a_sender_that_is_dropped_at_any_poll_has_sent_nothing() {
    a_send(1, async |socket, polls| at_most(polls, socket.sender().send(long("b"))).await, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_send_prepared_that_is_dropped_at_any_poll_has_sent_nothing() {
    let prepared = || PreparedMessage::text("b".repeat(50));
    a_send(1, async |socket, polls| at_most(polls, socket.send_prepared(prepared())).await, false).await;
    a_send(1, async |socket, polls| at_most(polls, socket.sender().send_prepared(prepared())).await, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_send_without_a_write_buffer_that_is_dropped_at_any_poll_has_sent_all_or_nothing() {
    a_send(0, async |socket, polls| at_most(polls, socket.send(long("b"))).await, true).await;
    a_send(0, async |socket, polls| at_most(polls, socket.sender().send(long("b"))).await, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_flushed_that_is_dropped_at_any_poll_loses_no_message() {
    let flushed = async |by_sender: bool, polls: usize| {
        let (client, connection) = narrow(1 << 17);
        let mut done = None;
        let handler = async |mut socket: WebSocket| {
            socket.send(long("a")).await.unwrap();
            socket.send(long("b")).await.unwrap();
            done = if by_sender {
                at_most(polls, socket.sender().flushed()).await
            } else {
                at_most(polls, socket.flushed()).await
            };
            assert!(done.is_none() || socket.sender().buffered() == 0);
            socket.send(long("z")).await.unwrap();
        };
        let (_, (letters, code)) = join!(connection.serve(handler), everything(client));
        assert_eq!((&letters[..], code), ("abz", Some(1000)));
        done.is_some()
    };
    at_each_poll(async |polls| flushed(false, polls).await).await;
    at_each_poll(async |polls| flushed(true, polls).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_dropped_after_its_first_poll_closes_the_connection() {
    let close = async |with: bool, polls: usize| {
        let (client, connection) = narrow(1 << 17);
        let mut done = None;
        let handler = async |mut socket: WebSocket| {
            socket.send(long("a")).await.unwrap();
            done = if with {
                at_most(polls, socket.close_with(4000, "bye")).await
            } else {
                at_most(polls, socket.close()).await
            };
            // From the first poll on it is closing.
            assert_eq!(socket.send(long("z")).await.is_err(), polls > 0);
        };
        let (_, (letters, code)) = join!(connection.serve(handler), everything(client));
        let expected = match (polls, with) {
            (0, _) => ("az", Some(1000)),
            (_, true) => ("a", Some(4000)),
            (_, false) => ("a", Some(1000)),
        };
        assert_eq!((&letters[..], code), expected);
        done.is_some()
    };
    at_each_poll(async |polls| close(true, polls).await).await;
    at_each_poll(async |polls| close(false, polls).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_that_is_dropped_at_any_poll_changes_nothing() {
    at_each_poll(async |polls| {
        let (client, connection) = narrow(1 << 17);
        let mut done = None;
        let handler = async |mut socket: WebSocket| {
            socket.send(long("a")).await.unwrap();
            let sender = socket.sender();
            let closing = async {
                for _ in 0..20 {
                    yield_now().await;
                }
                socket.close().await.unwrap();
            };
            (done, ()) = join!(at_most(polls, sender.closed()), closing);
        };
        let (_, (letters, code)) = join!(connection.serve(handler), everything(client));
        assert_eq!((&letters[..], code), ("a", Some(1000)));
        done.is_some()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_recv_that_is_dropped_at_any_poll_loses_no_message() {
    at_each_poll(async |polls| {
        let (mut client, connection) = connect();
        server_end(&client).set_read_chunk(3);
        let mut received = None;
        let handler = async |mut socket: WebSocket| {
            received = at_most(polls, socket.recv()).await;
            let first = match &received {
                Some(first) => first.clone(),
                None => socket.recv().await,
            };
            assert_eq!(first.unwrap().unwrap(), long("a"));
            assert_eq!(socket.recv().await.unwrap().unwrap(), long("b"));
        };
        let peer = async {
            for frame in [Frame::text("a".repeat(50)), Frame::text("b".repeat(50))] {
                for byte in frame.bytes() {
                    client.send_bytes([byte]).await;
                    yield_now().await;
                }
            }
            everything(client).await
        };
        let (_, (_, code)) = join!(connection.serve(handler), peer);
        assert_eq!(code, Some(1000));
        received.is_some()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_closing_that_is_dropped_at_any_poll_lets_the_handler_send_before_the_close() {
    at_each_poll(async |polls| {
        let shutdown = Shutdown::new().window(Duration::ZERO);
        let (client, connection) = narrow(1 << 17);
        let mut done = None;
        let serving = connection.shutdown(&shutdown).serve(async |mut socket: WebSocket| {
            let begin = async {
                yield_now().await;
                shutdown.begin();
            };
            (done, ()) = join!(at_most(polls, socket.closing()), begin);
            socket.send(long("a")).await.unwrap();
        });
        let (_, (letters, code)) = join!(serving, everything(client));
        assert_eq!((&letters[..], code), ("a", Some(1001)));
        done.is_some()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_dropped_after_its_first_poll_has_begun_the_shutdown() {
    const DEADLINE: Duration = Duration::from_secs(5);
    at_each_poll(async |polls| {
        // Time stands still while everybody is busy, so no turn but the first would come.
        let shutdown = Shutdown::new().window(Duration::ZERO);
        let (client, connection) = narrow(1 << 17);
        let serving = connection.shutdown(&shutdown).serve(async |mut socket: WebSocket| {
            socket.send(long("a")).await.unwrap();
            while let Some(Ok(_)) = socket.recv().await {}
        });
        let mut done = None;
        let drain = async {
            assert!(at_most(polls, shutdown.begun()).await.is_none());
            done = at_most(polls, shutdown.drain(DEADLINE)).await;
            assert_eq!(shutdown.is_begun(), polls > 0);
            let drained = shutdown.drain(DEADLINE).await;
            assert_eq!((drained.closed, drained.lost, drained.aborted), (1, 0, 0));
            shutdown.begun().await;
        };
        let (_, (), (letters, code)) = join!(serving, drain, everything(client));
        assert_eq!((&letters[..], code), ("a", Some(1001)));
        done.is_some()
    })
    .await;
}

/// Without a driver a `send` that was dropped may have queued its message, which then goes with the next one.
#[tokio::test(start_paused = true)]
async fn futures_of_an_undriven_socket_that_are_dropped_at_any_poll_lose_no_message() {
    at_each_poll(async |polls| {
        let (client, connection) = narrow(1 << 17);
        let mut socket = connection.into_websocket();
        let mut sent = None;
        let talk = async {
            socket.send(long("a")).await.unwrap();
            sent = at_most(polls, socket.send(long("b"))).await;
            at_most(polls, socket.flushed()).await;
            socket.send(long("z")).await.unwrap();
            at_most(polls, socket.close()).await;
            socket.close().await.unwrap();
            while at_most(polls.max(1), socket.recv()).await.is_none_or(|received| received.is_some()) {}
        };
        let (_, (letters, code)) = join!(talk, everything(client));
        assert_eq!((&letters[..], code), (if polls == 0 { "az" } else { "abz" }, Some(1000)));
        sent.is_some()
    })
    .await;
}
