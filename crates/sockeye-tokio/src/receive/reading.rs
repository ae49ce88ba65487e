//! From the stream to the next message.

use std::{
    future::Future,
    io,
    pin::pin,
    task::{Context, Poll, ready},
};

use sockeye_proto::{Buffer, Input, Message};
use tokio::task::yield_now;

use super::{End, Receive, Watcher};
use crate::{Error, shared::Shared};

/// So many messages are handed over in a row, and so often the stream is read, before other tasks have their turn. It is what
/// tokio's cooperative budget would allow if each were a unit of it, but counted where it costs next to nothing.
const STREAK: u8 = 128;

/// A setting of so much, or more, means a whole buffer.
const MOST: usize = 64 << 10;

impl Receive {
    /// The next message, if it is a small one that has been read already, and others need not have their turn first.
    #[inline]
    pub(crate) fn next_read(&mut self) -> Option<Message> {
        if self.streak == STREAK || self.kept.is_some() {
            return None;
        }
        let message = self.input.decode_whole(&mut self.decoder)?;
        self.streak += 1;
        self.notes_data(&message);
        Some(message)
    }

    /// Whether a `recv` has not waited since something was received. One that has begins with the stream.
    #[inline]
    pub(crate) fn goes_on(&mut self) -> bool {
        if self.streak == 0 {
            self.is_drained = false;
        }
        self.streak > 0
    }

    /// The next message for the application, which reads the stream itself.
    #[inline(never)]
    pub(crate) fn poll_recv(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        while self.kept.is_none() {
            if self.streak == STREAK {
                self.streak = 0;
                self.wait(cx);
                return pin!(yield_now()).poll(cx).map(|()| None);
            }
            // What is more than a small message, and what was read straight into a large one.
            if (!self.input.is_empty() || !self.decoder.is_between_messages())
                && let Some(message) = self.next_of_any_kind(shared)
            {
                self.streak += 1;
                return Poll::Ready(Some(Ok(message)));
            }
            if self.kept.is_some() {
                break;
            }
            match self.poll_fill(cx, usize::MAX) {
                Poll::Ready(Ok(read)) if read > 0 => {
                    self.watcher = Watcher::Nobody;
                    self.streak = STREAK.min(self.streak + 1);
                }
                Poll::Ready(end) => self.ended(shared, end.err()),
                Poll::Pending => {
                    self.watcher = Watcher::Recv;
                    self.streak = 0;
                    self.wait(cx);
                    return Poll::Pending;
                }
            }
        }
        self.poll_kept(cx)
    }

    /// The next message, if the stream has something now, and that begins with a small one. What most wait for is found so.
    #[inline(always)]
    pub(crate) fn read_small(&mut self, shared: &Shared) -> Option<Message> {
        let is_fresh = self.kept.is_none() && self.input.is_empty() && self.decoder.is_between_messages();
        if !is_fresh || self.is_drained || self.streak == STREAK || self.decoder.config().read_buffer_size < MOST {
            return None;
        }
        let mut input = Input::lent();
        match self.stream.as_ref()?.try_read(input.spare(), &mut self.is_drained) {
            Ok(0) => self.ended(shared, None),
            Ok(_) => {
                self.watcher = Watcher::Nobody;
                self.streak += 1;
                self.hears();
                let (message, rest) = input.into_first_whole(&mut self.decoder);
                self.input = rest;
                if let Some(message) = &message {
                    self.notes_data(message);
                }
                return message;
            }
            // It is not known to have anything, or may know later: whoever waits for it tries again.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => self.ended(shared, Some(error)),
        }
        None
    }

    /// Whether all that has come was received, and it is known without a read that there is no more. Then `cx` is woken
    /// when there is.
    #[inline]
    pub(crate) fn waits(&mut self, cx: &mut Context<'_>) -> bool {
        let has_all =
            self.is_drained && self.kept.is_none() && self.input.is_empty() && self.decoder.is_between_messages();
        let waits = has_all && self.stream.as_ref().is_some_and(|stream| stream.poll_ready(cx).is_pending());
        if has_all {
            self.is_drained = waits;
        }
        if waits {
            self.watcher = Watcher::Recv;
            self.streak = 0;
            self.wait(cx);
        }
        waits
    }

    /// The next message of what has been read, of whatever kind, save for a Close. What has to be said to it is queued in the
    /// same step, and to what is no message at all: then, as with a Close, receiving is over.
    #[inline(never)]
    pub(super) fn next_of_any_kind(&mut self, shared: &Shared) -> Option<Message> {
        let decoded = loop {
            match self.input.decode(&mut self.decoder) {
                Ok(Some(Message::Pong(payload))) if self.is_expected(&payload) => {}
                decoded => break decoded,
            }
        };
        if let Ok(Some(message)) = &decoded {
            self.is_active |= message.is_data();
            self.note(message);
        }
        if let Ok(None | Some(Message::Text(_) | Message::Binary(_) | Message::Pong(_))) = decoded {
            return decoded.ok().flatten();
        }
        let mut send = shared.lock_send();
        let message = match decoded {
            Ok(Some(Message::Close(frame))) => {
                send.peer_closed(frame.as_ref());
                self.over(End::Untold(Ok(frame)));
                None
            }
            Ok(message) => {
                if let Some(Message::Ping(payload)) = &message {
                    send.pong(payload);
                }
                message
            }
            Err(error) => {
                tracing::debug!(%error, "the peer is answered with a Close");
                send.fail(error);
                self.over(End::Untold(Err(Error::peer(error))));
                None
            }
        };
        shared.queued(send, &mut self.others);
        message
    }

    /// Reads once: into the large message in progress, or into a buffer that is lent for this read.
    #[inline(never)]
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        let Some(stream) = &self.stream else { return Poll::Ready(Ok(0)) };
        // Asked before a buffer is taken for the read. Whoever is woken reads without asking once more.
        if std::mem::take(&mut self.is_drained) {
            ready!(stream.poll_ready(cx))?;
        }
        let read = if most == usize::MAX
            && let Some(payload) = self.decoder.direct()
        {
            let room = payload.limit();
            ready!(stream.poll_read(cx, payload.into_inner(), room, &mut self.is_drained))?
        } else {
            let most = most.min(match self.decoder.config().read_buffer_size {
                MOST.. => Buffer::SIZE,
                less => less.max(1),
            });
            let mut input = Input::lent();
            let read = ready!(stream.poll_read(cx, input.spare(), most, &mut self.is_drained))?;
            self.input = input;
            read
        };
        self.hears();
        Poll::Ready(Ok(read))
    }

    /// A text or binary message was received.
    #[inline]
    fn notes_data(&mut self, message: &Message) {
        self.is_active = true;
        self.note(message);
    }
}
