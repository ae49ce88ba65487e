//! Writing messages at once, past the queue: one exception to the rule that only the driver writes. The other is in `elsewhere`.

use std::io::{self, IoSlice};

use sockeye_proto::{Buffer, PreparedMessage};

use super::Send;
use crate::{
    Error,
    send::waiters::{For, Line},
    stream::WriteHalf,
    telemetry::stats::Kind,
};

/// The most messages in one write.
const MOST: usize = 64;

/// Frames of up to this many bytes on average are copied into one buffer: in the kernel, a slice costs more than the copy of
/// such a frame. [`MOST`] of them fit into a buffer.
const COPIED: usize = Buffer::SIZE / MOST;

/// How much of a list of messages was written.
#[derive(Default)]
pub(crate) struct Bypassed {
    /// How many whole messages.
    pub(crate) messages: usize,
    /// How many bytes of the next message. It must be [queued](Send::encode_begun).
    pub(crate) begun: usize,
}

impl Send {
    /// Writes what the kernel takes of `messages` now, unless the messages must wait: behind others, for a waiting task, or
    /// for the driver, without which a boxed stream cannot be written.
    ///
    /// The kernel nearly always takes all, so that the driver need not run. What counts for deadlines, metrics and the span is
    /// as if the driver had written. Nothing was queued, so nothing is charged to the cooperative budget.
    pub(crate) fn write_past_queue(&mut self, messages: &[PreparedMessage]) -> Bypassed {
        let mut all = Bypassed::default();
        if !self.may_bypass() {
            return all;
        }
        for messages in messages.chunks(MOST) {
            let written = if self.encoder.shares_payloads() {
                self.write_chunk(messages, messages)
            } else {
                let prepared: Vec<_> = messages.iter().map(|message| self.encoder.prepared(message)).collect();
                self.write_chunk(messages, &prepared)
            };
            all.messages += written.messages;
            all.begun = written.begun;
            if written.messages < messages.len() {
                break;
            }
        }
        all
    }

    fn may_bypass(&self) -> bool {
        self.encoder.may_bypass()
            && !self.is_unbuffered()
            && self.stream.as_ref().is_some_and(|stream| !stream.is_boxed())
            && self.line(For::Capacity).is_none_or(Line::is_empty)
    }

    /// Writes some of `messages` in one call. `prepared` are the same as extensions have transformed them.
    fn write_chunk(&mut self, messages: &[PreparedMessage], prepared: &[PreparedMessage]) -> Bypassed {
        let Some(stream) = &self.stream else { return Bypassed::default() };
        let written = match prepared {
            [message] => stream.try_write_slices(&[IoSlice::new(message.frame())]),
            _ => write(stream, prepared),
        };
        let mut begun = match written {
            Ok(written) => written,
            Err(error) => {
                self.keep(error);
                0
            }
        };
        let mut whole = 0;
        for (message, prepared) in messages.iter().zip(prepared) {
            let length = prepared.frame().len();
            if begun < length {
                break;
            }
            begun -= length;
            whole += 1;
            self.encoder.bypassed(length);
            self.record_sent(if message.is_text() { Kind::Text } else { Kind::Binary }, message.payload().len());
        }
        Bypassed { messages: whole, begun }
    }

    /// Keeps an error that the system does not report again. All messages are queued, and the driver meets the next error.
    #[cold]
    pub(super) fn keep(&mut self, error: io::Error) {
        use io::ErrorKind::{ConnectionReset, HostUnreachable, TimedOut};
        if matches!(error.kind(), ConnectionReset | HostUnreachable | TimedOut) {
            self.rare.get_or_insert_default().found.get_or_insert(error);
        }
    }

    /// Queues a message whose first `begun` bytes were written past the queue.
    #[cold]
    pub(crate) fn encode_begun(&mut self, message: PreparedMessage, begun: usize) -> Result<(), Error> {
        self.encode(message.into())?;
        self.encoder.advance(begun);
        Ok(())
    }
}

/// Writes several messages with one call.
fn write(stream: &WriteHalf, messages: &[PreparedMessage]) -> io::Result<usize> {
    let frames = || messages.iter().map(PreparedMessage::frame);
    if frames().map(<[u8]>::len).sum::<usize>() <= messages.len() * COPIED {
        let mut buffer = Buffer::pooled();
        frames().for_each(|frame| buffer.extend_from_slice(frame));
        return stream.try_write_slices(&[IoSlice::new(&buffer)]);
    }
    let mut slices = [IoSlice::new(&[]); MOST];
    slices.iter_mut().zip(frames()).for_each(|(slice, frame)| *slice = IoSlice::new(frame));
    stream.try_write_slices(&slices[..messages.len()])
}
