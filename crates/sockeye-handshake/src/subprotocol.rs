//! `Sec-WebSocket-Protocol`: what the client requested, and what the server chooses ([RFC 6455 §1.9]).
//!
//! [RFC 6455 §1.9]: https://www.rfc-editor.org/rfc/rfc6455#section-1.9

use std::collections::HashSet;

use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};

use crate::{
    grammar,
    reject::{Reject, shown},
};

/// The subprotocols that a client requested, in its order of preference, each once.
///
/// # Errors
///
/// If the header is there and is not a list of tokens.
pub fn requested(headers: &HeaderMap) -> Result<Vec<HeaderValue>, Reject> {
    let mut requested = Vec::new();
    let mut seen = HashSet::new();
    for element in grammar::elements(headers, &SEC_WEBSOCKET_PROTOCOL) {
        // RFC 6455 §4.2.1: on "any violations of the ABNF grammar specified for the components of the handshake, the
        // server MUST stop processing the client's handshake"; §4.3: `Sec-WebSocket-Protocol-Client = 1#token`.
        let invalid = || Reject::InvalidSubprotocol { value: shown(element) };
        let token = grammar::token(element).ok_or_else(invalid)?;
        if seen.insert(token) {
            requested.push(HeaderValue::from_str(token).map_err(|_| invalid())?);
        }
    }
    if requested.is_empty() && headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Err(Reject::InvalidSubprotocol { value: String::new() });
    }
    Ok(requested)
}

/// The first of `preferred`, the server's list in its order of preference, that the client `requested`.
///
/// Names are compared with regard to case, as every implementation does. The value comes from the client's list: "The
/// value chosen MUST be derived from the client's handshake" ([RFC 6455 §4.2.2]).
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
