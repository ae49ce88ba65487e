//! `Partial`: a header that arrives in pieces.

use crate::{
    Error,
    header::{Header, MAX_HEADER, Rules},
};

/// The beginning of a header that a read has cut in two.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Partial {
    bytes: [u8; MAX_HEADER],
    /// Less than the length of a whole header.
    pub(super) length: u8,
}

impl Partial {
    /// Takes the missing bytes of the header, or all of `input` if they are not enough.
    pub(super) fn complete(&mut self, input: &mut &[u8], rules: Rules) -> Result<Option<Header>, Error> {
        // At most 14 rounds for a header in pieces.
        while let [first, rest @ ..] = *input {
            self.bytes[usize::from(self.length)] = *first;
            self.length += 1;
            *input = rest;
            if let Some((header, _)) = Header::parse(&self.bytes[..usize::from(self.length)], rules)? {
                self.length = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }
}
