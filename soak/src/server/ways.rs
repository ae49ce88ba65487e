//! The ways in which an application may echo, each with different tasks, wakers and threads. All of them must lose nothing and
//! keep the order.

mod many;
mod sending;
mod waiting;

use std::time::Duration;

use sockeye::{WebSocket, WebSocketUpgrade};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{
    app::Handler,
    deadlines::{self, DEADLINES, Deadline},
};

/// A way to echo.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// Whether it sends [`GOODBYE`] when the server shuts down.
    pub(crate) says_goodbye: bool,
    pub(super) upgrade: Upgrade,
    pub(super) run: Handler,
}

pub(crate) const GOODBYE: &str = "goodbye";

/// How a request is upgraded to a socket.
pub(super) enum Upgrade {
    /// By the extractor, with default settings.
    Plain,
    /// By the extractor, with other settings.
    With(fn(WebSocketUpgrade) -> WebSocketUpgrade),
    /// By hand: the driver runs over a stream in a box.
    Boxed,
    /// By hand and without a driver.
    Undriven,
}

impl Way {
    const fn plain(name: &'static str, run: Handler) -> Self {
        Self { name, says_goodbye: false, upgrade: Upgrade::Plain, run }
    }

    /// Whether the extractor makes the socket, with its settings.
    pub(crate) fn is_extracted(&self) -> bool {
        matches!(self.upgrade, Upgrade::Plain | Upgrade::With(_))
    }

    /// Whether the connection has a driver, so that it closes in order whatever happens to the socket.
    pub(crate) fn is_driven(&self) -> bool {
        !matches!(self.upgrade, Upgrade::Undriven)
    }
}

/// The path of a way.
pub(crate) fn path(way: usize) -> String {
    match WAYS[way].upgrade {
        Upgrade::Plain | Upgrade::With(_) => format!("/echo/{way}"),
        Upgrade::Boxed | Upgrade::Undriven => format!("/by-hand/{way}"),
    }
}

/// The query of a client that finds every defect of its connection.
pub(super) const CHECKED: &str = "checked";

/// The path of a way, for such a client.
pub(crate) fn checked_path(way: usize) -> String {
    format!("{}?{CHECKED}", path(way))
}

/// The path of a way with a deadline.
pub(crate) fn late_path(deadline: Deadline, way: usize) -> String {
    let index = DEADLINES.iter().position(|other| *other == deadline).unwrap_or_default();
    format!("/deadline/{index}/{way}")
}

const LOOP: Handler = |socket, _| Box::pin(echo(socket));
const HALVES: Handler = |socket, _| Box::pin(sending::halves(socket));

