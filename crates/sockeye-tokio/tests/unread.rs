//! What is read on while the handler does not receive, where a stream must not be left unread.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{io::ErrorKind, sync::Arc, time::Duration};

use common::{connect_with_capacity, give_away, server_end, settled};
use sockeye_testkit::{Control, Frame, Peer, PipeEnd};
use sockeye_tokio::{Budget, Connection, Ended, Error, Message, Sender, Timeouts, Unread, WebSocket, close_code};
use tokio::{
    sync::{Notify, mpsc},
    task::{JoinHandle, yield_now},
    time::{advance, timeout},
};

/// The bytes on the wire of a [numbered] message: its header, its mask and 20 bytes.
const WIRE: usize = 26;

/// A peer, and a handler that receives only once it is told to.
struct Late {
    peer: Peer<PipeEnd>,
    /// The server's end.
    server: Control,
    gate: Arc<Notify>,
    received: mpsc::UnboundedReceiver<Option<Result<Message, Error>>>,
    task: JoinHandle<Ended>,
}

impl Late {
    /// The stream yields a message at a time, as HTTP/2 does.
    fn new(set: impl FnOnce(Connection) -> Connection) -> Self {
        let (peer, connection) = connect_with_capacity(4 << 20);
        let server = server_end(&peer);
        server.set_read_chunk(WIRE);
        let (gate, (sender, received)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
        let opened = gate.clone();
        let handler = |mut socket: WebSocket| async move {
            opened.notified().await;
            loop {
                let received = socket.recv().await;
                let is_last = received.is_none();
                sender.send(received).unwrap();
                if is_last {
                    break;
                }
            }
        };
        let task = tokio::spawn(set(connection).serve(handler));
        Self { peer, server, gate, received, task }
    }

    async fn send_numbers(&mut self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            self.peer.send(Frame::text(numbered(number))).await;
        }
        settled().await;
    }

    async fn next(&mut self) -> Option<Result<Message, Error>> {
        self.received.recv().await.unwrap()
    }

    async fn expect_numbers(&mut self, numbers: impl IntoIterator<Item = usize>) {
        for number in numbers {
            assert_eq!(self.next().await.unwrap().unwrap(), Message::Text(numbered(number)));
        }
    }
}

