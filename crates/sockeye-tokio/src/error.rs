//! `Error`: why something could not be received or sent, sorted by who caused it.

use std::{error, fmt, io, sync::Arc, time::Duration};

use sockeye_proto::Violation;

use crate::stream::READ_AHEAD;

/// Why something could not be received or sent.
///
/// The type is opaque. Its methods answer these questions:
///
/// | question | who caused it |
/// |---|---|
/// | [`is_violation`](Self::is_violation), [`is_limit`](Self::is_limit) | the peer, with what it sent |
/// | [`is_abrupt`](Self::is_abrupt) | the peer or the network: the stream ended without a Close; or this program, with an `abort` |
/// | [`is_timeout`](Self::is_timeout) | the peer, which missed a deadline; or a `Shutdown`, which aborted the connection |
/// | [`is_invalid`](Self::is_invalid) | this program, with a message that cannot be sent |
/// | [`is_closed`](Self::is_closed) | nobody: the connection is closed |
/// | [`is_io`](Self::is_io) | the stream; see [`source`](error::Error::source) |
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
// A pointer keeps the results of `recv` and `send` small. Every handler holds such results, and nearly all are `Ok`.
#[derive(Debug, Clone)]
pub struct Error(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    Peer(sockeye_proto::Error),
    Invalid(Violation),
    #[cfg(feature = "json")]
    Encode(serde_json::Error),
    Abrupt,
    Timeout(&'static str, Option<Duration>),
    Closed,
    Unread(usize),
    Early(usize),
    Io(io::Error),
}

impl Error {
    /// Whether the peer broke a rule of the protocol. The peer has been sent a Close that says so.
    pub fn is_violation(&self) -> bool {
        matches!(*self.0, Kind::Peer(sockeye_proto::Error::Violation(_)))
    }

    /// Whether the peer exceeded a limit: of [`Config`](crate::Config), of [`Unread`](crate::Unread), or of the bytes
    /// [before the answer](crate::Stream::with_read_ahead) to the opening handshake. The peer has been sent a Close that
    /// says so.
    pub fn is_limit(&self) -> bool {
        matches!(*self.0, Kind::Peer(sockeye_proto::Error::Limit { .. }) | Kind::Unread(_) | Kind::Early(_))
    }

    /// Whether a deadline of [`Timeouts`](crate::Timeouts) or of a [`Shutdown`](crate::Shutdown) passed.
    pub fn is_timeout(&self) -> bool {
        matches!(*self.0, Kind::Timeout(..))
    }

    /// Whether the connection ended without a Close: the peer's program or network is gone, or this program
    /// [aborted](crate::WebSocket::abort) the connection or dropped the future that served it.
    pub fn is_abrupt(&self) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match &*self.0 {
            Kind::Abrupt => true,
            Kind::Io(io) => matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof),
            _ => false,
        }
    }

    /// Whether a Close of either end has closed the connection, so that nothing can be sent any more. If the connection
    /// ended in any other way, this is false; [`Sender::is_closed`](crate::Sender::is_closed) says whether sending is over
    /// for any reason.
    pub fn is_closed(&self) -> bool {
        matches!(*self.0, Kind::Closed)
    }

    /// Whether the message cannot be sent at all: a Ping or Pong of more than 125 bytes, a close code that the RFC does not
    /// allow, or a value that has no JSON. The connection is unchanged.
    pub fn is_invalid(&self) -> bool {
        match *self.0 {
            Kind::Invalid(_) => true,
            #[cfg(feature = "json")]
            Kind::Encode(_) => true,
            _ => false,
        }
    }

    /// Whether the stream failed; [`source`](error::Error::source) says how. For a reset, [`is_abrupt`](Self::is_abrupt) is
    /// true as well.
    pub fn is_io(&self) -> bool {
        matches!(*self.0, Kind::Io(_))
    }

    /// The rule that the peer broke, or that the message to send would break.
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

    /// A value has no JSON.
    #[cfg(feature = "json")]
    pub(crate) fn encode(error: serde_json::Error) -> Self {
        Self(Arc::new(Kind::Encode(error)))
    }

    pub(crate) fn abrupt() -> Self {
        Self(Arc::new(Kind::Abrupt))
    }

    /// A deadline has passed. `what` says what was missed, and `within` how long it could have taken.
    pub(crate) fn timeout(what: &'static str, within: impl Into<Option<Duration>>) -> Self {
        Self(Arc::new(Kind::Timeout(what, within.into())))
    }

    pub(crate) fn closed() -> Self {
        Self(Arc::new(Kind::Closed))
    }

    /// The handler left more than `max` bytes unread.
    pub(crate) fn unread(max: usize) -> Self {
        Self(Arc::new(Kind::Unread(max)))
    }

    /// `count` bytes came before the answer to the opening handshake.
    pub(crate) fn early(count: usize) -> Self {
        Self(Arc::new(Kind::Early(count)))
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
            Kind::Invalid(violation) => write!(f, "the message cannot be sent: {violation}"),
            #[cfg(feature = "json")]
            Kind::Encode(error) => write!(f, "the value cannot be sent as JSON: {error}"),
            Kind::Abrupt => f.write_str("the connection ended without a Close"),
            Kind::Timeout(what, None) => write!(f, "the connection timed out: {what}"),
            Kind::Timeout(what, Some(within)) => write!(f, "the connection timed out: {what} within {within:?}"),
            Kind::Closed => f.write_str("the connection is closed"),
            Kind::Unread(max) => write!(
                f,
                "the connection was closed with 1013: the peer went on, and {max} bytes waited to be received, as many as \
                 `unread` allows"
            ),
            Kind::Early(count) => write!(
                f,
                "the peer sent {count} bytes before the answer to its opening handshake: at most {READ_AHEAD} are kept"
            ),
            Kind::Io(error) => write!(f, "the stream failed: {error}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &*self.0 {
            Kind::Peer(error) => Some(error),
            Kind::Invalid(violation) => Some(violation),
            #[cfg(feature = "json")]
            Kind::Encode(error) => Some(error),
            Kind::Io(error) => Some(error),
            Kind::Abrupt | Kind::Timeout(..) | Kind::Closed | Kind::Unread(_) | Kind::Early(_) => None,
        }
    }
}

#[cfg(feature = "axum-core")]
impl From<Error> for axum_core::Error {
    fn from(error: Error) -> Self {
        Self::new(error)
    }
}
