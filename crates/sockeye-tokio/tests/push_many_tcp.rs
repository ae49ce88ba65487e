//! Several messages that are pushed to a connection over TCP at once: what the kernel takes is written without the driver.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, pending},
    io::Read,
    net::TcpStream as StdStream,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use common::{connect_narrow, receive_all, sender_of, settled, tcp};
use sockeye_testkit::{Frame, Peer};
use sockeye_tokio::{
    Budget, Config, Connection, Ended, Message, Overflow, PreparedMessage, PushedMany, Role, Sender, Stream, Timeouts,
    WebSocket, close_code,
};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::oneshot,
    task::{JoinHandle, yield_now},
    time::sleep,
};

const SECOND: Duration = Duration::from_secs(1);

fn texts(texts: &[&str]) -> Vec<PreparedMessage> {
    texts.iter().map(PreparedMessage::text).collect()
}

/// Messages of `length` bytes that begin with their numbers.
fn numbered(numbers: std::ops::Range<usize>, length: usize) -> Vec<PreparedMessage> {
    numbers.map(|number| PreparedMessage::text(format!("{number:<length$}"))).collect()
}

/// A client whose reads block, so that no task runs meanwhile, and the server's connection to it.
async fn connect() -> (Blocking, Connection) {
    let (client, server) = tcp().await;
    (Blocking::new(client), Connection::new(server, Role::Server))
}

struct Blocking(StdStream);

impl Blocking {
    fn new(stream: TcpStream) -> Self {
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(10 * SECOND)).unwrap();
        Self(stream)
    }

    fn expect(&mut self, messages: &[PreparedMessage]) {
        for message in messages {
            let mut frame = vec![0; message.frame().len()];
            self.0.read_exact(&mut frame).unwrap();
            assert!(frame == message.frame(), "{:?}", &frame[..frame.len().min(40)]);
        }
    }

    /// Nothing has arrived that was not expected.
    fn expect_nothing(&mut self) {
        self.0.set_nonblocking(true).unwrap();
        assert_eq!(self.0.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        self.0.set_nonblocking(false).unwrap();
    }
}

/// A connection whose handler receives. Its sender, and how often the handler was polled.
async fn counted(connection: Connection) -> (Sender, Arc<AtomicUsize>, JoinHandle<Ended>) {
    let (give, take) = oneshot::channel();
    let polls = Arc::new(AtomicUsize::new(0));
    let counter = polls.clone();
    let task = tokio::spawn(connection.serve(|socket| async move {
        drop(give.send(socket.sender()));
        let mut receiving = pin!(receive_all(socket));
        std::future::poll_fn(|cx| {
            counter.fetch_add(1, Relaxed);
            receiving.as_mut().poll(cx)
        })
        .await;
    }));
    let sender = take.await.unwrap();
    settled().await;
    (sender, polls, task)
}

#[tokio::test]
async fn messages_for_an_idle_connection_are_written_without_its_driver() {
    let (mut client, connection) = connect().await;
    let (sender, polls, _task) = counted(connection).await;
    let before = polls.load(Relaxed);
    for count in [1, 2, 16, 17, 64, 65, 300] {
        let messages = numbered(0..count, 100);
        let pushed = sender.push_many(&messages, None);
        assert_eq!(pushed.queued, count);
        assert_eq!(sender.buffered(), 0);
        client.expect(&messages);
    }
    settled().await;
    assert_eq!(polls.load(Relaxed), before);
}

#[tokio::test]
async fn messages_behind_others_are_queued_and_arrive_behind_them() {
    let (mut client, connection) = connect().await;
    let (sender, _task) = sender_of(connection).await;
    settled().await;
    sender.try_send(Message::text("one")).unwrap();
    sender.push_many(&texts(&["two", "three"]), None);
    assert!(sender.buffered() > 5);
    client.expect_nothing();
    settled().await;
    sender.push_many(&texts(&["four"]), None);
    client.expect(&texts(&["one", "two", "three", "four"]));
    client.expect_nothing();
}

#[tokio::test]
async fn what_a_handler_pushes_to_itself_is_written_when_it_waits() {
    let (mut client, connection) = connect().await;
    let (tell, told) = oneshot::channel();
    tokio::spawn(connection.serve(|mut socket| async move {
        let sender = socket.sender();
        sender.push_many(&texts(&["one", "two"]), None);
        socket.send(Message::text("three")).await.unwrap();
        sender.push_many(&texts(&["four"]), None);
        tell.send(sender.buffered()).unwrap();
        receive_all(socket).await;
    }));
    assert_eq!(told.await.unwrap(), 5 + 5 + 7 + 6);
    settled().await;
    client.expect(&texts(&["one", "two", "three", "four"]));
}

