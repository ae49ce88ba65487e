//! `Ended`: how a connection has ended, and what it has done until then.

use std::{fmt, time::Duration};

use sockeye_proto::{CloseCode, CloseFrame, close_code};

use super::stats::{ClosedBy, Kind};
use crate::Error;

/// How a connection has ended: what [`serve`](crate::serve) and [`Connection::serve`](crate::Connection::serve) return.
///
/// The first thing that ended the connection counts. If both ends sent a Close, it is the Close that was first.
///
/// | [`by`](Self::by) | [`code`](Self::code) | [`is_abrupt`](Self::is_abrupt) | meaning |
/// |---|---|---|---|
/// | `Peer` | `Some(1000)` | no | the peer closed with 1000 |
/// | `Peer` | `None` | no | the peer closed without a code, which programs report as 1005 |
/// | `Stream` | `None` | yes | the stream ended without a Close, which programs report as 1006 |
/// | `Deadline` | `Some(1008)` | no | the peer missed a deadline, and was told so |
/// | `Deadline` | `None` | yes | the peer missed a deadline, and was not reached any more |
///
/// ```
/// use sockeye_tokio::{Connection, EndedBy, Role, Stream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let (near, far) = tokio::io::duplex(1024);
/// # tokio::spawn(Connection::new(Stream::boxed(far), Role::Client).serve(|mut socket| async move {
/// #     socket.close_with(4000, "that was all").await.unwrap();
/// # }));
/// let connection = Connection::new(Stream::boxed(near), Role::Server).counted();
/// let ended = connection.serve(|mut socket| async move { while let Some(Ok(_)) = socket.recv().await {} }).await;
/// assert_eq!((ended.by(), ended.code(), ended.reason()), (EndedBy::Peer, Some(4000), "that was all"));
/// assert_eq!(ended.counts().unwrap().received.messages, 0);
/// # }
/// ```
// A pointer, since the memory of a task has space for what its future returns.
#[derive(Clone)]
pub struct Ended(Box<Record>);

#[derive(Debug, Clone)]
struct Record {
    by: EndedBy,
    /// The first Close and its code. `None` without a Close.
    close: Option<Option<CloseCode>>,
    /// The reason in the first Close, at most [`CloseFrame::MAX_REASON`] bytes.
    reason: String,
    is_clean: bool,
    error: Option<Error>,
    dropped: u64,
    counts: Option<Counts>,
}

/// Who has ended a connection, or why it was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndedBy {
    /// This program: its handler closed or [aborted](crate::WebSocket::abort) the connection, dropped the socket, or panicked.
    Local,
    /// The peer, with a Close.
    Peer,
    /// A deadline of [`Timeouts`](crate::Timeouts), `idle` and `max_age` included.
    Deadline,
    /// The peer broke a rule of the protocol or exceeded a limit. [`Ended::error`] tells which.
    Violation,
    /// The queue of a slow peer was full, and the [`Overflow`](crate::Overflow) of the connection closed it.
    Overflow,
    /// A [`Budget`](crate::Budget) that was used up.
    Budget,
    /// A [`Shutdown`](crate::Shutdown): its Close 1001, or the abort at its deadline.
    Shutdown,
    /// The stream ended or failed without a Close.
    Stream,
}

/// What a connection has done, if it was [counted](crate::Connection::counted).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// What the peer has sent, and this connection has read.
    pub received: Tally,
    /// What was queued for the peer. A message that was queued and then [dropped](Ended::dropped) is counted here too.
    pub sent: Tally,
    /// How long the connection was open, from the first poll of its handler to its end.
    pub duration: Duration,
}

/// Messages in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Text and binary messages.
    pub messages: u64,
    /// The bytes of their payloads, before compression and without the headers of frames.
    pub bytes: u64,
    /// Pings, those of the keep-alive included.
    pub pings: u64,
    /// Pongs, those for the Pings of the keep-alive included.
    pub pongs: u64,
}

impl Ended {
    /// A Close was the first to end the connection.
    pub(crate) fn closed(by: EndedBy, frame: Option<&CloseFrame>) -> Self {
        let reason = frame.map(|frame| frame.sent_reason().to_owned()).unwrap_or_default();
        Self::new(by, Some(frame.map(|frame| frame.code)), reason)
    }

