//! The messages of a connection, built before anything is measured.

use crate::scenario::{Content, Role, Scenario};
use anyhow::{Context as _, Result, ensure};
use flate2::{Compress, Compression, FlushCompress};
use std::fmt::Write as _;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// A text in several scripts, with characters of each length in UTF-8.
const WIDE: &str = "Grüße an alle, привет всем, 世界こんにちは, ñandú αβγ 🐟🐠 ";

/// A text that asks for the message that the server keeps.
const ASK: &[u8] = b"to all";

/// The messages that a connection sends at once, and the expected echoes.
#[derive(Debug)]
pub(crate) struct Messages {
    /// All frames, one after the other, as on the wire.
    pub(crate) wire: Vec<u8>,
    /// Where each message ends in `wire`.
    pub(crate) ends: Vec<usize>,
    /// The payload of each message.
    pub(crate) payloads: Vec<Vec<u8>>,
    /// The measured side, which sends the echoes. Only frames of clients are masked.
    pub(crate) role: Role,
    /// Of the first frame of each message.
    pub(crate) data: Data,
    /// Whether the echoes may be compressed.
    pub(crate) deflate: bool,
    /// How many of the first bytes of `wire` are sent only once, before everything else.
    pub(crate) once: usize,
}

impl Messages {
    /// The messages of one connection. No two messages of a scenario are the same if they have room for a number.
    pub(crate) fn new(scenario: &Scenario, connection: usize) -> Result<Self> {
        let data = if scenario.content == Content::Binary { Data::Binary } else { Data::Text };
        let deflate = scenario.deflate;
        let role = scenario.role;
        let mut messages =
            Self { wire: Vec::new(), ends: Vec::new(), payloads: Vec::new(), role, data, deflate, once: 0 };
        let mut keys = Keys::new(connection);
        for position in 0..scenario.in_flight {
            let payload = payload(scenario.content, scenario.size, connection, position);
            let deflated = if deflate { Some(compress(&payload)?) } else { None };
            let sent = deflated.as_deref().unwrap_or(&payload);
            let length = sent.len().div_ceil(scenario.fragments).max(1);
            let count = sent.chunks(length).count();
            for (index, fragment) in sent.chunks(length).enumerate() {
                let opcode = OpCode::Data(if index == 0 { data } else { Data::Continue });
                let rsv1 = deflate && index == 0;
                let header = FrameHeader { is_final: index + 1 == count, rsv1, opcode, ..FrameHeader::default() };
                write_frame(&mut messages.wire, header, key(role, keys.next()), fragment)?;
            }
            messages.ends.push(messages.wire.len());
            messages.payloads.push(payload);
        }
        Ok(messages)
    }

    /// A message that the server keeps, which is sent only once, and then the text that asks for it.
    pub(crate) fn fan_out(scenario: &Scenario) -> Result<Self> {
        let mut messages = Self::new(scenario, 0)?;
        messages.once = messages.wire.len();
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        write_frame(&mut messages.wire, header, key(scenario.role, [0x3a, 0x91, 0x0f, 0xc6]), ASK)?;
        messages.ends = vec![messages.wire.len()];
        Ok(messages)
    }
}

/// The Pong that answers a Ping of the measured side.
pub(crate) fn pong(wire: &mut Vec<u8>, role: Role, payload: &[u8]) -> Result<()> {
    let opcode = OpCode::Control(tungstenite::protocol::frame::coding::Control::Pong);
    write_frame(wire, FrameHeader { opcode, ..FrameHeader::default() }, key(role, [0x5a, 0xc3, 0x3c, 0xa5]), payload)
}

/// The masking key of what is sent to the measured side.
fn key(measured: Role, key: [u8; 4]) -> Option<[u8; 4]> {
    (measured == Role::Server).then_some(key)
}

/// Appends a frame, masked if there is a key.
pub(crate) fn write_frame(
    wire: &mut Vec<u8>,
    mut header: FrameHeader,
    key: Option<[u8; 4]>,
    payload: &[u8],
) -> Result<()> {
    header.mask = key;
    header.format(payload.len() as u64, wire).context("cannot write a frame header")?;
    let key = key.unwrap_or_default();
    wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    Ok(())
}

