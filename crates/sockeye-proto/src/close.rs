//! Close codes, the Close frame, and what of them may be on the wire.

use std::fmt;

use crate::{Violation, utf8};

/// A close code, see [`close_code`] for the registered ones ([RFC 6455 §7.4]).
///
/// A plain number, since applications define their own in 4000 to 4999.
///
/// [RFC 6455 §7.4]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4
pub type CloseCode = u16;

/// The registered close codes ([RFC 6455 §7.4.1] and the [IANA registry]).
///
/// [RFC 6455 §7.4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
/// [IANA registry]: https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
pub mod close_code {
    use super::CloseCode;

    /// The purpose of the connection has been fulfilled.
    pub const NORMAL: CloseCode = 1000;
    /// The endpoint goes away: a server shuts down, a browser leaves the page.
    pub const AWAY: CloseCode = 1001;
    /// The peer broke the protocol.
    pub const PROTOCOL: CloseCode = 1002;
    /// The peer sent a kind of data that the endpoint cannot accept.
    pub const UNSUPPORTED: CloseCode = 1003;
    /// No code was given. Never on the wire.
    pub const STATUS: CloseCode = 1005;
    /// The connection ended without a Close. Never on the wire.
    pub const ABNORMAL: CloseCode = 1006;
    /// The data is not what the type of the message says, such as a text that is not UTF-8.
    pub const INVALID: CloseCode = 1007;
    /// The message breaks a policy of the endpoint.
    pub const POLICY: CloseCode = 1008;
    /// The message is too big.
    pub const SIZE: CloseCode = 1009;
    /// The client expected an extension that the server did not negotiate.
    pub const EXTENSION: CloseCode = 1010;
    /// The server met an unexpected condition.
    pub const ERROR: CloseCode = 1011;
    /// The service restarts; the client may reconnect after a random delay.
    pub const RESTART: CloseCode = 1012;
    /// The server is overloaded; the client should connect elsewhere or later.
    pub const AGAIN: CloseCode = 1013;
    /// A gateway got an invalid response from its upstream.
    pub const BAD_GATEWAY: CloseCode = 1014;
    /// The TLS handshake failed. Never on the wire.
    pub const TLS: CloseCode = 1015;

    /// Whether a Close frame may carry this code: a registered one that is not reserved for local use, or one of 3000
    /// to 4999.
    ///
    /// ```
    /// use sockeye_proto::close_code;
    ///
    /// assert!(close_code::is_valid_on_wire(close_code::NORMAL));
    /// assert!(close_code::is_valid_on_wire(4321));
    /// assert!(!close_code::is_valid_on_wire(close_code::ABNORMAL));
    /// ```
    pub const fn is_valid_on_wire(code: CloseCode) -> bool {
        // RFC 6455 §7.4.1: 1005, 1006 and 1015 each "MUST NOT be set as a status code in a Close control frame", and 1004
        // is reserved; §7.4.2: 0-999 "are not used", 1016-2999 are for this protocol and undefined today.
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// The body of a Close: a code and a reason for humans ([RFC 6455 §5.5.1]).
///
/// ```
/// use sockeye_proto::{CloseFrame, close_code};
///
/// let frame = CloseFrame::new(close_code::POLICY, "no such room");
/// assert_eq!(frame.to_string(), "1008 (no such room)");
/// ```
///
/// [RFC 6455 §5.5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CloseFrame {
    /// Why the connection closes, for programs.
    pub code: CloseCode,
    /// Why the connection closes, for humans: at most 123 bytes, and possibly empty.
    pub reason: String,
}

impl CloseFrame {
    /// A Close body from its parts. Whether they may be sent is checked when they are.
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Whether this may be sent.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        if !close_code::is_valid_on_wire(self.code) {
            return Err(Violation::InvalidCloseCode);
        }
        if self.reason.len() > 123 {
            return Err(Violation::OversizedControl);
        }
        Ok(())
    }

    /// The body as it is on the wire: "a 2-byte unsigned integer (in network byte order)", then the reason.
    pub(crate) fn write(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(&self.code.to_be_bytes());
        output.extend_from_slice(self.reason.as_bytes());
    }

    /// The body of a received Close.
    pub(crate) fn parse(body: &[u8]) -> Result<Option<Self>, Violation> {
        match body {
            [] => Ok(None),
            // RFC 6455 §5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer".
            [_] => Err(Violation::InvalidCloseLength),
            [high, low, reason @ ..] => {
                let code = CloseCode::from_be_bytes([*high, *low]);
                if !close_code::is_valid_on_wire(code) {
                    return Err(Violation::InvalidCloseCode);
                }
                // RFC 6455 §5.5.1: the reason is "UTF-8-encoded data".
                let reason = utf8::whole(reason.to_vec()).map_err(|_| Violation::InvalidCloseReason)?;
                Ok(Some(Self { code, reason }))
            }
        }
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() {
            write!(f, "{}", self.code)
        } else {
            write!(f, "{} ({})", self.code, self.reason.escape_debug())
        }
    }
}
