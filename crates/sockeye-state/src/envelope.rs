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
//! The kinds, with their fields, each of which may be there once, in any order:
//!
//! * 1, a message to a room. Either 0x81, a text in UTF-8, or 0x82, binary data. If members are excluded also 0x83, with 16 bytes
//!   for each of them: its node (8), its key (4) and the generation of the key (4).
//! * 2, what nodes tell each other of presence. 0x81: its content, which the module `presence` defines.
//!
//! # What a node does not know
//!
//! Nodes of different versions of this crate use one broker while an application is deployed. A node skips an envelope as a
//! whole if it has another version, an unknown kind, a critical flag or a field with the critical bit that the node does not
//! know, and logs this once for each cause. It ignores all other flags and fields that it does not know. So the critical bit is
//! for what changes the meaning of the rest: a node that does not know 0x83 would send a message to those who must not get it.
//!
//! The bytes of version 1 are in `envelope/version1.txt`, and never change.

mod wire;

#[cfg(test)]
mod tests;

use bytes::{BufMut as _, Bytes, BytesMut};
use sockeye_proto::PreparedMessage;

use self::wire::{Fields, MEMBER_LENGTH, Reader, put_field, put_member, read_member};
use crate::{MemberId, NodeId};

const MAGIC: [u8; 2] = [0xf5, 0x53];
const VERSION: u8 = 1;

/// The header with a member.
const MAX_HEADER: usize = 21;

const MESSAGE: u8 = 1;
const PRESENCE: u8 = 2;

const HAS_MEMBER: u8 = 0x01;
const IS_JSON: u8 = 0x02;
const IS_SECRET: u8 = 0x10;
const CRITICAL_FLAGS: u8 = 0xf0;

const CRITICAL: u8 = 0x80;
const TEXT: u8 = CRITICAL | 1;
const BINARY: u8 = CRITICAL | 2;
const EXCLUDED: u8 = CRITICAL | 3;
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
    },
    Presence(Bytes),
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

/// Encodes a message to a room without a copy in between.
pub(crate) fn encode_message(origin: Origin, message: &PreparedMessage, excluded: &[MemberId]) -> Bytes {
    let mut flags = 0;
    if message.is_json() {
        flags |= IS_JSON;
    }
    if message.is_secret() {
        flags |= IS_SECRET;
    }
    let payload = message.payload();
    let mut out = begin(MESSAGE, flags, origin, payload.len() + excluded.len() * MEMBER_LENGTH + 10);
    put_field(&mut out, if message.is_text() { TEXT } else { BINARY }, payload.len());
    out.put_slice(payload);
    if !excluded.is_empty() {
        put_field(&mut out, EXCLUDED, excluded.len() * MEMBER_LENGTH);
        excluded.iter().for_each(|member| put_member(&mut out, *member));
    }
    out.freeze()
}

/// Encodes what nodes tell each other of presence.
pub(crate) fn encode_presence(node: NodeId, content: &[u8]) -> Bytes {
    let mut out = begin(PRESENCE, 0, Origin::Node(node), content.len() + 5);
    put_field(&mut out, CONTENT, content.len());
    out.put_slice(content);
    out.freeze()
}

fn begin(kind: u8, flags: u8, origin: Origin, fields: usize) -> BytesMut {
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
    out
}

impl Envelope {
    /// Decodes any bytes.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(bytes);
        if reader.array() != Some(MAGIC) {
            return Err(EnvelopeError::Foreign);
        }
        let [version] = reader.array().ok_or(TOO_SHORT)?;
        if version != VERSION {
            return Err(EnvelopeError::Version(version));
        }
        let [kind, flags] = reader.array().ok_or(TOO_SHORT)?;
        let known = match kind {
            MESSAGE => IS_SECRET,
            PRESENCE => 0,
            _ => return Err(EnvelopeError::Kind(kind)),
        };
        if flags & CRITICAL_FLAGS & !known != 0 {
            return Err(EnvelopeError::CriticalFlags(flags));
        }
        let origin = if flags & HAS_MEMBER == 0 {
            Origin::Node(NodeId::from_u64(u64::from_be_bytes(reader.array().ok_or(TOO_SHORT)?)))
        } else {
            Origin::Member(read_member(reader.array().ok_or(TOO_SHORT)?))
        };
        let fields = reader.fields();
        let body = if kind == MESSAGE { message(flags, fields)? } else { presence(bytes, fields)? };
        Ok(Self { origin, body })
    }
}

const TOO_SHORT: EnvelopeError = EnvelopeError::Broken("it ends in the header");

fn message(flags: u8, fields: Fields<'_>) -> Result<Body, EnvelopeError> {
    let (mut payload, mut excluded) = (None, None);
    for field in fields {
        let (number, content) = field?;
        match number {
            TEXT | BINARY => set(&mut payload, (number, content))?,
            EXCLUDED => set(&mut excluded, members(content)?)?,
            _ => check_ignored(number)?,
        }
    }
    let message = match payload {
        Some((TEXT, content)) => {
            let text = std::str::from_utf8(content).map_err(|_| EnvelopeError::Broken("its text is not UTF-8"))?;
            if flags & IS_JSON == 0 { PreparedMessage::text(text) } else { PreparedMessage::json(text) }
        }
        Some((_, content)) => PreparedMessage::binary(content),
        None => return Err(EnvelopeError::Broken("it is a message, and has neither text nor binary data")),
    };
    let message = if flags & IS_SECRET == 0 { message } else { message.secret() };
    Ok(Body::Message { message, excluded: excluded.unwrap_or_default() })
}

fn presence(bytes: &Bytes, fields: Fields<'_>) -> Result<Body, EnvelopeError> {
    let mut content = None;
    for field in fields {
        match field? {
            (CONTENT, bytes) => set(&mut content, bytes)?,
            (number, _) => check_ignored(number)?,
        }
    }
    let content = content.ok_or(EnvelopeError::Broken("it is of presence, and has no content"))?;
    Ok(Body::Presence(bytes.slice_ref(content)))
}

fn members(content: &[u8]) -> Result<Vec<MemberId>, EnvelopeError> {
    let members = content.chunks(MEMBER_LENGTH).map(|member| member.try_into().map(read_member));
    members
        .collect::<Result<_, _>>()
        .map_err(|_| EnvelopeError::Broken("its excluded members do not have 16 bytes each"))
}

/// A field may be there once.
fn set<T>(field: &mut Option<T>, content: T) -> Result<(), EnvelopeError> {
    match field.replace(content) {
        None => Ok(()),
        Some(_) => Err(EnvelopeError::Broken("it has a field twice")),
    }
}

/// Checks a field that is not known.
fn check_ignored(number: u8) -> Result<(), EnvelopeError> {
    if number & CRITICAL == 0 { Ok(()) } else { Err(EnvelopeError::CriticalField(number)) }
}
