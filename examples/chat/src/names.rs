//! The visitors, and their names.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, StatusCode, header::COOKIE, request::Parts},
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;

/// The longest name, in characters.
const MAX_NAME: usize = 24;

/// The names that visitors have at this moment. Cheap to clone; all clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Names(Arc<Mutex<HashMap<String, Holder>>>);

struct Holder {
    /// As the visitor writes it.
    name: String,
    visit: String,
    connections: usize,
}

/// A visitor, who has the name for as long as this lives.
pub(crate) struct Visitor {
    name: String,
    names: Names,
}

/// Why somebody may not come in.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    Nameless,
    NameTooLong(usize),
    NameInvisible(char),
    NameTaken(String),
}

impl Visitor {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let mut names = self.names.lock();
        let key = self.name.to_lowercase();
        if let Some(holder) = names.get_mut(&key) {
            holder.connections -= 1;
            if holder.connections == 0 {
                names.remove(&key);
            }
        }
    }
}

/// By the cookie `name`, percent-encoded where it is not ASCII. A page also has a secret in the cookie `visit`. With the same one, it
/// may have the same name again: its earlier connection may be dead without the server knowing.
impl<S> FromRequestParts<S> for Visitor
where
    S: Send + Sync,
    Names: FromRef<S>,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let cookie = |wanted| cookie(&parts.headers, wanted).unwrap_or_default();
        let (given, visit) = (percent_decode_str(cookie("name")).decode_utf8_lossy(), cookie("visit"));
        Names::from_ref(state).enter(&given, visit)
    }
}

impl Names {
    fn enter(&self, given: &str, visit: &str) -> Result<Visitor, Refusal> {
        let name = shown(given)?;
        let mut names = self.lock();
        let holder = names.entry(name.to_lowercase()).or_insert_with(|| Holder {
            name: name.clone(),
            visit: visit.to_owned(),
            connections: 0,
        });
        if holder.connections > 0 && (visit.is_empty() || visit != holder.visit) {
            return Err(Refusal::NameTaken(holder.name.clone()));
        }
        holder.connections += 1;
        Ok(Visitor { name: holder.name.clone(), names: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Holder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let pairs =
        headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

/// The name that all see: the given one without spaces around it, and with one space between words. Fails if it is empty, too
/// long, or has invisible characters.
fn shown(given: &str) -> Result<String, Refusal> {
    let name = given.split_whitespace().collect::<Vec<_>>().join(" ");
    match name.chars().count() {
        0 => return Err(Refusal::Nameless),
        len if len > MAX_NAME => return Err(Refusal::NameTooLong(len)),
        _ => {}
    }
    match name.chars().find(|character| is_invisible(*character)) {
        Some(character) => Err(Refusal::NameInvisible(character)),
        None => Ok(name),
    }
}

/// Characters that could make two names look the same, or change the direction of the following text.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFD}' | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
        )
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nameless => f.write_str("Please enter a name. A program sends it in the cookie `name`."),
            Self::NameTooLong(len) => write!(f, "A name has at most {MAX_NAME} characters, this one has {len}."),
            Self::NameInvisible(character) => {
                write!(f, "A name cannot contain the character U+{:04X}, which cannot be seen.", u32::from(*character))
            }
            Self::NameTaken(name) => write!(f, "There is somebody named {name} already. Please choose another name."),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Nameless => StatusCode::UNAUTHORIZED,
            Self::NameTooLong(_) | Self::NameInvisible(_) => StatusCode::BAD_REQUEST,
            Self::NameTaken(_) => StatusCode::CONFLICT,
        };
        (status, self.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_refused_when_it_is_empty_long_or_invisible() {
        for (given, expected) in
            [("Ada", Some("Ada")), ("  Ada \t Lovelace\n", Some("Ada Lovelace")), ("鮭", Some("鮭"))]
        {
            assert_eq!(shown(given).ok().as_deref(), expected);
        }
        assert_eq!(shown(&"é".repeat(24)).unwrap().chars().count(), 24);
        for refused in [
            "",
            " \n ",
            &"é".repeat(25),
            "A\u{200B}da",
            "\u{202E}adA",
            "A\0da",
            "Ada\u{3164}",
            "Ada\u{E0041}",
            "Ada\u{FE0F}",
            "A\u{34F}da",
        ] {
            assert!(shown(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_name_is_taken_while_somebody_else_has_it() {
        let names = Names::default();
        let enter = |name: &str, visit: &str| names.enter(name, visit);
        let taken = |name: &str| Some(Refusal::NameTaken(name.to_owned()));
        let émilie = enter("Émilie", "one").unwrap();
        assert_eq!(enter("éMILIE", "two").err(), taken("Émilie"));
        assert_eq!(enter("Émilie", "").err(), taken("Émilie"));
        // The same page comes back before the server knows that its first connection is dead.
        let again = enter("émilie", "one").unwrap();
        assert_eq!(again.name(), "Émilie");
        drop(émilie);
        assert_eq!(enter("Émilie", "two").err(), taken("Émilie"));
        drop(again);
        assert_eq!(enter("émilie", "two").unwrap().name(), "émilie");
        // Without a secret, nobody can say that he is the same.
        let _ada = enter("Ada", "").unwrap();
        assert_eq!(enter("Ada", "").err(), taken("Ada"));
    }
}
