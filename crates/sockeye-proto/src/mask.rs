//! Masking: XOR with a key of four bytes, starting at any byte of the key (RFC 6455 §5.3).
//!
//! There are two operations: masking in place, for bytes that were read straight into their message; and masking while
//! copying, which saves a pass. Both see every byte, so they also report whether all resulting bytes are ASCII. Most texts
//! are, and need no other validation.
//!
//! Most payloads are short. A short payload is masked as its first and its last word, which may overlap, without a loop and
//! without single bytes. A long payload is masked in a plain loop over words, which the compiler turns into vector
//! instructions; its last lane, which may overlap the loop's last words, is masked separately. On x86-64, the build's target
//! has vectors of 16 bytes, and vectors of 32 bytes (AVX2) are chosen at run time. On 64-bit ARM, every target has vectors
//! (NEON), so there is no choice.

use std::mem::MaybeUninit;

/// The bytes at the end of a long payload that are masked at once: as many as a vector register of AVX2 has. A multiple of
/// the key's length.
const LANE: usize = 32;

const AFTER_LANE: usize = LANE + 1;

/// The most bytes that the first and the last lane of a payload can cover.
const MEDIUM: usize = 2 * LANE;

/// The bits that no ASCII byte has.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Masks or unmasks `payload`, which begins at byte `offset` of its frame. Returns whether the result is ASCII.
#[inline]
pub(crate) fn apply(payload: &mut [u8], key: [u8; 4], offset: usize) -> bool {
    let key = rotate(u32::from_le_bytes(key), offset);
    let (length, payload) = (payload.len(), InPlace(payload));
    match length {
        0..=LANE => short(payload, key),
        AFTER_LANE..=MEDIUM => ends::<LANE>(payload, key),
        _ => long(payload, key),
    }
}

/// Appends the masked or unmasked `payload` to `output`.
#[inline]
pub(crate) fn copy(output: &mut Vec<u8>, payload: &[u8], key: [u8; 4], offset: usize) {
    copy_text(output, payload, key, offset);
}

/// Like [`copy`], and returns whether the appended bytes are ASCII.
#[inline]
pub(crate) fn copy_text(output: &mut Vec<u8>, payload: &[u8], key: [u8; 4], offset: usize) -> bool {
    output.reserve(payload.len());
    fill(output, payload, key, offset)
}

/// Like [`copy_text`], for a vector that has enough spare capacity.
///
/// # Panics
///
/// When the spare capacity is less than the length of the payload.
// This is inlined, and no callee sees the vector, so the three words of the vector can stay in registers. Otherwise they
// would be written one by one, and a later move would read them in pairs: the processor would wait until the stores have
// reached the cache.
#[inline(always)]
pub(crate) fn fill(output: &mut Vec<u8>, payload: &[u8], key: [u8; 4], offset: usize) -> bool {
    let is_ascii = store(payload, output.spare_capacity_mut(), rotate(u32::from_le_bytes(key), offset));
    // SAFETY: `store` has stored that many bytes within the capacity, or it would have panicked.
    unsafe { output.set_len(output.len() + payload.len()) };
    is_ascii
}

/// Stores the masked `payload` at the beginning of `room`, and returns whether the stored bytes are ASCII. `key` is in little
/// endian. Panics if `room` is shorter than `payload`.
// This is not inlined. All arguments are in registers, and the two functions below are tail calls, so a payload of at most a
// lane costs neither a second call nor saved registers.
#[inline(never)]
pub(crate) fn store(payload: &[u8], room: &mut [MaybeUninit<u8>], key: u32) -> bool {
    match payload.len() {
        0..=LANE => short(Copied::new(payload, room), key),
        AFTER_LANE..=MEDIUM => store_medium(payload, room, key),
        _ => store_long(payload, room, key),
    }
}

#[inline(never)]
fn store_medium(payload: &[u8], room: &mut [MaybeUninit<u8>], key: u32) -> bool {
    ends::<LANE>(Copied::new(payload, room), key)
}

#[inline(never)]
fn store_long(payload: &[u8], room: &mut [MaybeUninit<u8>], key: u32) -> bool {
    long(Copied::new(payload, room), key)
}

/// A payload, and the place for the masked bytes. The bounds of each access are checked: once for each lane, or not at all
/// where the compiler can see that the access is within bounds.
trait Payload {
    fn len(&self) -> usize;
    fn load<const N: usize>(&self, at: usize) -> [u8; N];
    fn store<const N: usize>(&mut self, at: usize, bytes: [u8; N]);
    /// Loads each of the first `count` words of eight bytes, and stores what `transform` makes of the word.
    fn each_word(&mut self, count: usize, transform: impl FnMut(u64) -> u64);
}

