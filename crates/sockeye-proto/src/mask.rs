//! Masking: XOR with a key of four bytes, starting anywhere within it (RFC 6455 §5.3).

/// Masks or unmasks `payload`, the first byte of which is number `offset` of its frame.
pub(crate) fn apply(payload: &mut [u8], key: [u8; 4], offset: usize) {
    let key = rotate(key, offset);
    let wide = u64::from(u32::from_ne_bytes(key));
    let wide = wide << 32 | wide;
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let value = u64::from_ne_bytes(word.try_into().expect("chunks of eight")) ^ wide;
        word.copy_from_slice(&value.to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// Appends `payload` to `output`, masked or unmasked on the way.
pub(crate) fn copy(output: &mut Vec<u8>, payload: &[u8], key: [u8; 4], offset: usize) {
    let start = output.len();
    output.extend_from_slice(payload);
    apply(&mut output[start..], key, offset);
}

/// The key as the byte number `offset` of a frame finds it.
fn rotate(mut key: [u8; 4], offset: usize) -> [u8; 4] {
    key.rotate_left(offset % 4);
    key
}

#[cfg(test)]
mod tests {
    /// RFC 6455 §5.3, to the letter: "transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4)".
    fn reference(payload: &[u8], key: [u8; 4], offset: usize) -> Vec<u8> {
        payload.iter().enumerate().map(|(i, byte)| byte ^ key[(i + offset) % 4]).collect()
    }

    #[test]
    fn equals_the_definition_at_every_length_and_offset() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let payload: Vec<u8> = (0..100).collect();
        for length in 0..payload.len() {
            for offset in 0..9 {
                let mut output = vec![0xAA];
                super::copy(&mut output, &payload[..length], key, offset);
                assert_eq!(output[1..], reference(&payload[..length], key, offset), "{length} at {offset}");
            }
        }
    }
}
