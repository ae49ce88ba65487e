//! `Sec-WebSocket-Extensions`: extension offers as values ([RFC 6455 §9.1]).
//!
//! An offer is data here: which extension exists, and what its parameters mean, is for whoever negotiates it.
//!
//! [RFC 6455 §9.1]: https://www.rfc-editor.org/rfc/rfc6455#section-9.1

use std::{fmt, str::FromStr};

use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};

use crate::{grammar, reject::shown};

/// One extension with its parameters: an offer in a request, an agreement in a response.
///
/// ```
/// use sockeye_handshake::Offer;
///
/// let offer: Offer = "permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\"".parse()?;
/// assert_eq!(offer.name(), "permessage-deflate");
/// let params: Vec<_> = offer.params().collect();
/// assert_eq!(params, [("client_max_window_bits", None), ("server_max_window_bits", Some("10"))]);
/// assert_eq!(offer.to_string(), "permessage-deflate; client_max_window_bits; server_max_window_bits=10");
/// # Ok::<(), sockeye_handshake::extension::Malformed>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// A token.
    name: String,
    /// Names and values are tokens. In the order of the header, repetitions included: RFC 7692 §7.1 makes one an error,
    /// which is for the extension to find.
    params: Vec<(String, Option<String>)>,
}

impl Offer {
    /// An extension of our own with its parameters, all of them tokens.
    #[cfg(feature = "deflate")]
    pub(crate) fn from_tokens(name: &str, params: Vec<(&str, Option<String>)>) -> Self {
        Self {
            name: name.to_owned(),
            params: params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }

    /// The extension's registered name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameters in their order; one that has no value is `None`. Quoted values are unquoted.
    pub fn params(&self) -> impl ExactSizeIterator<Item = (&str, Option<&str>)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}

impl fmt::Display for Offer {
    /// As it stands in a header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (name, value) in &self.params {
            write!(f, "; {name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Offer {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        offer(grammar::trim_ows(text.as_bytes()))
    }
}

/// Not an element of a `Sec-WebSocket-Extensions` list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{value}` is not an extension: a name, then parameters after `;`, each a token that may have a value after `=`"
)]
pub struct Malformed {
    /// What was there, escaped, at most 256 bytes.
    pub(crate) value: String,
}

/// All that a message's `Sec-WebSocket-Extensions` headers list, in order: "the order of extensions is significant"
/// (RFC 6455 §9.1), the first is what its sender prefers.
///
/// # Errors
///
/// If one element does not follow the grammar.
pub fn parse(headers: &HeaderMap) -> Result<Vec<Offer>, Malformed> {
    let offers = grammar::elements(headers, &SEC_WEBSOCKET_EXTENSIONS).map(offer).collect::<Result<Vec<_>, _>>()?;
    // `extension-list = 1#extension`: a header without any is as wrong as one with garbage.
    if offers.is_empty() && headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        return Err(Malformed { value: String::new() });
    }
    Ok(offers)
}

/// The header line for these extensions; `None` without any.
pub(crate) fn list(extensions: &[Offer]) -> Option<HeaderValue> {
    let texts: Vec<String> = extensions.iter().map(Offer::to_string).collect();
    // Made of tokens, it is a valid value.
    if texts.is_empty() { None } else { HeaderValue::try_from(texts.join(", ")).ok() }
}

/// `extension = extension-token *( ";" extension-param )`
fn offer(element: &[u8]) -> Result<Offer, Malformed> {
    // RFC 6455 §9.1: "If a value is received by either the client or the server during negotiation that does not
    // conform to the ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket
    // Connection_."
    parse_offer(element).ok_or_else(|| Malformed { value: shown(element) })
}

fn parse_offer(element: &[u8]) -> Option<Offer> {
    let mut parts = grammar::split(element, b';');
    let name = grammar::token(parts.next()?)?.to_owned();
    let params = parts.map(param).collect::<Option<Vec<_>>>()?;
    Some(Offer { name, params })
}

/// `extension-param = token [ "=" (token | quoted-string) ]`
fn param(part: &[u8]) -> Option<(String, Option<String>)> {
    let Some((name, value)) = grammar::split_once(part, b'=') else {
        return Some((grammar::token(part)?.to_owned(), None));
    };
    let value = match grammar::token(value) {
        Some(token) => token.to_owned(),
        // RFC 6455 §9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF."
        None => grammar::token(&grammar::unquote(value)?)?.to_owned(),
    };
    Some((grammar::token(name)?.to_owned(), Some(value)))
}