#[tokio::test]
async fn the_rest_of_what_a_slow_peer_takes_arrives_once_and_in_order() {
    for length in [100, 5_000, 60_000] {
        let (client, connection) = connect_narrow().await;
        let config = Config::new().max_write_buffer_size(64 << 20);
        let (sender, _task) = sender_of(connection.config(config)).await;
        settled().await;
        let (mut count, burst) = (0, 1 + 30_000 / length);
        while sender.buffered() == 0 {
            let pushed = sender.push_many(&numbered(count..count + burst, length), None);
            assert_eq!(pushed.queued, burst);
            count += burst;
        }
        // The rest of a message was begun, and these are queued behind it.
        sender.push_many(&numbered(count..count + 3, length), None);
        sender.try_send(Message::text("last")).unwrap();
        let mut client = Peer::client(client);
        for number in 0..count + 3 {
            client.expect_text(&format!("{number:<length$}")).await;
        }
        client.expect_text("last").await;
        assert_eq!(sender.buffered(), 0);
        assert_eq!(sender.dropped(), 0);
    }
}

#[tokio::test]
async fn messages_that_the_kernel_takes_need_no_capacity_in_the_queue() {
    let (mut client, connection) = connect().await;
    let (sender, _task) = sender_of(connection.config(Config::new().max_write_buffer_size(1 << 10))).await;
    settled().await;
    let messages = numbered(0..10, 1_000);
    let pushed = sender.push_many(&messages, Overflow::Disconnect(close_code::AGAIN));
    assert_eq!((pushed.queued, pushed.overflowed), (10, 0));
    client.expect(&messages);
}

#[tokio::test]
async fn each_message_of_a_burst_that_a_slow_peer_does_not_take_meets_its_overflow() {
    for overflow in [Overflow::Wait, Overflow::DropNewest] {
        let (client, connection) = connect_narrow().await;
        let config = Config::new().write_buffer_size(1 << 10).max_write_buffer_size(8 << 10);
        let (sender, _task) = sender_of(connection.config(config)).await;
        settled().await;
        let PushedMany { queued, dropped, overflowed, .. } = sender.push_many(&numbered(0..5_000, 1_000), overflow);
        assert!(queued > 10 && dropped > 1_000, "{queued}, {dropped}");
        assert_eq!((queued + dropped, overflowed), (5_000, dropped));
        let mut client = Peer::client(client);
        for number in 0..queued {
            client.expect_text(&format!("{number:<1000}")).await;
        }
        assert_eq!(sender.push_many(&texts(&["next"]), overflow).queued, 1);
        client.expect_text("next").await;
    }
}

#[tokio::test]
async fn a_slow_peer_is_disconnected_behind_the_message_that_was_begun() {
    let (client, connection) = connect_narrow().await;
    let config = Config::new().write_buffer_size(1 << 10).max_write_buffer_size(8 << 10);
    let (sender, _task) = sender_of(connection.config(config)).await;
    settled().await;
    let pushed = sender.push_many(&numbered(0..5_000, 1_000), None);
    assert!(pushed.disconnected);
    assert_eq!((pushed.dropped, pushed.overflowed), (1, 1));
    assert_eq!(pushed.queued + pushed.dropped + pushed.closed, 5_000);
    let mut client = Peer::client(client);
    for number in 0..pushed.queued - pushed.displaced {
        client.expect_text(&format!("{number:<1000}")).await;
    }
    client.expect_close(close_code::AGAIN).await;
}

#[tokio::test]
async fn a_closing_connection_takes_nothing() {
    let (mut client, connection) = connect().await;
    let (sender, _task) = sender_of(connection).await;
    settled().await;
    sender.close_with(1000, "").unwrap();
    settled().await;
    assert_eq!(sender.push_many(&texts(&["one", "two"]), None).closed, 2);
    let mut close = [0; 4];
    client.0.read_exact(&mut close).unwrap();
    assert_eq!(close, [0x88, 2, 3, 0xe8]);
    client.expect_nothing();
}

