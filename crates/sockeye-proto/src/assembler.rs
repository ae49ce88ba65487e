//! Joins the fragments of a message, within the limits.

use crate::{
    Buffer, Config, Error, Limit, Message, Rsv, Violation,
    extensions::PayloadDecoders,
    header::{Header, OpCode},
    mask, utf8,
};

/// Checks the limits for a frame that is a message by itself.
#[inline]
pub(crate) fn check_alone(header: &Header, config: &Config) -> Result<(), Error> {
    check(Limit::FrameSize, config.max_frame_size, header.length)?;
    if header.rsv.is_empty() {
        check(Limit::MessageSize, config.max_message_size, header.length)?;
    }
    check(Limit::Fragments, config.max_fragments, 1)
}

/// A message of which some bytes have arrived.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    kind: Option<Kind>,
    /// The reserved bits that mark the message for extensions. If there are any, `payload` stays empty.
    rsv: Rsv,
    /// How many bytes of a marked payload have arrived.
    arrived: u64,
    frames: usize,
    /// The sum of the frame lengths that the headers have declared so far.
    declared: u64,
    payload: Vec<u8>,
    /// How many bytes of a text are known to be valid. At most `payload.len()`.
    validated: usize,
    /// How many bytes of `payload` have been unmasked. The bytes after them were read straight into place.
    unmasked_len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

impl Assembler {
    /// Records the header of a data frame, and checks order and limits before any of its payload is kept.
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
                self.rsv = header.rsv;
            }
        }
        check(Limit::FrameSize, config.max_frame_size, header.length)?;
        self.declared = self.declared.saturating_add(header.length);
        // The bytes on the wire do not tell the length of a message that an extension restores, so the extension enforces
        // this limit.
        if self.rsv.is_empty() {
            check(Limit::MessageSize, config.max_message_size, self.declared)?;
        }
        self.frames += 1;
        check(Limit::Fragments, config.max_fragments, self.frames as u64)
    }

    /// Takes payload bytes from the wire. `piece` is masked with `key`, and begins at byte `offset` of the payload of its
    /// frame. After `piece`, the frame has `remaining` more bytes. An extension may restore at most `max` bytes.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        key: Option<[u8; 4]>,
        offset: usize,
        remaining: usize,
        extensions: &mut PayloadDecoders,
        max: usize,
    ) -> Result<(), Error> {
        if !self.rsv.is_empty() {
            self.arrived += piece.len() as u64;
            return unmasked(piece, key, offset, |piece| extensions.push(self.rsv, piece, max));
        }
        self.reserve(piece.len(), remaining);
        // An unmasked payload gets a mask of zeros, as in `Decoder::decode_whole`.
        let is_ascii = mask::copy_text(&mut self.payload, piece, key.unwrap_or_default(), offset);
        self.validate(is_ascii)
    }

    /// The memory of the message, with space for some of the `remaining` bytes of its frame, so that they can be read
    /// straight into place. `None` if fewer than [`DIRECT`](Self::DIRECT) bytes are held or remain, or if an extension
    /// restores the message.
    pub(crate) fn direct(&mut self, remaining: usize) -> Option<&mut Vec<u8>> {
        if !self.rsv.is_empty() || self.payload.len() < Self::DIRECT || remaining < Self::DIRECT {
            return None;
        }
        if self.payload.capacity() == self.payload.len() {
            self.reserve(0, remaining);
        }
        Some(&mut self.payload)
    }

    /// Bytes are read straight into the message once this many bytes of it are held, and at least as many remain. Otherwise
    /// a read into a shared buffer is better: it brings the rest of the message together with what follows.
    const DIRECT: usize = 16 << 10;

    /// How many bytes were read straight into place since they were last [unmasked](Self::unmask_in_place).
    pub(crate) fn still_masked(&self) -> usize {
        self.payload.len() - self.unmasked_len
    }

    /// Unmasks and validates what was read straight into place.
    pub(crate) fn unmask_in_place(&mut self, key: Option<[u8; 4]>, offset: usize) -> Result<(), Error> {
        let is_ascii = key.is_some_and(|key| mask::apply(&mut self.payload[self.unmasked_len..], key, offset));
        self.validate(is_ascii)
    }

    /// Hands over the message, whose last frame is complete, and prepares for the next one. Fails if a text is not valid
    /// UTF-8, or if an extension cannot restore the message.
    pub(crate) fn finish(&mut self, extensions: &mut PayloadDecoders, max: usize) -> Result<Message, Error> {
        let mut done = std::mem::take(self);
        if !done.rsv.is_empty() {
            return transformed(done.kind == Some(Kind::Text), extensions.finish(done.rsv, &[], max)?);
        }
        if done.payload.capacity() > done.payload.len() * 2 {
            // An application that keeps the message should not also keep the spare capacity from many fragments.
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

    /// Whether a text has begun.
    pub(crate) fn is_text(&self) -> bool {
        self.kind == Some(Kind::Text)
    }

    /// How many bytes of the message are held. If extensions restore the message, how many bytes of it have arrived.
    pub(crate) fn held(&self) -> usize {
        self.payload.len() + self.arrived as usize
    }

    /// RFC 6455 §8.1: the text is checked as it arrives, so that it fails at its first impossible byte. New bytes that are
    /// all ASCII need no other check, unless a character is unfinished.
    fn validate(&mut self, is_ascii: bool) -> Result<(), Error> {
        let is_valid = is_ascii && self.validated == self.unmasked_len;
        self.unmasked_len = self.payload.len();
        if is_valid {
            self.validated = self.unmasked_len;
        } else if self.kind == Some(Kind::Text) {
            self.validated = utf8::progress(&self.payload, self.validated)?;
        }
        Ok(())
    }

    /// Makes space for `arrived` bytes, and for some of the `remaining` ones. Whatever a header declares, the capacity is at
    /// most four times what has really arrived, or 64 bytes more than what has arrived if that is larger.
    fn reserve(&mut self, arrived: usize, remaining: usize) {
        let held = self.payload.len() + arrived;
        if self.payload.capacity() >= held + remaining.min(1) {
            return;
        }
        let wanted = held + remaining.min(held.saturating_mul(3).max(64));
        if remaining == 0 && self.payload.capacity() > 0 {
            // The frame ends here, but the message may continue, so the capacity grows in an amortized way.
            self.payload.reserve(arrived);
        } else {
            self.payload.reserve_exact(wanted - self.payload.len());
        }
    }
}

/// The message with a payload that an extension has restored. Fails if a text is not valid UTF-8.
pub(crate) fn transformed(is_text: bool, payload: Vec<u8>) -> Result<Message, Error> {
    // RFC 7692 §6: the message must be UTF-8 if it is a text, not its bytes on the wire.
    Ok(if is_text { Message::Text(utf8::whole(payload)?) } else { Message::Binary(payload) })
}

/// Unmasks `piece`, and passes it to `take`: in one piece if it is not masked, and else in pieces of at most
/// [`Buffer::SIZE`] bytes. Stops at the first error.
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