/// Compresses a message by RFC 7692 §7.2.1, without context takeover.
fn compress(payload: &[u8]) -> Result<Vec<u8>> {
    let mut compress = Compress::new(Compression::new(6), false);
    // A flush adds up to six bytes, and a stored block five for each 16 KiB or so.
    let mut deflated = Vec::with_capacity(payload.len() + payload.len() / 1000 + 64);
    compress.compress_vec(payload, &mut deflated, FlushCompress::Sync).context("cannot compress a message")?;
    ensure!(compress.total_in() == payload.len() as u64, "a message was not compressed in one piece");
    ensure!(deflated.ends_with(&[0, 0, 0xff, 0xff]), "a flush did not end with an empty block");
    deflated.truncate(deflated.len() - 4);
    Ok(deflated)
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
        Content::Json => {
            let text = json(size, connection * 1000 + position);
            payload = text.into_bytes();
        }
    }
    payload.truncate(size);
    payload
}

/// Records of a feed of prices, at least `size` bytes of them.
fn json(size: usize, seed: usize) -> String {
    let mut random = Keys::new(seed);
    let mut number = move |below: u32| u32::from_le_bytes(random.next()) % below;
    let mut text = String::with_capacity(size + 200);
    text.push('[');
    while text.len() < size {
        let symbol: String = (0..4).map(|_| char::from(b'A' + number(26) as u8)).collect();
        let (price, hundredths, spread) = (number(900) + 10, number(100), number(90) + 10);
        let venue = ["XNAS", "XNYS", "XETR", "XLON"][number(4) as usize];
        let halted = if number(20) == 0 { "true" } else { "false" };
        let (id, time, volume) = (number(10_000_000), 1_790_000_000 + number(10_000_000), number(50_000));
        let _ = write!(
            text,
            r#"{{"id":{id},"symbol":"{symbol}","venue":"{venue}","bid":{price}.{hundredths:02},"spread":0.{spread},"#
        );
        let _ = write!(text, r#""volume":{volume},"time":{time},"halted":{halted},"source":"consolidated feed"}},"#);
    }
    text
}

/// Pseudo-random masking keys that are the same in every run (xorshift).
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
    use crate::scenarios::SCENARIOS;

    #[test]
    fn payloads_have_the_size_and_the_content_of_their_scenario() {
        for scenario in SCENARIOS {
            let messages = Messages::new(scenario, 3).unwrap();
            assert_eq!(messages.payloads.len(), scenario.in_flight);
            for payload in &messages.payloads {
                assert_eq!(payload.len(), scenario.size, "{}", scenario.name);
                match scenario.content {
                    Content::Binary => {}
                    Content::Ascii | Content::Json => assert!(payload.is_ascii()),
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
    fn a_fan_out_sends_its_message_once_and_then_only_a_short_text() {
        let scenario = Scenario::find("fan-out-16k").unwrap();
        let messages = Messages::fan_out(scenario).unwrap();
        let whole = Messages::new(scenario, 0).unwrap();
        assert_eq!(messages.wire[..messages.once], whole.wire);
        assert_eq!((messages.payloads, messages.data), (whole.payloads, Data::Binary));
        assert_eq!(messages.ends, [messages.wire.len()]);
        let mut cursor = std::io::Cursor::new(&messages.wire[messages.once..]);
        let (header, length) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
        assert_eq!((header.opcode, header.is_final), (OpCode::Data(Data::Text), true));
        assert_eq!(messages.once + (cursor.position() + length) as usize, messages.wire.len());
    }

    #[test]
    fn the_fragments_on_the_wire_make_up_the_payload() {
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

    #[test]
    fn a_client_gets_frames_that_are_not_masked() {
        let messages = Messages::new(Scenario::find("client-text-20").unwrap(), 0).unwrap();
        assert_eq!(messages.wire, [&[0x81, 20], &messages.payloads[0][..]].concat());
    }
}
