//! What the name of a room may be.

/// The longest name of a room, in bytes.
pub(crate) const MAX_NAME: usize = 200;

/// Why a room cannot have a name. The text of the error has no part of the name, which may come from a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name is empty.
    #[error("the name of the room is empty; expected 1 to {MAX_NAME} bytes")]
    Empty,
    /// The name has more than 200 bytes.
    #[error("the name of the room has {len} bytes; expected 1 to {MAX_NAME}")]
    TooLong {
        /// The length of the name, in bytes.
        len: usize,
    },
    /// The name has a control character, such as a line break.
    #[error("the name of the room has the control character U+{:04X} at byte {at}; expected none", u32::from(*.character))]
    Control {
        /// The first control character.
        character: char,
        /// Where the character is, in bytes from the start of the name.
        at: usize,
    },
}

/// Checks the name of a room.
pub(crate) fn check(name: &str) -> Result<(), NameError> {
    match name.len() {
        0 => return Err(NameError::Empty),
        len if len > MAX_NAME => return Err(NameError::TooLong { len }),
        _ => {}
    }
    match name.char_indices().find(|(_, character)| character.is_control()) {
        Some((at, character)) => Err(NameError::Control { character, at }),
        None => Ok(()),
    }
}