#[tokio::test]
async fn a_send_that_waits_for_capacity_is_overtaken_by_nothing_on_the_wire() {
    let (client, connection) = connect_narrow().await;
    let config = Config::new().write_buffer_size(1).max_write_buffer_size(1 << 20);
    let (sender, _task) = sender_of(connection.config(config)).await;
    settled().await;
    let mut count = 0;
    while sender.buffered() == 0 {
        sender.push_many(&numbered(count..count + 10, 1_000), None);
        count += 10;
    }
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(Message::text("waited")).await }
    });
    settled().await;
    sender.push_many(&numbered(count..count + 1, 1_000), None);
    let mut client = Peer::client(client);
    let mut seen = Vec::new();
    for _ in 0..count + 2 {
        seen.push(client.expect_frame().await.text().trim_end().to_owned());
    }
    waiting.await.unwrap().unwrap();
    let mut expected: Vec<_> = (0..=count).map(|number| number.to_string()).collect();
    let waited = seen.iter().position(|text| text == "waited").unwrap();
    assert!(waited >= count, "{waited} of {count}");
    expected.insert(waited, "waited".to_owned());
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_budget_counts_only_what_the_kernel_has_not_taken() {
    let budget = Budget::new(16 << 20);
    let (mut client, connection) = connect_narrow().await;
    let config = Config::new().max_write_buffer_size(1 << 20);
    let (sender, _task) = sender_of(connection.config(config).budget(&budget)).await;
    settled().await;
    sender.push_many(&numbered(0..2, 100), None);
    assert_eq!(budget.used(), 0);
    let (mut count, mut total) = (0, 2 * 102);
    while sender.buffered() == 0 {
        sender.push_many(&numbered(0..1, 60_000), None);
        (count, total) = (count + 1, total + 60_004);
    }
    assert_eq!(budget.used(), sender.buffered());
    assert!(budget.used() < count * 60_004);
    let mut all = vec![0; total];
    client.read_exact(&mut all).await.unwrap();
    settled().await;
    assert_eq!((budget.used(), sender.buffered()), (0, 0));
}

#[tokio::test]
async fn pings_are_answered_between_messages_that_are_pushed_without_end() {
    let (client, server) = tcp().await;
    let (sender, _task) = sender_of(Connection::new(server, Role::Server)).await;
    let pushing = tokio::spawn(async move {
        loop {
            sender.push_many(&numbered(0..3, 100), Overflow::DropNewest);
            yield_now().await;
        }
    });
    let mut client = Peer::client(client);
    for number in 0..10 {
        client.send(Frame::ping([number])).await;
        while !client.expect_frame().await.is_plain(sockeye_testkit::opcode::PONG) {}
    }
    pushing.abort();
}

