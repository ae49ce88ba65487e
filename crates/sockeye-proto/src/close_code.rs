//! The registered close codes ([RFC 6455 §7.4.1] and the [IANA registry]).
//!
//! [RFC 6455 §7.4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
//! [IANA registry]: https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number

/// A close code, see [`close_code`](crate::close_code) for the registered ones ([RFC 6455 §7.4]).
///
/// A plain number and no enum, since applications define their own codes from 4000 to 4999.
///
/// [RFC 6455 §7.4]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4
pub type CloseCode = u16;

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

/// Whether a Close frame may carry this code: a registered code that is not reserved for local use, or a code from 3000 to
/// 4999.
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
