//! Connections for the tests of the hub.
#![allow(dead_code, reason = "each test file uses a part")]

pub(crate) mod broker;
pub(crate) mod network;
pub(crate) mod nodes;
#[cfg(feature = "protocol")]
pub(crate) mod page;
pub(crate) mod presence;
pub(crate) mod presence_nodes;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Wake, Waker},
};

use sockeye_state::{Hub, Joined, Member};
use sockeye_testkit::{Frame, Peer, PipeEnd, opcode, pipe, pipe_with_capacity};
use sockeye_tokio::{Config, Connection, Overflow, Role, Sender, Stream};
use tokio::sync::oneshot;

/// The client of a connection whose handler receives until the end.
pub(crate) type Client = Peer<PipeEnd>;

/// A connection over a pipe.
pub(crate) async fn connect() -> (Client, Sender) {
    let (client, server) = pipe();
    (Peer::client(client), serve(server, |connection| connection).await)
}

/// A connection whose client reads nothing: `capacity` bytes fit into its pipe, and a few more into its queue.
pub(crate) async fn connect_slow(capacity: usize, overflow: Overflow) -> (Client, Sender) {
    let (client, server) = pipe_with_capacity(capacity);
    let config = Config::default().write_buffer_size(capacity).max_write_buffer_size(4 * capacity);
    let sender = serve(server, |connection| connection.config(config).overflow(overflow)).await;
    (Peer::client(client), sender)
}

async fn serve(server: PipeEnd, configure: impl FnOnce(Connection) -> Connection) -> Sender {
    let (give, taken) = oneshot::channel();
    let connection = configure(Connection::new(Stream::boxed(server), Role::Server));
    tokio::spawn(connection.serve(|mut socket| async move {
        let _ = give.send(socket.sender());
        while let Some(Ok(_)) = socket.recv().await {}
    }));
    taken.await.expect("the handler runs")
}

/// A new member that is in no room.
pub(crate) async fn register<T: Send + Sync + 'static>(hub: &Hub<T>, value: T) -> (Client, Member<T>) {
    let (client, sender) = connect().await;
    (client, hub.register(sender, value))
}

/// A new member that is in one room.
pub(crate) async fn join<T: Send + Sync + 'static>(
    hub: &Hub<T>,
    room: &str,
    value: T,
) -> (Client, Member<T>, Joined<T>) {
    let (client, member) = register(hub, value).await;
    let room = member.join(room).await.expect("the name is valid");
    (client, member, room)
}

/// All texts that come until `last` comes, without it.
pub(crate) async fn texts_until(client: &mut Client, last: &str) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let frame = client.expect_frame().await;
        if frame.opcode == opcode::PING {
            client.send(Frame::pong(frame.payload)).await;
            continue;
        }
        assert_eq!(frame.opcode, opcode::TEXT, "{frame:?}");
        let text = String::from_utf8(frame.payload).expect("a text");
        if text == last {
            return texts;
        }
        texts.push(text);
    }
}

/// All texts that the client has got by now, from whatever its member is in.
pub(crate) async fn texts_by_now<T: Send + Sync + 'static>(client: &mut Client, member: &Member<T>) -> Vec<String> {
    // The tasks of the hub, and those that they wake.
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    member.sender().push(sockeye_tokio::Message::text("by now")).expect("the connection is open");
    texts_until(client, "by now").await
}

/// A member whose connection nobody polls: waking its task runs code of a test instead.
pub(crate) struct Hooked<T> {
    pub(crate) client: Client,
    pub(crate) member: Member<T>,
    /// The connection, which goes on once it is polled.
    pub(crate) connection: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// A new member that is in no room. Queuing a message for it calls `hook`, on the stack of whoever delivers the message.
pub(crate) fn hooked<T: Send + Sync + 'static>(
    hub: &Hub<T>,
    value: T,
    hook: impl Fn() + Send + Sync + 'static,
) -> Hooked<T> {
    let (client, server) = pipe();
    let (give, taken) = std::sync::mpsc::channel();
    let connection = Connection::new(Stream::boxed(server), Role::Server);
    let connection = connection.serve(move |mut socket| async move {
        let _ = give.send(socket.sender());
        while let Some(Ok(_)) = socket.recv().await {}
    });
    let mut connection: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
        connection.await;
    });
    let waker = Waker::from(Arc::new(Hook(hook)));
    assert!(connection.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let sender = taken.recv().expect("the handler runs at the first poll");
    Hooked { client: Peer::client(client), member: hub.register(sender, value), connection }
}

struct Hook<F>(F);

impl<F: Fn() + Send + Sync> Wake for Hook<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}
