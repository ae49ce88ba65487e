//! How sending ends: by a Close of either end, for a fault, or with the stream.

use sockeye_proto::{CloseCode, CloseFrame, Closing, Message, close_code};

use super::Send;
use crate::{
    Error,
    journal::{By, Ended, Kind},
    metering,
    stream::WriteHalf,
};

impl Send {
    /// Closes the connection of a peer that is too slow: drops what is queued, so that the Close is next.
    pub(crate) fn disconnect(&mut self, code: CloseCode) -> Result<(), Error> {
        let close = CloseFrame::new(code, "more is sent than is read");
        self.check(&Message::Close(Some(close.clone())).into())?;
        let dropped = self.encoder.drop_oldest(usize::MAX).messages;
        self.count_dropped(dropped);
        let closed = self.encode(Message::Close(Some(close)).into());
        self.account();
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

    /// The connection ends. What comes first counts.
    pub(super) fn note_end(&mut self, by: By, code: Option<CloseCode>) {
        self.rare.get_or_insert_default().ended.get_or_insert(Ended { by, code });
    }

    /// The connection ends with a Close that is queued by the encoder, unless it has ended before.
    fn note_answer(&mut self, by: By, code: Option<CloseCode>, reason: usize) {
        if self.encoder.closing().may_send() {
            metering::sent(Kind::Close, code.map_or(0, |_| reason + 2));
        }
        self.note_end(by, code);
    }

    pub(crate) fn peer_closed(&mut self, frame: Option<&CloseFrame>) {
        self.note_answer(By::Peer, frame.map(|frame| frame.code), 0);
        self.encoder.peer_closed(frame);
        self.wake_all();
    }

    /// The peer broke a rule or went past a limit, which is said to it.
    pub(crate) fn fail(&mut self, error: sockeye_proto::Error) {
        self.close_for(Error::peer(error), error.close_code(), &error.to_string());
    }

    /// The peer has not done something in time, which is said to it.
    pub(crate) fn time_out(&mut self, error: &Error) {
        self.close_for(error.clone(), close_code::POLICY, &error.to_string());
    }

    /// Closes for the peer's fault, unless something went wrong before.
    fn close_for(&mut self, error: Error, code: CloseCode, reason: &str) {
        self.rare.get_or_insert_default().error.get_or_insert(error);
        self.note_answer(By::Local, Some(code), reason.len());
        self.encoder.fail(code, reason);
        self.wake_all();
    }

    /// The stream has ended or failed. Returns the first such error.
    pub(crate) fn ended(&mut self, error: Error) -> Error {
        let before = self.encoder.closing();
        self.encoder.ended();
        self.over(before, error)
    }

    /// The peer has ended its direction of the stream; ours goes on until all is written that was queued. Returns the first
    /// error.
    pub(crate) fn peer_ended(&mut self) -> Error {
        let before = self.encoder.closing();
        self.encoder.peer_ended();
        self.over(before, Error::abrupt())
    }

    fn over(&mut self, before: Closing, error: Error) -> Error {
        self.note_end(By::Nobody, None);
        self.wake_all();
        match before {
            Closing::Open | Closing::Sent | Closing::Ended => {
                self.rare.get_or_insert_default().error.get_or_insert(error).clone()
            }
            // What went wrong after that is no news.
            Closing::Closed | Closing::Failed => error,
        }
    }

    /// The connection is over.
    pub(crate) fn end(&mut self) -> Option<WriteHalf> {
        self.encoder.ended();
        self.wake_all();
        self.account();
        if let Some(rare) = &mut self.rare {
            rare.account = None;
        }
        self.stream.take()
    }
}
