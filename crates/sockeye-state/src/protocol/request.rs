//! What a page sends: frames, read with bounds.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use super::{
    code::{About, Code, Refusal},
    scan::scan,
};
use crate::{Position, name};

/// The longest id of a `say`, in bytes.
const MAX_ID: usize = 64;

/// How many rooms one join may name. More than a connection may be in, so that those which are too many are refused one by one; and
/// few enough that the answers are not many times as large as the frame.
const MAX_NAMED: usize = 1_024;

/// A frame of a page.
#[derive(Debug)]
pub(crate) enum Request {
    Auth { token: String },
    Join(Vec<Wanted>),
    Leave { room: String },
    Say(Say),
    Who { room: String, is_off: bool },
}

/// A room to join.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) room: String,
    pub(crate) since: Option<Position>,
}

/// A message for a room.
#[derive(Debug)]
pub(crate) struct Say {
    pub(crate) room: String,
    /// `None` for a volatile one, which is not answered.
    pub(crate) id: Option<String>,
    pub(crate) data: Box<RawValue>,
    /// Whether the speaker gets no copy.
    pub(crate) to_others: bool,
}

/// Reads a frame. Of a join, what is refused of single rooms is added to `refused`, and the others are returned.
pub(crate) fn read(text: &str, max_size: usize, refused: &mut Vec<Refusal>) -> Result<Request, Refusal> {
    scan(text, max_size)
        .map_err(|refusal| Refusal { about: id_in(text).map_or(About::Frame, About::Say), ..refusal })?;
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => Refusal::frame(Code::BadFrame, format!("the frame is not as expected: {error}")),
        _ => Refusal::frame(Code::NotJson, format!("the message is not JSON: {error}")),
    })?;
    let Some(t) = fields.t else {
        return Err(Refusal::frame(
            Code::UnknownType,
            "the field t is missing; expected a text that says what the frame is",
        ));
    };
    match &*text_of("t", Some(t)).map_err(|why| Refusal::frame(Code::UnknownType, why))? {
        "auth" => auth(&fields),
        "join" => join(&fields, refused),
        "leave" => leave(&fields),
        "say" => say(&fields).map(Request::Say),
        "who" => who(&fields),
        other => Err(Refusal::frame(
            Code::UnknownType,
            format!("the server knows no frame of the type {}; expected auth, join, leave, say or who", quoted(other)),
        )),
    }
}

/// The fields of all frames. Others are ignored, so that newer pages can say more.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    t: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
    #[serde(borrow)]
    rooms: Option<&'a RawValue>,
    #[serde(borrow)]
    room: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    d: Option<&'a RawValue>,
    #[serde(borrow)]
    others: Option<&'a RawValue>,
    #[serde(borrow)]
    volatile: Option<&'a RawValue>,
    #[serde(borrow)]
    off: Option<&'a RawValue>,
}

fn auth(fields: &Fields<'_>) -> Result<Request, Refusal> {
    let token = text_of("token", fields.token).map_err(|why| Refusal::frame(Code::BadFrame, why))?;
    Ok(Request::Auth { token })
}

fn join(fields: &Fields<'_>, refused: &mut Vec<Refusal>) -> Result<Request, Refusal> {
    let expected = "expected an object with a position or null for the name of each room";
    let Some(rooms) = fields.rooms else {
        return Err(Refusal::frame(Code::BadFrame, format!("the field rooms is missing; {expected}")));
    };
    let rooms: Rooms<'_> = serde_json::from_str(rooms.get())
        .map_err(|_| Refusal::frame(Code::BadFrame, format!("the field rooms is {}; {expected}", kind(rooms))))?;
    if rooms.by_name.len() > MAX_NAMED {
        let why = format!("the join names {} rooms; expected at most {MAX_NAMED}", rooms.by_name.len());
        return Err(Refusal::frame(Code::TooManyRooms, why));
    }
    let mut wanted = Vec::with_capacity(rooms.by_name.len());
    for (room, since) in rooms.by_name {
        match (check_name(&room), position(since)) {
            (Err(why), _) => refused.push(Refusal::room(room, Code::BadName, why)),
            (_, Err(why)) => refused.push(Refusal::room(room, Code::BadPosition, why)),
            (Ok(()), Ok(since)) => wanted.push(Wanted { room, since }),
        }
    }
    Ok(Request::Join(wanted))
}

fn leave(fields: &Fields<'_>) -> Result<Request, Refusal> {
    let room = text_of("room", fields.room).map_err(|why| Refusal::frame(Code::BadFrame, why))?;
    match check_name(&room) {
        Ok(()) => Ok(Request::Leave { room }),
        Err(why) => Err(Refusal::room(room, Code::BadName, why)),
    }
}

