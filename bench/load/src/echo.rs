//! The echoes, compared byte by byte with the sent messages.

use crate::messages::{Messages, pong};
use crate::scenario::Role;
use anyhow::{Context as _, Result, bail, ensure};
use bench_serve::{Arch, mask};
use flate2::{Decompress, FlushDecompress};
use std::collections::BTreeMap;
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// The position of a connection in the echoes of its [`Messages`].
///
/// A message may come back in one frame or in several. Pings are answered, and Pongs are ignored.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    /// The number of the current or next message.
    pub(crate) position: usize,
    /// How much of its payload has arrived.
    pub(crate) offset: usize,
    /// How much of the current frame's payload is missing.
    remaining: u64,
    /// The masking key of the rest of it, if it comes from a client.
    key: Option<[u8; 4]>,
    /// The registers with which it is unmasked.
    arch: Arch,
    /// Where it is unmasked.
    unmasked: Vec<u8>,
    /// Whether the current frame is the last of its message.
    is_final: bool,
    /// Whether a frame of the message has arrived.
    has_begun: bool,
    /// What has arrived of a compressed message.
    deflated: Option<Vec<u8>>,
    /// For each message, its last verified compressed bytes. A server that compresses each message by itself sends the same
    /// bytes again, and comparing them is quicker than inflating them.
    proven: BTreeMap<usize, Vec<u8>>,
    /// The beginning of a frame header, or of a control frame, whose rest has not arrived yet.
    partial: Vec<u8>,
    /// Whether the first message is expected again after the last one.
    cycles: bool,
    /// Messages that have come since they were last counted.
    uncounted: usize,
    /// Pongs to send.
    pub(crate) answers: Vec<u8>,
}

impl Echo {
    /// Takes the bytes that were read, and returns the number of messages that they complete.
    ///
    /// # Errors
    ///
    /// When the bytes are not an echo.
    pub(crate) fn receive(&mut self, bytes: &[u8], messages: &Messages) -> Result<usize> {
        if self.partial.is_empty() {
            self.take(bytes, messages)?;
        } else {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(bytes);
            self.take(&joined, messages)?;
        }
        Ok(std::mem::take(&mut self.uncounted))
    }

    fn take(&mut self, mut bytes: &[u8], messages: &Messages) -> Result<()> {
        while !bytes.is_empty() {
            bytes = if self.remaining > 0 {
                self.compare(bytes, messages)?
            } else {
                match self.header(bytes, messages)? {
                    Some(rest) => rest,
                    None => {
                        self.partial = bytes.to_vec();
                        break;
                    }
                }
            };
        }
        Ok(())
    }

    /// Starts over with the first message.
    pub(crate) fn restart(&mut self) {
        self.position = 0;
    }

    /// Starts over with the first message, and again after each last one.
    pub(crate) fn cycle(&mut self) {
        self.restart();
        self.cycles = true;
    }