struct InPlace<'a>(&'a mut [u8]);

impl Payload for InPlace<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn load<const N: usize>(&self, at: usize) -> [u8; N] {
        *self.0[at..].first_chunk().expect("positions are within the payload")
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        *self.0[at..].first_chunk_mut().expect("positions are within the payload") = bytes;
    }

    #[inline(always)]
    fn each_word(&mut self, count: usize, mut transform: impl FnMut(u64) -> u64) {
        for word in words_mut(&mut self.0[..8 * count]) {
            *word = transform(u64::from_le_bytes(*word)).to_le_bytes();
        }
    }
}

struct Copied<'a> {
    payload: &'a [u8],
    /// As long as the payload.
    target: &'a mut [MaybeUninit<u8>],
}

impl<'a> Copied<'a> {
    #[inline(always)]
    fn new(payload: &'a [u8], room: &'a mut [MaybeUninit<u8>]) -> Self {
        Self { payload, target: &mut room[..payload.len()] }
    }
}

impl Payload for Copied<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.payload.len()
    }

    #[inline(always)]
    fn load<const N: usize>(&self, at: usize) -> [u8; N] {
        *self.payload[at..].first_chunk().expect("positions are within the payload")
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        let target = self.target[at..].first_chunk_mut().expect("positions are within the payload");
        *target = bytes.map(MaybeUninit::new);
    }

    #[inline(always)]
    fn each_word(&mut self, count: usize, mut transform: impl FnMut(u64) -> u64) {
        let words = words(&self.payload[..8 * count]);
        for (target, word) in words_mut(&mut self.target[..8 * count]).zip(words) {
            *target = transform(u64::from_le_bytes(*word)).to_le_bytes().map(MaybeUninit::new);
        }
    }
}

/// Masks a payload of at most a lane. Returns whether the result is ASCII.
#[inline(always)]
fn short(mut payload: impl Payload, key: u32) -> bool {
    let length = payload.len();
    match length {
        16.. => ends::<16>(payload, key),
        8.. => ends::<8>(payload, key),
        4.. => {
            let last = length - 4;
            let first_word = u32::from_le_bytes(payload.load(0)) ^ key;
            let last_word = u32::from_le_bytes(payload.load(last)) ^ rotate(key, last);
            payload.store(last, last_word.to_le_bytes());
            payload.store(0, first_word.to_le_bytes());
            u64::from(first_word | last_word) & HIGH == 0
        }
        1.. => {
            // A single byte is the first, the middle and the last byte. Of two bytes, the second is the middle and the last.
            let (middle, last) = (length / 2, length - 1);
            let masked = |at: usize| payload.load::<1>(at)[0] ^ (key >> (8 * at)) as u8;
            let (a, b, c) = (masked(0), masked(middle), masked(last));
            payload.store(0, [a]);
            payload.store(middle, [b]);
            payload.store(last, [c]);
            (a | b | c).is_ascii()
        }
        0 => true,
    }
}

/// Masks the first and the last `N` bytes, which together cover the payload. Returns whether the result is ASCII. `N` is a
/// multiple of eight.
#[inline(always)]
fn ends<const N: usize>(mut payload: impl Payload, key: u32) -> bool {
    let last = payload.len() - N;
    let first_bytes = xor::<N>(payload.load(0), key);
    let last_bytes = xor::<N>(payload.load(last), rotate(key, last));
    // The first bytes are stored last: a read from the beginning then finds each word in one piece in the store buffer.
    payload.store(last, last_bytes);
    payload.store(0, first_bytes);
    is_ascii([first_bytes, last_bytes])
}

/// Masks a payload of at least a lane. Returns whether the result is ASCII.
#[inline(always)]
fn long(payload: impl Payload, key: u32) -> bool {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is the function's only requirement.
        return unsafe { lanes_avx2(payload, key) };
    }
    lanes(payload, key)
}

/// # Safety
///
/// The processor must have AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn lanes_avx2(payload: impl Payload, key: u32) -> bool {
    lanes(payload, key)
}

#[inline(always)]
fn lanes(mut payload: impl Payload, key: u32) -> bool {
    let last = payload.len() - LANE;
    // The last lane is loaded before the loop changes the bytes in which they overlap, and stored after the loop.
    let last_bytes = xor::<LANE>(payload.load(last), rotate(key, last));
    let (key, mut seen) = (repeat(key), 0);
    payload.each_word(payload.len() / LANE * (LANE / 8), |word| {
        seen |= word ^ key;
        word ^ key
    });
    payload.store(last, last_bytes);
    (seen & HIGH == 0) & is_ascii([last_bytes])
}

