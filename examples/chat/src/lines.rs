//! What visitors say.

use std::time::SystemTime;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};
use sockeye::state::{Hub, Past, Position};

use crate::{LINES, names::Visitor};

/// A line of a room, as a page that joins the room gets it.
#[derive(Serialize)]
pub(crate) struct Line {
    at: Position,
    d: Box<RawValue>,
}

/// The last lines of a room, for a page that has just joined it. A page that comes back needs them only after a gap.
pub(crate) async fn last(
    State(hub): State<Hub<Visitor>>,
    Path(number): Path<u32>,
) -> Result<Json<Vec<Line>>, (StatusCode, String)> {
    let past = hub.room(format!("chat:{number}")).history(LINES).await;
    let past = past.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let line = |Past { at, message, .. }: Past| Some(Line { at, d: serde_json::from_slice(message.payload()).ok()? });
    Ok(Json(past.into_iter().filter_map(line).collect()))
}

/// What all get: a text, or an object with a text, or something else that pages tell each other, such as `{"typing":true}`; with
/// the author's name, and the time in milliseconds since 1970.
pub(crate) fn signed(author: &Visitor, said: &RawValue) -> Result<Box<RawValue>, String> {
    let mut line = match serde_json::from_str(said.get()) {
        Ok(Value::Object(line)) => line,
        Ok(Value::String(text)) => Map::from_iter([("text".to_owned(), text.into())]),
        _ => return Err("expected a text, or an object with the field text".to_owned()),
    };
    match line.get("text") {
        Some(Value::String(text)) if text.trim().is_empty() => return Err("there is nothing in this line".to_owned()),
        None | Some(Value::String(_)) => {}
        Some(_) => return Err("the field text is no text".to_owned()),
    }
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64);
    line.insert("name".to_owned(), author.name().into());
    line.insert("time".to_owned(), time.into());
    to_raw_value(&line).map_err(|error| error.to_string())
}
