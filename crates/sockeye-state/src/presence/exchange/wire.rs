//! What nodes tell each other of presence, to the byte: the content of an envelope of kind 2.
//!
//! The origin of the envelope is the node that tells. Numbers are big-endian. The first byte says what the rest is:
//!
//! | first byte | | topic of the hub |
//! |---|---|---|
//! | 1 | a *heartbeat*: the node is there | `presence` |
//! | 2 | a *bye*: the node is over, and its number is never used again | `presence` |
//! | 3 | a *delta*: what the node says differently from before | `presence:` and the number of the partition in decimal |
//! | 4 | an *ask*: the node asks the one whose topic this is for its part of some partitions | `presence:` and the node in 16 hexadecimal digits |
//! | 5 | a *piece* of a part, for a node that has asked | as for an ask |
//!
//! A node skips a content whose first byte it does not know, and logs this once.
//!
//! | bytes | heartbeat, after the first byte |
//! |---|---|
//! | 1 | flags. 0x01: whoever gets this sends a heartbeat at once. The others have no meaning yet: 0, and ignored |
//! | 9 each | of each partition in which the node has ever said anything: its number (1), with the bit 0x80 if the node says nobody there at this version, and the version (8) |
//!
//! | bytes | bye, after the first byte |
//! |---|---|
//! | … | nothing; what is there is ignored |
//!
//! | bytes | delta, after the first byte |
//! |---|---|
//! | 1 | the number of the partition |
//! | 8 | the version that the delta begins at; 0 is that of a node that has never said anything |
//! | 8 | the version that it leads to, which is higher |
//! | … | entries |
//!
//! | bytes | ask, after the first byte |
//! |---|---|
//! | 1 each | the numbers of partitions |
//!
//! | bytes | piece, after the first byte |
//! |---|---|
//! | 1 | the number of the partition |
//! | 8 | the version of the part |
//! | 4 | the number of the piece, from 0 on |
//! | 1 | flags. 0x01: this is the last piece. The others have no meaning yet: 0, and ignored |
//! | … | entries |
//!
//! | bytes | entry |
//! |---|---|
//! | 1 | the length of the name of the room, or 0 for the room of the entry before |
//! | … | the name, as all names of rooms |
//! | 4 | the length of the key |
//! | … | the key, in UTF-8 |
//! | 1 | 0: no member of the node has this key in the room any more. 1: the rest follows |
//! | 8 | the stamp of the info, below 2^63; the clock of a node follows those below 2^62 |
//! | 4 | the length of the info |
//! | … | the info |
//!
//! # Partitions
//!
//! There are 64, numbered from 0 on. The partition of a room follows from its name: with the hash by FNV-1a of 64 bits, it is
//! `(hash ^ (hash >> 32)) % 64`. A content with a room of another partition is broken.
//!
//! The bytes are in `wire/version1.txt`, and never change.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes};

use super::super::{
    holders::Entry,
    nodes::{Delta, Said},
    partition::{PARTITIONS, Partition, Partitions},
};
use crate::{NodeId, name};

const HEARTBEAT: u8 = 1;
const BYE: u8 = 2;
const DELTA: u8 = 3;
const ASK: u8 = 4;
const PIECE: u8 = 5;

const WANTS_ANSWER: u8 = 0x01;
const IS_LAST: u8 = 0x01;

/// The bit of a partition's number in a heartbeat.
const IS_EMPTY: u8 = 0x80;

const GONE: u8 = 0;
const THERE: u8 = 1;

/// The highest stamp. Clocks follow lower ones alone, so that a node can always give a higher one.
const MAX_STAMP: u64 = u64::MAX >> 1;

/// So many bytes of entries go into one content. An entry that is larger has one of its own.
pub(super) const FULL: usize = 256 << 10;

/// The content of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Heartbeat(Heartbeat),
    Bye,
    /// What a node says differently in this partition.
    Delta(usize, Delta),
    Ask(Partitions),
    Piece(Piece),
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    pub(crate) wants_answer: bool,
    pub(crate) versions: Vec<Version>,
}

