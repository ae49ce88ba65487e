//! permessage-deflate: which offers a server accepts, what a client offers, and which answers it takes ([RFC 7692 §5 and
//! §7.1]).
//!
//! ```
//! use sockeye_handshake::{Offer, deflate};
//! use sockeye_proto::deflate::{Compression, Memory};
//!
//! // What a browser sends.
//! let offers: [Offer; 1] = ["permessage-deflate; client_max_window_bits".parse()?];
//! let (answer, agreed) = deflate::accept(&offers, &Compression::new().memory(Memory::Balanced)).unwrap();
//! assert_eq!(answer.to_string(), "permessage-deflate; client_max_window_bits=12");
//! assert_eq!(agreed.client_max_window_bits.bits(), 12);
//! # Ok::<(), sockeye_handshake::extension::Malformed>(())
//! ```
//!
//! [RFC 7692 §5 and §7.1]: https://www.rfc-editor.org/rfc/rfc7692#section-5

use sockeye_proto::deflate::{Compression, Parameters, WindowBits};

use crate::{Offer, client::AnswerError, reject::shown};

/// The registered name of the extension.
pub const NAME: &str = "permessage-deflate";

const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The server's side: the answer to the first of `offers` that the server supports, and the parameters that are agreed on.
/// Returns `None` if the server supports none of the offers. A server declines an offer by not answering it, which is not an
/// error.
#[must_use]
pub fn accept(offers: &[Offer], compression: &Compression) -> Option<(Offer, Parameters)> {
    // RFC 7692 §5: "a client makes a list" of configurations, "a server can choose" one: the client prefers the first.
    let asked = offers.iter().filter(|offer| offer.name() == NAME).find_map(Params::read)?;
    let agreed = agree(&asked, compression);
    let answer = Params {
        server_no_context_takeover: agreed.server_no_context_takeover,
        client_no_context_takeover: agreed.client_no_context_takeover,
        // RFC 7692 §7.1.2.1: "A server accepts an extension negotiation offer with this parameter by including" it "with the
        // same or smaller value as the offer". It may be in an answer without an offer, but a client does not need it.
        server_max_window_bits: asked.server_max_window_bits.map(|_| agreed.server_max_window_bits),
        // RFC 7692 §7.1.2.2: "If a received extension negotiation offer doesn't have the "client_max_window_bits" extension
        // parameter, the corresponding extension negotiation response to the offer MUST NOT include" it.
        client_max_window_bits: asked
            .client_max_window_bits
            .map(|_| Some(agreed.client_max_window_bits))
            .filter(|bits| *bits != Some(WindowBits::MAX)),
    };
    Some((answer.write(), agreed))
}

fn agree(asked: &Params, compression: &Compression) -> Parameters {
    let memory = compression.memory_mode();
    // A client that is not told the size has to expect the largest window. Using a smaller one is always allowed.
    let server_max_window_bits =
        asked.server_max_window_bits.map(|most| most.min(memory.window_bits())).unwrap_or_default();
    // If the client's window cannot be made small, it is not kept: there is no context takeover then.
    let (client_max_window_bits, is_kept) = match asked.client_max_window_bits {
        // A large window costs nothing if it is not kept.
        Some(most) if !memory.keeps_context() => (most.unwrap_or_default(), false),
        Some(most) => (most.unwrap_or_default().min(memory.window_bits()), true),
        None => (WindowBits::MAX, memory.keeps_context() && memory.window_bits() == WindowBits::MAX),
    };
    Parameters {
        // RFC 7692 §7.1.1.1: "A server accepts an extension negotiation offer that includes the "server_no_context_takeover"
        // extension parameter by including" it; it MAY be included without such an offer.
        server_no_context_takeover: asked.server_no_context_takeover || !memory.keeps_context(),
        // RFC 7692 §7.1.1.2: in an offer it is a hint that the client will do so in any case. In an answer, which may have it
        // without an offer, it is what the client MUST do.
        client_no_context_takeover: asked.client_no_context_takeover || !is_kept,
        server_max_window_bits,
        client_max_window_bits,
    }
}

/// The client's side: its offers, and the check of the answer.
///
/// ```
/// use sockeye_handshake::{client::ClientRequest, deflate::Offered};
/// use sockeye_proto::deflate::Compression;
///
/// let offered = Offered::new(&Compression::new());
/// let mut request = ClientRequest::new("ws://server.example.com/chat".parse()?)?;
/// for offer in offered.offers() {
///     request = request.offer(offer.clone());
/// }
/// // The extensions that `Expected::check` has found in the answer:
/// let extensions = ["permessage-deflate; server_no_context_takeover; client_max_window_bits=10".parse()?];
/// let agreed = offered.check(&extensions)?.expect("the server compresses");
/// assert_eq!(agreed.client_max_window_bits.bits(), 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Offered {
    offers: Vec<Offer>,
}

impl Offered {
    /// The offers of a client that wants `compression`: first its parameters, then the bare extension for servers that decline
    /// these.
    #[must_use]
    pub fn new(compression: &Compression) -> Self {
        let memory = compression.memory_mode();
        let wanted = Params {
            server_no_context_takeover: !memory.keeps_context(),
            client_no_context_takeover: !memory.keeps_context(),
            server_max_window_bits: Some(memory.window_bits()).filter(|bits| *bits != WindowBits::MAX),
            // RFC 7692 §7.1.2.2: without a value it says that the client can be told to use a smaller window.
            client_max_window_bits: Some(None),
        };
        let bare = Params::default();
        Self { offers: vec![wanted.write(), bare.write()] }
    }

