//! What a connection sends, built before anything is measured.

use crate::scenario::{Content, Scenario};
use anyhow::{Context as _, Result};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// A text in several scripts; with a character of each length that UTF-8 has.
const WIDE: &str = "Grüße an alle, привет всем, 世界こんにちは, ñandú αβγ 🐟🐠 ";

/// The messages that a connection sends at once, masked, and what must come back.
#[derive(Debug)]
pub(crate) struct Messages {
    /// All frames, one after the other, as they go over the wire.
    pub(crate) wire: Vec<u8>,
    /// Where each message ends in `wire`.
    pub(crate) ends: Vec<usize>,
    /// What each message carries.
    pub(crate) payloads: Vec<Vec<u8>>,
    /// Of the first frame of each message.
    pub(crate) data: Data,
}

impl Messages {
    /// Those of one connection. No two messages of a scenario are alike, as far as there is room for a number in them.
    pub(crate) fn new(scenario: &Scenario, connection: usize) -> Result<Self> {
        let data = if scenario.content == Content::Binary { Data::Binary } else { Data::Text };
        let mut messages = Self { wire: Vec::new(), ends: Vec::new(), payloads: Vec::new(), data };
        let mut keys = Keys::new(connection);
        for position in 0..scenario.in_flight {
            let payload = payload(scenario.content, scenario.size, connection, position);
            let length = payload.len().div_ceil(scenario.fragments).max(1);
            let count = payload.chunks(length).count();
            for (index, fragment) in payload.chunks(length).enumerate() {
                let opcode = OpCode::Data(if index == 0 { data } else { Data::Continue });
                messages.add_frame(index + 1 == count, opcode, keys.next(), fragment)?;
            }
            messages.ends.push(messages.wire.len());
            messages.payloads.push(payload);
        }
        Ok(messages)
    }

    fn add_frame(&mut self, is_final: bool, opcode: OpCode, key: [u8; 4], payload: &[u8]) -> Result<()> {
        write_frame(&mut self.wire, is_final, opcode, key, payload)
    }
}

/// The Pong that answers a Ping, masked.
pub(crate) fn pong(wire: &mut Vec<u8>, payload: &[u8]) -> Result<()> {
    let opcode = OpCode::Control(tungstenite::protocol::frame::coding::Control::Pong);
    write_frame(wire, true, opcode, [0x5a, 0xc3, 0x3c, 0xa5], payload)
}

fn write_frame(wire: &mut Vec<u8>, is_final: bool, opcode: OpCode, key: [u8; 4], payload: &[u8]) -> Result<()> {
    let header = FrameHeader { is_final, opcode, mask: Some(key), ..FrameHeader::default() };
    header.format(payload.len() as u64, wire).context("cannot write a frame header")?;
    wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    Ok(())
}

fn payload(content: Content, size: usize, connection: usize, position: usize) -> Vec<u8> {
    let mut payload = format!("{connection:05}/{position:03} ").into_bytes();
    match content {
        Content::Binary => payload.extend((0..size).map(|index| (index * 31 + connection) as u8)),
        Content::Ascii => payload.extend(b"the quick brown fox jumps ".iter().cycle().take(size)),
        Content::Wide => {
            while payload.len() + WIDE.len() <= size {
                payload.extend(WIDE.as_bytes());
            }
            for character in WIDE.chars() {
                if payload.len() + character.len_utf8() > size {
                    break;
                }
                payload.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            payload.resize(size.max(payload.len()), b'.');
        }
    }
    payload.truncate(size);
    payload
}

/// Masking keys that look like random ones and are the same in every run (xorshift).
struct Keys(u32);

impl Keys {
    fn new(seed: usize) -> Self {
        Self((seed as u32).wrapping_mul(0x9e37_79b9) | 1)
    }

    fn next(&mut self) -> [u8; 4] {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0.to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;

    #[test]
    fn payloads_are_as_long_as_told_and_texts_are_texts() {
        for scenario in SCENARIOS {
            let messages = Messages::new(scenario, 3).unwrap();
            assert_eq!(messages.payloads.len(), scenario.in_flight);
            for payload in &messages.payloads {
                assert_eq!(payload.len(), scenario.size, "{}", scenario.name);
                match scenario.content {
                    Content::Binary => {}
                    Content::Ascii => assert!(payload.is_ascii()),
                    Content::Wide => assert!(!payload.is_ascii() && std::str::from_utf8(payload).is_ok()),
                }
            }
        }
    }

    #[test]
    fn no_two_messages_of_a_scenario_are_alike() {
        let scenario = Scenario::find("pipelined-text-32").unwrap();
        let mut all: Vec<Vec<u8>> = Vec::new();
        for connection in 0..scenario.connections {
            all.extend(Messages::new(scenario, connection).unwrap().payloads);
        }
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn the_wire_has_what_the_payload_has() {
        let scenario = Scenario::find("fragments-4").unwrap();
        let messages = Messages::new(scenario, 0).unwrap();
        let mut cursor = std::io::Cursor::new(&messages.wire);
        let mut payload = Vec::new();
        for index in 0..4 {
            let (header, length) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
            assert_eq!(header.is_final, index == 3);
            assert_eq!(header.opcode, OpCode::Data(if index == 0 { Data::Binary } else { Data::Continue }));
            let key = header.mask.unwrap();
            let start = cursor.position() as usize;
            let fragment = &messages.wire[start..start + length as usize];
            payload.extend(fragment.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
            cursor.set_position(start as u64 + length);
        }
        assert_eq!(payload, messages.payloads[0]);
        assert_eq!(cursor.position() as usize, messages.ends[0]);
    }
}
