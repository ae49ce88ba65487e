//! The close handshake (RFC 6455 §5.5.1 and §7.1) as a table.

/// How far the close handshake of a connection has come.
///
/// The peer's Close is answered in the same step in which it is received, so there is no state for a Close that is not
/// answered yet.
///
/// ```
/// use sockeye_proto::{Closing, ClosingAction, ClosingEvent};
///
/// let (state, action) = Closing::Open.on(ClosingEvent::PeerClose);
/// assert_eq!((state, action), (Closing::Closed, ClosingAction::Reply));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Closing {
    /// Neither end has sent a Close.
    #[default]
    Open,
    /// Our Close is queued or sent. The peer's Close has not been received.
    Sent,
    /// The peer's Close has been received, and our Close is queued or sent.
    Closed,
    /// The peer broke the protocol or a limit. Nothing that the peer sends changes this state.
    Failed,
    /// The stream ended or failed before the peer's Close was received.
    Ended,
}

/// An event that concerns the close handshake of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClosingEvent {
    /// The application, or the runtime on its behalf, wants to close.
    LocalClose,
    /// The peer's Close was received.
    PeerClose,
    /// The peer broke the protocol or a limit.
    Violation,
    /// The stream ended or failed.
    End,
}

/// What to do about a [`ClosingEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClosingAction {
    /// Queue a Close of our own.
    Send,
    /// Queue the answer to the peer's Close.
    Reply,
    /// Queue nothing.
    Nothing,
}

impl Closing {
    /// The next state, and what to do.
    #[must_use]
    pub const fn on(self, event: ClosingEvent) -> (Self, ClosingAction) {
        use ClosingAction::{Nothing, Reply, Send};
        use ClosingEvent::{End, LocalClose, PeerClose, Violation};
        match (self, event) {
            (Self::Open, LocalClose) => (Self::Sent, Send),
            // RFC 6455 §5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame, the
            // endpoint MUST send a Close frame in response."
            (Self::Open, PeerClose) => (Self::Closed, Reply),
            // RFC 6455 §7.1.7: an endpoint that fails the connection "SHOULD send a Close frame with an appropriate
            // status code".
            (Self::Open, Violation) => (Self::Failed, Send),
            (Self::Open | Self::Sent, End) => (Self::Ended, Nothing),
            (Self::Sent, LocalClose) => (Self::Sent, Nothing),
            (Self::Sent, PeerClose) => (Self::Closed, Nothing),
            // Our Close was queued or sent already, and RFC 6455 §5.5.1 lets no frame follow it.
            (Self::Sent, Violation) => (Self::Failed, Nothing),
            (Self::Closed | Self::Failed | Self::Ended, _) => (self, Nothing),
        }
    }

    /// Whether messages, Pings and Pongs may still be queued. RFC 6455 §5.5.1: "The application MUST NOT send any more data
    /// frames after sending a Close frame."
    #[must_use]
    pub const fn may_send(self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether frames from the peer still have an effect: neither the peer's Close nor the end of the stream was received,
    /// and the peer broke no rule.
    #[must_use]
    pub const fn may_receive(self) -> bool {
        matches!(self, Self::Open | Self::Sent)
    }
}
