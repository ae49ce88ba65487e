//! The payload of a message, which follows from its case and its number.

use std::sync::LazyLock;

/// The lengths of the server's messages, in turns: the limits of each form of a frame's header, up to 256 KiB.
const DOWN: [usize; 10] = [1, 125, 126, 5_000, 65_535, 65_536, 262_144, 17, 1_000, 30_000];

/// The lengths of a peer's uploads, in turns. At 4 kB/s the fourth takes minutes.
const UP: [usize; 10] = [1, 125, 5_000, 1 << 20, 300, 262_144, 126, 7, 65_535, 65_536];

/// How far apart two payloads may begin in the data from which they are cut.
const SPREAD: usize = 1 << 16;

/// Pseudo-random bytes.
static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    };
    (0..SPREAD + (1 << 20)).map(|_| next()).collect()
});

/// Message `number` of the server to the peer of a case.
pub(crate) fn down(case: usize, number: u64) -> Vec<u8> {
    payload(case, number, &DOWN)
}

/// Message `number` of the peer of a case.
pub(crate) fn up(case: usize, number: u64) -> Vec<u8> {
    payload(case, number, &UP)
}

/// The payload begins with the number, as far as there is room.
fn payload(case: usize, number: u64, lengths: &[usize]) -> Vec<u8> {
    let turn = number as usize;
    let length = lengths[turn % lengths.len()];
    let number = number.to_le_bytes();
    let mut payload = Vec::with_capacity(length);
    payload.extend_from_slice(&number[..length.min(number.len())]);
    let from = (turn * 7919 + case * 104_729) % SPREAD;
    payload.extend_from_slice(&BYTES[from..from + length - payload.len()]);
    payload
}

/// The text that the sender of `messages` sends after the last of them.
pub(crate) fn end(messages: u64) -> String {
    format!("that were {messages}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_length_and_differs_from_all_others() {
        for (of, lengths) in [(down as fn(usize, u64) -> Vec<u8>, DOWN), (up, UP)] {
            for number in 0..20 {
                let payload = of(3, number);
                assert_eq!(payload.len(), lengths[number as usize % lengths.len()]);
                assert_eq!(payload, of(3, number));
                assert_ne!(payload, of(3, number + 10));
                assert!(payload.len() < 20 || payload != of(4, number));
            }
        }
    }
}
