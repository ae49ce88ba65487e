//! `Sec-WebSocket-Protocol`: the subprotocols that a client requests, and the server's choice ([RFC 6455 §1.9]).
//!
//! [RFC 6455 §1.9]: https://www.rfc-editor.org/rfc/rfc6455#section-1.9

use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};

use crate::{
    grammar,
    reject::{Reject, shown},
};

/// The most subprotocols that are read in one request, including repetitions: 64. Clients request one or two.
pub const MAX_REQUESTED: usize = 64;

/// The subprotocols that a client requested, in its order of preference, each once. The list takes at most twice the memory of
/// the header, plus 4 KiB. An empty header counts as no header.
///
/// # Errors
///
/// If the header is not a list of tokens, or has more than [`MAX_REQUESTED`] of them.
pub fn requested(headers: &HeaderMap) -> Result<Vec<HeaderValue>, Reject> {
    let mut requested: Vec<HeaderValue> = Vec::new();
    for (before, element) in grammar::elements(headers, &SEC_WEBSOCKET_PROTOCOL).enumerate() {
        if before == MAX_REQUESTED {
            let (name, what) = ("Sec-WebSocket-Protocol", "subprotocols");
            return Err(Reject::ListTooLong { name, what, max: MAX_REQUESTED });
        }
        // RFC 6455 §4.2.1: on "any violations of the ABNF grammar specified for the components of the handshake, the
        // server MUST stop processing the client's handshake"; §4.3: `Sec-WebSocket-Protocol-Client = 1#token`.
        let invalid = || Reject::InvalidSubprotocol { value: shown(element) };
        let token = grammar::token(element).ok_or_else(invalid)?;
        if requested.iter().all(|other| other.as_bytes() != token.as_bytes()) {
            requested.push(HeaderValue::from_str(token).map_err(|_| invalid())?);
        }
    }
    // §4.3 requires at least one. But an empty list means the same as no header, and some clients send it (libsoup 3, older
    // React Native).
    Ok(requested)
}

/// The first of `preferred`, the server's list in order of preference, that the client `requested`.
///
/// The comparison is case-sensitive, as in every implementation. The value comes from the client's list: "The value chosen MUST
/// be derived from the client's handshake" ([RFC 6455 §4.2.2]).
///
/// ```
/// use http::HeaderValue;
/// use sockeye_handshake::subprotocol::choose;
///
/// let requested = [HeaderValue::from_static("soap"), HeaderValue::from_static("wamp")];
/// assert_eq!(choose(&requested, ["mqtt", "wamp", "soap"]).unwrap(), "wamp");
/// assert_eq!(choose(&requested, ["mqtt"]), None);
/// ```
///
/// [RFC 6455 §4.2.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
pub fn choose<I>(requested: &[HeaderValue], preferred: I) -> Option<HeaderValue>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    preferred
        .into_iter()
        .find_map(|name| requested.iter().find(|value| value.as_bytes() == name.as_ref().as_bytes()))
        .cloned()
}
