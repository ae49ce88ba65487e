//! How sending ends: by a Close of either end, a failure, or the end of the stream.

use sockeye_proto::{CloseCode, CloseFrame, Closing, Message};

use super::Send;
use crate::{
    Error,
    close_reason::CloseReason,
    stream::WriteHalf,
    telemetry::{
        metrics,
        stats::{By, Ended, Kind},
    },
};

impl Send {
    /// Closes the connection of a peer that reads too slowly, with `code`: drops the queue, so that the Close is next. A
    /// frame in progress is finished first. Fails, and drops nothing, if `code` is invalid or if nothing can be sent any
    /// more.
    pub(crate) fn disconnect(&mut self, code: CloseCode) -> Result<(), Error> {
        let close = CloseReason::SlowReader(code).frame();
        self.check(&Message::Close(Some(close.clone())).into())?;
        let dropped = self.encoder.drop_oldest(usize::MAX).messages;
        self.release_payloads();
        self.count_dropped(dropped);
        let closed = self.encode(Message::Close(Some(close)).into());
        self.report_queued();
        closed
    }

    /// The error for a `send` after the end of sending: the first recorded error, or [`Error::closed`] if only a Close has
    /// ended sending.
    pub(crate) fn reason(&self) -> Error {
        self.rare.as_ref().and_then(|rare| rare.error.clone()).unwrap_or_else(Error::closed)
    }

    /// Who has ended the connection, and with which code. `None` while the connection is open.
    pub(crate) fn how_ended(&self) -> Option<Ended> {
        self.rare.as_ref().and_then(|rare| rare.ended)
    }

    /// Records who has ended the connection. Only the first record counts.
    pub(super) fn record_end(&mut self, by: By, code: Option<CloseCode>) {
        self.rare.get_or_insert_default().ended.get_or_insert(Ended { by, code });
    }

    /// Records an end for which the encoder is about to queue a Close. If sending has already ended, the encoder queues
    /// none, and no Close is counted.
    fn record_answer(&mut self, by: By, code: Option<CloseCode>, reason: usize) {
        if self.encoder.closing().may_send() {
            metrics::sent(Kind::Close, code.map_or(0, |_| reason + 2));
        }
        self.record_end(by, code);
    }

    pub(crate) fn peer_closed(&mut self, frame: Option<&CloseFrame>) {
        self.record_answer(By::Peer, frame.map(|frame| frame.code), frame.map_or(0, |frame| frame.reason.len()));
        self.encoder.peer_closed(frame);
        self.wake_all();
    }

    /// Fails the connection for a fault of the peer. The peer gets a Close with `reason`, unless sending has already ended.
    /// The application gets `error`, unless an earlier error is recorded.
    pub(crate) fn fail(&mut self, error: Error, reason: &CloseReason) {
        self.rare.get_or_insert_default().error.get_or_insert(error);
        let (code, text) = (reason.code(), reason.text());
        self.record_answer(By::Local, Some(code), text.len());
        self.encoder.fail(code, &text);
        self.wake_all();
    }

    /// Records that the stream has ended or failed, and drops the queue. Returns the first recorded error. After both Closes
    /// or after a failure, returns `error` and records no error.
    pub(crate) fn stream_failed(&mut self, error: Error) -> Error {
        let before = self.encoder.closing();
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
        self.record_end(By::Nobody, None);
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
