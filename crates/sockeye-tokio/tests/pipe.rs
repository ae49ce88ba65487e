//! `pipe`: messages go both ways, back-pressure goes with them, and each way of ending is handed on.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{io, time::Duration};

use common::{connect, give_away, server_end, settled, tcp};
use sockeye_testkit::{DEFAULT_CAPACITY, Frame, Peer, PipeEnd, opcode, pipe_with_capacity};
use sockeye_tokio::{
    Budget, CloseFrame, Config, Connection, Ended, EndedBy, Message, Piped, Role, Sender, Shutdown, Side, Stream,
    Timeouts, WebSocket, close_code, pipe,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time::{Instant, sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

/// Where the two drivers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// The pipe runs in the handler of the one, which runs in the handler of the other.
    Nested,
    /// The pipe runs in the handler of the one, and the other's driver in its own task.
    Beside,
    /// The pipe and both drivers run in three tasks.
    Apart,
}

const HOMES: [Home; 3] = [Home::Nested, Home::Beside, Home::Apart];

/// A browser and a backend, and the proxy between them.
struct Proxy {
    browser: Peer<PipeEnd>,
    backend: Peer<PipeEnd>,
    piping: JoinHandle<(Option<Piped>, Ended, Ended)>,
}

impl Proxy {
    fn new(home: Home) -> Self {
        Self::with(home, DEFAULT_CAPACITY, |connection| connection)
    }

    fn with(home: Home, capacity: usize, set: impl Fn(Connection) -> Connection) -> Self {
        let ((browser, front), (back, backend)) = (pipe_with_capacity(capacity), pipe_with_capacity(capacity));
        let a = set(Connection::new(Stream::boxed(front), Role::Server));
        let b = set(Connection::new(Stream::boxed(back), Role::Client));
        Self { browser: Peer::client(browser), backend: Peer::server(backend), piping: run(home, a, b) }
    }

    /// What the pipe returns, and how the two connections have ended.
    async fn done(self) -> (Piped, Ended, Ended) {
        drop((self.browser, self.backend));
        let (piped, a, b) = timeout(600 * SECOND, self.piping).await.expect("the pipe ends").unwrap();
        (piped.unwrap(), a, b)
    }
}

fn run(home: Home, a: Connection, b: Connection) -> JoinHandle<(Option<Piped>, Ended, Ended)> {
    tokio::spawn(async move {
        let mut piped = None;
        match home {
            Home::Nested => {
                let mut inner = None;
                let outer = a.serve(async |a| {
                    let ended = b.serve(async |b| piped = Some(pipe(a, b).await)).await;
                    inner = Some(ended);
                });
                let outer = outer.await;
                (piped, outer, inner.unwrap())
            }
            Home::Beside => {
                let (b, driver) = give_away(b).await;
                let outer = a.serve(async |a| piped = Some(pipe(a, b).await)).await;
                (piped, outer, driver.await.unwrap())
            }
            Home::Apart => {
                let ((a, front), (b, back)) = (give_away(a).await, give_away(b).await);
                let piped = pipe(a, b).await;
                (Some(piped), front.await.unwrap(), back.await.unwrap())
            }
        }
    })
}

#[tokio::test(start_paused = true)]
async fn messages_go_both_ways_and_are_counted() {
    for home in HOMES {
        let mut proxy = Proxy::new(home);
        let (browser, backend) = (&mut proxy.browser, &mut proxy.backend);
        browser.send(Frame::text("hello")).await;
        backend.expect_text("hello").await;
        backend.send_all([Frame::binary([1, 2, 3]), Frame::text("")]).await;
        browser.expect_binary([1, 2, 3]).await;
        browser.expect_text("").await;
        browser.send_all(Frame::fragments(1, &[b"in ", b"two"])).await;
        backend.expect_text("in two").await;
        browser.send(Frame::close(1000, "bye")).await;
        assert_eq!(browser.expect_close(1000).await, "bye");
        assert_eq!(backend.expect_close(1000).await, "bye");
        backend.send(Frame::close(1000, "bye")).await;
        backend.expect_eof().await;
        let (piped, a, b) = proxy.done().await;
        assert_eq!(piped.first, Side::A);
        assert_eq!(piped.end.unwrap(), Some(CloseFrame::new(1000, "bye")));
        assert_eq!((piped.a_to_b.messages, piped.a_to_b.bytes), (2, 11));
        assert_eq!((piped.b_to_a.messages, piped.b_to_a.bytes), (2, 3));
        assert_eq!((a.by(), b.by()), (EndedBy::Peer, EndedBy::Local), "{home:?}");
        assert!(a.is_clean() && b.is_clean());
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_without_a_code_is_handed_on_without_a_code() {
    for home in HOMES {
        let mut proxy = Proxy::new(home);
        proxy.backend.send_all([Frame::text("last"), Frame::close_empty()]).await;
        proxy.browser.expect_text("last").await;
        proxy.browser.expect_close_empty().await;
        proxy.browser.send(Frame::close_empty()).await;
        let (piped, ..) = proxy.done().await;
        assert_eq!((piped.first, piped.end.unwrap()), (Side::B, None));
    }
}

#[tokio::test(start_paused = true)]
async fn every_code_that_may_be_on_the_wire_is_handed_on_with_its_reason() {
    let codes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    for code in codes {
        let mut proxy = Proxy::new(Home::Nested);
        proxy.browser.send(Frame::close(code, "grüße")).await;
        assert_eq!(proxy.backend.expect_close(code).await, "grüße");
        proxy.backend.send(Frame::close(code, "")).await;
        let (piped, ..) = proxy.done().await;
        assert_eq!(piped.end.unwrap().unwrap().code, code);
    }
}

#[tokio::test(start_paused = true)]
async fn an_abrupt_end_is_handed_on_as_an_abrupt_end_after_what_had_arrived() {
    for home in HOMES {
        for fails in [false, true] {
            let mut proxy = Proxy::new(home);
            proxy.backend.send(Frame::text("last")).await;
            if fails {
                settled().await;
                server_end(&proxy.backend).fail_reads(io::ErrorKind::ConnectionReset);
            } else {
                proxy.backend.shutdown().await;
            }
            proxy.browser.expect_text("last").await;
            proxy.browser.expect_eof().await;
            let (piped, a, b) = proxy.done().await;
            assert_eq!(piped.first, Side::B);
            assert!(piped.end.unwrap_err().is_abrupt());
            assert_eq!((a.by(), b.by()), (EndedBy::Local, EndedBy::Stream));
            assert!(a.is_abrupt() && b.is_abrupt());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_of_one_side_is_an_abort_of_the_other() {
    let (mut browser, a) = connect();
    let (mut other, b) = connect();
    let ((a, _front), (b, _back)) = (give_away(a).await, give_away(b).await);
    let sender = a.sender();
    let piping = tokio::spawn(pipe(a, b));
    settled().await;
    sender.abort();
    browser.expect_eof().await;
    other.expect_eof().await;
    assert!(piping.await.unwrap().end.unwrap_err().is_abrupt());
}

#[tokio::test(start_paused = true)]
async fn what_had_arrived_before_an_abrupt_end_waits_for_a_slow_reader() {
    for home in HOMES {
        let mut proxy = Proxy::with(home, 1000, |connection| connection);
        for _ in 0..10 {
            proxy.backend.send(Frame::text("x".repeat(500))).await;
        }
        proxy.backend.shutdown().await;
        sleep(5 * SECOND).await;
        for _ in 0..10 {
            proxy.browser.expect_text(&"x".repeat(500)).await;
        }
        proxy.browser.expect_eof().await;
        proxy.done().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_violation_of_the_client_is_going_away_for_the_server() {
    let wrong = [
        (Frame::text("x").rsv(1), 1002, "the other side broke the protocol"),
        (Frame::binary([0xFF]).opcode(1), 1007, "the other side broke the protocol"),
        (Frame::binary("x").declared_len(65 << 20), 1009, "the other side exceeded a limit"),
    ];
    for (frame, code, reason) in wrong {
        for home in HOMES {
            let mut proxy = Proxy::new(home);
            proxy.browser.send(frame.clone()).await;
            proxy.browser.expect_close(code).await;
            assert_eq!(proxy.backend.expect_close(close_code::AWAY).await, reason);
            proxy.backend.send(Frame::close(close_code::AWAY, "")).await;
            let (piped, a, _) = proxy.done().await;
            assert_eq!((piped.first, a.by()), (Side::A, EndedBy::Violation));
            assert!(piped.end.is_err());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_violation_of_the_server_is_an_error_for_the_client() {
    let wrong = [(Frame::text("x").rsv(1), 1002), (Frame::binary("x").declared_len(65 << 20), 1009)];
    for (frame, code) in wrong {
        let mut proxy = Proxy::new(Home::Beside);
        proxy.backend.send(frame).await;
        proxy.backend.expect_close(code).await;
        assert!(!proxy.browser.expect_close(close_code::ERROR).await.is_empty());
        proxy.browser.send(Frame::close(close_code::ERROR, "")).await;
        let (piped, _, b) = proxy.done().await;
        assert_eq!((piped.first, b.by()), (Side::B, EndedBy::Violation));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_is_found_by_the_keep_alive_of_its_own_side() {
    for home in HOMES {
        let timeouts = Timeouts::none().keep_alive(10 * SECOND).pong(10 * SECOND).close(SECOND);
        let mut proxy = Proxy::with(home, DEFAULT_CAPACITY, |connection| connection.timeouts(timeouts));
        // The browser answers, the backend is silent.
        loop {
            let frame = proxy.browser.expect_frame().await;
            if frame.opcode == opcode::CLOSE {
                assert_eq!(frame.close_code(), Some(close_code::ERROR));
                assert_eq!(frame.close_reason(), "the other side timed out");
                break;
            }
            proxy.browser.send(Frame::pong(frame.payload)).await;
        }
        proxy.browser.send(Frame::close(close_code::ERROR, "")).await;
        proxy.browser.expect_eof().await;
        let (piped, _, b) = proxy.done().await;
        assert!(piped.end.unwrap_err().is_timeout());
        assert_eq!(b.by(), EndedBy::Deadline);
    }
}

#[tokio::test(start_paused = true)]
async fn pings_and_pongs_are_answered_by_each_side_and_not_copied() {
    let mut proxy = Proxy::new(Home::Nested);
    proxy.browser.send_all([Frame::ping("mine"), Frame::pong("unasked"), Frame::text("then this")]).await;
    proxy.browser.expect_pong("mine").await;
    proxy.backend.expect_text("then this").await;
    proxy.backend.send_all([Frame::ping("too"), Frame::close(1000, "")]).await;
    proxy.backend.expect_pong("too").await;
    proxy.browser.expect_close(1000).await;
    proxy.browser.send(Frame::close(1000, "")).await;
    let (piped, ..) = proxy.done().await;
    assert_eq!((piped.a_to_b.pings, piped.a_to_b.pongs, piped.a_to_b.messages), (1, 1, 1));
    assert_eq!((piped.b_to_a.pings, piped.b_to_a.pongs, piped.b_to_a.messages), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_close_made_here_is_handed_on_with_the_code_of_the_answer() {
    let (mut browser, a) = connect();
    let (mut other, b) = connect();
    let ((a, _front), (b, _back)) = (give_away(a).await, give_away(b).await);
    let sender: Sender = a.sender();
    let piping = tokio::spawn(pipe(a, b));
    settled().await;
    sender.close_with(4000, "logged out").unwrap();
    assert_eq!(browser.expect_close(4000).await, "logged out");
    other.send(Frame::text("nobody can take this")).await;
    browser.send(Frame::close(4000, "logged out")).await;
    assert_eq!(other.expect_close(4000).await, "logged out");
    other.send(Frame::close(4000, "")).await;
    let piped = piping.await.unwrap();
    assert_eq!((piped.first, piped.b_to_a.messages), (Side::A, 0));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_both_sides() {
    for home in HOMES {
        let shutdown = Shutdown::new();
        let mut proxy = Proxy::with(home, DEFAULT_CAPACITY, |connection| connection.shutdown(&shutdown));
        settled().await;
        let polite = async |peer: &mut Peer<PipeEnd>| {
            peer.expect_close(close_code::AWAY).await;
            peer.send(Frame::close(close_code::AWAY, "")).await;
        };
        let drain = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.drain(60 * SECOND).await }
        });
        tokio::join!(polite(&mut proxy.browser), polite(&mut proxy.backend));
        let (_, a, b) = proxy.done().await;
        assert_eq!(a.code(), Some(close_code::AWAY));
        assert_eq!(b.code(), Some(close_code::AWAY));
        assert_eq!(drain.await.unwrap().aborted, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_at_its_deadline_ends_both_sides() {
    let shutdown = Shutdown::new();
    let proxy = Proxy::with(Home::Nested, DEFAULT_CAPACITY, |connection| connection.shutdown(&shutdown));
    settled().await;
    // Neither peer answers.
    shutdown.drain(SECOND).await;
    let Proxy { browser, backend, piping } = proxy;
    let ended = timeout(60 * SECOND, piping).await.expect("it ends");
    // The inner future was dropped with the handler of the outer one.
    assert!(ended.is_err() || ended.unwrap().0.is_none());
    drop((browser, backend));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_the_close_holds_the_pipe_no_longer_than_the_deadline() {
    for home in HOMES {
        let timeouts = Timeouts::none().close(10 * SECOND);
        let mut proxy = Proxy::with(home, DEFAULT_CAPACITY, |connection| connection.timeouts(timeouts));
        proxy.browser.send(Frame::close(1000, "")).await;
        proxy.backend.expect_close(1000).await;
        let began = Instant::now();
        proxy.backend.expect_eof().await;
        assert!(began.elapsed() <= 12 * SECOND, "{:?}", began.elapsed());
        proxy.browser.expect_close(1000).await;
        let (piped, _, b) = proxy.done().await;
        assert!(piped.end.is_ok() && !b.is_clean());
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_closes_both_sides_with_1001() {
    let (mut browser, a) = connect();
    let (mut other, b) = connect();
    let ((a, front), (b, back)) = (give_away(a).await, give_away(b).await);
    let piping = tokio::spawn(pipe(a, b));
    browser.send(Frame::text("x")).await;
    other.expect_text("x").await;
    piping.abort();
    browser.expect_close(close_code::AWAY).await;
    other.expect_close(close_code::AWAY).await;
    drop((browser, other));
    for ended in [front.await.unwrap(), back.await.unwrap()] {
        assert_eq!((ended.by(), ended.code()), (EndedBy::Local, Some(close_code::AWAY)));
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_without_drivers_ends_both_streams() {
    let ((mut browser, a), (mut other, b)) = (common::undriven(), common::undriven());
    let piping = tokio::spawn(pipe(a, b));
    settled().await;
    piping.abort();
    browser.expect_eof().await;
    other.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn sockets_without_drivers_are_piped_and_closed() {
    let ((mut browser, a), (mut other, b)) = (common::undriven(), common::undriven());
    let piping = tokio::spawn(pipe(a, b));
    browser.send(Frame::text("x")).await;
    other.expect_text("x").await;
    other.send_all([Frame::text("y"), Frame::close(4000, "bye")]).await;
    browser.expect_text("y").await;
    browser.expect_close(4000).await;
    other.expect_close(4000).await;
    browser.send(Frame::close(4000, "bye")).await;
    drop((browser, other));
    assert_eq!(piping.await.unwrap().first, Side::B);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_has_ended_before_is_handed_on_as_gone() {
    let (mut browser, a) = connect();
    let (mut other, b) = connect();
    let ((mut a, _front), (b, _back)) = (give_away(a).await, give_away(b).await);
    browser.send(Frame::close(1000, "")).await;
    while a.recv().await.is_some() {}
    let piping = tokio::spawn(pipe(a, b));
    assert_eq!(other.expect_close(close_code::ERROR).await, "the other side is gone");
    other.send(Frame::close(close_code::ERROR, "")).await;
    assert!(piping.await.unwrap().end.unwrap_err().is_closed());
}

/// What both sides of a proxy may hold, plus what the two pipes hold.
const QUEUE: usize = 32 << 10;
const MESSAGE: usize = 8 << 10;

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_stopped_stops_the_sender_and_the_memory_is_bounded() {
    for home in HOMES {
        let budget = Budget::new(usize::MAX);
        let config = Config::new().write_buffer_size(QUEUE);
        let timeouts = Timeouts::none();
        let mut proxy =
            Proxy::with(home, 1000, |connection| connection.config(config).timeouts(timeouts).budget(&budget));
        // The browser reads nothing, and the backend sends as fast as it can.
        let mut sent = 0;
        while timeout(SECOND, proxy.backend.send(Frame::binary(vec![7; MESSAGE]))).await.is_ok() {
            sent += 1;
            assert!(sent < 100, "nothing stops the sender");
        }
        // Whatever was sent and is not in the pipes is in the proxy.
        let most = QUEUE + 3 * MESSAGE;
        assert!(budget.used() <= QUEUE + 2 * MESSAGE, "{home:?}: {} bytes are queued", budget.used());
        assert!(sent * MESSAGE <= most + 2000 + MESSAGE, "{home:?}: {sent} messages went into the proxy");
        // The other direction is not affected.
        proxy.browser.send(Frame::text("still here")).await;
        proxy.backend.expect_text("still here").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_on_gets_every_message_in_order() {
    for home in HOMES {
        let config = Config::new().write_buffer_size(1000);
        let Proxy { mut browser, mut backend, piping } =
            Proxy::with(home, 500, |connection| connection.config(config).timeouts(Timeouts::none()));
        let sending = tokio::spawn(async move {
            for number in 0..200 {
                backend.send(Frame::text(format!("{number:<300}"))).await;
            }
            backend.send(Frame::close(1000, "")).await;
            backend.expect_close(1000).await;
        });
        for number in 0..200 {
            browser.expect_text(&format!("{number:<300}")).await;
            if number % 10 == 0 {
                sleep(SECOND).await;
            }
        }
        browser.expect_close(1000).await;
        browser.send(Frame::close(1000, "")).await;
        sending.await.unwrap();
        drop(browser);
        assert_eq!(piping.await.unwrap().0.unwrap().b_to_a.messages, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_side_that_dies_while_a_message_waits_for_it_ends_the_pipe() {
    for home in HOMES {
        let config = Config::new().write_buffer_size(1000);
        let mut proxy = Proxy::with(home, 500, |connection| connection.config(config));
        while timeout(SECOND, proxy.backend.send(Frame::text("x".repeat(300)))).await.is_ok() {}
        drop(proxy.browser);
        let (piped, a, b) = timeout(60 * SECOND, proxy.piping).await.expect("it ends").unwrap();
        assert!(piped.unwrap().end.unwrap_err().is_abrupt());
        assert_eq!((a.by(), b.by()), (EndedBy::Stream, EndedBy::Local));
    }
}

#[tokio::test]
async fn large_messages_go_through_over_tcp_and_an_abrupt_end_is_seen_as_one() {
    let ((mut browser, front), (back, mut backend)) = (tcp().await, tcp().await);
    let a = Connection::new(front, Role::Server);
    let b = Connection::new(back, Role::Client);
    let piping = run(Home::Beside, a, b);
    let payload = vec![7; 5 << 20];
    let sent = payload.clone();
    let sending = tokio::spawn(async move {
        browser.write_all(&Frame::binary(sent).mask([1, 2, 3, 4]).bytes()).await.unwrap();
        browser
    });
    let mut received = Vec::new();
    while sockeye_testkit::take_frame(&received).is_none() {
        backend.read_buf(&mut received).await.unwrap();
    }
    assert!(sockeye_testkit::take_frame(&received).unwrap().0.payload == payload);
    let mut browser = sending.await.unwrap();
    drop(backend);
    let mut rest = Vec::new();
    browser.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "no Close");
    let (piped, a, _) = piping.await.unwrap();
    let piped = piped.unwrap();
    assert_eq!((piped.first, piped.a_to_b.messages, piped.a_to_b.bytes), (Side::B, 1, 5 << 20));
    assert!(a.is_abrupt());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipes_in_a_row_carry_everything_on_several_threads() {
    let (near, far) = pipe_with_capacity(1000);
    let mut end = far;
    for home in [Home::Nested, Home::Beside, Home::Apart] {
        let (back, next) = pipe_with_capacity(1000);
        drop(run(
            home,
            Connection::new(Stream::boxed(end), Role::Server),
            Connection::new(Stream::boxed(back), Role::Client),
        ));
        end = next;
    }
    tokio::spawn(Connection::new(Stream::boxed(end), Role::Server).serve(common::echo));
    let (done, is_done) = oneshot::channel();
    let client = Connection::new(Stream::boxed(near), Role::Client).serve(|mut socket: WebSocket| async move {
        for number in 0..2000 {
            let message = Message::text(format!("{number:<50}"));
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.recv().await.unwrap().unwrap(), message);
            if number % 100 == 0 {
                yield_now().await;
            }
        }
        socket.close_with(4000, "through all of them").await.unwrap();
        assert!(matches!(socket.recv().await, Some(Ok(Message::Close(_)))));
        done.send(()).unwrap();
    });
    timeout(60 * SECOND, client).await.unwrap();
    is_done.await.unwrap();
}
