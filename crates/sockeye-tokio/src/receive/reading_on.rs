//! Reading on while the handler does not receive, for streams that must not be left unread. The bytes are kept undecoded, up
//! to a bound.

use std::task::{Context, Poll, ready};

use sockeye_proto::{Buffer, CloseFrame, Input, Message};

use super::{
    Event, Receive,
    event::Overrun,
    parts::{Dropping, End, ReadingOn, Watcher},
};
use crate::{
    Error, Unread,
    close_reason::CloseReason,
    stream::{ReadHalf, coop::wake_after_others},
};

/// The most reads in one poll before other tasks run. A read returns one HTTP/2 DATA frame, perhaps a small message. h2
/// tolerates some 2,300 of these; this is well below.
pub(crate) const BATCH: usize = 1024;

/// h2 charges its connection for each unread DATA frame that is shorter than this many bytes: the missing bytes are added to
/// a total. The bytes by which a frame is longer are subtracted from the total, which never falls below 0.
const SMALL: usize = 256;

/// A peer with at least this total charge sends many small messages, not one large message that ends with a small frame.
const FEW: usize = 64 * SMALL;

impl Receive {
    /// From now on, the stream is read on while no task receives.
    pub(crate) fn set_unread(&mut self, unread: Unread) {
        let reading_on = ReadingOn { unread, lack: 0, charged: 0, stream: None, overrun: None };
        self.rare.get_or_insert_default().reading_on = Some(Box::new(reading_on));
    }

    #[inline]
    pub(crate) fn reads_on(&self) -> bool {
        self.reading_on().is_some()
    }

    #[inline]
    fn reading_on(&self) -> Option<&ReadingOn> {
        self.rare.as_ref().and_then(|rare| rare.reading_on.as_deref())
    }

    #[inline]
    fn reading_on_mut(&mut self) -> Option<&mut ReadingOn> {
        self.rare.as_mut().and_then(|rare| rare.reading_on.as_deref_mut())
    }

    /// Reads what has arrived, up to the bound, without decoding it. `cx` belongs to `watcher`. Returns an event if too much
    /// is unread, or if the stream has failed.
    #[cold]
    pub(super) fn read_on(&mut self, watcher: Watcher, cx: &mut Context<'_>) -> Option<Event> {
        let mut reading_on = self.rare.as_mut().and_then(|rare| rare.reading_on.take())?;
        let mut event = None;
        if !self.has_ended() {
            let read = self.read_unread(&mut reading_on, cx);
            // If there is input to decode, `recv` need not wait for the stream.
            let is_drained = read.is_pending() && self.input.is_empty();
            self.watcher = if is_drained { watcher } else { Watcher::Nobody };
            if !self.input.is_empty() {
                self.wake();
            }
            if let Poll::Ready(found) = read {
                event = found;
            }
        }
        self.rare.get_or_insert_default().reading_on = Some(reading_on);
        event
    }

    /// `Pending` if all that has arrived was read: `cx` is then woken when more arrives.
    fn read_unread(&mut self, reading_on: &mut ReadingOn, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if reading_on.overrun.is_some() {
            return Poll::Ready(None);
        }
        let max = reading_on.unread.max();
        if self.input.is_empty() {
            reading_on.lack = 0;
        }
        for _ in 0..BATCH {
            // One byte more shows that the peer goes on sending.
            let most = if reading_on.unread.disconnects { max.saturating_add(1) } else { max };
            let room = most.saturating_sub(self.input.len());
            if room == 0 {
                if reading_on.unread.disconnects && reading_on.lack >= FEW.min(max) {
                    let event = self.overrun(reading_on, Error::unread(max), CloseReason::Unread(max));
                    return Poll::Ready(Some(event));
                }
                return Poll::Ready(None);
            }
            let Some(stream) = &self.stream else { return Poll::Ready(None) };
            match ready!(stream.poll_read(cx, self.input.grow(room), room, &mut self.is_drained)) {
                Ok(0) => {
                    // `recv` reports the end once the application has received all that was read.
                    reading_on.stream = self.stream.take();
                    return Poll::Ready(None);
                }
                Ok(read) => {
                    // A read cut by the bound does not tell the frame's length.
                    if read < room {
                        reading_on.lack = (reading_on.lack + SMALL).saturating_sub(read);
                    }
                    self.bytes_arrived();
                }
                Err(error) => {
                    reading_on.stream = self.stream.take();
                    return Poll::Ready(Some(Event::FailedBehind(error)));
                }
            }
        }
        wake_after_others(cx);
        Poll::Ready(None)
    }

