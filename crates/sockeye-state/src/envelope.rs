//! What nodes send each other through a broker, to the byte.
//!
//! An envelope is a header, followed by fields up to its end. Numbers are big-endian.
//!
//! | bytes | header |
//! |---|---|
//! | 2 | `f5 53`: the magic number; no UTF-8 begins with it |
//! | 1 | the version of this layout: 1 |
//! | 1 | the kind |
//! | 1 | flags |
//! | 8 | the number of the node that has sent the envelope: its origin |
//! | 4 and 4 | if the flag 0x01 is set: the member on whose behalf it was sent, as its key and the generation of the key |
//!
//! | bytes | field |
//! |---|---|
//! | 1 | its number, 0x01 to 0x7f, and the *critical bit* 0x80 |
//! | 4 | the length of its content |
//! | … | its content |
//!
//! | flag | |
//! |---|---|
//! | 0x01 | the header has a member |
//! | 0x02 | of a message: the text is JSON, and can be embedded in JSON as it is; the sender says so, and nobody else checks |
//! | 0x04, 0x08 | without a meaning yet: 0, and ignored |
//! | 0x10 | of a message: extensions must not transform it, so it is never compressed |
//! | 0x20, 0x40, 0x80 | without a meaning yet: 0, and critical |
//!
//! | field | content |
//! |---|---|
//! | 0x81 | a text in UTF-8 |
//! | 0x82 | binary data |
//! | 0x83 | members that are excluded, 16 bytes for each: its node (8), its key (4) and the generation of the key (4) |
//! | 0x84 | the message goes to several rooms: its number (8), then each room's name in UTF-8, after its length (1) |
//! | 0x85 | one member, 16 bytes as above |
//! | 0x86 | a Close: its code (2), then its reason in UTF-8, which may be empty |
//! | 0x87 | the name of a room, in UTF-8 |
//!
//! The kinds, with their fields, each of which may be there once, in any order:
//!
//! * 1, a message to the room of the topic. Either 0x81 or 0x82. If members are excluded also 0x83. If the message goes to several rooms
//!   also 0x84: the same envelope is published to the topic of each of the rooms, or, for very many rooms, once to the topic `rooms`
//!   of the hubs. A node takes the first that comes for all of the rooms, and skips the others: those with the same origin and number.
//! * 2, what nodes tell each other of presence. 0x81, not as a text: its content, which the module `presence` defines.
//! * 3, a message to one member. 0x85, and either 0x81 or 0x82.
//! * 4, a Close for all members of the room of the topic. 0x86. If members are excluded also 0x83.
//! * 5, a Close for one member. 0x85 and 0x86.
//! * 6, one member is to join a room. 0x85 and 0x87.
//! * 7, one member is to leave a room. 0x85 and 0x87.
//! * 8, the origin could not publish everything: messages to the room of the topic may be missing before this envelope. To the
//!   topic `rooms`: messages to any room. No fields.
//!
//! Kinds 1, 4 and 8 come by the topic of a room, 3, 5, 6 and 7 by the topic `node:` of the hubs, followed by the number of the
//! member's node as 16 hexadecimal digits.
//!
//! # What a node does not know
//!
//! Nodes of different versions of this crate use one broker while an application is deployed. A node skips an envelope as a
//! whole if it has another version, an unknown kind, a critical flag or a field with the critical bit that the node does not
//! know, and logs this once for each cause. It ignores all other flags and fields that it does not know. So the critical bit is
//! for what changes the meaning of the rest: a node that does not know 0x83 would send a message to those who must not get it.
//!
//! The bytes of version 1 are in `envelope/version1.txt`, and never change.

mod decode;
mod encode;
mod wire;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use sockeye_proto::{CloseFrame, PreparedMessage};

pub(crate) use self::encode::Encoder;
use crate::{MemberId, NodeId};

const MAGIC: [u8; 2] = [0xf5, 0x53];
const VERSION: u8 = 1;

const MESSAGE: u8 = 1;
const PRESENCE: u8 = 2;
const TO_MEMBER: u8 = 3;
const CLOSE_ROOM: u8 = 4;
const CLOSE_MEMBER: u8 = 5;
const JOIN_ROOM: u8 = 6;
const LEAVE_ROOM: u8 = 7;
const GAP: u8 = 8;

const HAS_MEMBER: u8 = 0x01;
const IS_JSON: u8 = 0x02;
const IS_SECRET: u8 = 0x10;
const CRITICAL_FLAGS: u8 = 0xf0;

const CRITICAL: u8 = 0x80;
const TEXT: u8 = CRITICAL | 1;
const BINARY: u8 = CRITICAL | 2;
const EXCLUDED: u8 = CRITICAL | 3;
const SEVERAL: u8 = CRITICAL | 4;
const MEMBER: u8 = CRITICAL | 5;
const CLOSE: u8 = CRITICAL | 6;
const ROOM: u8 = CRITICAL | 7;
/// Of presence.
const CONTENT: u8 = CRITICAL | 1;

/// What one node sends to others.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) origin: Origin,
    pub(crate) body: Body,
}

/// Who has sent an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Node(NodeId),
    Member(MemberId),
}

/// What an envelope is for.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// A message to a room, and the members that do not get it.
    Message {
        message: PreparedMessage,
        excluded: Vec<MemberId>,
        several: Option<Several>,
    },
    Presence(Bytes),
    /// A Close for all members of a room, but some.
    CloseRoom {
        frame: CloseFrame,
        excluded: Vec<MemberId>,
    },
    Member {
        id: MemberId,
        order: Order,
    },
    /// Messages may be missing.
    Gap,
}

/// The rooms of a message that goes to several, and its number, which is unique among those of its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Several {
    pub(crate) number: u64,
    pub(crate) rooms: Vec<Box<str>>,
}

/// What happens to one member.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Message(PreparedMessage),
    Close(CloseFrame),
    Join(Box<str>),
    Leave(Box<str>),
}

/// Why an envelope cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum EnvelopeError {
    #[error("these bytes are no envelope; another program writes to the broker under the namespace of this one")]
    Foreign,
    #[error("the envelope is broken: {0}")]
    Broken(&'static str),
    #[error("the envelope has the version {0}; this node knows version {VERSION}")]
    Version(u8),
    #[error("the envelope has the kind {0}, which this node does not know")]
    Kind(u8),
    #[error("the envelope has the flags {0:#04x}, some of which are critical and not known to this node")]
    CriticalFlags(u8),
    #[error("the envelope has the critical field {0:#04x}, which this node does not know")]
    CriticalField(u8),
}

impl EnvelopeError {
    /// Whether a newer version of this crate may have sent the envelope, so that nothing is wrong.
    pub(crate) fn is_from_newer(self) -> bool {
        !matches!(self, Self::Foreign | Self::Broken(_))
    }
}

impl Origin {
    pub(crate) fn node(self) -> NodeId {
        match self {
            Self::Node(node) => node,
            Self::Member(member) => member.node(),
        }
    }
}