    /// The offers, in order of preference.
    #[must_use]
    pub fn offers(&self) -> &[Offer] {
        &self.offers
    }

    /// The parameters that are agreed on. `extensions` are all extensions in the server's answer. Returns `None` if the server
    /// has declined every offer.
    ///
    /// # Errors
    ///
    /// [`AnswerError::ExtensionParameters`] if the answer does not fit any of the offers. The caller must then close the
    /// connection.
    pub fn check(&self, extensions: &[Offer]) -> Result<Option<Parameters>, AnswerError> {
        let mut answers = extensions.iter().filter(|extension| extension.name() == NAME);
        let Some(answer) = answers.next() else { return Ok(None) };
        // RFC 7692 §5.1: "the client MUST _Fail the WebSocket Connection_ if the peer server accepted an extension negotiation
        // offer for this extension with an extension negotiation response meeting any of the following": a parameter that is
        // not defined for use in a response, with an invalid value, or twice; a configuration that the client does not support.
        // If the extension were there twice, both would use the same bit.
        let said = Params::read(answer).filter(|_| answers.next().is_none());
        match said.and_then(|said| self.offers.iter().filter_map(Params::read).find_map(|asked| said.answers(&asked))) {
            Some(agreed) => Ok(Some(agreed)),
            None => Err(AnswerError::ExtensionParameters { value: shown(answer.to_string().as_bytes()) }),
        }
    }
}

/// The parameters of an offer or of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Params {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<WindowBits>,
    /// In an offer the parameter may have no value.
    client_max_window_bits: Option<Option<WindowBits>>,
}

impl Params {
    /// Reads an offer or an answer; `None` for an offer that a server has to decline.
    ///
    /// RFC 7692 §7.1: "A server MUST decline an extension negotiation offer for this extension if any of the following
    /// conditions are met: The negotiation offer contains an extension parameter not defined for use in an offer"; "with an
    /// invalid value"; "multiple extension parameters with the same name"; "the server doesn't support the offered
    /// configuration".
    fn read(offer: &Offer) -> Option<Self> {
        let mut params = Self::default();
        for (name, value) in offer.params() {
            let is_first = match name {
                // RFC 7692 §7.1.1: these two have no value.
                SERVER_NO_CONTEXT_TAKEOVER if value.is_none() => {
                    !std::mem::replace(&mut params.server_no_context_takeover, true)
                }
                CLIENT_NO_CONTEXT_TAKEOVER if value.is_none() => {
                    !std::mem::replace(&mut params.client_no_context_takeover, true)
                }
                SERVER_MAX_WINDOW_BITS => params.server_max_window_bits.replace(window_bits(value?)?).is_none(),
                CLIENT_MAX_WINDOW_BITS => {
                    let bits = match value {
                        Some(value) => Some(window_bits(value)?),
                        None => None,
                    };
                    params.client_max_window_bits.replace(bits).is_none()
                }
                _ => false,
            };
            if !is_first {
                return None;
            }
        }
        Some(params)
    }

    fn write(&self) -> Offer {
        let number = |bits: WindowBits| bits.bits().to_string();
        let mut params = Vec::new();
        if self.server_no_context_takeover {
            params.push((SERVER_NO_CONTEXT_TAKEOVER, None));
        }
        if self.client_no_context_takeover {
            params.push((CLIENT_NO_CONTEXT_TAKEOVER, None));
        }
        if let Some(bits) = self.server_max_window_bits {
            params.push((SERVER_MAX_WINDOW_BITS, Some(number(bits))));
        }
        if let Some(bits) = self.client_max_window_bits {
            params.push((CLIENT_MAX_WINDOW_BITS, bits.map(number)));
        }
        Offer::from_tokens(NAME, params)
    }

    /// The parameters that are agreed on, if this is a valid answer to the offer `asked`.
    fn answers(&self, asked: &Self) -> Option<Parameters> {
        let server = match (asked.server_max_window_bits, self.server_max_window_bits) {
            // RFC 7692 §7.1.2.1: the answer has "the same or smaller value as the offer".
            (Some(most), Some(bits)) => (bits <= most).then_some(bits),
            (Some(_), None) => None,
            (None, bits) => Some(bits.unwrap_or_default()),
        };
        let client = match (asked.client_max_window_bits, self.client_max_window_bits) {
            (_, None) => Some(asked.client_max_window_bits.flatten().unwrap_or_default()),
            // RFC 7692 §7.1.2.2: in an answer the parameter has a value, and it is there only if it was offered.
            (Some(most), Some(Some(bits))) => (bits <= most.unwrap_or_default()).then_some(bits),
            (None, Some(_)) | (_, Some(None)) => None,
        };
        // RFC 7692 §7.1.1.1: a server that accepts this parameter includes it in its answer.
        if asked.server_no_context_takeover && !self.server_no_context_takeover {
            return None;
        }
        Some(Parameters {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover || asked.client_no_context_takeover,
            server_max_window_bits: server?,
            client_max_window_bits: client?,
        })
    }
}

/// RFC 7692 §7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn window_bits(value: &str) -> Option<WindowBits> {
    if value.starts_with(['0', '+']) { None } else { WindowBits::new(value.parse().ok()?) }
}
