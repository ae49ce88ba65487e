//! Encoding.

use bytes::{BufMut as _, Bytes, BytesMut};
use sockeye_proto::{CloseFrame, PreparedMessage};

use super::{
    BINARY, CLOSE, CLOSE_MEMBER, CLOSE_ROOM, CONTENT, EXCLUDED, GAP, HAS_MEMBER, IS_JSON, IS_SECRET, JOIN_ROOM,
    LEAVE_ROOM, MAGIC, MEMBER, MESSAGE, Order, Origin, PRESENCE, ROOM, SEVERAL, TEXT, TO_MEMBER, VERSION,
    wire::{MEMBER_LENGTH, put_field, put_member},
};
use crate::{MemberId, NodeId, name::MAX_NAME};

/// The header with a member.
const MAX_HEADER: usize = 21;

/// The number of a field, and the length of its content.
const FIELD_HEAD: usize = 5;

/// Encodes what one node sends, without copies in between.
pub(crate) struct Encoder(BytesMut);

impl Encoder {
    /// A message to one room.
    pub(crate) fn message(origin: Origin, message: &PreparedMessage, excluded: &[MemberId]) -> Bytes {
        Self::begin_message(origin, message, excluded, 0).0.freeze()
    }

    /// The same for several rooms, whose names were checked.
    pub(crate) fn to_several<'a>(
        origin: Origin,
        message: &PreparedMessage,
        excluded: &[MemberId],
        number: u64,
        rooms: impl Iterator<Item = &'a str> + Clone,
    ) -> Bytes {
        let length = 8 + rooms.clone().map(|room| 1 + room.len()).sum::<usize>();
        let Self(mut out) = Self::begin_message(origin, message, excluded, FIELD_HEAD + length);
        put_field(&mut out, SEVERAL, length);
        out.put_u64(number);
        for room in rooms {
            debug_assert!(room.len() <= MAX_NAME, "the length of a name fits into a byte");
            out.put_u8(room.len() as u8);
            out.put_slice(room.as_bytes());
        }
        out.freeze()
    }

    /// What nodes tell each other of presence.
    pub(crate) fn presence(node: NodeId, content: &[u8]) -> Bytes {
        let Self(mut out) = Self::begin(PRESENCE, 0, Origin::Node(node), content.len() + FIELD_HEAD);
        put_field(&mut out, CONTENT, content.len());
        out.put_slice(content);
        out.freeze()
    }

    /// A Close for all members of a room.
    pub(crate) fn close_room(node: NodeId, frame: &CloseFrame, excluded: &[MemberId]) -> Bytes {
        let length = 2 + frame.sent_reason().len() + excluded.len() * MEMBER_LENGTH + 2 * FIELD_HEAD;
        let mut encoder = Self::begin(CLOSE_ROOM, 0, Origin::Node(node), length);
        encoder.put_close(frame);
        encoder.put_excluded(excluded);
        encoder.0.freeze()
    }

    /// What is to happen to one member.
    pub(crate) fn order(node: NodeId, id: MemberId, order: &Order) -> Bytes {
        let (kind, flags, length) = match order {
            Order::Message(message) => (TO_MEMBER, flags(message), message.payload().len()),
            Order::Close(frame) => (CLOSE_MEMBER, 0, 2 + frame.sent_reason().len()),
            Order::Join(room) => (JOIN_ROOM, 0, room.len()),
            Order::Leave(room) => (LEAVE_ROOM, 0, room.len()),
        };
        let mut encoder = Self::begin(kind, flags, Origin::Node(node), length + MEMBER_LENGTH + 2 * FIELD_HEAD);
        put_field(&mut encoder.0, MEMBER, MEMBER_LENGTH);
        put_member(&mut encoder.0, id);
        match order {
            Order::Message(message) => encoder.put_message(message),
            Order::Close(frame) => encoder.put_close(frame),
            Order::Join(room) | Order::Leave(room) => {
                put_field(&mut encoder.0, ROOM, room.len());
                encoder.0.put_slice(room.as_bytes());
            }
        }
        encoder.0.freeze()
    }

    /// Messages may be missing.
    pub(crate) fn gap(node: NodeId) -> Bytes {
        Self::begin(GAP, 0, Origin::Node(node), 0).0.freeze()
    }

    fn begin(kind: u8, flags: u8, origin: Origin, fields: usize) -> Self {
        let mut out = BytesMut::with_capacity(MAX_HEADER + fields);
        out.put_slice(&MAGIC);
        out.put_u8(VERSION);
        out.put_u8(kind);
        match origin {
            Origin::Node(node) => {
                out.put_u8(flags);
                out.put_u64(node.as_u64());
            }
            Origin::Member(member) => {
                out.put_u8(flags | HAS_MEMBER);
                put_member(&mut out, member);
            }
        }
        Self(out)
    }

    /// A message, with capacity for so many bytes more.
    fn begin_message(origin: Origin, message: &PreparedMessage, excluded: &[MemberId], more: usize) -> Self {
        let length = message.payload().len() + excluded.len() * MEMBER_LENGTH + 2 * FIELD_HEAD + more;
        let mut encoder = Self::begin(MESSAGE, flags(message), origin, length);
        encoder.put_message(message);
        encoder.put_excluded(excluded);
        encoder
    }

    fn put_message(&mut self, message: &PreparedMessage) {
        let payload = message.payload();
        put_field(&mut self.0, if message.is_text() { TEXT } else { BINARY }, payload.len());
        self.0.put_slice(payload);
    }

    fn put_excluded(&mut self, excluded: &[MemberId]) {
        if !excluded.is_empty() {
            put_field(&mut self.0, EXCLUDED, excluded.len() * MEMBER_LENGTH);
            excluded.iter().for_each(|member| put_member(&mut self.0, *member));
        }
    }

    fn put_close(&mut self, frame: &CloseFrame) {
        let reason = frame.sent_reason();
        put_field(&mut self.0, CLOSE, 2 + reason.len());
        self.0.put_u16(frame.code);
        self.0.put_slice(reason.as_bytes());
    }
}

fn flags(message: &PreparedMessage) -> u8 {
    let mut flags = 0;
    if message.is_json() {
        flags |= IS_JSON;
    }
    if message.is_secret() {
        flags |= IS_SECRET;
    }
    flags
}