    /// Begins an overrun: from now on, new data is dropped. Returns the event for the sending half.
    fn overrun(&mut self, reading_on: &mut ReadingOn, error: Error, reason: CloseReason) -> Event {
        let mut decoder = self.decoder.beside();
        let mut accepted = self.input.bytes();
        while let Some(beside) = &mut decoder {
            match beside.decode(&mut accepted) {
                Ok(Some(Message::Close(_))) => decoder = None,
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) if beside.discard() => {}
                Err(_) => decoder = None,
            }
        }
        reading_on.stream = reading_on.stream.take().or(self.stream.take());
        reading_on.overrun = Some(Dropping { error: error.clone(), decoder });
        Event::Overrun(Box::new(Overrun { error, reason }))
    }

    /// Whether data was read on that the application has not received.
    pub(crate) fn has_unread(&self) -> bool {
        self.reads_on() && !self.input.is_empty() && !self.has_ended()
    }

    /// Drops the unread data, for a budget, and begins an overrun if there was none. Returns the event for the sending half
    /// in that case.
    pub(crate) fn give_up_unread(&mut self) -> Option<Event> {
        let mut reading_on = self.rare.as_mut().and_then(|rare| rare.reading_on.take())?;
        let mut event = None;
        if reading_on.overrun.is_none() {
            event = Some(self.overrun(&mut reading_on, Error::closed(), CloseReason::UnreadBudget));
        }
        self.rare.get_or_insert_default().reading_on = Some(reading_on);
        self.drop_accepted();
        self.wake();
        event
    }

    /// After an overrun, drops what was accepted before it, since nobody will receive that. Without an overrun, does
    /// nothing.
    pub(crate) fn drop_accepted(&mut self) {
        if self.is_overrun() {
            self.input = Input::new();
            self.decoder.abandon();
        }
    }

    pub(crate) fn is_overrun(&self) -> bool {
        self.reading_on().is_some_and(|reading_on| reading_on.overrun.is_some())
    }

    /// After an overrun: the error with which receiving ends, once all that was accepted has been received.
    pub(super) fn overrun_error(&self) -> Option<Error> {
        let overrun = self.reading_on()?.overrun.as_ref()?;
        Some(overrun.error.clone())
    }

    /// Whether the peer's Close can still come after an overrun.
    pub(super) fn may_close_behind(&self) -> bool {
        let overrun = self.reading_on().and_then(|reading_on| reading_on.overrun.as_ref());
        overrun.is_some_and(|overrun| overrun.decoder.is_some())
    }

    /// The stream, whether or not the handler gets its data.
    #[inline]
    pub(super) fn any_stream(&self) -> Option<&ReadHalf> {
        self.stream.as_ref().or_else(|| self.reading_on()?.stream.as_ref())
    }

    /// Takes the stream, at the end of the connection.
    pub(super) fn take_stream(&mut self) -> Option<ReadHalf> {
        let own = self.stream.take();
        own.or_else(|| self.reading_on_mut().and_then(|reading_on| reading_on.stream.take()))
    }

    /// How many bytes are unread, if the number has changed since the last call.
    #[cold]
    pub(crate) fn take_unread_change(&mut self) -> Option<usize> {
        let unread = self.input.len();
        let reading_on = self.reading_on_mut()?;
        (std::mem::replace(&mut reading_on.charged, unread) != unread).then_some(unread)
    }

    /// Like [`poll_discard`](Self::poll_discard), for data after what was accepted.
    pub(super) fn poll_pass_over(&mut self, cx: &mut Context<'_>) -> Poll<Option<Option<CloseFrame>>> {
        for _ in 0..BATCH {
            let Some(reading_on) = self.rare.as_deref_mut().and_then(|rare| rare.reading_on.as_deref_mut()) else {
                return Poll::Ready(None);
            };
            let (Some(stream), Some(overrun)) = (&reading_on.stream, &mut reading_on.overrun) else {
                return Poll::Ready(None);
            };
            let close = match ready!(stream.poll_input(cx, Buffer::SIZE, &mut self.is_drained)) {
                Ok(mut input) if !input.is_empty() => overrun.pass_over(&mut input),
                // The end of the stream and its failure are the same here.
                _ => return Poll::Ready(None),
            };
            self.bytes_arrived();
            if close.is_some() {
                return Poll::Ready(close);
            }
        }
        wake_after_others(cx);
        Poll::Pending
    }

    /// After an overrun, ends receiving with the error of the overrun. Called once all that was accepted has been received.
    pub(crate) fn end_overrun(&mut self) {
        if let Some(error) = self.overrun_error() {
            self.drop_accepted();
            self.record_end(End::Untold(Err(error)));
        }
    }
}

impl Dropping {
    /// Drops what was read. Returns the peer's Close, if it was in there.
    fn pass_over(&mut self, input: &mut Input) -> Option<Option<CloseFrame>> {
        loop {
            match input.decode(self.decoder.as_mut()?) {
                Ok(Some(Message::Close(frame))) => {
                    self.decoder = None;
                    return Some(frame);
                }
                Ok(Some(_)) => {}
                Ok(None) => return None,
                // Errors in dropped data do not matter, unless no Close can be found after them.
                Err(_) => {
                    if !self.decoder.as_mut()?.discard() {
                        self.decoder = None;
                    }
                }
            }
        }
    }
}
