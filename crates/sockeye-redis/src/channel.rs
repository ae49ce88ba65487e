//! What is published in the channel of a topic.
//!
//! * `m` and an envelope: a message that nothing keeps.
//! * `a`, the offset of the message before, a space, the position, a space, and an envelope: a message of a history. `append.lua`
//!   writes this.
//! * `p`: nothing, by which a node finds out whether messages come back, or whether it may publish.

use std::str::{FromStr, from_utf8};

use bytes::Bytes;
use sockeye_state::{Entry, Position};

/// A message in a channel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Message(Bytes),
    Appended(Entry),
    Nothing,
}

/// What is published to find something out.
pub(crate) const NOTHING: &[u8] = b"p";

/// What is published for a message that nothing keeps.
pub(crate) fn message(envelope: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(envelope.len() + 1);
    payload.push(b'm');
    payload.extend_from_slice(envelope);
    payload
}

/// Reads what was published. `None` if it is nothing that this crate writes.
pub(crate) fn parse(payload: &[u8]) -> Option<Payload> {
    let (kind, rest) = payload.split_first()?;
    match kind {
        b'm' => Some(Payload::Message(Bytes::copy_from_slice(rest))),
        b'a' => {
            let (after, rest) = word::<u64>(rest)?;
            let (at, rest) = word::<Position>(rest)?;
            Some(Payload::Appended(Entry::new(after, at, Bytes::copy_from_slice(rest))))
        }
        b'p' if rest.is_empty() => Some(Payload::Nothing),
        _ => None,
    }
}

/// The word before the first space, and what follows the space.
fn word<T: FromStr>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    let word = from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    Some((word, &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        assert_eq!(parse(&message(b"a b\0")), Some(Payload::Message(Bytes::from_static(b"a b\0"))));
        let entry = Entry::new(40, "k3x9.41".parse().unwrap(), Bytes::from_static(b" x y"));
        assert_eq!(parse(b"a40 k3x9.41  x y"), Some(Payload::Appended(entry)));
    }

    #[test]
    fn nothing_is_read_as_nothing() {
        assert_eq!(parse(NOTHING), Some(Payload::Nothing));
        assert_eq!(parse(b"px"), None);
    }

    #[test]
    fn what_others_publish_is_not_read() {
        for payload in [&b""[..], b"x", b"a", b"a40", b"a40 k3x9", b"a40 k3x9.041 x", b"a-1 k3x9.41 x", b"a\xff k.1 x"]
        {
            assert_eq!(parse(payload), None, "{payload:?}");
        }
    }
}