pub(crate) const WAYS: [Way; 34] = [
    Way::plain("recv and send in a loop", LOOP),
    Way::plain("recv_ref and send", |socket, _| Box::pin(waiting::lent(socket))),
    Way::plain("the socket in another task", |socket, _| Box::pin(async { drop(tokio::spawn(echo(socket))) })),
    Way::plain("two halves in two tasks", HALVES),
    Way::plain("two halves in the handler", |socket, _| Box::pin(sending::joined_halves(socket))),
    Way::plain("a Sender in another task", |socket, _| Box::pin(sending::sender(socket))),
    Way::plain("Senders in three tasks, in turns", |socket, _| Box::pin(sending::senders(socket))),
    Way::plain("a Sender on a thread", |socket, _| Box::pin(sending::blocking(socket))),
    Way::plain("Stream forwarded to Sink", |socket, _| Box::pin(sending::forward(socket))),
    Way::plain("Sink in another task", |socket, _| Box::pin(sending::sink(socket))),
    Way::plain("try_send, and send when it is full", |socket, _| Box::pin(sending::trying(socket))),
    Way::plain("send_prepared", |socket, _| Box::pin(sending::prepared(socket))),
    Way::plain("through a Hub", |socket, _| Box::pin(sending::hub(socket))),
    Way::plain("flushed after each send", |socket, _| Box::pin(sending::flushed(socket))),
    Way::plain("a send that is cancelled all the time", |socket, _| Box::pin(sending::cancelling(socket))),
    Way::plain("a recv that is cancelled all the time", |socket, _| Box::pin(waiting::cancelling(socket))),
    Way::plain("so in another task", |socket, _| Box::pin(async { drop(tokio::spawn(waiting::cancelling(socket))) })),
    Way::plain("a recv that is cancelled by a timer", |socket, _| Box::pin(waiting::ticking(socket))),
    Way::plain("a handler that sleeps between messages", |socket, _| Box::pin(waiting::sleeping(socket))),
    Way::plain("a handler that blocks its thread", |socket, _| Box::pin(waiting::blocking(socket))),
    Way::plain("a socket that changes its task", |socket, _| Box::pin(waiting::wandering(socket))),
    Way::plain("a recv in a set of futures", |socket, _| Box::pin(many::in_a_set(socket))),
    Way::plain("several connections joined in a task", |socket, gather| {
        Box::pin(many::gathered(socket, gather.joined))
    }),
    Way::plain("several connections in a set of futures", |socket, gather| {
        Box::pin(many::gathered(socket, gather.set))
    }),
    Way::plain("a connection within a connection", |socket, _| Box::pin(many::nested(socket))),
    Way {
        says_goodbye: true,
        ..Way::plain("a recv beside closing", |socket, _| Box::pin(waiting::saying_goodbye(socket)))
    },
    Way { upgrade: Upgrade::With(|ws| ws.write_buffer_size(0)), ..Way::plain("write_buffer_size(0)", LOOP) },
    Way { upgrade: Upgrade::With(little), ..Way::plain("little buffers", LOOP) },
    Way { upgrade: Upgrade::With(little), ..Way::plain("little buffers, and halves", HALVES) },
    Way { upgrade: Upgrade::With(pinging), ..Way::plain("Pings by the server", LOOP) },
    Way { upgrade: Upgrade::With(pinging), ..Way::plain("Pings by the server, and halves", HALVES) },
    Way { upgrade: Upgrade::Boxed, ..Way::plain("a boxed stream", LOOP) },
    Way { upgrade: Upgrade::Boxed, ..Way::plain("a boxed stream, and halves", HALVES) },
    Way { upgrade: Upgrade::Undriven, ..Way::plain("no driver", LOOP) },
];

fn pinging(ws: WebSocketUpgrade) -> WebSocketUpgrade {
    ws.timeouts(deadlines::pinging())
}

fn little(ws: WebSocketUpgrade) -> WebSocketUpgrade {
    ws.read_buffer_size(512).write_buffer_size(2048).max_write_buffer_size(4096)
}

/// The plain loop.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// The queue of sockets that share a task.
#[derive(Clone)]
pub(super) struct Gather {
    joined: mpsc::Sender<WebSocket>,
    set: mpsc::Sender<WebSocket>,
}

/// The number of sockets that share a task, and how long to wait for more of them.
const TOGETHER: usize = 4;
const PATIENCE: Duration = Duration::from_millis(20);

/// Starts the two tasks that gather sockets. They end with the application.
pub(super) fn gather() -> Gather {
    let gatherer = |run: fn(Vec<WebSocket>)| {
        let (sender, mut receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Some(first) = receiver.recv().await {
                let mut sockets = vec![first];
                let until = Instant::now() + PATIENCE;
                while sockets.len() < TOGETHER
                    && let Ok(Some(socket)) = timeout_at(until, receiver.recv()).await
                {
                    sockets.push(socket);
                }
                run(sockets);
            }
        });
        sender
    };
    Gather {
        joined: gatherer(|sockets| drop(tokio::spawn(many::join(sockets)))),
        set: gatherer(|sockets| drop(tokio::spawn(many::set(sockets)))),
    }
}
