//! Decoding of any bytes.

use bytes::Bytes;
use sockeye_proto::{CloseFrame, PreparedMessage, close_code};

use super::{
    BINARY, Body, CLOSE, CLOSE_MEMBER, CLOSE_ROOM, CONTENT, CRITICAL, CRITICAL_FLAGS, EXCLUDED, Envelope,
    EnvelopeError, GAP, HAS_MEMBER, IS_JSON, IS_SECRET, JOIN_ROOM, LEAVE_ROOM, MAGIC, MEMBER, MESSAGE, Order, Origin,
    PRESENCE, ROOM, SEVERAL, Several, TEXT, TO_MEMBER, VERSION,
    wire::{Fields, MEMBER_LENGTH, Reader, read_member},
};
use crate::{MemberId, NodeId};

const TOO_SHORT: EnvelopeError = EnvelopeError::Broken("it ends in the header");

/// How many numbers fields have that this version knows.
const NUMBERS: usize = 8;

/// The contents of the fields, by their numbers without the critical bit.
struct Found<'a>([Option<&'a [u8]>; NUMBERS]);

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
        let (known_flags, known_fields): (u8, &[u8]) = match kind {
            MESSAGE => (IS_SECRET, &[TEXT, BINARY, EXCLUDED, SEVERAL]),
            PRESENCE => (0, &[CONTENT]),
            TO_MEMBER => (IS_SECRET, &[TEXT, BINARY, MEMBER]),
            CLOSE_ROOM => (0, &[CLOSE, EXCLUDED]),
            CLOSE_MEMBER => (0, &[CLOSE, MEMBER]),
            JOIN_ROOM | LEAVE_ROOM => (0, &[ROOM, MEMBER]),
            GAP => (0, &[]),
            _ => return Err(EnvelopeError::Kind(kind)),
        };
        if flags & CRITICAL_FLAGS & !known_flags != 0 {
            return Err(EnvelopeError::CriticalFlags(flags));
        }
        let origin = if flags & HAS_MEMBER == 0 {
            Origin::Node(NodeId::from_u64(u64::from_be_bytes(reader.array().ok_or(TOO_SHORT)?)))
        } else {
            Origin::Member(read_member(reader.array().ok_or(TOO_SHORT)?))
        };
        let found = Found::read(reader.fields(), known_fields)?;
        let body = match kind {
            MESSAGE => Body::Message {
                message: found.message(flags)?,
                excluded: found.excluded()?,
                several: found.get(SEVERAL).map(several).transpose()?,
            },
            PRESENCE => {
                let content = found.expect(CONTENT, "it is of presence, and has no content")?;
                Body::Presence(bytes.slice_ref(content))
            }
            CLOSE_ROOM => Body::CloseRoom { frame: found.close()?, excluded: found.excluded()? },
            GAP => Body::Gap,
            _ => {
                let order = match kind {
                    TO_MEMBER => Order::Message(found.message(flags)?),
                    CLOSE_MEMBER => Order::Close(found.close()?),
                    JOIN_ROOM => Order::Join(found.room()?),
                    _ => Order::Leave(found.room()?),
                };
                Body::Member { id: found.member()?, order }
            }
        };
        Ok(Self { origin, body })
    }

    /// Whether these are the first bytes of an envelope of this node. Says nothing of the rest.
    pub(crate) fn is_from(node: NodeId, bytes: &[u8]) -> bool {
        let mut reader = Reader::new(bytes);
        let has_header = reader.array() == Some(MAGIC) && reader.array() == Some([VERSION]);
        let _kind_and_flags: Option<[u8; 2]> = reader.array();
        has_header && reader.array() == Some(node.as_u64().to_be_bytes())
    }
}

