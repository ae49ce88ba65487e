//! The short path of small messages, on connections about which nothing is unusual.

use sockeye_proto::{Data, Encoder, Outgoing};

use super::{Send, plain, take};
use crate::{
    Error,
    telemetry::{metrics, stats::Kind},
};

impl Send {
    /// Whether [`encode_plain`](Self::encode_plain) may be called: there is capacity, no unit of the cooperative budget is due, and
    /// nothing about the connection is unusual. So no task has ever waited, and nothing is counted.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        !self.owes() && self.rare.is_none() && self.is_below()
    }

    /// Like [`encode`](Self::encode), for a message that is written when the handler's poll ends: a small message uses a
    /// pooled buffer, which is soon back in the pool. Control frames, large payloads and refused messages use no pooled
    /// buffer.
    ///
    /// Takes the payload out of the message, or the whole message.
    #[inline(always)]
    pub(crate) fn encode_soon_written(&mut self, message: &mut Outgoing) -> Result<(), Error> {
        if self.rare.is_none() && self.encode_plain(message) { Ok(()) } else { self.encode_pooled(take(message)) }
    }

    /// As [`encode_soon_written`](Self::encode_soon_written), for a small message, on a connection that is
    /// [plain](Self::is_plain). Takes the payload out of the message. If the message is not small, or cannot be queued, does
    /// nothing and returns `false`.
    #[inline(always)]
    pub(crate) fn encode_plain(&mut self, message: &mut Outgoing) -> bool {
        let metered = if metrics::IS_ON { plain(message) } else { None };
        let Some(length) = self.encoder.push_small(message) else { return false };
        // The frame of a small message is shorter than `u16::MAX` bytes.
        self.charge(length as u16);
        if let Some((kind, payload)) = metered {
            metrics::sent(kind, payload);
        }
        true
    }

    /// As [`encode_soon_written`](Self::encode_soon_written), for a small message that the caller keeps. Does nothing and returns
    /// `false` if the message is not small, if it cannot be queued now, or if anything about the connection is unusual.
    #[inline(always)]
    pub(crate) fn copies(&mut self, data: Data<'_>) -> bool {
        let before = self.encoder.buffered();
        if !self.is_plain() || !self.encoder.push_copy(data) {
            return false;
        }
        self.charge((self.encoder.buffered() - before) as u16);
        if metrics::IS_ON {
            metrics::sent(if data.is_text() { Kind::Text } else { Kind::Binary }, data.payload().len());
        }
        true
    }

    #[cold]
    #[inline(never)]
    fn encode_pooled(&mut self, message: Outgoing) -> Result<(), Error> {
        if plain(&message).is_some_and(|(_, payload)| payload <= Encoder::COPIED) && self.encoder.closing().may_send() {
            self.encoder.use_pooled_buffer();
        }
        self.encode_recorded(message)
    }
}