/// The system reports a reset to one call only, and that may be the write past the queue.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_reset_that_a_push_finds_is_the_error_of_the_handler() {
    let (client, server) = tcp().await;
    let (give, take) = oneshot::channel();
    let (tell, told) = oneshot::channel();
    tokio::spawn(Connection::new(server, Role::Server).serve(|mut socket| async move {
        give.send(socket.sender()).unwrap();
        tell.send(socket.recv().await.unwrap().unwrap_err()).unwrap();
    }));
    let sender = take.await.unwrap();
    settled().await;
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    // The reset has arrived, and no task has run since.
    assert_eq!(sender.push_many(&texts(&["one", "two"]), None).queued, 2);
    assert_eq!(sender.push_many(&texts(&["three"]), None).queued, 1);
    let error = told.await.unwrap();
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(sender.push_many(&texts(&["four"]), None).closed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_misses_the_write_deadline() {
    let (_client, connection) = connect_narrow().await;
    let timeouts = Timeouts::none().write(30 * SECOND);
    let (sender, task) = sender_of(connection.timeouts(timeouts).overflow(Overflow::DropOldest)).await;
    settled().await;
    for _ in 0..300 {
        sender.push_many(&numbered(0..4, 10_000), None);
        sleep(SECOND).await;
    }
    assert!(task.is_finished());
    assert_eq!(sender.push_many(&numbered(0..4, 10_000), None).closed, 4);
}

#[tokio::test(start_paused = true)]
async fn messages_that_a_peer_takes_keep_its_connection_from_being_idle() {
    let (mut client, connection) = connect().await;
    let (sender, task) = sender_of(connection.timeouts(Timeouts::none().idle(8 * SECOND))).await;
    for _ in 0..60 {
        sender.push_many(&texts(&["tick"]), None);
        client.expect(&texts(&["tick"]));
        sleep(SECOND).await;
        assert!(!sender.is_closed());
    }
    sleep(20 * SECOND).await;
    assert!(sender.is_closed());
    task.abort();
}

#[tokio::test]
async fn a_client_a_box_and_a_connection_that_buffers_nothing_leave_the_write_to_the_driver() {
    let unbuffered = Config::new().write_buffer_size(0);
    for (role, is_boxed, config) in
        [(Role::Client, false, Config::new()), (Role::Server, true, Config::new()), (Role::Server, false, unbuffered)]
    {
        let (peer, stream) = tcp().await;
        let stream = if is_boxed { Stream::boxed(stream) } else { stream.into() };
        let (sender, _task) = sender_of(Connection::new(stream, role).config(config)).await;
        settled().await;
        assert_eq!(sender.push_many(&texts(&["one", "two"]), None).queued, 2);
        assert!(sender.buffered() > 0);
        let mut peer = if role == Role::Client { Peer::server(peer) } else { Peer::client(peer) };
        for text in ["one", "two"] {
            assert_eq!(peer.expect_frame().await.text(), text);
        }
    }
}

/// Without a driver, only the handle writes.
#[tokio::test]
async fn a_socket_without_a_driver_writes_by_itself() {
    let (client, server) = tcp().await;
    let mut client = Blocking::new(client);
    let socket = WebSocket::new(server, Role::Server, Config::default());
    assert_eq!(socket.sender().push_many(&texts(&["one", "two"]), None).queued, 2);
    client.expect_nothing();
    let task = tokio::spawn(receive_all(socket));
    settled().await;
    client.expect(&texts(&["one", "two"]));
    task.abort();
}

#[tokio::test]
async fn messages_are_written_while_the_handler_waits_for_something_else() {
    let (mut client, connection) = connect().await;
    let (give, take) = oneshot::channel();
    let task = tokio::spawn(connection.serve(|socket| async move {
        give.send(socket.sender()).unwrap();
        pending::<()>().await;
        drop(socket);
    }));
    let sender = take.await.unwrap();
    settled().await;
    sender.push_many(&texts(&["one"]), None);
    client.expect(&texts(&["one"]));
    task.abort();
}

#[cfg(feature = "deflate")]
mod deflate {
    use sockeye_tokio::proto::{
        Decoder,
        deflate::{Compression, Memory, Parameters},
    };

    use super::*;

    fn compressing(connection: Connection, agreed: Parameters) -> Connection {
        let compression = Compression::new().memory(Memory::Best);
        connection.extension(agreed.encoder(Role::Server, &compression), agreed.decoder(Role::Server, &compression))
    }

    /// Reads until all of `expected` have arrived, and inflates them.
    async fn expect(client: &mut TcpStream, decoder: &mut Decoder, expected: &[String]) {
        let (mut seen, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        while seen.len() < expected.len() {
            let read = client.read(&mut buffer).await.unwrap();
            let mut input = &buffer[..read];
            while let Some(message) = decoder.decode(&mut input).unwrap() {
                seen.push(message.into_text().unwrap().to_string());
            }
        }
        assert_eq!(seen, expected);
    }

    #[tokio::test]
    async fn compressed_messages_are_written_past_the_queue_only_without_context_takeover() {
        for no_takeover in [true, false] {
            let agreed = Parameters { server_no_context_takeover: no_takeover, ..Parameters::default() };
            let (mut client, server) = tcp().await;
            let connection = compressing(Connection::new(server, Role::Server), agreed);
            let (sender, _task) = sender_of(connection).await;
            settled().await;
            let mut decoder = Decoder::new(Role::Client, Config::default())
                .with_extension(agreed.decoder(Role::Client, &Compression::new()));
            for count in [1, 70] {
                let all: Vec<_> = (0..count).map(|number| format!("{number} {}", "again ".repeat(300))).collect();
                let mut messages: Vec<_> = all.iter().map(PreparedMessage::text).collect();
                messages[0] = messages[0].clone().secret();
                assert_eq!(sender.push_many(&messages, None).queued, count);
                assert_eq!(sender.buffered() == 0, no_takeover);
                expect(&mut client, &mut decoder, &all).await;
            }
        }
    }

    #[tokio::test]
    async fn the_rest_of_compressed_messages_arrives_once_and_in_order() {
        let agreed = Parameters { server_no_context_takeover: true, ..Parameters::default() };
        let (mut client, connection) = connect_narrow().await;
        let (sender, _task) = sender_of(compressing(connection, agreed)).await;
        settled().await;
        let mut all = Vec::new();
        while sender.buffered() == 0 {
            let text = |number: usize| (0..500).map(|i| format!("{number} {i} {} ", i * number)).collect();
            let more: Vec<String> = (all.len()..all.len() + 3).map(text).collect();
            sender.push_many(&more.iter().map(PreparedMessage::text).collect::<Vec<_>>(), None);
            all.extend(more);
        }
        let mut decoder = Decoder::new(Role::Client, Config::default())
            .with_extension(agreed.decoder(Role::Client, &Compression::new()));
        expect(&mut client, &mut decoder, &all).await;
        assert_eq!(sender.buffered(), 0);
    }
}
