//! `Sec-WebSocket-Key`, and the `Sec-WebSocket-Accept` for it.

use http::HeaderValue;
use tungstenite::handshake::{client::generate_key, derive_accept_key};

/// A valid `Sec-WebSocket-Key`: 16 bytes in base64 ([RFC 6455 §4.1], item 7).
///
/// ```
/// use http::HeaderValue;
/// use sockeye_handshake::key::Key;
///
/// // The example of RFC 6455 §1.3.
/// let key = Key::parse(&HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==")).unwrap();
/// assert_eq!(key.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// assert_eq!(Key::parse(&HeaderValue::from_static("c2hvcnQ=")), None);
/// ```
///
/// [RFC 6455 §4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(HeaderValue);

impl Key {
    /// The key of a request; `None` if the value does not decode to 16 bytes.
    #[must_use]
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        is_sixteen_bytes(value.as_bytes()).then(|| Self(value.clone()))
    }

    /// A fresh random key, for a client: "The nonce MUST be selected randomly for each connection" (RFC 6455 §4.1, item
    /// 7).
    #[must_use]
    pub fn generate() -> Self {
        Self(ascii(generate_key()))
    }

    /// The `Sec-WebSocket-Accept` that proves to the client that the server has read its key ([RFC 6455 §4.2.2], item 5.4).
    ///
    /// [RFC 6455 §4.2.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    #[must_use]
    pub fn accept(&self) -> HeaderValue {
        ascii(derive_accept_key(self.0.as_bytes()))
    }

    /// The key as the value of the header.
    #[must_use]
    pub fn as_header_value(&self) -> &HeaderValue {
        &self.0
    }

    /// The key as the value of the header, without a copy.
    pub(crate) fn into_header_value(self) -> HeaderValue {
        self.0
    }
}

/// Whether `key` is base64 (RFC 4648 §4) of exactly 16 bytes: 22 digits and two of padding.
///
/// The last four bits of the last digit belong to no byte and may have any value: RFC 4648 §3.5 leaves this to the decoder, and
/// some clients have handwritten keys.
fn is_sixteen_bytes(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'+' | b'/');
    match key.split_first_chunk::<22>() {
        // Without a branch for each digit, so that many are checked at once.
        Some((digits, b"==")) => digits.iter().fold(true, |all, digit| all & is_digit(digit)),
        _ => false,
    }
}

fn ascii(base64: String) -> HeaderValue {
    HeaderValue::try_from(base64).expect("base64 is visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_keys_are_valid_and_differ() {
        let (one, two) = (Key::generate(), Key::generate());
        assert_eq!(Key::parse(one.as_header_value()).as_ref(), Some(&one));
        assert_ne!(one, two);
    }

    #[test]
    fn only_a_key_of_sixteen_bytes_in_base64_is_accepted() {
        for wrong in [
            "",
            "=",
            "==",
            "AAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAA=AAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAA-_==",
            "AAAAAAAAAAAAAAAAAAAA A==",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
        ] {
            assert_eq!(Key::parse(&HeaderValue::from_static(wrong)), None, "{wrong}");
        }
    }
}
