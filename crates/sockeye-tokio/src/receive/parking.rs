//! Reading by the driver, while no task receives.

use std::task::{Context, Poll, ready};

use sockeye_proto::{Buffer, CloseFrame, Message};

use super::{Event, Receive, Watcher, reading::end_of_stream};
use crate::stream::{ReadHalf, coop::wake_after_others};

/// While no task receives, the driver keeps at most this many bytes of an unfinished message.
const PARKED: usize = 64 << 10;

/// The limit instead of `PARKED` if an extension may expand the message. permessage-deflate does not begin to inflate a
/// message before more compressed bytes than this have arrived.
const PARKED_EXTENDED: usize = 16 << 10;

/// The driver reads at most this many messages in one poll before other tasks run. It does not use the cooperative budget of
/// the task, which belongs to the handler.
const BATCH: usize = 128;

/// The bytes of `PARKED` that are reserved for one more read of a boxed stream, which must be read to know whether it has
/// data.
const GLIMPSE: usize = 1 << 10;

impl Receive {
    /// The next event that the driver reads while no task receives; `None` once reading must stop. For the application, the
    /// caller [keeps](Self::keep) the latest Pong and one data message; of an unfinished message, the decoder holds at most
    /// [`PARKED`] bytes.
    ///
    /// `taken` counts the events of this poll of the driver.
    pub(crate) fn next_parked(&mut self, taken: &mut usize, cx: &mut Context<'_>) -> Option<Event> {
        self.end_low_water();
        while !self.is_stopped() {
            if *taken == BATCH {
                wake_after_others(cx);
                return None;
            }
            let room = self.room();
            // Data beyond this room only shows that there is more for the application to read.
            if room > 0 {
                if let Some(event) = self.next_event() {
                    *taken += 1;
                    return Some(event);
                }
            }
            let room = self.room();
            if room == 0 {
                return if self.reads_on() { None } else { self.watch_unread(cx) };
            }
            match self.poll_fill(cx, room) {
                Poll::Ready(Ok(read)) if read > 0 => self.watcher = Watcher::Nobody,
                Poll::Ready(end) => return Some(end_of_stream(end.err())),
                Poll::Pending => {
                    self.watcher = Watcher::Driver;
                    return None;
                }
            }
        }
        None
    }

    /// Reads on, if the stream must not be left unread, and if [`next_parked`](Self::next_parked) has stopped because the
    /// application must receive first.
    pub(crate) fn read_on_parked(&mut self, taken: usize, cx: &mut Context<'_>) -> Option<Event> {
        let has_stopped = self.is_stopped() || self.room() == 0;
        if self.reads_on() && !self.abandoned && taken < BATCH && has_stopped {
            return self.read_on(Watcher::Driver, cx);
        }
        None
    }

    /// Called when the driver has read all that it may. Wakes `recv` if anything is kept, or if receiving has ended.
    pub(crate) fn end_parking(&mut self) {
        if self.kept.is_some() {
            self.wake();
        }
        // For a boxed stream, `is_drained` holds for one poll of the handler only: the stream must be read to know.
        self.is_drained &= self.stream.as_ref().is_some_and(ReadHalf::knows_when_ready);
        self.input.compact();
    }

    /// How many more bytes of an unfinished message the driver may read.
    fn room(&self) -> usize {
        if self.abandoned {
            return PARKED;
        }
        let most = if self.decoder.is_extended() { PARKED_EXTENDED } else { PARKED };
        let is_ready_known = self.stream.as_ref().is_none_or(ReadHalf::knows_when_ready);
        let most = if is_ready_known { most } else { most - GLIMPSE };
        most.saturating_sub(self.decoder.held())
    }

    /// Keeps a message that no task received, if the application needs it. A Ping was answered, and is not needed; of Pongs,
    /// the latest is enough.
    pub(crate) fn keep(&mut self, message: Message) {
        match message {
            _ if self.abandoned => {}
            Message::Pong(payload) => self.kept.get_or_insert_default().pong = Some(payload),
            message if message.is_data() => self.kept.get_or_insert_default().parked = Some(message),
            _ => {}
        }
    }

    /// Checks whether there is data that only the application may read, and then wakes `recv`. This check tells a silent
    /// peer from an application that does not receive, even if a `recv` that waited for the stream was dropped. Returns the
    /// end of the stream, if the check finds it.
    fn watch_unread(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        let unread = match &self.stream {
            _ if !self.input.is_empty() => Poll::Ready(Ok(1)),
            Some(stream) if stream.knows_when_ready() => stream.poll_ready(cx, 1).map_ok(|()| 1),
            _ => self.poll_fill(cx, GLIMPSE),
        };
        match unread {
            Poll::Pending => self.watcher = Watcher::Driver,
            Poll::Ready(Ok(read)) if read > 0 => {
                self.watcher = Watcher::Nobody;
                self.wake();
            }
            Poll::Ready(end) => return Some(end_of_stream(end.err())),
        }
        None
    }

    /// Records that no task will receive any more. Returns the kept messages, which the caller drops without any lock.
    pub(crate) fn abandon(&mut self) -> Unwanted {
        self.abandoned = true;
        self.end_lease();
        self.drop_accepted();
        Unwanted { _pong: self.take_message(), _parked: self.take_message() }
    }

    /// From now on, data is dropped up to the peer's Close. Returns whether that Close can still come.
    pub(crate) fn discard(&mut self) -> bool {
        if self.is_overrun() { self.may_close_behind() } else { self.decoder.discard() }
    }

    /// Reads and drops data. Ready with the peer's Close, or with `None` at the end of the stream.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<Option<Option<CloseFrame>>> {
        if self.is_overrun() {
            return self.poll_pass_over(cx);
        }
        for _ in 0..BATCH {
            match self.input.decode(&mut self.decoder) {
                Ok(Some(Message::Close(frame))) => return Poll::Ready(Some(frame)),
                Ok(Some(_)) => continue,
                // Errors in dropped data do not matter: our Close is already queued.
                Ok(None) | Err(_) => {}
            }
            match ready!(self.poll_fill(cx, Buffer::SIZE)) {
                // The end of the stream and its failure are the same here.
                Ok(0) | Err(_) => return Poll::Ready(None),
                Ok(_) => {}
            }
        }
        wake_after_others(cx);
        Poll::Pending
    }
}

/// What was kept for an application that no longer receives. Must be dropped without any lock.
pub(crate) struct Unwanted {
    _pong: Option<Message>,
    _parked: Option<Message>,
}
