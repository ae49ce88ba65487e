//! The parts of an envelope: numbers, members and fields.

use bytes::{BufMut as _, BytesMut};

use super::EnvelopeError;
use crate::{MemberId, NodeId};

/// The length of a member's identity.
pub(super) const MEMBER_LENGTH: usize = 16;

/// Begins a field. Its content follows.
pub(super) fn put_field(out: &mut BytesMut, number: u8, length: usize) {
    out.put_u8(number);
    out.put_u32(u32::try_from(length).expect("no message has 4 GiB"));
}

pub(super) fn put_member(out: &mut BytesMut, member: MemberId) {
    out.put_u64(member.node().as_u64());
    out.put_u32(member.key);
    out.put_u32(member.generation);
}

pub(super) fn read_member(bytes: [u8; MEMBER_LENGTH]) -> MemberId {
    let number = u128::from_be_bytes(bytes);
    // Of the 128 bits, the first 64 are the node, and the others are halved.
    let (node, key, generation) = ((number >> 64) as u64, (number >> 32) as u32, number as u32);
    MemberId { node: NodeId::from_u64(node), key, generation }
}

/// What of an envelope has not been read yet.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// The fields of an envelope, as numbers with their contents. Ends after the first error.
pub(super) struct Fields<'a> {
    reader: Reader<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next bytes, if there are so many.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (slice, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(slice)
    }

    pub(super) fn fields(self) -> Fields<'a> {
        Fields { reader: self }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u8, &'a [u8]), EnvelopeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.rest.is_empty() {
            return None;
        }
        let field = self.read().ok_or(EnvelopeError::Broken("it ends in a field"));
        if field.is_err() {
            self.reader.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Option<(u8, &'a [u8])> {
        let [number] = self.reader.array()?;
        let length = u32::from_be_bytes(self.reader.array()?);
        Some((number, self.reader.slice(usize::try_from(length).ok()?)?))
    }
}
