//! Reads the bytes that are committed for tests.

use std::collections::HashMap;

use bytes::Bytes;

/// The fixtures of a file, by name. Each begins with its name in brackets; "#" begins a comment.
pub(crate) fn fixtures(file: &'static str) -> HashMap<&'static str, Bytes> {
    let mut fixtures = HashMap::<_, Vec<u8>>::new();
    let mut name = None;
    for line in file.lines() {
        if let Some(line) = line.strip_prefix('[') {
            name = line.strip_suffix(']');
            continue;
        }
        let (bytes, _) = line.split_once('#').unwrap_or((line, ""));
        let bytes = bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte in hexadecimal"));
        let bytes: Vec<u8> = bytes.collect();
        if !bytes.is_empty() {
            fixtures.entry(name.expect("a name comes first")).or_default().extend(bytes);
        }
    }
    fixtures.into_iter().map(|(name, bytes)| (name, bytes.into())).collect()
}