/// 20 bytes.
fn numbered(number: usize) -> String {
    format!("{number:020}")
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_unread_reads_nothing_on() {
    let mut late = Late::new(|connection| connection);
    late.send_numbers(0..1_000).await;
    // One message, and a glimpse of what is behind it.
    assert!(late.server.counters().read_bytes <= 2 * WIRE, "{:?}", late.server.counters());
}

#[tokio::test(start_paused = true)]
async fn messages_that_were_read_on_are_received_in_order() {
    let mut late = Late::new(|connection| connection.unread(Unread::default()));
    late.send_numbers(0..5_000).await;
    assert_eq!(late.server.counters().read_bytes, 5_000 * WIRE);
    late.gate.notify_one();
    late.expect_numbers(0..5_000).await;
    late.send_numbers(5_000..6_000).await;
    late.expect_numbers(5_000..6_000).await;
    late.peer.send(Frame::close(1000, "bye")).await;
    assert!(late.next().await.unwrap().unwrap().is_close());
    assert!(late.next().await.is_none());
    late.peer.expect_close(1000).await;
    late.peer.expect_eof().await;
}

#[tokio::test(start_paused = true)]
async fn the_stream_is_read_on_while_the_handler_receives_many_messages() {
    let mut late = Late::new(|connection| connection.unread(Unread::default()));
    late.send_numbers(0..9_000).await;
    late.gate.notify_one();
    // It needs many turns for what is there. What comes meanwhile is read in each.
    let before = late.received.len();
    while late.received.len() < 4_000 {
        yield_now().await;
        late.peer.send(Frame::text(numbered(0))).await;
    }
    assert!(before == 0 && late.received.len() < 8_000);
    assert!(late.server.available() <= 2 * WIRE, "{} bytes are unread", late.server.available());
}

#[tokio::test(start_paused = true)]
async fn a_peer_beyond_the_bound_of_unread_is_closed_with_1013_and_accepted_messages_are_received() {
    // Wherever the bound cuts a frame, the peer's Close is found behind it.
    for max in 1_000..1_000 + WIRE {
        let mut late = Late::new(|connection| connection.unread(Unread::disconnect_beyond(max)));
        let accepted = 1 + max / WIRE;
        late.send_numbers(0..accepted + 100).await;
        let reason = late.peer.expect_close(close_code::AGAIN).await;
        assert_eq!(reason, format!("more is sent than is received: `unread` allows {max} bytes"));
        late.send_numbers(0..100).await;
        late.peer.send(Frame::close(close_code::AGAIN, "")).await;
        // The handler is not waited for, nor a deadline.
        late.peer.expect_eof().await;

        late.gate.notify_one();
        late.expect_numbers(0..accepted).await;
        let end = match late.next().await.unwrap() {
            // The byte that was too much has completed one more.
            Ok(message) => {
                assert_eq!((message, (max + 1) % WIRE), (Message::Text(numbered(accepted)), 0));
                late.next().await.unwrap()
            }
            end => end,
        };
        let error = end.unwrap_err();
        assert!(error.is_limit() && error.to_string().contains(&max.to_string()), "{error}");
        assert!(late.next().await.is_none());
        late.task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_among_the_accepted_messages_is_the_last_that_is_received() {
    let mut late = Late::new(|connection| connection.unread(Unread::disconnect_beyond(1_000)));
    late.send_numbers(0..10).await;
    late.peer.send(Frame::close(1000, "bye")).await;
    late.send_numbers(10..200).await;
    late.peer.expect_close(close_code::AGAIN).await;
    late.peer.shutdown().await;
    late.peer.expect_eof().await;
    late.gate.notify_one();
    late.expect_numbers(0..10).await;
    assert!(late.next().await.unwrap().unwrap().is_close());
    assert!(late.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn unread_wait_beyond_leaves_the_rest_in_the_stream() {
    let mut late = Late::new(|connection| connection.unread(Unread::wait_beyond(1_000)));
    late.send_numbers(0..2_000).await;
    let read = late.server.counters().read_bytes;
    assert!((1_000..=1_000 + 2 * WIRE).contains(&read), "{read}");
    late.gate.notify_one();
    late.expect_numbers(0..2_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_large_messages_has_to_wait_and_is_not_closed() {
    let mut late = Late::new(|connection| connection.unread(Unread::disconnect_beyond(100_000)));
    late.server.set_read_chunk(16 << 10);
    let letters = ["a", "b", "c"].map(|letter| letter.repeat(300_000));
    for letter in &letters {
        late.peer.send(Frame::text(letter.clone())).await;
    }
    settled().await;
    let read = late.server.counters().read_bytes;
    assert!(read < 200_000, "{read}");
    late.gate.notify_one();
    for letter in letters {
        assert_eq!(late.next().await.unwrap().unwrap(), Message::Text(letter));
    }
    // A turn to small ones, and a handler that has stopped again.
    late.server.set_read_chunk(WIRE);
    late.send_numbers(0..10).await;
    late.expect_numbers(0..10).await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_is_received_after_messages_that_were_read_on() {
    for failure in [None, Some(ErrorKind::ConnectionReset), Some(ErrorKind::Other)] {
        let mut late = Late::new(|connection| connection.unread(Unread::default()));
        late.send_numbers(0..500).await;
        match failure {
            None => late.server.end_reads(),
            Some(kind) => late.server.fail_reads(kind),
        }
        settled().await;
        late.gate.notify_one();
        late.expect_numbers(0..500).await;
        let error = late.next().await.unwrap().unwrap_err();
        let expected = (failure != Some(ErrorKind::Other), failure.is_some());
        assert_eq!((error.is_abrupt(), error.is_io()), expected, "{failure:?}: {error}");
        assert!(late.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_whose_messages_are_read_on_is_not_dropped_by_a_deadline() {
    let timeouts = Timeouts::new();
    let mut late = Late::new(|connection| connection.unread(Unread::default()).timeouts(timeouts));
    for number in 0..100 {
        late.send_numbers([number]).await;
        advance(Duration::from_secs(30)).await;
    }
    late.gate.notify_one();
    late.expect_numbers(0..100).await;
}

#[tokio::test(start_paused = true)]
async fn unread_bytes_are_charged_to_the_budget_and_given_back_in_every_way() {
    let budget = Budget::new(1 << 20);
    let new = |unread| Late::new(|connection| connection.unread(unread).budget(&budget));

    // It is received.
    let mut late = new(Unread::default());
    late.send_numbers(0..=1_000).await;
    assert_eq!(budget.used(), 1_000 * WIRE);
    late.gate.notify_one();
    late.expect_numbers(0..=1_000).await;
    settled().await;
    assert_eq!(budget.used(), 0);

    // The task is aborted.
    let mut late = new(Unread::default());
    late.send_numbers(0..=1_000).await;
    assert_eq!(budget.used(), 1_000 * WIRE);
    late.task.abort();
    settled().await;
    assert_eq!(budget.used(), 0);

    // Too much is unread: it is held, and counts, until it is received.
    let mut late = new(Unread::disconnect_beyond(1_000));
    late.send_numbers(0..200).await;
    late.peer.expect_close(close_code::AGAIN).await;
    late.peer.send(Frame::close(close_code::AGAIN, "")).await;
    late.peer.expect_eof().await;
    settled().await;
    assert_eq!(budget.used(), 1_001);
    late.gate.notify_one();
    while late.next().await.is_some() {}
    settled().await;
    assert_eq!(budget.used(), 0);
    assert_eq!(budget.evicted(), 0);
}

/// The sender and the socket of a connection, whose handler is done, in the hands of another task.
async fn elsewhere(unread: Unread, budget: &Budget) -> (Peer<PipeEnd>, WebSocket, Sender) {
    let (peer, connection) = connect_with_capacity(4 << 20);
    server_end(&peer).set_read_chunk(WIRE);
    let (socket, _task) = give_away(connection.unread(unread).budget(budget)).await;
    let sender = socket.sender();
    (peer, socket, sender)
}

#[tokio::test(start_paused = true)]
async fn a_socket_in_another_task_receives_accepted_messages_after_its_connection_has_ended() {
    let budget = Budget::new(1 << 20);
    let (mut peer, mut socket, sender) = elsewhere(Unread::disconnect_beyond(1_000), &budget).await;
    for number in 0..200 {
        peer.send(Frame::text(numbered(number))).await;
    }
    peer.expect_close(close_code::AGAIN).await;
    peer.send(Frame::close(close_code::AGAIN, "")).await;
    peer.expect_eof().await;
    settled().await;
    assert!(sender.is_closed() && budget.used() == 1_001);
    for number in 0..=1_000 / WIRE {
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::Text(numbered(number)));
    }
    assert!(socket.recv().await.unwrap().unwrap_err().is_limit());
    assert!(socket.recv().await.is_none());
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_is_dropped_gives_its_unread_bytes_back_to_the_budget() {
    for max in [1_000, 256 << 10] {
        let budget = Budget::new(1 << 20);
        let (mut peer, socket, sender) = elsewhere(Unread::disconnect_beyond(max), &budget).await;
        for number in 0..200 {
            peer.send(Frame::text(numbered(number))).await;
        }
        settled().await;
        assert!(budget.used() > 1_000);
        drop(socket);
        settled().await;
        assert_eq!(budget.used(), 0, "{max}");
        drop(sender);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_recv_in_another_task_is_woken_for_messages_that_were_read_on() {
    let budget = Budget::new(1 << 20);
    let (mut peer, mut socket, _sender) = elsewhere(Unread::default(), &budget).await;
    let receiver = tokio::spawn(async move {
        for number in 0..3_000 {
            assert_eq!(socket.recv().await.unwrap().unwrap(), Message::Text(numbered(number)));
        }
    });
    for number in 0..3_000 {
        peer.send(Frame::text(numbered(number))).await;
        if number % 7 == 0 {
            settled().await;
        }
    }
    receiver.await.unwrap();
    settled().await;
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_recv_in_another_task_is_woken_for_a_message_that_is_too_large_to_be_read_on() {
    let budget = Budget::new(1 << 20);
    let (mut peer, mut socket, _sender) = elsewhere(Unread::default(), &budget).await;
    let receiver = tokio::spawn(async move { socket.recv().await.unwrap().unwrap() });
    settled().await;
    peer.send(Frame::text("x".repeat(200_000))).await;
    assert_eq!(timeout(Duration::from_secs(1), receiver).await.unwrap().unwrap().len(), 200_000);
}

#[tokio::test(start_paused = true)]
async fn a_connection_reads_on_after_a_ping_of_its_driver() {
    let mut late = Late::new(|connection| connection.unread(Unread::default()));
    let ping = late.peer.expect_frame().await;
    late.peer.send(Frame::pong(ping.payload)).await;
    settled().await;
    assert_eq!(late.server.available(), 0);
    late.send_numbers(0..1_000).await;
    assert_eq!(late.server.available(), 0);
    late.gate.notify_one();
    late.expect_numbers(0..1_000).await;
}

#[tokio::test(start_paused = true)]
async fn an_evicted_connection_loses_its_unread_bytes() {
    let budget = Budget::new(50_000);
    let new = || Late::new(|connection| connection.unread(Unread::default()).budget(&budget));
    let (mut thin, mut fat) = (new(), new());
    thin.send_numbers(0..=500).await;
    fat.send_numbers(0..=1_500).await;
    let reason = fat.peer.expect_close(close_code::AGAIN).await;
    assert_eq!(reason, "more is sent than is received, and the memory for all is used up");
    settled().await;
    assert_eq!((budget.evicted(), budget.used()), (1, 500 * WIRE));
    // What had been decoded, and then how it ended.
    fat.gate.notify_one();
    fat.expect_numbers([0]).await;
    assert!(fat.next().await.unwrap().unwrap_err().is_closed());
    assert!(fat.next().await.is_none());
    thin.gate.notify_one();
    thin.expect_numbers(0..=500).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_driver_reads_nothing_on() {
    let (mut peer, connection) = connect_with_capacity(1 << 20);
    let socket = connection.unread(Unread::default()).into_websocket();
    peer.send(Frame::text(numbered(0))).await;
    settled().await;
    assert_eq!(server_end(&peer).counters().read_bytes, 0);
    drop(socket);
}