    /// Takes payload, and returns the bytes after it.
    fn compare<'a>(&mut self, bytes: &'a [u8], messages: &Messages) -> Result<&'a [u8]> {
        let length = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(bytes.len());
        let (here, rest) = bytes.split_at(length);
        self.remaining -= length as u64;
        let here = match &mut self.key {
            None => here,
            Some(key) => {
                self.unmasked.clear();
                self.unmasked.extend_from_slice(here);
                mask(&mut self.unmasked, *key, self.arch);
                key.rotate_left(length % 4);
                &self.unmasked
            }
        };
        if let Some(deflated) = &mut self.deflated {
            deflated.extend_from_slice(here);
            self.end_of_frame(messages)?;
            return Ok(rest);
        }
        let sent = messages.payloads.get(self.position).context("more messages came back than were sent")?;
        let expected = sent.get(self.offset..self.offset + length);
        let expected = expected.with_context(|| {
            format!("message {} came back with more than the {} bytes that were sent", self.position, sent.len())
        })?;
        ensure!(here == expected, "message {} came back changed", self.position);
        self.offset += length;
        self.end_of_frame(messages)?;
        Ok(rest)
    }

    /// Takes a header, or a whole control frame, and returns the bytes after it; `None` if it is not complete yet.
    fn header<'a>(&mut self, bytes: &'a [u8], messages: &Messages) -> Result<Option<&'a [u8]>> {
        let mut cursor = Cursor::new(bytes);
        let Some((header, length)) = FrameHeader::parse(&mut cursor).context("what came is no frame")? else {
            return Ok(None);
        };
        let rest = &bytes[cursor.position() as usize..];
        match messages.role {
            Role::Server => ensure!(header.mask.is_none(), "the server masked a frame"),
            Role::Client => ensure!(header.mask.is_some(), "the client did not mask a frame"),
        }
        let may_be_compressed = messages.deflate && !self.has_begun && matches!(header.opcode, OpCode::Data(_));
        ensure!(!header.rsv1 || may_be_compressed, "RSV1 is set, which means nothing here");
        ensure!(!(header.rsv2 || header.rsv3), "a reserved bit is set");
        match header.opcode {
            OpCode::Data(data) => {
                let expected = if self.has_begun { Data::Continue } else { messages.data };
                ensure!(data == expected, "message {}: expected {expected}, and {data} came", self.position);
                ensure!(self.position < messages.payloads.len(), "more messages came back than were sent");
                self.has_begun = true;
                self.is_final = header.is_final;
                (self.remaining, self.key) = (length, header.mask);
                if header.rsv1 {
                    self.deflated = Some(Vec::new());
                }
                self.end_of_frame(messages)?;
                Ok(Some(rest))
            }
            OpCode::Control(control) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                ensure!(length <= 125, "a control frame of {length} bytes came");
                let Some((payload, rest)) = rest.split_at_checked(length) else { return Ok(None) };
                match control {
                    Control::Ping => {
                        let mut payload = payload.to_vec();
                        mask(&mut payload, header.mask.unwrap_or_default(), self.arch);
                        pong(&mut self.answers, messages.role, &payload)?;
                    }
                    Control::Pong => {}
                    Control::Close => {
                        let mut payload = payload.to_vec();
                        mask(&mut payload, header.mask.unwrap_or_default(), self.arch);
                        bail!("the other side closed the connection{}", reason(&payload))
                    }
                    Control::Reserved(opcode) => bail!("a frame of the reserved opcode {opcode} came"),
                }
                Ok(Some(rest))
            }
        }
    }

    /// Checks whether a compressed message is what was `sent`.
    fn prove(&mut self, deflated: Vec<u8>, sent: &[u8]) -> Result<()> {
        let position = self.position;
        if self.proven.get(&position) != Some(&deflated) {
            let inflated = inflate(&deflated, sent.len());
            let inflated = inflated.with_context(|| format!("message {position} came back and cannot be inflated"))?;
            ensure!(inflated == sent, "message {position} came back changed, after it was inflated");
            self.proven.insert(position, deflated);
        }
        Ok(())
    }

    fn end_of_frame(&mut self, messages: &Messages) -> Result<()> {
        if self.remaining == 0 && self.is_final {
            let (position, came) = (self.position, self.offset);
            let sent = messages.payloads.get(position).context("more messages came back than were sent")?;
            match self.deflated.take() {
                Some(deflated) => self.prove(deflated, sent)?,
                None => ensure!(
                    came == sent.len(),
                    "message {position} came back with {came} of the {} bytes that were sent",
                    sent.len()
                ),
            }
            self.position += 1;
            self.uncounted += 1;
            if self.cycles && self.position == messages.payloads.len() {
                self.position = 0;
            }
            self.offset = 0;
            self.has_begun = false;
            self.is_final = false;
        }
        Ok(())
    }
}

/// Inflates a message that was compressed without context takeover (RFC 7692 §7.2.2).
fn inflate(deflated: &[u8], length: usize) -> Result<Vec<u8>> {
    let deflated = [deflated, &[0, 0, 0xff, 0xff]].concat();
    // Room for one byte more than allowed, so that an excess is noticed.
    let mut inflated = Vec::with_capacity(length + 1);
    Decompress::new(false).decompress_vec(&deflated, &mut inflated, FlushDecompress::Sync)?;
    Ok(inflated)
}