    /// The connection ended without a Close.
    pub(crate) fn abrupt(by: EndedBy) -> Self {
        Self::new(by, None, String::new())
    }

    fn new(by: EndedBy, close: Option<Option<CloseCode>>, reason: String) -> Self {
        Self(Box::new(Record { by, close, reason, is_clean: false, error: None, dropped: 0, counts: None }))
    }

    /// Who has ended the connection, or why it was ended.
    pub fn by(&self) -> EndedBy {
        self.0.by
    }

    /// The code in the first Close ([RFC 6455 §7.1.5]). `None` if that Close had no code, or if there was no Close:
    /// [`is_abrupt`](Self::is_abrupt) tells these apart.
    ///
    /// [RFC 6455 §7.1.5]: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
    pub fn code(&self) -> Option<CloseCode> {
        self.0.close.flatten()
    }

    /// The reason in the first Close ([RFC 6455 §7.1.6]), as it was on the wire: at most 123 bytes. Empty if the Close had
    /// none, or if there was no Close. If the peer has closed, the peer has written this text: escape it before you log it.
    ///
    /// [RFC 6455 §7.1.6]: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.6
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Whether the connection ended without a Close of either end, which programs report as 1006.
    pub fn is_abrupt(&self) -> bool {
        self.0.close.is_none()
    }

    /// Whether the close handshake was completed: both ends have sent a Close, and ours was written. The `wasClean` of browsers
    /// ([RFC 6455 §7.1.4]).
    ///
    /// [RFC 6455 §7.1.4]: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.4
    pub fn is_clean(&self) -> bool {
        self.0.is_clean
    }

    /// The error that has ended the connection: what the peer did wrong, which deadline passed, or how the stream failed.
    /// `None` if only a Close has ended it.
    pub fn error(&self) -> Option<&Error> {
        self.0.error.as_ref()
    }

    /// How many messages were dropped unsent; see [`Sender::dropped`](crate::Sender::dropped). Always counted.
    pub fn dropped(&self) -> u64 {
        self.0.dropped
    }

    /// What the connection has done. `None` if it was not [counted](crate::Connection::counted), nor its span filled in.
    pub fn counts(&self) -> Option<&Counts> {
        self.0.counts.as_ref()
    }

    /// Says more exactly who has ended the connection.
    pub(crate) fn attribute(&mut self, by: EndedBy) {
        self.0.by = by;
    }

    /// Adds what is known only at the end.
    pub(crate) fn complete(&mut self, is_clean: bool, error: Option<Error>, dropped: u64, counts: Option<Counts>) {
        let record = &mut *self.0;
        (record.is_clean, record.error, record.dropped, record.counts) = (is_clean, error, dropped, counts);
    }

    /// Whose Close was first, for the span and the metrics.
    pub(crate) fn closed_by(&self) -> ClosedBy {
        match (self.0.close, self.0.by) {
            (None, _) => ClosedBy::Nobody,
            (Some(_), EndedBy::Peer) => ClosedBy::Peer,
            (Some(_), _) => ClosedBy::Local,
        }
    }

    /// The code for the span and the metrics. RFC 6455 §7.1.5: without a Close frame "_The WebSocket Connection Close Code_ is
    /// considered to be 1006", and with one that has no code 1005.
    pub(crate) fn status(&self) -> CloseCode {
        match self.0.close {
            None => close_code::ABNORMAL,
            Some(code) => code.unwrap_or(close_code::STATUS),
        }
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended")
            .field("by", &self.0.by)
            .field("code", &self.code())
            .field("reason", &self.0.reason)
            .field("is_abrupt", &self.is_abrupt())
            .field("is_clean", &self.0.is_clean)
            .field("error", &self.0.error)
            .field("dropped", &self.0.dropped)
            .field("counts", &self.0.counts)
            .finish()
    }
}

impl Tally {
    /// Counts a message with a payload of this many bytes.
    pub(crate) fn count(&mut self, kind: Kind, bytes: usize) {
        match kind {
            Kind::Text | Kind::Binary => {
                self.messages += 1;
                self.bytes += bytes as u64;
            }
            Kind::Ping => self.pings += 1,
            Kind::Pong => self.pongs += 1,
            Kind::Close => {}
        }
    }
}
