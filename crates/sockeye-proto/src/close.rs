//! The Close frame, and what it may carry on the wire.

use std::fmt;

use crate::{CloseCode, Violation, close_code, utf8};

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
    /// Why the connection closes, for humans. It may be empty. At most [`MAX_REASON`](Self::MAX_REASON) bytes of it are sent.
    pub reason: String,
}

impl CloseFrame {
    /// The most bytes of a reason that are sent: the 125 bytes of a control frame, minus two for the code ([RFC 6455 §5.5]).
    /// A longer reason is cut at a character boundary: a cut reason is better than no Close.
    ///
    /// [RFC 6455 §5.5]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5
    pub const MAX_REASON: usize = 123;

    /// A Close body from its parts. The code is checked when the frame is sent.
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The reason as it is sent: at most [`MAX_REASON`](Self::MAX_REASON) bytes, cut at a character boundary.
    pub fn sent_reason(&self) -> &str {
        // RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less"; §5.5.1: the reason is
        // "UTF-8-encoded data", so it must end with a whole character.
        let mut end = self.reason.len().min(Self::MAX_REASON);
        while !self.reason.is_char_boundary(end) {
            end -= 1;
        }
        &self.reason[..end]
    }

    /// Fails if the code of this Close must not be sent.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        if !close_code::is_valid_on_wire(self.code) {
            return Err(Violation::InvalidCloseCode(self.code));
        }
        Ok(())
    }

    /// Appends the body as it is on the wire: the code as "a 2-byte unsigned integer (in network byte order)", then the
    /// reason.
    pub(crate) fn write(&self, output: &mut Vec<u8>) {
        output.extend_from_slice(&self.code.to_be_bytes());
        output.extend_from_slice(self.sent_reason().as_bytes());
    }

    /// Parses the body of a received Close. `None` for an empty body.
    pub(crate) fn parse(body: &[u8]) -> Result<Option<Self>, Violation> {
        match body {
            [] => Ok(None),
            // RFC 6455 §5.5.1: "If there is a body, the first two bytes of the body MUST be a 2-byte unsigned integer".
            [_] => Err(Violation::InvalidCloseLength),
            [high, low, reason @ ..] => {
                let code = CloseCode::from_be_bytes([*high, *low]);
                if !close_code::is_valid_on_wire(code) {
                    return Err(Violation::InvalidCloseCode(code));
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
