//! Where a message stands in the history of a room.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hasher},
    str::FromStr,
};

/// How many digits `u64::MAX` has to the base 36.
const MAX_DIGITS: usize = 13;

/// Where a message stands in the history of a room: the life of the history, and the place in it.
///
/// Its text is what a client keeps and sends when it comes back: the epoch to the base 36, a dot, and the offset, such as
/// `k3x9.41`. Each position has one text.
///
/// ```
/// use sockeye_state::{Epoch, Position};
///
/// let position: Position = "k3x9.41".parse()?;
/// assert_eq!(position.offset, 41);
/// assert_eq!(position, Position::new(position.epoch, 41));
/// assert_eq!(position.to_string(), "k3x9.41");
/// # Ok::<(), sockeye_state::ParsePositionError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the history. Positions of two epochs cannot be compared.
    pub epoch: Epoch,
    /// The place in the history. Later messages have greater offsets, and the first has at least 1. Between the offsets of two
    /// messages that follow each other, there may be others that no message of this room has.
    pub offset: u64,
}

impl Position {
    /// The position with this offset in this epoch.
    pub const fn new(epoch: Epoch, offset: u64) -> Self {
        Self { epoch, offset }
    }
}

/// One life of the history of a room: a number that a broker draws at random when a history begins.
///
/// A history that has expired, was evicted or has lost messages that were acknowledged begins again in a new epoch. So a
/// position of the lost history is never taken for one of the new history.
///
/// ```
/// use sockeye_state::Epoch;
///
/// assert_ne!(Epoch::random(), Epoch::random());
/// assert_eq!(Epoch::from_u64(35).to_string(), "z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// An epoch that was not used before, as far as 64 random bits can promise.
    pub fn random() -> Self {
        // Without random numbers of the system, the seeds that the standard library has for its maps are used.
        Self(getrandom::u64().unwrap_or_else(|_| RandomState::new().build_hasher().finish()))
    }

    /// The epoch with this number, which [`as_u64`](Self::as_u64) has returned: for brokers that store epochs.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number of the epoch.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// Why a text is no [`Position`]. The error has no part of the text, which may come from a client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no position; expected an epoch to the base 36 in lower case, a dot and a decimal offset, both below 2^64 and \
     without leading zeros, such as \"k3x9.41\""
)]
#[non_exhaustive]
pub struct ParsePositionError;

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, ParsePositionError> {
        let (epoch, offset) = text.split_once('.').ok_or(ParsePositionError)?;
        Ok(Self { epoch: Epoch(parse(epoch, 36)?), offset: parse(offset, 10)? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.offset)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({self})")
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; MAX_DIGITS];
        let mut first = MAX_DIGITS;
        let mut rest = self.0;
        loop {
            first -= 1;
            digits[first] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        f.write_str(std::str::from_utf8(&digits[first..]).expect("digits are ASCII"))
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epoch({self})")
    }
}

/// Parses a number as it is displayed, and not with a sign, leading zeros or in upper case.
fn parse(digits: &str, radix: u32) -> Result<u64, ParsePositionError> {
    let is_canonical = match digits.as_bytes() {
        [b'0'] => true,
        [b'0', ..] => false,
        all => all.iter().all(|digit| digit.is_ascii_digit() || digit.is_ascii_lowercase()),
    };
    if !is_canonical {
        return Err(ParsePositionError);
    }
    u64::from_str_radix(digits, radix).map_err(|_| ParsePositionError)
}

#[cfg(feature = "json")]
mod json {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::Position;

    impl Serialize for Position {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for Position {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_str(Text)
        }
    }

    struct Text;

    impl de::Visitor<'_> for Text {
        type Value = Position;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a position such as \"k3x9.41\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Position, E> {
            text.parse().map_err(E::custom)
        }
    }
}