/// The little-endian key, rotated for a payload that begins at byte `offset` of its frame.
#[inline(always)]
fn rotate(key: u32, offset: usize) -> u32 {
    key.rotate_right(8 * (offset % 4) as u32)
}

#[inline(always)]
fn repeat(key: u32) -> u64 {
    u64::from(key) << 32 | u64::from(key)
}

// This works on words, since the compiler turns such a loop into vector instructions. It would take an array of bytes apart.
#[inline(always)]
fn xor<const N: usize>(mut bytes: [u8; N], key: u32) -> [u8; N] {
    for word in words_mut(&mut bytes) {
        *word = (u64::from_le_bytes(*word) ^ repeat(key)).to_le_bytes();
    }
    bytes
}

/// Whether all bytes are ASCII. Words with an even and with an odd index are combined separately, so that words need not
/// leave their vectors.
#[inline(always)]
fn is_ascii<const N: usize, const M: usize>(pieces: [[u8; N]; M]) -> bool {
    let mut seen = [0; 2];
    for piece in pieces {
        for (index, word) in words(&piece).enumerate() {
            seen[index % 2] |= u64::from_le_bytes(*word);
        }
    }
    (seen[0] | seen[1]) & HIGH == 0
}

/// The whole words of `bytes`, of eight bytes each. A shorter rest is left out.
#[inline(always)]
fn words(bytes: &[u8]) -> impl Iterator<Item = &[u8; 8]> {
    bytes.chunks_exact(8).map(|word| word.try_into().expect("a chunk is as long as a word"))
}

#[inline(always)]
fn words_mut<T>(bytes: &mut [T]) -> impl Iterator<Item = &mut [T; 8]> {
    bytes.chunks_exact_mut(8).map(|word| word.try_into().expect("a chunk is as long as a word"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// RFC 6455 §5.3, to the letter: "j = i MOD 4", "transformed-octet-i = original-octet-i XOR masking-key-octet-j".
    fn reference(payload: &[u8], offset: usize) -> Vec<u8> {
        payload.iter().enumerate().map(|(i, byte)| byte ^ KEY[(i + offset) % 4]).collect()
    }

    /// Checks all code paths, including the portable one for processors without AVX2.
    fn check(payload: &[u8], offset: usize) {
        let expected = reference(payload, offset);
        let context = format!("{} bytes at {offset}", payload.len());
        for room in [0, payload.len()] {
            let mut output = Vec::with_capacity(1 + room);
            output.push(0xAA);
            assert_eq!(copy_text(&mut output, payload, KEY, offset), expected.is_ascii(), "{context}");
            assert_eq!((output[0], &output[1..]), (0xAA, &expected[..]), "{context}");
        }
        let mut bytes = payload.to_vec();
        assert_eq!(apply(&mut bytes, KEY, offset), expected.is_ascii(), "{context}, in place");
        assert_eq!(bytes, expected, "{context}, in place");
        if payload.len() >= LANE {
            let key = rotate(u32::from_le_bytes(KEY), offset);
            let mut output = Vec::with_capacity(payload.len());
            let target = &mut output.spare_capacity_mut()[..payload.len()];
            lanes(Copied { payload, target }, key);
            // SAFETY: `lanes` stores at every position.
            unsafe { output.set_len(payload.len()) };
            assert_eq!(output, expected, "{context}, portable");
            let mut bytes = payload.to_vec();
            assert_eq!(lanes(InPlace(&mut bytes), key), expected.is_ascii(), "{context}, portable and in place");
            assert_eq!(bytes, expected, "{context}, portable and in place");
        }
    }

    #[test]
    fn masking_equals_the_definition_of_the_rfc_at_every_length_and_offset() {
        // Miri needs a second for what usually takes a fraction of a millisecond.
        let (lanes, offsets) = if cfg!(miri) { (3, 0..2) } else { (16, 0..5) };
        let payload: Vec<u8> = (0..lanes * LANE + 1).map(|i| (i * 7) as u8).collect();
        for length in 0..payload.len() {
            for offset in offsets.clone() {
                check(&payload[..length], offset);
            }
        }
    }

    #[test]
    fn unmasking_finds_a_single_byte_that_is_not_ascii_at_every_position() {
        let step = if cfg!(miri) { 31 } else { 1 };
        for length in (0..5 * LANE).step_by(step) {
            // A payload that is plain ASCII when it is unmasked.
            let mut payload = reference(&vec![b'a'; length], 0);
            check(&payload, 0);
            for at in (0..length).step_by(step) {
                payload[at] ^= 0x80;
                check(&payload, 0);
                payload[at] ^= 0x80;
            }
        }
    }
}
