//! The deadlines of a connection. Time is paused: it passes when everybody waits for it.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, pending},
    io::Read,
    time::Duration,
};

use common::{connect_with_capacity, echo, start_with};
use futures_util::future::join_all;
use sockeye_testkit::{Frame, Peer, PipeEnd, RawFrame, opcode};
use sockeye_tokio::{Connection, Ended, Error, Message, Role, Timeouts, WebSocket, close_code};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket},
    runtime::Handle,
    sync::oneshot,
    task::{JoinHandle, spawn_blocking, yield_now},
    time::{Instant, sleep},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn start<F, Fut>(timeouts: Timeouts, handler: F) -> (Peer<PipeEnd>, JoinHandle<Ended>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (client, task) = start_with(|connection| connection.timeouts(timeouts), handler);
    (client.within(10 * HOUR), task)
}

/// The error that ends receiving, and all that comes before it.
async fn to_the_end(mut socket: WebSocket) -> (Vec<Message>, Option<Error>) {
    let mut messages = Vec::new();
    loop {
        match socket.recv().await {
            Some(Ok(message)) => messages.push(message),
            Some(Err(error)) => {
                assert!(socket.recv().await.is_none());
                return (messages, Some(error));
            }
            None => return (messages, None),
        }
    }
}

/// The next frame, which is a Ping, and how long it took to come.
async fn ping(client: &mut Peer<PipeEnd>) -> (RawFrame, Duration) {
    let begun = Instant::now();
    let frame = client.expect_frame().await;
    assert!(frame.is_plain(opcode::PING), "{frame:?}");
    (frame, begun.elapsed())
}

