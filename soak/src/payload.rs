//! The payload of a message: pseudo-random, and computed from its number.

use std::sync::LazyLock;

use fastrand::Rng;

/// The data from which payloads are cut: random bytes, and random text with characters of one to four bytes.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut rng = Rng::with_seed(1);
    (0..LIBRARY).map(|_| rng.u8(..)).collect()
});
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut rng = Rng::with_seed(2);
    let mut text = String::with_capacity(LIBRARY + 4);
    while text.len() < LIBRARY {
        // Long runs of ASCII, as in most texts: they take another path through the validation.
        match rng.u8(..8) {
            0 => text.push(rng.char('\u{80}'..='\u{7FF}')),
            1 => text.push(rng.char('\u{800}'..='\u{FFFF}')),
            2 => text.push(rng.char('\u{10000}'..='\u{10FFFF}')),
            _ => (0..rng.usize(1..40)).for_each(|_| text.push(rng.char(' '..='~'))),
        }
    }
    text
});
const LIBRARY: usize = 1 << 20;

/// The longest payload.
pub(crate) const LONGEST: usize = LIBRARY / 2;

/// The payload of message number `sequence` of the connection with this `seed`. It begins with a number of its own, as far
/// as there is room.
pub(crate) fn payload(seed: u64, sequence: u64, is_text: bool, length: usize) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed ^ sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let number = format!("{:016x}", rng.u64(..));
    let mut payload = Vec::with_capacity(length);
    payload.extend_from_slice(&number.as_bytes()[..length.min(number.len())]);
    let rest = length - payload.len();
    let from = rng.usize(..LIBRARY - rest.min(LONGEST));
    if is_text {
        let (from, to) = (TEXT.ceil_char_boundary(from), TEXT.floor_char_boundary(from + rest));
        payload.extend_from_slice(TEXT.get(from..to).unwrap_or_default().as_bytes());
        payload.resize(length, b'.');
    } else {
        payload.extend_from_slice(&BYTES[from..from + rest]);
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_a_seed_has_its_length_and_is_always_the_same() {
        for length in [0, 1, 15, 16, 17, 100, 5000, LONGEST] {
            for sequence in 0..50 {
                let [text, binary] = [true, false].map(|is_text| payload(7, sequence, is_text, length));
                assert_eq!((text.len(), binary.len()), (length, length));
                assert!(String::from_utf8(text.clone()).is_ok(), "{sequence}, {length}");
                assert_eq!(payload(7, sequence, true, length), text);
            }
        }
    }

    #[test]
    fn payloads_of_two_seeds_or_two_numbers_differ() {
        assert_ne!(payload(7, 0, false, 16), payload(7, 1, false, 16));
        assert_ne!(payload(7, 0, false, 16), payload(8, 0, false, 16));
    }
}
