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
}

/// One of this many connections has the defect.
const EVERY: usize = 8;

/// Longer than the patience of the clients that should find it.
const STOP: Duration = Duration::from_secs(8);

/// Whether this connection has the defect.
pub(super) fn is_due() -> bool {
    static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
    CONNECTIONS.fetch_add(1, Ordering::Relaxed) % EVERY == EVERY - 1
}

impl Sabotage {
    /// A handler that has the defect.
    pub(super) fn run(self, socket: WebSocket) -> BoxFuture<'static, ()> {
        Box::pin(async move {
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
                Self::Loss | Self::Order | Self::Stop | Self::Budget => {}
            }
            self.echo(socket).await;
        })
    }

    async fn echo(self, mut socket: WebSocket) {
        let (mut count, mut kept) = (0, None);
        while let Some(Ok(message)) = socket.recv().await {
            if !message.is_data() {
                continue;
            }
            count += 1;
            match self {
                Self::Loss if count == 2 => continue,
                Self::Order if count == 2 => {
                    kept = Some(message);
                    continue;
                }
                Self::Stop if count == 2 => sleep(STOP).await,
                _ => {}
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