/// The code and reason of a Close, in words.
fn reason(payload: &[u8]) -> String {
    match payload.split_first_chunk::<2>() {
        Some((code, reason)) => {
            format!(" with {} `{}`", u16::from_be_bytes(*code), String::from_utf8_lossy(reason).escape_debug())
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::write_frame;
    use crate::scenario::Scenario;

    fn frame(is_final: bool, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
        write(FrameHeader { is_final, opcode, ..FrameHeader::default() }, payload)
    }

    fn write(header: FrameHeader, payload: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        header.format(payload.len() as u64, &mut wire).unwrap();
        wire.extend_from_slice(payload);
        wire
    }

    fn messages() -> Messages {
        Messages::new(Scenario::find("pair-at-once").unwrap(), 7).unwrap()
    }

    /// Both messages, with a Ping before each and the second in two fragments.
    fn answer(messages: &Messages) -> Vec<u8> {
        let ping = frame(true, OpCode::Control(Control::Ping), b"still there?");
        let [first, second] = &messages.payloads[..] else { panic!("two messages") };
        let (start, end) = second.split_at(7);
        [
            ping.clone(),
            frame(true, OpCode::Data(Data::Binary), first),
            frame(false, OpCode::Data(Data::Binary), start),
            ping,
            frame(true, OpCode::Data(Data::Continue), end),
        ]
        .concat()
    }

    #[test]
    fn echoes_are_recognised_however_they_are_cut() {
        let messages = messages();
        let answer = answer(&messages);
        for size in 1..=answer.len() {
            let mut echo = Echo::default();
            let completed: usize = answer.chunks(size).map(|bytes| echo.receive(bytes, &messages).unwrap()).sum();
            assert_eq!((completed, echo.position, echo.offset), (2, 2, 0), "in pieces of {size}");
            assert_eq!(echo.answers.len(), 2 * (6 + 12));
        }
    }

    #[test]
    fn bytes_that_are_no_echo_are_refused() {
        let messages = messages();
        let binary = OpCode::Data(Data::Binary);
        let first = &messages.payloads[0];
        let mut changed = first.clone();
        changed[19] ^= 1;
        for (bytes, why) in [
            (frame(true, binary, &changed), "changed"),
            (frame(true, binary, &first[..19]), "19 of the 20 bytes"),
            (frame(true, binary, &[first, &b"."[..]].concat()), "more than the 20 bytes"),
            (frame(true, OpCode::Data(Data::Text), first), "expected BINARY, and TEXT came"),
            (frame(true, OpCode::Control(Control::Close), b"\x03\xf0why"), "closed the connection with 1008 `why`"),
        ] {
            let error = Echo::default().receive(&bytes, &messages).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    /// One compressed message, as the scenario sends it.
    fn compressed() -> (Messages, Vec<u8>) {
        let messages = Messages::new(Scenario::find("deflate-1k").unwrap(), 7).unwrap();
        let mut cursor = Cursor::new(&messages.wire);
        let (header, length) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
        let start = cursor.position() as usize;
        let masked = &messages.wire[start..start + length as usize];
        let deflated = masked.iter().zip(header.mask.unwrap().iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        (messages, deflated)
    }

    fn first_frame(is_final: bool, rsv1: bool, payload: &[u8]) -> Vec<u8> {
        write(FrameHeader { is_final, rsv1, opcode: OpCode::Data(Data::Text), ..FrameHeader::default() }, payload)
    }

    #[test]
    fn compressed_echoes_are_recognised_however_they_are_cut() {
        let (messages, deflated) = compressed();
        assert!(deflated.len() < 700, "{} bytes of 1024", deflated.len());
        let (start, end) = deflated.split_at(100);
        let answer = [first_frame(false, true, start), frame(true, OpCode::Data(Data::Continue), end)].concat();
        let mut echo = Echo::default();
        for size in 1..=answer.len() {
            echo.restart();
            let completed: usize = answer.chunks(size).map(|bytes| echo.receive(bytes, &messages).unwrap()).sum();
            assert_eq!((completed, echo.position), (1, 1), "in pieces of {size}");
        }
        // A server may leave a message uncompressed.
        echo.restart();
        assert_eq!(echo.receive(&first_frame(true, false, &messages.payloads[0]), &messages).unwrap(), 1);
    }

    #[test]
    fn bytes_that_are_no_compressed_echo_are_refused() {
        let (messages, deflated) = compressed();
        let other = Messages::new(Scenario::find("deflate-1k").unwrap(), 8).unwrap();
        let plain = self::messages();
        let continued = [first_frame(false, true, &deflated[..9]), first_frame(true, true, &deflated[9..])].concat();
        for (messages, bytes, why) in [
            (&other, first_frame(true, true, &deflated), "changed"),
            (&messages, first_frame(true, true, &deflated[..deflated.len() - 3]), "changed"),
            (&messages, first_frame(true, true, &[0xff; 40]), "cannot be inflated"),
            (&messages, continued, "RSV1"),
            (&plain, first_frame(true, true, &deflated), "RSV1"),
        ] {
            let error = Echo::default().receive(&bytes, messages).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn echoes_that_cycle_are_counted_over_and_over() {
        let messages = messages();
        let answer = answer(&messages);
        let mut echo = Echo::default();
        echo.cycle();
        for _ in 0..3 {
            assert_eq!(echo.receive(&answer, &messages).unwrap(), 2);
        }
        assert_eq!(echo.receive(&answer[..answer.len() - 1], &messages).unwrap(), 1);
        assert_eq!(echo.receive(&answer[answer.len() - 1..], &messages).unwrap(), 1);
    }

    #[test]
    fn an_echo_of_more_than_was_sent_is_refused() {
        let messages = messages();
        let mut echo = Echo::default();
        echo.receive(&answer(&messages), &messages).unwrap();
        let again = frame(true, OpCode::Data(Data::Binary), &messages.payloads[0]);
        assert!(echo.receive(&again, &messages).unwrap_err().to_string().contains("more messages"));
    }

    #[test]
    fn echoes_of_a_client_are_unmasked_however_they_are_cut() {
        let messages = Messages::new(Scenario::find("client-pipelined-text-32").unwrap(), 7).unwrap();
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        let mut answer = Vec::new();
        for (number, payload) in messages.payloads.iter().enumerate() {
            write_frame(&mut answer, header.clone(), Some([number as u8, 2, 3, 4]), payload).unwrap();
        }
        for size in 1..=answer.len() {
            let mut echo = Echo::default();
            let completed: usize = answer.chunks(size).map(|bytes| echo.receive(bytes, &messages).unwrap()).sum();
            assert_eq!((completed, echo.position, echo.offset), (64, 64, 0), "in pieces of {size}");
        }
        answer[30] ^= 1;
        assert!(
            Echo::default()
                .receive(&answer, &messages)
                .unwrap_err()
                .to_string()
                .contains("message 0 came back changed")
        );
        let unmasked = write(header, &messages.payloads[0]);
        assert!(Echo::default().receive(&unmasked, &messages).unwrap_err().to_string().contains("did not mask"));
    }
}