fn say(fields: &Fields<'_>) -> Result<Say, Refusal> {
    let is_volatile =
        flag("volatile", fields.volatile).map_err(|why| Refusal::say(id(fields.id).ok(), Code::BadFrame, why))?;
    let id = if is_volatile { None } else { Some(id(fields.id)?) };
    let bad = |why| Refusal::say(id.clone(), Code::BadFrame, why);
    let room = text_of("room", fields.room).map_err(bad)?;
    check_name(&room).map_err(|why| Refusal::say(id.clone(), Code::BadName, why))?;
    let to_others = flag("others", fields.others).map_err(bad)?;
    let data = fields.d.ok_or_else(|| bad("the field d is missing; expected what is to be said".to_owned()))?;
    Ok(Say { room, data: data.to_owned(), to_others, id })
}

fn who(fields: &Fields<'_>) -> Result<Request, Refusal> {
    let room = text_of("room", fields.room).map_err(|why| Refusal::frame(Code::BadFrame, why))?;
    if let Err(why) = check_name(&room) {
        return Err(Refusal::room(room, Code::BadName, why));
    }
    match flag("off", fields.off) {
        Ok(is_off) => Ok(Request::Who { room, is_off }),
        Err(why) => Err(Refusal::room(room, Code::BadFrame, why)),
    }
}

/// The id of a `say` that is refused before it is read, so that the page knows which one. In a frame that is too long, JSON is looked
/// through once, as for UTF-8, and nothing of it is copied but the id.
fn id_in(text: &str) -> Option<String> {
    let fields: Fields<'_> = serde_json::from_str(text).ok()?;
    let is_volatile = fields.volatile.is_some_and(|volatile| volatile.get() == "true");
    let is_say = fields.t.is_some_and(|t| t.get() == "\"say\"") && !is_volatile;
    // Escapes have up to six bytes for one of the id.
    let value = fields.id.filter(|id| is_say && id.get().len() <= 6 * MAX_ID + 2)?;
    id(Some(value)).ok()
}

fn id(value: Option<&RawValue>) -> Result<String, Refusal> {
    let id = text_of("id", value).map_err(|why| Refusal::frame(Code::BadId, why))?;
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(is_good) {
        let expected = format!("expected 1 to {MAX_ID} letters, digits, - and _");
        return Err(Refusal::frame(Code::BadId, format!("the id {} is no id; {expected}", quoted(&id))));
    }
    Ok(id)
}

fn check_name(room: &str) -> Result<(), String> {
    name::check(room).map_err(|error| error.to_string())
}

fn position(value: Option<&RawValue>) -> Result<Option<Position>, String> {
    let Some(value) = value.filter(|value| value.get() != "null") else { return Ok(None) };
    let text = text_of("position", Some(value))?;
    match text.parse() {
        Ok(position) => Ok(Some(position)),
        Err(_) => Err(format!("{} is no position; expected one that a server has sent, or null", quoted(&text))),
    }
}

fn text_of(field: &str, value: Option<&RawValue>) -> Result<String, String> {
    let Some(value) = value else { return Err(format!("the field {field} is missing; expected a text")) };
    serde_json::from_str(value.get()).map_err(|_| format!("the field {field} is {}; expected a text", kind(value)))
}

fn flag(field: &str, value: Option<&RawValue>) -> Result<bool, String> {
    match value.map(RawValue::get) {
        None | Some("false" | "null") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(format!("the field {field} is {}; expected true or false", value.map_or("missing", kind))),
    }
}

/// What a value is, for people.
fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a text with a broken escape",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The beginning of a text, with control characters escaped: a peer sent it.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Unlike the default for an `Option`, a `null` is a value: `"d":null` says `null`.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// The rooms of a join, in the order in which they were sent, each once. Of one that is named again, the last position counts, as in
/// JavaScript.
#[derive(Default)]
struct Rooms<'a> {
    by_name: Vec<(String, Option<&'a RawValue>)>,
}

impl<'de> Deserialize<'de> for Rooms<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Rooms<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rooms<'de>, A::Error> {
                let (mut rooms, mut places) = (Rooms::default(), HashMap::new());
                while let Some((room, since)) = map.next_entry::<String, &RawValue>()? {
                    let place = *places.entry(room.clone()).or_insert(rooms.by_name.len());
                    match rooms.by_name.get_mut(place) {
                        Some(named) => named.1 = Some(since),
                        None => rooms.by_name.push((room, Some(since))),
                    }
                }
                Ok(rooms)
            }
        }

        from.deserialize_map(InOrder)
    }
}
