//! Fragments → one message, within the limits.

use crate::{
    Buffer, Config, Error, Limit, Message, PayloadDecoder, Violation,
    header::{Header, OpCode},
    mask, utf8,
};

/// Judges a frame that is a message by itself.
#[inline]
pub(crate) fn check_alone(header: &Header, config: &Config) -> Result<(), Error> {
    check(Limit::FrameSize, config.max_frame_size, header.length)?;
    if !header.rsv1 {
        check(Limit::MessageSize, config.max_message_size, header.length)?;
    }
    check(Limit::Fragments, config.max_fragments, 1)
}

/// A message of which some bytes have arrived.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    kind: Option<Kind>,
    /// Whether the payload goes through the extension. Then nothing of it is kept here.
    transformed: bool,
    /// How much of such a payload has arrived.
    arrived: u64,
    frames: usize,
    /// The lengths of the frames so far as their headers declared them.
    declared: u64,
    payload: Vec<u8>,
    /// How much of a text has been found valid. At most `payload.len()`.
    validated: usize,
    /// How much of `payload` has been unmasked; what is behind it was read straight into place.
    settled: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

impl Assembler {
    /// Takes note of the header of a data frame, and checks order and limits before any of its payload is kept.
    pub(crate) fn begin(&mut self, header: &Header, config: &Config) -> Result<(), Error> {
        match (header.opcode, self.kind) {
            // RFC 6455 §5.4: a fragmented message "consists of a single frame with the FIN bit clear and an opcode other
            // than 0, followed by zero or more frames with the FIN bit clear and the opcode set to 0".
            (OpCode::Continuation, None) => return Err(Violation::UnexpectedContinuation.into()),
            (OpCode::Continuation, Some(_)) => {}
            // RFC 6455 §5.4: "The fragments of one message MUST NOT be interleaved between the fragments of another".
            (_, Some(_)) => return Err(Violation::UnfinishedMessage.into()),
            (opcode, None) => {
                self.kind = Some(if opcode == OpCode::Text { Kind::Text } else { Kind::Binary });
                self.transformed = header.rsv1;
            }
        }
        check(Limit::FrameSize, config.max_frame_size, header.length)?;
        self.declared = self.declared.saturating_add(header.length);
        // What an extension yields may also be shorter than what it is given: the extension keeps to the limit.
        if !self.transformed {
            check(Limit::MessageSize, config.max_message_size, self.declared)?;
        }
        self.frames += 1;
        check(Limit::Fragments, config.max_fragments, self.frames as u64)
    }

    /// Takes payload bytes as they are on the wire: `piece` is masked with `key`, starting at `offset` of its frame,
    /// which will bring `coming` bytes more.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        key: Option<[u8; 4]>,
        offset: usize,
        coming: usize,
        extension: Option<&mut (dyn PayloadDecoder + 'static)>,
        max: usize,
    ) -> Result<(), Error> {
        if let (true, Some(extension)) = (self.transformed, extension) {
            self.arrived += piece.len() as u64;
            return unmasked(piece, key, offset, |piece| extension.push(piece, max));
        }
        self.reserve(piece.len(), coming);
        // Without a mask it is one of zeros, as in `Decoder::decode_whole`.
        let is_ascii = mask::copy_text(&mut self.payload, piece, key.unwrap_or_default(), offset);
        self.validate(is_ascii)
    }

    /// The allocation of the message, with room for some of the `coming` bytes of its frame, so that they can be read
    /// straight into place.
    pub(crate) fn direct(&mut self, coming: usize) -> Option<&mut Vec<u8>> {
        if self.transformed || self.payload.len() < Self::DIRECT || coming < Self::DIRECT {
            return None;
        }
        if self.payload.capacity() == self.payload.len() {
            self.reserve(0, coming);
        }
        Some(&mut self.payload)
    }

    /// From this size on, bytes are read straight into the message: below it, one read of a shared buffer brings the
    /// rest of the message and what follows it.
    const DIRECT: usize = 16 << 10;

    /// How many bytes were read straight into place since they were last [settled](Self::settle).
    pub(crate) fn unsettled(&self) -> usize {
        self.payload.len() - self.settled
    }

