//! From the stream to the next message.

use std::{
    io,
    task::{Context, Poll, ready},
};

use sockeye_proto::{Buffer, Decoder, Input, Message, SmallMessage};

use super::{Event, Receive, Watcher};
use crate::{
    stream::{Apart, ReadHalf, coop::wake_after_others, try_read_now},
    telemetry::stats::{Kind, payload_len},
};

/// The number of messages returned and reads made in a row before other tasks run. Tokio's cooperative budget would allow as
/// much if each cost one unit, but counting here costs next to nothing.
const STREAK: u8 = 128;

/// With a `read_buffer_size` of this many bytes or more, a read may fill a whole buffer.
const MOST: usize = 64 << 10;

impl Receive {
    /// Whether a read may fill a whole buffer.
    pub(super) fn reads_whole(decoder: &Decoder) -> bool {
        decoder.config().get_read_buffer_size() >= MOST
    }

    /// The next message, if it is small and already read, nothing is kept, and other tasks need not run first.
    #[inline(always)]
    pub(crate) fn next_read(&mut self) -> Option<SmallMessage> {
        if self.streak == STREAK || self.kept.is_some() {
            return None;
        }
        let message = self.input.decode_whole(&mut self.decoder)?;
        self.streak += 1;
        self.record_data(&message);
        Some(message)
    }

    /// Begins a poll of `recv`. Returns false if `recv` has waited since something was received: then this poll starts by
    /// reading the stream. A `recv` that waits `again` in the same poll of the handler has most likely not been called by the
    /// stream, and first asks whether there is anything to read.
    #[inline]
    pub(crate) fn begin_poll(&mut self, again: bool) -> bool {
        if self.streak > 0 || again {
            return true;
        }
        self.is_drained = false;
        false
    }

