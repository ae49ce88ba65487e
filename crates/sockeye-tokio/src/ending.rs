//! The ending of a connection: everything that was said is written, and the peer is heard out, under one deadline.

use std::task::{Context, Poll, ready};

use sockeye_proto::Role;

use crate::shared::Shared;

/// The steps at the end of a connection:
///
/// 1. the queue and the Close are written;
/// 2. the write side is shut down;
/// 3. what the peer still sends is read and dropped, until the end of the stream or 1 MiB. A stream that is dropped with
///    unread bytes is reset, and the peer might never see the Close.
///
/// Reading goes on meanwhile, since a peer in the middle of a large message may not read before it has sent it. A client
/// shuts down only at the end of the stream: RFC 6455 §7.1.1 wants the server to close the connection first.
pub(crate) struct Ending {
    role: Role,
    is_shut_down: bool,
    is_heard_out: bool,
    discarded: u32,
}

impl Ending {
    pub(crate) fn new(role: Role) -> Self {
        Self { role, is_shut_down: false, is_heard_out: false, discarded: 0 }
    }

    /// Ready when the stream can be dropped.
    pub(crate) fn poll(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_heard_out {
            let mut receive = shared.lock_receive();
            // The end of a stream and its failure come to the same here.
            self.is_heard_out = receive.poll_discard(shared, &mut self.discarded, cx).is_ready();
        }
        if !self.is_shut_down {
            let mut send = shared.lock_send();
            ready!(send.poll_write(cx));
            if self.role == Role::Client && !self.is_heard_out {
                return Poll::Pending;
            }
            let _ = ready!(send.poll_shutdown(cx));
            self.is_shut_down = true;
        }
        if self.is_heard_out { Poll::Ready(()) } else { Poll::Pending }
    }
}