impl<'a> Found<'a> {
    fn read(fields: Fields<'a>, known: &[u8]) -> Result<Self, EnvelopeError> {
        let mut found = Self([None; NUMBERS]);
        for field in fields {
            let (number, content) = field?;
            if !known.contains(&number) {
                if number & CRITICAL != 0 {
                    return Err(EnvelopeError::CriticalField(number));
                }
                continue;
            }
            if found.0[usize::from(number & !CRITICAL)].replace(content).is_some() {
                return Err(EnvelopeError::Broken("it has a field twice"));
            }
        }
        Ok(found)
    }

    fn get(&self, number: u8) -> Option<&'a [u8]> {
        self.0[usize::from(number & !CRITICAL)]
    }

    fn expect(&self, number: u8, or: &'static str) -> Result<&'a [u8], EnvelopeError> {
        self.get(number).ok_or(EnvelopeError::Broken(or))
    }

    fn message(&self, flags: u8) -> Result<PreparedMessage, EnvelopeError> {
        let message = match (self.get(TEXT), self.get(BINARY)) {
            (Some(content), None) => {
                let text = utf8(content, "its text is not UTF-8")?;
                if flags & IS_JSON == 0 { PreparedMessage::text(text) } else { PreparedMessage::json(text) }
            }
            (None, Some(content)) => PreparedMessage::binary(content),
            (Some(_), Some(_)) => return Err(EnvelopeError::Broken("it has both text and binary data")),
            (None, None) => return Err(EnvelopeError::Broken("it is a message, and has neither text nor binary data")),
        };
        Ok(if flags & IS_SECRET == 0 { message } else { message.secret() })
    }

    fn excluded(&self) -> Result<Vec<MemberId>, EnvelopeError> {
        let Some(content) = self.get(EXCLUDED) else { return Ok(Vec::new()) };
        let members = content.chunks(MEMBER_LENGTH).map(|member| member.try_into().map(read_member));
        members
            .collect::<Result<_, _>>()
            .map_err(|_| EnvelopeError::Broken("its excluded members do not have 16 bytes each"))
    }

    fn member(&self) -> Result<MemberId, EnvelopeError> {
        let content = self.expect(MEMBER, "it is for one member, and does not name it")?;
        content.try_into().map(read_member).map_err(|_| EnvelopeError::Broken("its member does not have 16 bytes"))
    }

    fn close(&self) -> Result<CloseFrame, EnvelopeError> {
        let content = self.expect(CLOSE, "it is a Close, and has no code")?;
        let (code, reason) =
            content.split_first_chunk().ok_or(EnvelopeError::Broken("the code of its Close has fewer than 2 bytes"))?;
        let code = u16::from_be_bytes(*code);
        if !close_code::is_valid_on_wire(code) {
            return Err(EnvelopeError::Broken("the code of its Close must not be sent"));
        }
        Ok(CloseFrame::new(code, utf8(reason, "the reason of its Close is not UTF-8")?))
    }

    fn room(&self) -> Result<Box<str>, EnvelopeError> {
        let content = self.expect(ROOM, "it is to make a member join or leave, and does not name a room")?;
        Ok(utf8(content, "its name of a room is not UTF-8")?.into())
    }
}

fn several(content: &[u8]) -> Result<Several, EnvelopeError> {
    const LIST_ENDS: EnvelopeError = EnvelopeError::Broken("its list of rooms is cut");
    let (number, mut rest) = content.split_first_chunk().ok_or(LIST_ENDS)?;
    let mut rooms = Vec::new();
    while let Some((length, names)) = rest.split_first() {
        let (name, after) = names.split_at_checked(usize::from(*length)).ok_or(LIST_ENDS)?;
        rooms.push(utf8(name, "its name of a room is not UTF-8")?.into());
        rest = after;
    }
    Ok(Several { number: u64::from_be_bytes(*number), rooms })
}

fn utf8<'a>(content: &'a [u8], or: &'static str) -> Result<&'a str, EnvelopeError> {
    std::str::from_utf8(content).map_err(|_| EnvelopeError::Broken(or))
}
