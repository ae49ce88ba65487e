//! Masking: XOR with a key of four bytes, starting anywhere within it (RFC 6455 §5.3).
//!
//! Two operations: in place, for bytes that were read straight into their message; and copying on the way, for small
//! payloads, which saves a pass. Both are plain loops over [`LANE`] bytes, which the compiler turns into vector
//! instructions; where the processor has wider ones than the build's target, they are chosen at run time.

/// A multiple of the key's length that fills a wide vector register.
const LANE: usize = 32;

/// Below this many bytes the choice at run time costs more than it gains.
const WIDE: usize = 256;

/// Masks or unmasks `payload`, the first byte of which is number `offset` of its frame.
pub(crate) fn apply(payload: &mut [u8], key: [u8; 4], offset: usize) {
    if payload.len() < WIDE {
        return apply_words(payload, rotate(key, offset));
    }
    let lane = lane(key, offset);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { avx2::apply(payload, &lane) };
    }
    apply_lanes(payload, &lane);
}

/// Appends `payload` to `output`, masked or unmasked on the way.
pub(crate) fn copy(output: &mut Vec<u8>, payload: &[u8], key: [u8; 4], offset: usize) {
    let length = output.len();
    #[cfg(target_arch = "x86_64")]
    if payload.len() >= WIDE && std::arch::is_x86_feature_detected!("avx2") {
        output.reserve(payload.len());
        let spare = &mut output.spare_capacity_mut()[..payload.len()];
        // SAFETY: the processor has AVX2, which is all that `write` asks for. It initializes `payload.len()` bytes behind
        // the old end, which are within the capacity.
        unsafe {
            avx2::write(spare, payload, &lane(key, offset));
            output.set_len(length + payload.len());
        }
        return;
    }
    output.extend_from_slice(payload);
    apply(&mut output[length..], key, offset);
}

/// The key as the byte number `offset` of a frame finds it.
fn rotate(key: [u8; 4], offset: usize) -> [u8; 4] {
    u32::from_le_bytes(key).rotate_right(8 * (offset % 4) as u32).to_le_bytes()
}

/// The rotated key, repeated.
fn lane(key: [u8; 4], offset: usize) -> [u8; LANE] {
    let key = rotate(key, offset);
    std::array::from_fn(|i| key[i % 4])
}

#[inline(always)]
fn apply_lanes(payload: &mut [u8], lane: &[u8; LANE]) {
    let mut chunks = payload.chunks_exact_mut(LANE);
    for chunk in &mut chunks {
        for (byte, key) in chunk.iter_mut().zip(lane) {
            *byte ^= key;
        }
    }
    apply_words(chunks.into_remainder(), [lane[0], lane[1], lane[2], lane[3]]);
}

#[inline(always)]
fn apply_words(payload: &mut [u8], key: [u8; 4]) {
    let word = u64::from(u32::from_ne_bytes(key));
    let word = word << 32 | word;
    let mut words = payload.chunks_exact_mut(8);
    for bytes in &mut words {
        let masked = u64::from_ne_bytes(bytes.try_into().expect("chunks of eight")) ^ word;
        bytes.copy_from_slice(&masked.to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The same loop, compiled for processors with AVX2, and the one that copies, which is worth it only there. NEON needs
/// no such copy: it is part of every 64-bit ARM target.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::mem::MaybeUninit;

    use super::{LANE, apply_lanes};

    #[target_feature(enable = "avx2")]
    pub(super) fn apply(payload: &mut [u8], lane: &[u8; LANE]) {
        apply_lanes(payload, lane);
    }

    /// Initializes all of `target`, which is as long as `payload`.
    #[target_feature(enable = "avx2")]
    pub(super) fn write(target: &mut [MaybeUninit<u8>], payload: &[u8], lane: &[u8; LANE]) {
        assert_eq!(target.len(), payload.len());
        let mut targets = target.chunks_exact_mut(LANE);
        let mut chunks = payload.chunks_exact(LANE);
        for (target, chunk) in (&mut targets).zip(&mut chunks) {
            for ((target, byte), key) in target.iter_mut().zip(chunk).zip(lane) {
                target.write(byte ^ key);
            }
        }
        for ((target, byte), key) in targets.into_remainder().iter_mut().zip(chunks.remainder()).zip(lane) {
            target.write(byte ^ key);
        }
    }
}

#[cfg(test)]
mod tests {
    /// RFC 6455 §5.3, to the letter: "j = i MOD 4", "transformed-octet-i = original-octet-i XOR masking-key-octet-j".
    fn reference(payload: &[u8], key: [u8; 4], offset: usize) -> Vec<u8> {
        payload.iter().enumerate().map(|(i, byte)| byte ^ key[(i + offset) % 4]).collect()
    }

    #[test]
    fn equals_the_definition_at_every_length_and_offset() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let payload: Vec<u8> = (0..2 * super::WIDE).map(|i| (i * 7) as u8).collect();
        for length in (0..100).chain(super::WIDE - 40..payload.len()) {
            for offset in 0..9 {
                let mut output = vec![0xAA];
                super::copy(&mut output, &payload[..length], key, offset);
                let expected = reference(&payload[..length], key, offset);
                assert_eq!(output[1..], expected, "{length} at {offset}");
                super::apply(&mut output[1..], key, offset);
                assert_eq!(output[1..], payload[..length], "{length} at {offset}, in place");
            }
        }
    }
}
