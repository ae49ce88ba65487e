//! `Sender::push_many`: several messages for one connection at once.

use sockeye_proto::PreparedMessage;

use crate::{Overflow, Pushed, TrySendError, futures::send::push_locked, send::Send, shared::Shared};

/// What happened to messages that were [pushed together](crate::Sender::push_many).
///
/// Each message is one of `queued`, `dropped`, `closed` and `invalid`: their sum is the number of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PushedMany {
    /// How many of the messages were queued, or written at once.
    pub queued: usize,
    /// How many messages were dropped after they had been queued: by [`Overflow::DropOldest`], or with the queue by
    /// [`Overflow::Disconnect`]. The first of many messages may be displaced by later ones.
    pub displaced: usize,
    /// How many of the messages were dropped because the queue was full: by [`Overflow::Wait`] and
    /// [`Overflow::DropNewest`], by [`Overflow::DropOldest`] if the rest of a partly written message left no capacity, and the
    /// message for which [`Overflow::Disconnect`] has closed the connection.
    pub dropped: usize,
    /// How many of the messages found the queue full, whatever happened to them then.
    pub overflowed: usize,
    /// Whether one of the messages has closed the connection, by [`Overflow::Disconnect`].
    pub disconnected: bool,
    /// How many of the messages were not queued because the connection is closing.
    pub closed: usize,
    /// How many of the messages found the queue full, and were not queued because the code of [`Overflow::Disconnect`]
    /// [cannot be sent](crate::close_code::is_valid_on_wire). The connection stays open.
    pub invalid: usize,
}

impl PushedMany {
    fn count(&mut self, pushed: &Result<Pushed, TrySendError>) {
        match pushed {
            Ok(Pushed::Queued | Pushed::Displaced(_)) => self.queued += 1,
            Ok(Pushed::Dropped | Pushed::Disconnected) | Err(TrySendError::Full(_)) => self.dropped += 1,
            Err(TrySendError::Closed(..)) => self.closed += 1,
            Err(TrySendError::Invalid(..)) => self.invalid += 1,
        }
        self.disconnected |= matches!(pushed, Ok(Pushed::Disconnected));
        let fitted = matches!(pushed, Ok(Pushed::Queued) | Err(TrySendError::Closed(..)));
        self.overflowed += usize::from(!fitted);
    }
}

/// What [`Sender::push_many`](crate::Sender::push_many) does.
pub(super) fn push_many(shared: &Shared, messages: &[PreparedMessage], overflow: Option<Overflow>) -> PushedMany {
    let mut send = shared.lock_send();
    let written = shared.write_past_queue(&mut send, messages);
    let mut pushed = PushedMany { queued: written, ..PushedMany::default() };
    if written < messages.len() {
        queue(shared, &mut send, &messages[written..], overflow, &mut pushed);
    }
    pushed
}

#[inline(never)]
fn queue(
    shared: &Shared,
    send: &mut Send,
    messages: &[PreparedMessage],
    overflow: Option<Overflow>,
    pushed: &mut PushedMany,
) {
    for message in messages {
        let before = send.dropped_messages();
        let outcome = push_locked(shared, send, message.clone().into(), overflow);
        let is_counted = matches!(outcome, Ok(Pushed::Dropped | Pushed::Disconnected));
        let older = send.dropped_messages() - before - u64::from(is_counted);
        pushed.displaced += older as usize;
        pushed.count(&outcome);
    }
}
