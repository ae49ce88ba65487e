//! Reading in the driver's name, while nobody receives.

use std::{
    future::Future,
    io,
    pin::pin,
    task::{Context, Poll, ready},
};

use sockeye_proto::{Buffer, Message};
use tokio::task::yield_now;

use super::{Receive, Watcher};
use crate::{lock::Wakes, shared::Shared};

/// While nobody receives, the driver keeps at most this much of an unfinished message.
const PARKED: usize = 64 << 10;

/// The same where an extension may make more of it: so little that permessage-deflate has not begun to.
const PARKED_EXTENDED: usize = 16 << 10;

/// In one poll the driver takes at most this many messages off the stream, then other tasks have their turn. It has no part
/// in the cooperative budget of its task, which is the handler's.
const TURN: usize = 128;

/// What is discarded at the end of a connection, before it is dropped with bytes unread.
const DISCARDED: u32 = 1 << 20;

impl Receive {
    /// Reads in the driver's name, while nobody receives: control frames are answered, one data message or 64 KiB of an
    /// unfinished one are kept for the application, and then reading stops.
    pub(crate) fn park(&mut self, shared: &Shared, cx: &mut Context<'_>) {
        let mut taken = 0;
        while self.kept.is_none() {
            if taken == TURN {
                // Woken when those who wait have had their turn, the kernel's events among them.
                let _ = pin!(yield_now()).poll(cx);
                break;
            }
            if let Some(message) = self.next_of_any_kind(shared) {
                taken += 1;
                if message.is_data() && !self.abandoned {
                    self.kept.get_or_insert_default().parked = Some(message);
                }
                continue;
            }
            if self.kept.is_some() {
                break;
            }
            let most = if self.decoder.is_extended() { PARKED_EXTENDED } else { PARKED };
            let room = if self.abandoned { PARKED } else { most.saturating_sub(self.decoder.held()) };
            if room == 0 {
                // Only the application may read on. One that watches the stream is told by it: to wake that one here
                // would be to wake each other for ever.
                if self.watcher != Watcher::Recv {
                    self.wake();
                }
                break;
            }
            match self.poll_fill(cx, room) {
                Poll::Ready(Ok(read)) if read > 0 => self.watcher = Watcher::Nobody,
                Poll::Ready(end) => self.ended(shared, end.err()),
                Poll::Pending => {
                    self.watcher = Watcher::Driver;
                    break;
                }
            }
        }
        if self.kept.is_some() {
            self.wake();
        }
        self.input.compact();
    }

    /// Nobody will receive any more. Returns what nobody will have.
    pub(crate) fn abandon(&mut self) -> Option<Message> {
        self.abandoned = true;
        self.take_parked()
    }

    /// Reads and drops what comes, until the end of the stream or a bound on what is dropped. The peer's Close may still
    /// be among it, which makes the ending a clean one.
    pub(crate) fn poll_discard(
        &mut self,
        shared: &Shared,
        discarded: &mut u32,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        drop(self.take_parked());
        while *discarded <= DISCARDED {
            match self.input.decode(&mut self.decoder) {
                Ok(Some(Message::Close(frame))) => {
                    let mut send = shared.lock_send();
                    send.peer_closed(frame.as_ref());
                    self.others.add(send.take_due());
                }
                Ok(Some(_)) => {}
                // Whatever is wrong with what nobody wants any more: a Close of ours has gone before.
                Ok(None) | Err(_) => match ready!(self.poll_fill(cx, Buffer::SIZE))? {
                    0 => break,
                    // A read brings much less than what a `u32` can tell.
                    read => *discarded += read as u32,
                },
            }
        }
        Poll::Ready(Ok(()))
    }
}
