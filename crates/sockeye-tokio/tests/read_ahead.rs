//! How much the driver reads while nobody receives.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use common::{connect, connect_with_capacity, give_away, server_end, settled, start};
use sockeye_testkit::{Control, Frame, Peer, PipeEnd};
use sockeye_tokio::{Connection, Ended, Message};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// A client with room for a mebibyte on its way, and a handler that is busy until it is woken.
struct Busy {
    client: Peer<PipeEnd>,
    /// The server's end.
    server: Control,
    wake: oneshot::Sender<()>,
    task: JoinHandle<Ended>,
}

impl Busy {
    /// Once it is woken, the handler receives what is `expected` and returns.
    fn new(set: impl FnOnce(Connection) -> Connection, expected: Vec<Message>) -> Self {
        let (client, connection) = connect_with_capacity(1 << 20);
        let (wake, woken) = oneshot::channel();
        let task = tokio::spawn(set(connection).serve(|mut socket| async move {
            woken.await.unwrap();
            for message in expected {
                assert_eq!(socket.recv().await.unwrap().unwrap(), message);
            }
        }));
        Self { server: server_end(&client), client, wake, task }
    }

    /// Wakes the handler, and sees that it ends as it should.
    async fn wake(mut self) {
        self.wake.send(()).unwrap();
        self.client.expect_close(1000).await;
        drop(self.client);
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_nobody_receives_from_stops_reading() {
    let messages = (0..200).map(|i| vec![i; 1000]);
    let mut busy = Busy::new(|connection| connection, messages.clone().map(Message::binary).collect());
    for message in messages {
        busy.client.send(Frame::binary(message)).await;
    }
    settled().await;
    assert!(busy.server.counters().read_bytes <= 64 << 10, "{:?}", busy.server.counters());
    busy.wake().await;
}

#[tokio::test]
async fn not_a_byte_is_read_behind_a_message_that_nobody_takes() {
    let (wake, mut woken) = mpsc::channel::<()>(1);
    let (mut client, _task) = start(|mut socket| async move {
        for i in 0..3 {
            woken.recv().await.unwrap();
            assert_eq!(socket.recv().await.unwrap().unwrap(), Message::binary([i; 100]));
        }
    });
    let server = server_end(&client);
    let length = Frame::binary([0; 100]).mask([1, 2, 3, 4]).bytes().len();
    for (i, unread) in [0, length, 2 * length].into_iter().enumerate() {
        client.send(Frame::binary([i as u8; 100])).await;
        settled().await;
        assert_eq!(server.available(), unread, "message {i}");
    }
    // One is taken: what waits is read at once, and again nothing behind it.
    wake.send(()).await.unwrap();
    settled().await;
    assert_eq!(server.available(), 0);
    client.send(Frame::ping("late")).await;
    settled().await;
    assert!(server.available() > 0);
    wake.send(()).await.unwrap();
    wake.send(()).await.unwrap();
    client.expect_close(1000).await;
}

/// Of a compressed message it is so little that nothing of it has been inflated: it might become a thousand times as much.
#[cfg(feature = "deflate")]
#[tokio::test]
async fn no_more_than_16_kib_of_a_compressed_message_are_read_ahead() {
    use sockeye_tokio::{
        Role,
        proto::deflate::{Compression, Parameters},
    };

    let (agreed, compression) = (Parameters::default(), Compression::new());
    let compressed = |connection: Connection| {
        connection.extension(agreed.encoder(Role::Server, &compression), agreed.decoder(Role::Server, &compression))
    };
    let mut busy = Busy::new(compressed, vec![Message::binary(vec![7; 300_000])]);
    // Stored blocks: as long as what they stand for.
    let stored = |part: &[u8]| {
        [&[0][..], &(part.len() as u16).to_le_bytes(), &(!part.len() as u16).to_le_bytes(), part].concat()
    };
    let payload: Vec<u8> = vec![7; 300_000].chunks(30_000).flat_map(stored).chain([0]).collect();
    busy.client.send(Frame::binary(payload).rsv(1)).await;
    settled().await;
    assert!(busy.server.counters().read_bytes <= (16 << 10) + 14, "{:?}", busy.server.counters());
    busy.wake().await;
}

#[tokio::test]
async fn no_more_than_64_kib_of_a_large_message_are_read_ahead() {
    let mut busy = Busy::new(|connection| connection, vec![Message::binary(vec![7; 900_000])]);
    busy.client.send(Frame::binary(vec![7; 900_000])).await;
    settled().await;
    assert!(busy.server.counters().read_bytes <= (64 << 10) + 14, "{:?}", busy.server.counters());
    busy.wake().await;
}

/// The driver watches the stream for it, and may not read that much itself.
#[tokio::test(start_paused = true)]
async fn a_large_message_reaches_a_recv_that_waits_in_another_task() {
    let (mut client, connection) = connect();
    let (mut socket, _task) = give_away(connection).await;
    let receiving = tokio::spawn(async move { socket.recv().await.unwrap().unwrap() });
    settled().await;
    client.send(Frame::binary(vec![7; 900_000])).await;
    assert_eq!(receiving.await.unwrap(), Message::binary(vec![7; 900_000]));
}
