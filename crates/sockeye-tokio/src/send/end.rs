//! How sending ends: by a Close of either end, a failure, or the end of the stream.

use sockeye_proto::{CloseCode, CloseFrame, Closing, Message};

use super::Send;
use crate::{
    Error,
    close_reason::CloseReason,
    stream::WriteHalf,
    telemetry::{
        ended::{Counts, Ended, EndedBy},
        metrics,
        stats::Kind,
    },
};

impl Send {
    /// Closes the connection of a peer that reads too slowly, with `code`, because of `by`: drops the queue, so that the Close is next. A
    /// frame in progress is finished first. Fails, and drops nothing, if `code` is invalid or if nothing can be sent any
    /// more.
    pub(crate) fn disconnect(&mut self, code: CloseCode, by: EndedBy) -> Result<(), Error> {
        let close = CloseReason::SlowReader(code).frame();
        self.check(&Message::Close(Some(close.clone())).into())?;
        let dropped = self.encoder.drop_oldest(usize::MAX).messages;
        self.release_payloads();
        self.count_dropped(dropped);
        let closed = self.close(Message::Close(Some(close)), by);
        self.report_queued();
        closed
    }

    /// The error for a `send` after the end of sending: the first recorded error, or [`Error::closed`] if only a Close has
    /// ended sending.
    pub(crate) fn reason(&self) -> Error {
        self.rare.as_ref().and_then(|rare| rare.error.clone()).unwrap_or_else(Error::closed)
    }

    /// Queues a Close because of `by`. Fails, and queues nothing, if the code is invalid or if nothing can be sent any more.
    pub(crate) fn close(&mut self, close: Message, by: EndedBy) -> Result<(), Error> {
        self.encode(close.into())?;
        // Nothing has ended the connection before: otherwise no Close could have been queued.
        if let Some(ended) = self.rare.as_mut().and_then(|rare| rare.ended.as_mut()) {
            ended.attribute(by);
        }
        Ok(())
    }

    /// Records how the connection has ended. Only the first record counts.
    pub(crate) fn record_end(&mut self, ended: Ended) {
        self.rare.get_or_insert_default().ended.get_or_insert(ended);
    }

    /// Completes the record of how the connection has ended, once the stream is dropped.
    pub(crate) fn complete(&mut self, counts: Option<Counts>) -> &Ended {
        // The answer to the peer's Close may be lost with the stream.
        let is_written = self.encoder.is_written(self.encoder.queued());
        let is_clean = self.encoder.closing() == Closing::Closed && is_written;
        let rare = self.rare.get_or_insert_default();
        let ended = rare.ended.get_or_insert_with(|| Ended::abrupt(EndedBy::Stream));
        let error = rare.error.clone().filter(|error| !error.is_closed());
        ended.complete(is_clean, error, rare.dropped, counts);
        ended
    }

    /// Takes the record of how the connection has ended.
    pub(crate) fn take_ended(&mut self) -> Ended {
        let ended = self.rare.as_mut().and_then(|rare| rare.ended.take());
        ended.unwrap_or_else(|| Ended::abrupt(EndedBy::Stream))
    }

    /// Records an end for which the encoder is about to queue a Close. If sending has already ended, the encoder queues
    /// none, and no Close is counted.
    fn record_answer(&mut self, by: EndedBy, frame: Option<&CloseFrame>) {
        if self.encoder.closing().may_send() {
            metrics::sent(Kind::Close, frame.map_or(0, |frame| frame.reason.len() + 2));
        }
        self.record_end(Ended::closed(by, frame));
    }

    pub(crate) fn peer_closed(&mut self, frame: Option<&CloseFrame>) {
        self.record_answer(EndedBy::Peer, frame);
        self.encoder.peer_closed(frame);
        self.wake_all();
    }

    /// Fails the connection for a fault of the peer. The peer gets a Close with `reason`, unless sending has already ended.
    /// The application gets `error`, unless an earlier error is recorded.
    pub(crate) fn fail(&mut self, error: Error, reason: &CloseReason) {
        self.rare.get_or_insert_default().error.get_or_insert(error);
        let frame = reason.frame();
        self.record_answer(reason.by(), Some(&frame));
        self.encoder.fail(frame.code, &frame.reason);
        self.wake_all();
    }

    /// Records that the stream has ended or failed, and drops the queue. Returns the first recorded error. After both Closes
    /// or after a failure, returns `error` and records no error.
    pub(crate) fn stream_failed(&mut self, error: Error) -> Error {
        let before = self.encoder.closing();
        let lost = self.encoder.unwritten_messages();
        self.count_dropped(lost);
        self.encoder.ended();
        self.release_payloads();
        self.record_stream_end(before, error)
    }

    /// Records that the peer has ended its direction of the stream without a Close. The queue is still written. Returns an
    /// error as [`stream_failed`](Self::stream_failed) does.
    pub(crate) fn stream_ended(&mut self) -> Error {
        let before = self.encoder.closing();
        self.encoder.peer_ended();
        self.record_stream_end(before, Error::abrupt())
    }

    fn record_stream_end(&mut self, before: Closing, error: Error) -> Error {
        self.record_end(Ended::abrupt(EndedBy::Stream));
        self.wake_all();
        match before {
            Closing::Open | Closing::Sent | Closing::Ended => {
                let rare = self.rare.get_or_insert_default();
                let error = rare.found.take().map_or(error, Error::io);
                rare.error.get_or_insert(error).clone()
            }
            // Sending has ended for another reason, which stays recorded.
            Closing::Closed | Closing::Failed => error,
        }
    }

    /// Ends the connection: drops the queue and wakes all waiters. Returns the stream, which the caller drops without any
    /// lock.
    pub(crate) fn detach_stream(&mut self) -> Option<WriteHalf> {
        self.encoder.ended();
        self.release_payloads();
        self.wake_all();
        self.report_queued();
        if let Some(rare) = &mut self.rare {
            // Unread data counts against the budget until the data is received.
            rare.account.take_if(|account| account.unread() == 0);
        }
        self.stream.take()
    }
}
