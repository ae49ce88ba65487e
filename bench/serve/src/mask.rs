//! Masking and unmasking in place, with the widest registers that the processor has.

pub use pulp::Arch;
use pulp::NullaryFnOnce;

/// The length from which wide registers pay for the choice between the processor's kinds of them.
const LONG: usize = 64;

/// Applies the masking key to a payload that begins with the first byte of the key.
pub fn mask(payload: &mut [u8], key: [u8; 4], arch: Arch) {
    match payload.len() {
        LONG.. => arch.dispatch(Words { payload, key }),
        8.. => words(payload, key),
        _ => payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key),
    }
}

/// The loop over words, for the compiler to turn into instructions on wide registers.
struct Words<'a> {
    payload: &'a mut [u8],
    key: [u8; 4],
}

impl NullaryFnOnce for Words<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        words(self.payload, self.key);
    }
}

/// Masks at least eight bytes. The last eight are one word, which may overlap the words before it.
#[inline(always)]
fn words(payload: &mut [u8], key: [u8; 4]) {
    let key = u32::from_le_bytes(key);
    let at = payload.len() - 8;
    let end = payload.last_chunk().map(|end| word(end, key.rotate_right(8 * (at % 4) as u32)));
    for chunk in payload.as_chunks_mut().0 {
        *chunk = word(chunk, key);
    }
    if let (Some(end), Some(chunk)) = (end, payload.last_chunk_mut()) {
        *chunk = end;
    }
}

#[inline(always)]
fn word(bytes: &[u8; 8], key: u32) -> [u8; 8] {
    let key = u64::from(key) << 32 | u64::from(key);
    (u64::from_le_bytes(*bytes) ^ key).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_of_any_length_is_masked_with_narrow_and_with_wide_registers() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..500 {
            let masked: Vec<u8> = (0..length).map(|index| (index * 7) as u8).collect();
            let expected: Vec<u8> = masked.iter().enumerate().map(|(index, byte)| byte ^ key[index % 4]).collect();
            for arch in [Arch::Scalar, Arch::new()] {
                let mut payload = masked.clone();
                mask(&mut payload, key, arch);
                assert_eq!(payload, expected, "{length} bytes, {arch:?}");
            }
        }
    }
}
