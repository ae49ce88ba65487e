//! The visitors of the rooms, and their names.

use crate::protocol::{Join, Refusal};

/// The longest name, in characters.
pub(crate) const MAX_NAME: usize = 24;

/// A visitor of a room.
pub(crate) struct Person {
    pub(crate) name: String,
    token: String,
}

impl Person {
    pub(crate) fn new(join: &Join) -> Result<Self, Refusal> {
        Ok(Self { name: name(&join.name)?, token: join.token.clone() })
    }

    /// Whether the two names are the same for people.
    pub(crate) fn has_name_of(&self, other: &Self) -> bool {
        same(&self.name, &other.name)
    }

    /// Whether both connections are of one page: the earlier one may be dead without the server knowing.
    pub(crate) fn is_same_page(&self, other: &Self) -> bool {
        !self.token.is_empty() && self.token == other.token
    }
}

/// The name that all see: the given one without spaces around it, and with one space between words. Fails if it is empty, too
/// long, or has invisible characters.
fn name(given: &str) -> Result<String, Refusal> {
    let name = given.split_whitespace().collect::<Vec<_>>().join(" ");
    match name.chars().count() {
        0 => return Err(Refusal::NameEmpty),
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
        || matches!(character, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::{name, same};

    #[test]
    fn a_name_is_trimmed_and_refused_when_it_is_empty_long_or_invisible() {
        for (given, expected) in
            [("Ada", Some("Ada")), ("  Ada \t Lovelace\n", Some("Ada Lovelace")), ("鮭", Some("鮭"))]
        {
            assert_eq!(name(given).ok().as_deref(), expected);
        }
        assert_eq!(name(&"é".repeat(24)).unwrap().chars().count(), 24);
        for refused in ["", " \n ", &"é".repeat(25), "A\u{200B}da", "\u{202E}adA", "A\0da"] {
            assert!(name(refused).is_err(), "{refused:?}");
        }
        assert!(same("Ada", "aDA") && same("ÉMILIE", "émilie") && !same("Ada", "Eda"));
    }
}
