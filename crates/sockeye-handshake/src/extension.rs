//! `Sec-WebSocket-Extensions`: extension offers as values ([RFC 6455 §9.1]).
//!
//! An offer is only data here. The code that negotiates an extension knows its name and the meaning of its parameters.
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
    /// A name, then for each parameter `;` and a token, or two tokens with `=` between them. So this text is never longer than
    /// the one that the offer was read from.
    ///
    /// Parameters keep the order of the header, and repetitions: RFC 7692 §7.1 makes a repetition an error, which the extension
    /// has to find.
    text: Box<str>,
}

/// The most extensions that are read in one message: 32. Browsers offer one, and no client in use offers more than two or
/// three.
pub const MAX_OFFERS: usize = 32;

/// The most parameters that one extension may have: 16. permessage-deflate has four.
pub const MAX_PARAMETERS: usize = 16;

impl Offer {
    /// An extension that we send, with its parameters. All of them are tokens.
    #[cfg(feature = "deflate")]
    pub(crate) fn from_tokens(name: &str, params: Vec<(&str, Option<String>)>) -> Self {
        let mut text = name.to_owned();
        for (name, value) in params {
            push_param(&mut text, name, value.as_deref());
        }
        Self { text: text.into() }
    }

    /// The extension's registered name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text.split_once(';').map_or(&*self.text, |(name, _)| name)
    }

    /// The parameters in their order, at most [`MAX_PARAMETERS`]. The value of a parameter without one is `None`. Quoted values
    /// are unquoted.
    pub fn params(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        // A token contains neither separator.
        self.text.split(';').skip(1).map(|param| match param.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (param, None),
        })
    }
}

impl fmt::Display for Offer {
    /// Writes the extension as in a header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        for (name, value) in self.params() {
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

/// Why a text is not an [`Offer`], or a message's headers are not a list of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// An element does not follow the grammar.
    #[error("`{value}` is not an extension: expected tokens in the form `name; parameter; parameter=value`")]
    Grammar {
        /// The element, escaped, at most 256 bytes.
        value: String,
    },
    /// There are more than [`MAX_OFFERS`] extensions, or one has more than [`MAX_PARAMETERS`].
    #[error("too many {what}: at most {max} are allowed")]
    TooMany {
        /// What there are too many of: `extensions`, or `parameters in one extension`.
        what: &'static str,
        /// How many there may be.
        max: usize,
    },
}

/// All extensions in a message's `Sec-WebSocket-Extensions` headers, in order: "the order of extensions is significant" (RFC
/// 6455 §9.1), and the sender prefers the first.
///
/// The list takes at most twice the memory of the headers, plus 2 KiB. An empty header counts as no header.
///
/// # Errors
///
/// If one element does not follow the grammar, if there are more than [`MAX_OFFERS`] extensions, or if one extension has more
/// than [`MAX_PARAMETERS`] parameters.
pub fn parse(headers: &HeaderMap) -> Result<Vec<Offer>, Malformed> {
    let mut offers = Vec::new();
    for element in grammar::elements(headers, &SEC_WEBSOCKET_EXTENSIONS) {
        if offers.len() == MAX_OFFERS {
            return Err(Malformed::TooMany { what: "extensions", max: MAX_OFFERS });
        }
        offers.push(offer(element)?);
    }
    // An empty list does not follow `extension-list = 1#extension`. But it means the same as no header, and some clients send
    // it (libsoup 3, older React Native).
    Ok(offers)
}

/// The header line for these extensions; `None` without extensions.
pub(crate) fn list(extensions: &[Offer]) -> Option<HeaderValue> {
    let texts: Vec<String> = extensions.iter().map(Offer::to_string).collect();
    // Tokens make a valid header value.
    if texts.is_empty() { None } else { HeaderValue::try_from(texts.join(", ")).ok() }
}

/// `extension = extension-token *( ";" extension-param )`
fn offer(element: &[u8]) -> Result<Offer, Malformed> {
    // The parts are counted before anything is allocated. The first part is the name.
    if grammar::split(element, b';').nth(MAX_PARAMETERS + 1).is_some() {
        return Err(Malformed::TooMany { what: "parameters in one extension", max: MAX_PARAMETERS });
    }
    // RFC 6455 §9.1: "If a value is received by either the client or the server during negotiation that does not
    // conform to the ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket
    // Connection_."
    parse_offer(element).ok_or_else(|| Malformed::Grammar { value: shown(element) })
}

fn parse_offer(element: &[u8]) -> Option<Offer> {
    let mut parts = grammar::split(element, b';');
    let mut text = String::with_capacity(element.len());
    text.push_str(grammar::token(parts.next()?)?);
    parts.try_for_each(|part| parse_param(&mut text, part))?;
    Some(Offer { text: text.into() })
}

/// `extension-param = token [ "=" (token | quoted-string) ]`
fn parse_param(text: &mut String, part: &[u8]) -> Option<()> {
    let Some((name, value)) = grammar::split_once(part, b'=') else {
        push_param(text, grammar::token(part)?, None);
        return Some(());
    };
    let name = grammar::token(name)?;
    match grammar::token(value) {
        Some(value) => push_param(text, name, Some(value)),
        // RFC 6455 §9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF."
        None => push_param(text, name, Some(grammar::token(&grammar::unquote(value)?)?)),
    }
    Some(())
}

fn push_param(text: &mut String, name: &str, value: Option<&str>) {
    text.push(';');
    text.push_str(name);
    if let Some(value) = value {
        text.push('=');
        text.push_str(value);
    }
}