    /// The next event, for a `recv` that reads the stream itself. Only called while nothing is [kept](Self::has_kept).
    // Inlined into its one caller, so that an event is not stored before its use.
    #[inline(always)]
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            if self.streak == STREAK {
                self.wait(cx);
                if !self.input.is_empty() && self.reads_on() {
                    // While the application receives the rest of the input, too much may arrive on a stream that must not be
                    // left unread.
                    if let Some(event) = self.read_on(Watcher::Recv, cx) {
                        return Poll::Ready(event);
                    }
                }
                wake_after_others(cx);
                return Poll::Pending;
            }
            // Decodes input that does not begin with a small message, or data that was read directly into a large message.
            if !self.input.is_empty() || !self.decoder.is_between_messages() {
                if let Some(event) = self.next_event() {
                    self.streak += 1;
                    return Poll::Ready(event);
                }
            }
            match self.poll_fill(cx, usize::MAX) {
                Poll::Ready(Ok(read)) if read > 0 => {
                    self.watcher = Watcher::Nobody;
                    self.streak = STREAK.min(self.streak + 1);
                    if let Some(message) = self.next_read() {
                        return Poll::Ready(Event::Message(message.into()));
                    }
                }
                Poll::Ready(end) => return Poll::Ready(end_of_stream(end.err())),
                // Set before the lock is released, since another task may read after that.
                Poll::Pending => {
                    self.watcher = Watcher::Recv;
                    self.wait(cx);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Called when a `recv` waits: the next poll of `recv` starts by reading the stream. Returns whether anything was received
    /// since a `recv` last waited.
    #[inline]
    pub(crate) fn end_streak(&mut self) -> bool {
        std::mem::take(&mut self.streak) > 0
    }

    /// Reads a TCP stream, at most once. Returns the first message if it is small and whole, the usual case.
    ///
    /// Calls `ended` at the end or a failure of the stream. Returning that event instead would cost each message some
    /// instructions. Only one caller has `MOST`, as for [`try_read_now`].
    #[inline(always)]
    pub(crate) fn read_small<const MOST: bool>(
        &mut self,
        ended: impl FnOnce(&mut Self, Event),
    ) -> Option<SmallMessage> {
        if !self.is_fresh() || self.is_drained || self.streak == STREAK || !self.reads_whole {
            return None;
        }
        let stream = self.stream.as_ref()?.tcp()?;
        let mut input = Input::pooled();
        match try_read_now::<MOST>(stream, input.spare(), &mut self.is_drained) {
            Ok(0) => ended(self, Event::Eof),
            Ok(_) => return self.decode_first(input),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_drained = true,
            // The caller tries again when it waits for the stream.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => ended(self, Event::StreamFailed(error)),
        }
        None
    }

    /// Begins what [`read_small`](Self::read_small) does, for a boxed stream. The caller carries the read out without any
    /// lock, and then calls [`take_small`](Self::take_small) if something was read.
    #[inline(always)]
    pub(crate) fn request_small(&mut self, cx: &Context<'_>) -> Option<Apart> {
        if !self.is_fresh() || self.is_drained || self.streak == STREAK || !self.reads_whole || self.reads_on() {
            return None;
        }
        let stream = self.stream.as_ref()?.request(Buffer::SIZE)?;
        self.watcher = Watcher::Recv;
        self.wait(cx);
        Some(stream)
    }

    /// Takes what was read after [`request_small`](Self::request_small).
    #[inline(always)]
    pub(crate) fn take_small(
        &mut self,
        cx: &mut Context<'_>,
        ended: impl FnOnce(&mut Self, Event),
    ) -> Option<SmallMessage> {
        // The driver may have read meanwhile.
        if !self.is_fresh() {
            return None;
        }
        match self.stream.as_ref()?.poll_input(cx, Buffer::SIZE, &mut self.is_drained) {
            Poll::Ready(Ok(input)) if !input.is_empty() => return self.decode_first(input),
            Poll::Ready(end) => ended(self, end.map_or_else(Event::StreamFailed, |_| Event::Eof)),
            Poll::Pending => {}
        }
        None
    }

    /// Whether nothing that has arrived is left to decode or to deliver.
    #[inline(always)]
    fn is_fresh(&self) -> bool {
        self.kept.is_none() && self.input.is_empty() && self.decoder.is_between_messages()
    }

    /// Takes over what was read while nothing was left of earlier reads. Returns the first message if it is small and whole.
    #[inline(always)]
    fn decode_first(&mut self, input: Input) -> Option<SmallMessage> {
        self.watcher = Watcher::Nobody;
        self.streak += 1;
        self.bytes_arrived();
        let (message, rest) = input.into_first_whole(&mut self.decoder);
        self.input = rest;
        if let Some(message) = &message {
            self.record_data(message);
        }
        message
    }

    /// `Pending` if all that has arrived was received, and if the stream is known to be empty without a read. Then `cx` is
    /// woken when data arrives. Ready if only a read can show whether there is data.
    // Not inlined, so that the path for many messages in a row stays short.
    #[inline(never)]
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let has_all =
            self.is_drained && self.kept.is_none() && self.input.is_empty() && self.decoder.is_between_messages();
        if !has_all {
            return Poll::Ready(());
        }
        if self.stream.as_ref().is_none_or(|stream| stream.poll_readable(cx).is_ready()) {
            self.is_drained = false;
            return Poll::Ready(());
        }
        self.watcher = Watcher::Recv;
        self.streak = 0;
        self.wait(cx);
        Poll::Pending
    }

    /// The next event in what has been read, without the Pongs that answer the driver's Pings.
    #[inline(never)]
    pub(super) fn next_event(&mut self) -> Option<Event> {
        let decoded = loop {
            match self.input.decode(&mut self.decoder) {
                Ok(Some(Message::Pong(payload))) if self.take_expected_pong(&payload) => {}
                decoded => break decoded,
            }
        };
        if let Ok(Some(message)) = &decoded {
            self.received.any = true;
            self.received.data |= message.is_data();
            self.record(Kind::of(message), payload_len(message));
        }
        Some(match decoded {
            Ok(None) => return None,
            Ok(Some(Message::Ping(payload))) => Event::Ping(payload),
            Ok(Some(Message::Close(frame))) => Event::Close(frame),
            Ok(Some(message)) => Event::Message(message),
            Err(error) => Event::Failed(error),
        })
    }

    /// Reads once, into a pooled buffer. If `most` is `usize::MAX` and a large message is in progress, reads directly into
    /// that message. Otherwise reads at most `most` bytes, and at most `read_buffer_size`. Returns 0 at the end of the
    /// stream.
    #[inline(never)]
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        let Some(stream) = &self.stream else { return Poll::Ready(Ok(0)) };
        let direct = if most == usize::MAX { self.decoder.direct().map(|payload| payload.limit()) } else { None };
        let most = direct.unwrap_or_else(|| {
            most.min(match self.decoder.config().get_read_buffer_size() {
                MOST.. => Buffer::SIZE,
                less => less.max(1),
            })
        });
        if direct.is_none() && std::mem::take(&mut self.has_low_water) {
            stream.lower_low_water();
        }
        // Checked before a buffer is taken for the read. After a wakeup, the stream is read without this check.
        if std::mem::take(&mut self.is_drained) {
            let ready = stream.poll_ready(cx, most);
            if ready.is_pending() && direct.is_some() {
                self.has_low_water = wait_for_much(&self.decoder, stream, most, self.has_low_water);
            }
            ready!(ready)?;
        }
        let read = match direct.and_then(|_| self.decoder.direct()) {
            Some(payload) => {
                let read = stream.poll_read(cx, payload.into_inner(), most, &mut self.is_drained);
                if read.is_pending() {
                    self.has_low_water = wait_for_much(&self.decoder, stream, most, self.has_low_water);
                }
                let read = ready!(read)?;
                if self.has_low_water && self.decoder.direct().is_none() {
                    // Nothing else lowers the mark before the next message is waited for.
                    self.end_low_water();
                }
                read
            }
            None => {
                self.input = ready!(stream.poll_input(cx, most, &mut self.is_drained))?;
                self.input.len()
            }
        };
        self.bytes_arrived();
        Poll::Ready(Ok(read))
    }

    /// Makes each arriving byte count. Returns false if that is so already.
    pub(crate) fn end_low_water(&mut self) -> bool {
        let ends = std::mem::take(&mut self.has_low_water);
        if let (true, Some(stream)) = (ends, &self.stream) {
            stream.lower_low_water();
        }
        ends
    }

    /// A text or binary message was received.
    #[inline]
    fn record_data(&mut self, message: &SmallMessage) {
        (self.received.data, self.received.any) = (true, true);
        self.record(if message.is_text() { Kind::Text } else { Kind::Binary }, message.payload().len());
    }
}

/// Makes the kernel wait for much of the `room` bytes that a read has space for. A text is read as it comes, since it must fail at
/// its first impossible byte. Returns whether the kernel waits; `is_raised` says whether it does so far.
fn wait_for_much(decoder: &Decoder, stream: &ReadHalf, room: usize, is_raised: bool) -> bool {
    stream.set_low_water(if decoder.is_text() { 0 } else { room }, is_raised)
}

pub(super) fn end_of_stream(error: Option<io::Error>) -> Event {
    error.map_or(Event::Eof, Event::StreamFailed)
}