/// How far a node is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) partition: usize,
    pub(crate) version: u64,
    /// Whether the node says nobody there.
    pub(crate) is_empty: bool,
}

/// A piece of all that a node says of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) partition: usize,
    pub(crate) version: u64,
    pub(crate) number: u32,
    pub(crate) is_last: bool,
    pub(crate) said: Vec<Said>,
}

/// Why a content cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum ContentError {
    #[error("what a node tells of presence is broken: {0}")]
    Broken(&'static str),
    #[error("a node tells something of presence that this node does not know, with the number {0}")]
    Unknown(u8),
}

pub(crate) fn encode_heartbeat(heartbeat: &Heartbeat) -> Vec<u8> {
    let mut out = vec![HEARTBEAT, if heartbeat.wants_answer { WANTS_ANSWER } else { 0 }];
    for Version { partition, version, is_empty } in &heartbeat.versions {
        out.put_u8(*partition as u8 | if *is_empty { IS_EMPTY } else { 0 });
        out.put_u64(*version);
    }
    out
}

pub(crate) fn encode_bye() -> Vec<u8> {
    vec![BYE]
}

pub(crate) fn encode_ask(partitions: Partitions) -> Vec<u8> {
    let numbers = (0..PARTITIONS).filter(|partition| partitions & (1 << partition) != 0);
    std::iter::once(ASK).chain(numbers.map(|partition| partition as u8)).collect()
}

/// Encodes a delta as a whole.
pub(crate) fn encode_delta(partition: usize, delta: &Delta) -> Vec<u8> {
    let mut out = vec![DELTA, partition as u8];
    out.put_u64(delta.after);
    out.put_u64(delta.version);
    put_entries(&mut out, &delta.said, usize::MAX);
    out
}

/// Encodes the next piece of a part: the entries of `said` that have space, and are no longer in it then.
pub(crate) fn encode_piece(partition: usize, version: u64, number: u32, said: &mut &[Said]) -> Vec<u8> {
    let mut out = vec![PIECE, partition as u8];
    out.put_u64(version);
    out.put_u32(number);
    let flags = out.len();
    out.put_u8(0);
    let count = put_entries(&mut out, said, FULL);
    *said = &said[count..];
    out[flags] = if said.is_empty() { IS_LAST } else { 0 };
    out
}

/// Encodes entries until there are so many bytes. Returns how many entries there are.
fn put_entries(out: &mut Vec<u8>, said: &[Said], full: usize) -> usize {
    let mut room: Option<&Arc<str>> = None;
    for (count, said) in said.iter().enumerate() {
        if count > 0 && out.len() + said.len() > full {
            return count;
        }
        if room == Some(&said.room) {
            out.put_u8(0);
        } else {
            out.put_u8(said.room.len() as u8);
            out.put_slice(said.room.as_bytes());
            room = Some(&said.room);
        }
        put_long(out, said.key.as_bytes());
        match &said.entry {
            None => out.put_u8(GONE),
            Some(Entry { info, stamp }) => {
                out.put_u8(THERE);
                out.put_u64(*stamp);
                put_long(out, info);
            }
        }
    }
    said.len()
}

fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).expect("no key and no info has 4 GiB"));
    out.put_slice(bytes);
}

