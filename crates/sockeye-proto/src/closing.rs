//! The close handshake (RFC 6455 §5.5.1 and §7.1) as a table.

/// How far the close handshake of a connection has come.
///
/// An answer is queued in the same step as the peer's Close is received, so there is no state in between.
///
/// ```
/// use sockeye_proto::{Closing, ClosingAction, ClosingEvent};
///
/// let (state, action) = Closing::Open.on(ClosingEvent::PeerClose);
/// assert_eq!((state, action), (Closing::Closed, ClosingAction::Reply));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Closing {
    /// Neither end has said Close.
    #[default]
    Open,
    /// Our Close is queued or sent, the peer's has not been received.
    Sent,
    /// Both ends have said Close.
    Closed,
    /// The peer broke the protocol or a limit: nothing that it sends counts any more.
    Failed,
    /// The stream ended before the peer said Close.
    Ended,
}

/// What happens to a connection, as far as its close handshake is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClosingEvent {
    /// The application, or the runtime in its name, wants to close.
    LocalClose,
    /// A Close of the peer was received.
    PeerClose,
    /// The peer broke the protocol or a limit.
    Violation,
    /// The stream ended or failed.
    End,
}

/// What has to be done about a [`ClosingEvent`].
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
    /// The next state and what to do.
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
            // One Close was sent already, and RFC 6455 §5.5.1 lets nothing follow it.
            (Self::Sent, Violation) => (Self::Failed, Nothing),
            (Self::Closed | Self::Failed | Self::Ended, _) => (self, Nothing),
        }
    }

    /// Whether data may still be sent. RFC 6455 §5.5.1: "The application MUST NOT send any more data frames after sending
    /// a Close frame."
    #[must_use]
    pub const fn may_send(self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether anything that the peer sends still counts.
    #[must_use]
    pub const fn may_receive(self) -> bool {
        matches!(self, Self::Open | Self::Sent)
    }
}
