//! Intentional defects, so that a test can check whether the soak finds them.

use std::{
    fs::File,
    future::pending,
    mem::forget,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use clap::ValueEnum;
use futures_util::future::BoxFuture;
use sockeye::{Message, WebSocket};
use tokio::time::sleep;

use super::ways::CHECKED;

/// A defect of the server.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Sabotage {
    /// A task never ends.
    Task,
    /// A file is never closed.
    Descriptor,
    /// Memory is never freed.
    Memory,
    /// A message is not echoed.
    Loss,
    /// Two messages are swapped.
    Order,
    /// A handler panics without a request to do so.
    Panic,
    /// A handler stops for a while.
    Stop,
    /// A task is busy without work.
    Spin,
    /// A budget is larger than reported.
    Budget,
    /// A message to a room does not reach one of its members.
    Skip,
    /// A message to a room reaches its members twice.
    Twice,
}

/// One of this many connections of clients that check for defects has the defect.
const EVERY: usize = 4;

/// More than twice the patience of the clients that should find it: their first wait may have begun with a message in flight.
const STOP: Duration = Duration::from_secs(12);

/// How often the defect has happened.
static HAPPENED: AtomicUsize = AtomicUsize::new(0);

pub(super) fn happened() -> usize {
    HAPPENED.load(Ordering::Relaxed)
}

/// Whether a connection with this query has the defect.
pub(super) fn is_due(query: Option<&str>) -> bool {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    query == Some(CHECKED) && CONNECTIONS.fetch_add(1, Ordering::Relaxed).is_multiple_of(EVERY)
}

impl Sabotage {
    /// Counts a defect.
    pub(super) fn happens() {
        HAPPENED.fetch_add(1, Ordering::Relaxed);
    }

    /// A handler that has the defect.
    pub(super) fn run(self, socket: WebSocket) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if self.is_of_handler() {
                Self::happens();
            }
            match self {
                Self::Task => drop(tokio::spawn(pending::<()>())),
                Self::Descriptor => forget(File::open("/dev/null")),
                Self::Memory => forget(vec![0_u8; 10_000]),
                Self::Panic => panic!("sabotage"),
                Self::Spin => drop(tokio::spawn(async {
                    loop {
                        tokio::task::yield_now().await;
                    }
                })),
                Self::Loss | Self::Order | Self::Stop | Self::Budget | Self::Skip | Self::Twice => {}
            }
            self.echo(socket).await;
        })
    }

    /// Whether it happens when the handler starts, and not to a message, to a budget or in a room.
    const fn is_of_handler(self) -> bool {
        !matches!(self, Self::Loss | Self::Order | Self::Stop | Self::Budget | Self::Skip | Self::Twice)
    }

    async fn echo(self, mut socket: WebSocket) {
        let (mut count, mut kept) = (0, None);
        while let Some(Ok(message)) = socket.recv().await {
            if !message.is_data() {
                continue;
            }
            count += 1;
            if count == 2 {
                match self {
                    Self::Loss => {
                        Self::happens();
                        continue;
                    }
                    Self::Order => {
                        Self::happens();
                        kept = Some(message);
                        continue;
                    }
                    Self::Stop => {
                        Self::happens();
                        sleep(STOP).await;
                    }
                    _ => {}
                }
            }
            let messages: [Option<Message>; 2] = [Some(message), kept.take()];
            for message in messages.into_iter().flatten() {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        }
    }
}
