//! permessage-deflate (RFC 7692) through the two halves of the protocol.
#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod cost;
mod differential;
mod messages;
mod peer;
mod prepared;
mod rfc;
mod scan;
mod shared;
mod split;
mod windows;

use peer::Peer;
use sockeye_proto::deflate::{Compression, Memory, Parameters, WindowBits};
use sockeye_proto::{Config, Decoder, Encoder, Error, Message, Outgoing, Role};
use sockeye_testkit::Frame;

/// RSV1.
const COMPRESSED: u8 = 1;

/// Neither end refers to earlier messages.
fn no_takeover() -> Parameters {
    Parameters { server_no_context_takeover: true, client_no_context_takeover: true, ..Parameters::default() }
}

fn bits(bits: u8) -> WindowBits {
    WindowBits::new(bits).unwrap()
}

/// A server's decoder for these parameters.
fn decoder(agreed: Parameters, config: &Config) -> Decoder {
    Decoder::new(Role::Server, config).with_extension(agreed.decoder(Role::Server, &Compression::new()))
}

/// A server's encoder for these parameters.
fn encoder(agreed: Parameters, compression: Compression) -> Encoder {
    Encoder::server().with_extension(agreed.encoder(Role::Server, &compression))
}

/// The first error of a decoder, or all messages in the bytes.
fn decode(decoder: &mut Decoder, mut wire: &[u8]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    while let Some(message) = decoder.decode(&mut wire)? {
        messages.push(message);
    }
    Ok(messages)
}

/// A frame with RSV1.
fn compressed(payload: &[u8]) -> Frame {
    Frame::text(payload).rsv(COMPRESSED)
}

/// What a server has sent: RSV1 and the payload of each frame.
fn frames(mut wire: &[u8]) -> Vec<(bool, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = wire {
        let (length, rest) = match second {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            short => (usize::from(*short), rest),
        };
        frames.push((first & 0x40 != 0, rest[..length].to_vec()));
        wire = &rest[length..];
    }
    frames
}

/// Text as applications send it: similar, but not the same.
fn json(items: usize, seed: u64) -> String {
    let item = |index: usize| {
        let number = (index as u64 + 1).wrapping_mul(seed | 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        format!(
            r#"{{"id":{number},"name":"sockeye {}","tide":{:.3},"open":{}}}"#,
            number % 97,
            number as f64 / 7.0,
            number % 2
        )
    };
    format!("[{}]", (0..items).map(item).collect::<Vec<_>>().join(","))
}

/// Bytes that no compressor makes shorter.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}