    /// Unmasks and validates what was read straight into place.
    pub(crate) fn settle(&mut self, key: Option<[u8; 4]>, offset: usize) -> Result<(), Error> {
        let is_ascii = key.is_some_and(|key| mask::apply(&mut self.payload[self.settled..], key, offset));
        self.validate(is_ascii)
    }

    /// The last frame is complete: hands over the message and is ready for the next.
    pub(crate) fn finish(
        &mut self,
        extension: Option<&mut (dyn PayloadDecoder + 'static)>,
        max: usize,
    ) -> Result<Message, Error> {
        let mut done = std::mem::take(self);
        if let (true, Some(extension)) = (done.transformed, extension) {
            return transformed(done.kind == Some(Kind::Text), extension.finish(&[], max)?);
        }
        if done.payload.capacity() > done.payload.len() * 2 {
            // What an application keeps should not hold the room that the growth of many fragments has left.
            done.payload.shrink_to_fit();
        }
        match done.kind {
            // RFC 6455 §8.1: a text that is not valid UTF-8, here one that ends within a character, "MUST _Fail the
            // WebSocket Connection_".
            Some(Kind::Text) if done.validated != done.payload.len() => Err(Violation::InvalidUtf8.into()),
            Some(Kind::Text) => Ok(Message::Text(utf8::valid(done.payload))),
            _ => Ok(Message::Binary(done.payload)),
        }
    }

    /// Whether a message has begun.
    pub(crate) fn is_assembling(&self) -> bool {
        self.kind.is_some()
    }

    /// How many bytes of the message are held. Of one that goes through the extension it is what has arrived.
    pub(crate) fn held(&self) -> usize {
        self.payload.len() + self.arrived as usize
    }

    /// RFC 6455 §8.1: the text is looked at as it arrives, so that it fails at its first impossible byte. What has been
    /// added since may have been seen to be ASCII; that is all there is to see unless a character is unfinished.
    fn validate(&mut self, is_ascii: bool) -> Result<(), Error> {
        let is_valid = is_ascii && self.validated == self.settled;
        self.settled = self.payload.len();
        if is_valid {
            self.validated = self.settled;
        } else if self.kind == Some(Kind::Text) {
            self.validated = utf8::progress(&self.payload, self.validated)?;
        }
        Ok(())
    }

    /// Makes room for `arrived` bytes and for some of the `coming` ones: the allocation is at most four times what has
    /// really arrived, whatever a header declares.
    fn reserve(&mut self, arrived: usize, coming: usize) {
        let held = self.payload.len() + arrived;
        if self.payload.capacity() >= held + coming.min(1) {
            return;
        }
        let wanted = held + coming.min(held.saturating_mul(3).max(64));
        if coming == 0 && self.payload.capacity() > 0 {
            // The frame ends here, but the message may go on: amortized growth.
            self.payload.reserve(arrived);
        } else {
            self.payload.reserve_exact(wanted - self.payload.len());
        }
    }
}

/// Hands over a message that an extension has yielded.
pub(crate) fn transformed(is_text: bool, payload: Vec<u8>) -> Result<Message, Error> {
    // RFC 7692 §6: what is text, and has to be UTF-8, is the message and not what is on the wire.
    Ok(if is_text { Message::Text(utf8::whole(payload)?) } else { Message::Binary(payload) })
}

/// Gives `piece` to `take`, as it was before it was masked, in one piece or in several.
pub(crate) fn unmasked(
    piece: &[u8],
    key: Option<[u8; 4]>,
    offset: usize,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(key) = key else { return take(piece) };
    let mut plain = Buffer::pooled();
    for (index, piece) in piece.chunks(Buffer::SIZE).enumerate() {
        plain.clear();
        mask::copy(&mut plain, piece, key, offset + index * Buffer::SIZE);
        take(&plain)?;
    }
    Ok(())
}

#[inline]
fn check(what: Limit, max: usize, got: u64) -> Result<(), Error> {
    if got > max as u64 { Err(Error::Limit { what, max, got }) } else { Ok(()) }
}
