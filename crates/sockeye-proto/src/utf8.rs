//! UTF-8 validation of a whole text, and of a growing text.

use crate::Violation;

/// Converts the bytes of a complete text. Fails if they are not valid UTF-8.
pub(crate) fn whole(bytes: Vec<u8>) -> Result<String, Violation> {
    if is_valid(&bytes) { Ok(valid(bytes)) } else { Err(Violation::InvalidUtf8) }
}

/// Whether the bytes of a complete text are valid UTF-8.
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes).is_ok()
}

/// Converts bytes that are known to be valid UTF-8: [`is_valid`] has found that, [`progress`] has counted them, unmasking has
/// seen only ASCII, or they came from a `str`.
#[inline]
pub(crate) fn valid(bytes: Vec<u8>) -> String {
    debug_assert!(std::str::from_utf8(&bytes).is_ok(), "validated before");
    // SAFETY: all bytes are known to be valid: `whole` has just validated them; before the decoder makes a `SmallMessage`,
    // unmasking tells that all bytes are ASCII, or `is_valid` that they are valid; the assembler converts only when its count of
    // validated bytes equals the length; a text `PreparedMessage` was made from a `str`. `String::from_utf8` would read every
    // byte again.
    unsafe { String::from_utf8_unchecked(bytes) }
}

/// Validates a growing text whose first `validated` bytes are known to be valid, and returns how many bytes are valid now.
/// Up to three bytes at the end may be the beginning of a character: they are not counted, and are checked again next time.
///
/// Fails at the first byte that no continuation could make valid, as RFC 6455 §8.1 permits.
pub(crate) fn progress(text: &[u8], validated: usize) -> Result<usize, Violation> {
    match simdutf8::compat::from_utf8(&text[validated..]) {
        Ok(_) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(validated + error.valid_up_to()),
        Err(_) => Err(Violation::InvalidUtf8),
    }
}

#[cfg(test)]
mod tests {
    use super::progress;

    #[test]
    fn validation_of_utf8_fails_at_the_first_impossible_byte() {
        // (bytes, how many may arrive before no continuation can make the text valid)
        let cases: &[(&[u8], usize)] = &[
            (&[0x80], 0),                   // a continuation with nothing to continue
            (&[0xC0, 0x80], 0),             // overlong
            (&[0xE0, 0x80, 0x80], 1),       // overlong, seen at the second byte
            (&[0xED, 0xA0, 0x80], 1),       // a surrogate
            (&[0xF0, 0x80, 0x80, 0x80], 1), // overlong
            (&[0xF4, 0x90, 0x80, 0x80], 1), // above U+10FFFF
            (&[0xF5], 0),
            (&[b'a', 0xE2, 0x82, b'b'], 3),
        ];
        for (bytes, good) in cases {
            for end in 0..=bytes.len() {
                assert_eq!(progress(&bytes[..end], 0).is_ok(), end <= *good, "{bytes:x?} up to {end}");
            }
        }
    }

    #[test]
    fn validation_of_utf8_accepts_characters_that_arrive_in_pieces() {
        let text = "κόσμε 𝄞".as_bytes();
        let mut validated = 0;
        for end in 0..=text.len() {
            validated = progress(&text[..end], validated).unwrap();
            assert!(end - validated <= 3);
        }
        assert_eq!(validated, text.len());
    }
}