impl Content {
    /// Decodes any bytes that this node has sent. What is kept of them is copied, so that none of them stays in memory as a
    /// whole.
    pub(crate) fn decode(node: NodeId, bytes: &[u8]) -> Result<Self, ContentError> {
        let mut rest = Rest(bytes);
        match rest.byte().ok_or(TOO_SHORT)? {
            HEARTBEAT => Ok(Self::Heartbeat(rest.heartbeat()?)),
            BYE => Ok(Self::Bye),
            DELTA => {
                let partition = rest.partition()?;
                let (after, version) = (rest.number()?, rest.number()?);
                if version <= after {
                    return Err(ContentError::Broken("a delta does not lead to a higher version"));
                }
                Ok(Self::Delta(partition, Delta { node, after, version, said: rest.entries(partition)? }))
            }
            ASK => {
                let mut partitions = 0;
                while !rest.0.is_empty() {
                    partitions |= 1 << rest.partition()?;
                }
                Ok(Self::Ask(partitions))
            }
            PIECE => {
                let (partition, version) = (rest.partition()?, rest.number()?);
                let number = u32::from_be_bytes(rest.array().ok_or(TOO_SHORT)?);
                let is_last = rest.byte().ok_or(TOO_SHORT)? & IS_LAST != 0;
                Ok(Self::Piece(Piece { partition, version, number, is_last, said: rest.entries(partition)? }))
            }
            what => Err(ContentError::Unknown(what)),
        }
    }
}

const TOO_SHORT: ContentError = ContentError::Broken("it ends too early");

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (slice, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(slice)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, ContentError> {
        self.array().map(u64::from_be_bytes).ok_or(TOO_SHORT)
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_be_bytes(self.array()?);
        self.slice(usize::try_from(length).ok()?)
    }

    fn partition(&mut self) -> Result<usize, ContentError> {
        match usize::from(self.byte().ok_or(TOO_SHORT)?) {
            partition if partition < PARTITIONS => Ok(partition),
            _ => Err(ContentError::Broken("a partition has a number above 63")),
        }
    }

    fn heartbeat(&mut self) -> Result<Heartbeat, ContentError> {
        let flags = self.byte().ok_or(TOO_SHORT)?;
        let mut versions = Vec::new();
        let mut seen: Partitions = 0;
        while let Some(number) = self.byte() {
            let partition = usize::from(number & !IS_EMPTY);
            if partition >= PARTITIONS || seen & (1 << partition) != 0 {
                return Err(ContentError::Broken("a heartbeat names a partition twice, or one above 63"));
            }
            seen |= 1 << partition;
            versions.push(Version { partition, version: self.number()?, is_empty: number & IS_EMPTY != 0 });
        }
        Ok(Heartbeat { wants_answer: flags & WANTS_ANSWER != 0, versions })
    }

    fn entries(&mut self, partition: usize) -> Result<Vec<Said>, ContentError> {
        let mut said = Vec::new();
        let mut room = None;
        while !self.0.is_empty() {
            room = self.room(partition)?.or(room);
            let room = room.clone().ok_or(ContentError::Broken("its first entry has no room"))?;
            let key = self.long().ok_or(TOO_SHORT)?;
            let key = std::str::from_utf8(key).map_err(|_| ContentError::Broken("a key is not UTF-8"))?;
            let entry = match self.byte().ok_or(TOO_SHORT)? {
                GONE => None,
                THERE => {
                    let stamp = self.number()?;
                    if stamp > MAX_STAMP {
                        return Err(ContentError::Broken("a stamp is above 2^63 - 1"));
                    }
                    let info = Bytes::copy_from_slice(self.long().ok_or(TOO_SHORT)?);
                    Some(Entry { info, stamp })
                }
                _ => return Err(ContentError::Broken("an entry says neither that somebody is there nor the contrary")),
            };
            said.push(Said { room, key: key.into(), entry });
        }
        Ok(said)
    }

    /// The room of an entry, unless that is the one of the entry before.
    fn room(&mut self, partition: usize) -> Result<Option<Arc<str>>, ContentError> {
        let length = self.byte().ok_or(TOO_SHORT)?;
        if length == 0 {
            return Ok(None);
        }
        let room = self.slice(length.into()).ok_or(TOO_SHORT)?;
        match std::str::from_utf8(room) {
            Ok(room) if name::check(room).is_ok() && Partition::of(room) == partition => Ok(Some(room.into())),
            Ok(room) if name::check(room).is_ok() => Err(ContentError::Broken("a room is not of this partition")),
            _ => Err(ContentError::Broken("no room can have the name of one")),
        }
    }
}

#[cfg(test)]
mod tests;
