//! `Error`: why a connection does not do what it was asked to, sorted by whose doing it was.

use std::{error, fmt, io, sync::Arc, time::Duration};

use sockeye_proto::Violation;

/// Why something could not be received or sent.
///
/// It is opaque; ask it what you need to know:
///
/// | question | who caused it |
/// |---|---|
/// | [`is_violation`](Self::is_violation), [`is_limit`](Self::is_limit) | the peer, with what it sent |
/// | [`is_abrupt`](Self::is_abrupt) | the peer or the network: it vanished without a Close |
/// | [`is_timeout`](Self::is_timeout) | the peer, with what it did not do in time; or a `Shutdown`, which cut the connection |
/// | [`is_invalid`](Self::is_invalid) | this program, with a message that may not be sent |
/// | [`is_closed`](Self::is_closed) | nobody: the connection is closed |
/// | [`is_io`](Self::is_io) | the stream, see [`source`](error::Error::source) |
///
/// ```
/// use sockeye_tokio::WebSocket;
///
/// async fn handler(mut socket: WebSocket) {
///     while let Some(received) = socket.recv().await {
///         match received {
///             Ok(message) => println!("{} bytes", message.len()),
///             Err(error) if error.is_abrupt() || error.is_timeout() => println!("the client is gone"),
///             Err(error) => println!("{error}"),
///         }
///     }
/// }
/// ```
// A pointer: it is half of what every `recv` and `send` returns, and of what every handler keeps, and nearly always the other
// half.
#[derive(Debug, Clone)]
pub struct Error(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Peer(sockeye_proto::Error),
    Invalid(Violation),
    Abrupt,
    Timeout(&'static str, Option<Duration>),
    Closed,
    Io(io::Error),
}

impl Error {
    /// Whether the peer broke a rule of the protocol. It has been answered with a Close that says so.
    pub fn is_violation(&self) -> bool {
        matches!(*self.0, Kind::Peer(sockeye_proto::Error::Violation(_)))
    }

    /// Whether the peer went past a limit of the [`Config`](crate::Config). It has been answered with a Close that says
    /// so.
    pub fn is_limit(&self) -> bool {
        matches!(*self.0, Kind::Peer(sockeye_proto::Error::Limit { .. }))
    }

    /// Whether a deadline passed, of [`Timeouts`](crate::Timeouts) or of a [`Shutdown`](crate::Shutdown).
    pub fn is_timeout(&self) -> bool {
        matches!(*self.0, Kind::Timeout(..))
    }

    /// Whether the connection ended without a Close: the peer's program or network is gone.
    pub fn is_abrupt(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match &*self.0 {
            Kind::Abrupt => true,
            Kind::Io(io) => matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof),
            _ => false,
        }
    }

    /// Whether the connection was closed by a Close of either end, so that nothing can be sent any more. One that has ended for
    /// another reason is none of these; whether sending is over at all says [`Sender::is_closed`](crate::Sender::is_closed).
    pub fn is_closed(&self) -> bool {
        matches!(*self.0, Kind::Closed)
    }

    /// Whether the message may not be sent at all: a control frame of more than 125 bytes, a close code or reason that
    /// the RFC does not allow. The connection is as it was.
    pub fn is_invalid(&self) -> bool {
        matches!(*self.0, Kind::Invalid(_))
    }

    /// Whether the stream failed; the [`source`](error::Error::source) says how. A reset is both this and
    /// [`is_abrupt`](Self::is_abrupt).
    pub fn is_io(&self) -> bool {
        matches!(*self.0, Kind::Io(_))
    }

    /// The rule that the peer broke, or that a message to be sent would break.
    pub fn violation(&self) -> Option<Violation> {
        match *self.0 {
            Kind::Peer(sockeye_proto::Error::Violation(violation)) | Kind::Invalid(violation) => Some(violation),
            _ => None,
        }
    }

    pub(crate) fn peer(error: sockeye_proto::Error) -> Self {
        Self(Arc::new(Kind::Peer(error)))
    }

    pub(crate) fn invalid(violation: Violation) -> Self {
        Self(Arc::new(Kind::Invalid(violation)))
    }

    pub(crate) fn abrupt() -> Self {
        Self(Arc::new(Kind::Abrupt))
    }

    /// `what` was not done `within` some time.
    pub(crate) fn timeout(what: &'static str, within: impl Into<Option<Duration>>) -> Self {
        Self(Arc::new(Kind::Timeout(what, within.into())))
    }

    pub(crate) fn closed() -> Self {
        Self(Arc::new(Kind::Closed))
    }

    pub(crate) fn io(error: io::Error) -> Self {
        Self(Arc::new(Kind::Io(error)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Peer(error @ sockeye_proto::Error::Violation(_)) => write!(f, "the peer broke the protocol: {error}"),
            Kind::Peer(error) => write!(f, "the peer went past a limit: {error}"),
            Kind::Invalid(violation) => write!(f, "the message may not be sent: {violation}"),
            Kind::Abrupt => f.write_str("the connection ended without a Close"),
            Kind::Timeout(what, None) => write!(f, "the connection timed out: {what}"),
            Kind::Timeout(what, Some(within)) => write!(f, "the connection timed out: {what} within {within:?}"),
            Kind::Closed => f.write_str("the connection is closed"),
            Kind::Io(error) => write!(f, "the stream failed: {error}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &*self.0 {
            Kind::Peer(error) => Some(error),
            Kind::Invalid(violation) => Some(violation),
            Kind::Io(error) => Some(error),
            Kind::Abrupt | Kind::Timeout(..) | Kind::Closed => None,
        }
    }
}

#[cfg(feature = "axum-core")]
impl From<Error> for axum_core::Error {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}
