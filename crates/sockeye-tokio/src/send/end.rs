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
    /// Closes the connection of a peer that reads too slowly: drops the queue, so that the Close is next.
    pub(crate) fn disconnect(&mut self, code: CloseCode) -> Result<(), Error> {
        let close = CloseReason::SlowReader(code).frame();
        self.check(&Message::Close(Some(close.clone())).into())?;
        let dropped = self.encoder.drop_oldest(usize::MAX).messages;
        self.count_dropped(dropped);
        let closed = self.encode(Message::Close(Some(close)).into());
        self.report_queued();
        closed
    }

    /// Why nothing can be sent any more.
    pub(crate) fn reason(&self) -> Error {
        self.rare.as_ref().and_then(|rare| rare.error.clone()).unwrap_or_else(Error::closed)
    }

    /// Who has ended the connection.
    pub(crate) fn how_ended(&self) -> Option<Ended> {
        self.rare.as_ref().and_then(|rare| rare.ended)
    }

    /// The connection ends. The first record counts.
    pub(super) fn record_end(&mut self, by: By, code: Option<CloseCode>) {
        self.rare.get_or_insert_default().ended.get_or_insert(Ended { by, code });
    }

    /// The connection ends with a Close that the encoder queues, unless it has ended before.
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

    /// Fails the connection for a fault of the peer, unless it has failed before. The peer gets `reason`, the application
    /// `error`.
    pub(crate) fn fail(&mut self, error: Error, reason: &CloseReason) {
        self.rare.get_or_insert_default().error.get_or_insert(error);
        let (code, text) = (reason.code(), reason.text());
        self.record_answer(By::Local, Some(code), text.len());
        self.encoder.fail(code, &text);
        self.wake_all();
    }

    /// The stream has ended or failed. Returns the first such error.
    pub(crate) fn stream_failed(&mut self, error: Error) -> Error {
        let before = self.encoder.closing();
        self.encoder.ended();
        self.record_stream_end(before, error)
    }

    /// The peer has ended its direction of the stream; ours goes on until the queue is written. Returns the first error.
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
                self.rare.get_or_insert_default().error.get_or_insert(error).clone()
            }
            // A later error is not recorded.
            Closing::Closed | Closing::Failed => error,
        }
    }

    /// The connection is over.
    pub(crate) fn detach_stream(&mut self) -> Option<WriteHalf> {
        self.encoder.ended();
        self.wake_all();
        self.report_queued();
        if let Some(rare) = &mut self.rare {
            // Unread data counts until it is received.
            rare.account.take_if(|account| account.unread() == 0);
        }
        self.stream.take()
    }
}