#[track_caller]
fn assert_within_a_tick(time: Duration, of: Duration) {
    assert!((of..=of + SECOND).contains(&time), "{time:?}, and not {of:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_sent_a_ping_and_one_that_answers_stays() {
    let (mut client, _task) = start(Timeouts::new(), echo);
    for _ in 0..3 {
        let (frame, time) = ping(&mut client).await;
        assert_within_a_tick(time, 20 * SECOND);
        client.send(Frame::pong(frame.payload)).await;
    }
    // Anything that comes puts the next one off.
    sleep(15 * SECOND).await;
    client.send(Frame::text("here")).await;
    client.expect_text("here").await;
    assert_within_a_tick(ping(&mut client).await.1, 20 * SECOND);
}

/// An answered Ping no longer waits for its deadline, so the next one comes as soon as the peer was silent for long enough.
#[tokio::test(start_paused = true)]
async fn the_next_ping_does_not_wait_for_the_deadline_of_one_that_was_answered() {
    for pong in [10, 60, 3600] {
        let timeouts = Timeouts::none().keep_alive(10 * SECOND).pong(pong * SECOND);
        let (mut client, _task) = start(timeouts, echo);
        for number in 0..20 {
            let (frame, waited) = ping(&mut client).await;
            assert!(waited <= 12 * SECOND, "Ping {number} after {waited:?}, with a deadline of {pong} s");
            client.send(Frame::pong(frame.payload)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_ping_of_the_driver_has_another_payload() {
    let (mut client, _task) = start(Timeouts::new().pong(None), echo);
    let (first, second) = (ping(&mut client).await.0, ping(&mut client).await.0);
    assert_ne!(first.payload, second.payload);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_a_ping_is_dropped_and_the_handler_is_told() {
    let (tell, told) = oneshot::channel();
    let (mut client, task) = start(Timeouts::new(), |socket| async { tell.send(to_the_end(socket).await).unwrap() });
    ping(&mut client).await;
    let asked = Instant::now();
    client.expect_eof().await;
    assert_within_a_tick(asked.elapsed(), 20 * SECOND);
    task.await.unwrap();
    let (messages, error) = told.await.unwrap();
    assert_eq!(messages, []);
    let error = error.unwrap();
    assert!(error.is_timeout());
    assert_eq!(error.to_string(), "the connection timed out: the peer did not answer a Ping within 20s");
}

#[tokio::test(start_paused = true)]
async fn the_pong_to_the_drivers_ping_is_not_received_and_measures_the_latency() {
    let (tell, told) = oneshot::channel();
    let (mut client, _task) = start(Timeouts::new(), |mut socket| async move {
        let sender = socket.sender();
        assert_eq!(socket.latency(), None);
        let received = socket.recv().await.unwrap().unwrap();
        assert_eq!(socket.latency(), sender.latency());
        tell.send((received, socket.latency())).unwrap();
    });
    let (frame, _) = ping(&mut client).await;
    sleep(Duration::from_millis(70)).await;
    client.send_all([Frame::pong(frame.payload), Frame::pong("unasked")]).await;
    let (received, latency) = told.await.unwrap();
    assert_eq!(received, Message::Pong("unasked".into()));
    assert_eq!(latency, Some(Duration::from_millis(70)));
}

#[tokio::test(start_paused = true)]
async fn a_pong_between_messages_that_come_together_delays_none_of_them() {
    let (mut client, _task) = start(Timeouts::new(), echo);
    let (frame, _) = ping(&mut client).await;
    client.send_all([Frame::text("a"), Frame::pong(frame.payload), Frame::text("b")]).await;
    client.expect_text("a").await;
    client.expect_text("b").await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_pinged_although_the_handler_never_receives() {
    let (mut client, task) = start(Timeouts::new(), |socket| async move {
        let _socket = socket;
        pending().await
    });
    let (frame, _) = ping(&mut client).await;
    client.send(Frame::pong(frame.payload)).await;
    assert_within_a_tick(ping(&mut client).await.1, 20 * SECOND);
    client.expect_eof().await;
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_pong_is_unread_behind_a_message_is_not_dropped() {
    let (mut client, _task) = start(Timeouts::new(), |mut socket| async move {
        sleep(HOUR).await;
        // The first of them is parked, and with it the Pong behind it.
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("one"));
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("two"));
        socket.send(Message::text("still here")).await.unwrap();
        pending::<()>().await;
    });
    let (frame, _) = ping(&mut client).await;
    client.send_all([Frame::text("one"), Frame::text("two"), Frame::pong(frame.payload)]).await;
    // It is still asked whether it is there, and what it has of the Ping answers that.
    let answer = loop {
        let frame = client.expect_frame().await;
        if !frame.is_plain(opcode::PING) {
            break frame;
        }
    };
    assert_eq!(answer.text(), "still here");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_dropped_and_other_peers_are_not() {
    let (tell, told) = oneshot::channel();
    let (_client, connection) = connect_with_capacity(1000);
    let task = tokio::spawn(connection.timeouts(Timeouts::new().keep_alive(None)).serve(|mut socket| async move {
        // Waits when 128 KiB are queued.
        let failed = loop {
            if let Err(error) = socket.send(Message::binary(vec![0; 50_000])).await {
                break error;
            }
        };
        tell.send(failed).unwrap();
    }));
    let (mut other, _task) = start(Timeouts::new().keep_alive(None), echo);
    let begun = Instant::now();
    for _ in 0..29 {
        sleep(SECOND).await;
        other.send(Frame::text("and you?")).await;
        other.expect_text("and you?").await;
    }
    assert!(!task.is_finished());
    task.await.unwrap();
    assert_eq!(begun.elapsed(), 30 * SECOND);
    let error = told.await.unwrap();
    assert!(error.is_timeout(), "{error}");
    other.send(Frame::text("I am fine")).await;
    other.expect_text("I am fine").await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_little_before_each_write_deadline_stays() {
    let (mut client, connection) = connect_with_capacity(1000);
    let task = tokio::spawn(connection.timeouts(Timeouts::new().keep_alive(None)).serve(|mut socket| async move {
        socket.send(Message::binary(vec![7; 100_000])).await.unwrap();
        socket.flushed().await.unwrap();
    }));
    let mut bytes = [0; 5_000];
    for _ in 0..20 {
        sleep(29 * SECOND).await;
        client.stream_mut().read_exact(&mut bytes).await.unwrap();
    }
    assert!(!task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_go_on_with_an_unfinished_message_is_closed_with_1008() {
    let (tell, told) = oneshot::channel();
    let (mut client, _task) = start(Timeouts::new(), |socket| async { tell.send(to_the_end(socket).await).unwrap() });
    let whole = Frame::text("0123456789").bytes();
    let (begin, rest) = whole.split_at(10);
    client.send_bytes(begin).await;
    sleep(29 * SECOND).await;
    // Pings in between are answered, and do not count.
    let (frame, _) = ping(&mut client).await;
    assert!(!frame.payload.is_empty());
    client.send_bytes(&rest[..1]).await;
    let begun = Instant::now();
    let mut pinged = false;
    loop {
        let frame = client.expect_frame().await;
        if frame.is_plain(opcode::PING) && !pinged {
            pinged = true;
            continue;
        }
        assert_eq!(frame.close_code(), Some(close_code::POLICY), "{frame:?}");
        break;
    }
    assert_eq!(begun.elapsed(), 30 * SECOND);
    let error = told.await.unwrap().1.unwrap();
    assert!(error.is_timeout(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn close_waits_for_the_close_that_a_missed_deadline_has_queued() {
    let (tell, told) = oneshot::channel();
    let (mut client, _task) = start(Timeouts::new(), |mut socket| async move {
        let error = socket.recv().await.unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error}");
        tell.send(socket.close().await).unwrap();
    });
    client.send_bytes(&Frame::text("0123456789").bytes()[..10]).await;
    while !client.expect_frame().await.is_plain(opcode::CLOSE) {}
    assert!(told.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn empty_fragments_do_not_put_off_the_fragment_deadline() {
    let (mut client, _task) = start(Timeouts::new().keep_alive(None), echo);
    client.send(Frame::text("begun").fin(false)).await;
    let begun = Instant::now();
    for _ in 0..2 {
        sleep(10 * SECOND).await;
        client.send(Frame::continuation("").fin(false)).await;
    }
    client.expect_close(close_code::POLICY).await;
    assert_eq!(begun.elapsed(), 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_even_when_the_peer_answers_pings() {
    let timeouts = Timeouts::new().idle(80 * SECOND);
    let (mut client, task) = start(timeouts, echo);
    client.send(Frame::text("hi")).await;
    client.expect_text("hi").await;
    let begun = Instant::now();
    loop {
        let frame = client.expect_frame().await;
        if !frame.is_plain(opcode::PING) {
            assert_eq!(frame.close_code(), Some(close_code::AWAY), "{frame:?}");
            break;
        }
        client.send(Frame::pong(frame.payload)).await;
    }
    assert!((80 * SECOND..=90 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    client.send(Frame::close(close_code::AWAY, "")).await;
    client.expect_eof().await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_sent_put_off_the_idle_deadline() {
    let (mut client, _task) = start(Timeouts::none().idle(80 * SECOND), |mut socket| async move {
        for _ in 0..10 {
            sleep(60 * SECOND).await;
            socket.send(Message::text("tick")).await.unwrap();
        }
        pending::<()>().await;
    });
    for _ in 0..10 {
        client.expect_text("tick").await;
    }
    client.expect_close(close_code::AWAY).await;
}

#[tokio::test(start_paused = true)]
async fn connections_that_begin_together_reach_their_maximum_age_at_different_times() {
    let begun = Instant::now();
    let clients = (0..50).map(|_| async {
        let (mut client, _task) = start(Timeouts::none().max_age(HOUR), echo);
        client.expect_close(close_code::AWAY).await;
        begun.elapsed()
    });
    let mut ends = join_all(clients).await;
    ends.sort();
    assert!(ends[0] >= HOUR * 9 / 10 && ends[49] <= HOUR * 11 / 10 + SECOND, "{ends:?}");
    ends.dedup();
    // All that come together by chance are two or three of 50: a connection ends at one of 256 times.
    assert!(ends.len() > 20, "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn without_timeouts_a_connection_may_be_silent_for_hours() {
    let (mut client, _task) = start(Timeouts::none(), echo);
    client.send(Frame::text("unfinished").fin(false)).await;
    client.expect_silence(9 * HOUR).await;
    client.send(Frame::continuation(" business")).await;
    client.expect_text("unfinished business").await;
}

#[tokio::test(start_paused = true)]
async fn a_short_keep_alive_is_kept_to_a_sixteenth_beside_a_long_one() {
    let (_slow, _first) = start(Timeouts::new(), echo);
    let short = Duration::from_millis(320);
    let (mut client, _task) = start(Timeouts::none().keep_alive(short), echo);
    let (_, time) = ping(&mut client).await;
    // A Ping may go out after three quarters of it.
    assert!((short * 3 / 4..=short + short / 8).contains(&time), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn no_task_is_left_when_the_last_connection_has_ended() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..3 {
        let (client, task) = start(Timeouts::new(), echo);
        drop(client);
        task.await.unwrap();
        yield_now().await;
        yield_now().await;
        assert_eq!(tasks(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_over_tcp_is_not_dropped_for_a_late_pong() {
    // Over TCP, since it is the kernel that is asked how much the peer has taken. It takes a little at a time, and so sees the
    // Ping long after it was due.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let mut client = socket.connect(listener.local_addr().unwrap()).await.unwrap().into_std().unwrap();
    client.set_nonblocking(false).unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let timeouts = Timeouts::none().keep_alive(SECOND).pong(20 * SECOND);
    let task = tokio::spawn(Connection::new(server, Role::Server).timeouts(timeouts).serve(|mut socket| async move {
        socket.send(Message::binary(vec![0; 1 << 20])).await.unwrap();
        to_the_end(socket).await;
    }));
    for _ in 0..64 {
        // The kernel's part takes real time. Paused time stands still while a thread is at work.
        client = spawn_blocking(move || client.read_exact(&mut [0; 16 << 10]).map(|()| client)).await.unwrap().unwrap();
        sleep(SECOND).await;
    }
    assert!(!task.is_finished());
}
