//! What waits to be sent to the page, apart from what the hub sends.

use std::collections::VecDeque;

use sockeye_proto::PreparedMessage;
use sockeye_tokio::{Sender, TrySendError};

/// With this many answers waiting, no more frames are read.
const MOST: usize = 16;

/// While fewer bytes are queued in the connection, answers go there at once.
const ENOUGH: usize = 64 << 10;

/// Answers, in order. A page that does not read them is not read from, either: they wait here, and not in the queue of the connection, in
/// which they would use up what is there for the messages of rooms.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<PreparedMessage>);

/// The connection is closing, and nothing can be sent any more.
#[derive(Debug)]
pub(crate) struct Closed;

impl Outbox {
    pub(crate) fn push(&mut self, text: impl AsRef<str>) {
        self.0.push_back(PreparedMessage::json(text));
    }

    /// Hands on what the connection has capacity for.
    pub(crate) fn drain(&mut self, sender: &Sender) -> Result<(), Closed> {
        while let Some(front) = self.0.front() {
            if sender.buffered() >= ENOUGH {
                break;
            }
            match sender.try_send(front.clone()) {
                Ok(()) => _ = self.0.pop_front(),
                Err(TrySendError::Full(_)) => break,
                Err(_) => return Err(Closed),
            }
        }
        Ok(())
    }

    /// Hands on all, as far as the limits of the connection allow: nothing is handed on later.
    pub(crate) fn drain_all(&mut self, sender: &Sender) -> Result<(), Closed> {
        while let Some(front) = self.0.pop_front() {
            sender.try_send(front).map_err(|_| Closed)?;
        }
        Ok(())
    }

    /// Takes the first, which the connection has no capacity for.
    pub(crate) fn pop(&mut self) -> Option<PreparedMessage> {
        self.0.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn has_capacity(&self) -> bool {
        self.0.len() < MOST
    }
}
