//! What goes into a history, and what is read from it.

use std::{fmt, time::Duration};

use bytes::Bytes;

use crate::{NodeId, Position, Topic};

/// A message for the history of a topic. For [`Broker::append`](crate::Broker::append).
///
/// ```
/// use sockeye_state::{Append, Keep, Stamp, Topic};
/// use std::time::Duration;
///
/// let keep = Keep::new(200, Duration::from_secs(3600));
/// let append = Append::new(Topic::room("shop", "chat:42"), "…".into(), Stamp::new([7; 16]), keep);
/// assert_eq!(append.known, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Append {
    /// Whose history the message is for.
    pub topic: Topic,
    /// The message, as the broker keeps it.
    pub envelope: Bytes,
    /// The idempotency key: an append with the same stamp to the same topic is a repeat.
    pub stamp: Stamp,
    /// How much is kept, from this message on.
    pub keep: Keep,
    /// The last position in this history that the node knows of, so that a history that has lost its end is noticed. Default:
    /// none.
    pub known: Option<Position>,
}

impl Append {
    /// A message for the history of a topic, by a node that knows no position in the history.
    pub fn new(topic: Topic, envelope: Bytes, stamp: Stamp, keep: Keep) -> Self {
        Self { topic, envelope, stamp, keep, known: None }
    }

    /// The last position that the node knows of: [`known`](Self::known).
    #[must_use]
    pub fn known(mut self, position: impl Into<Option<Position>>) -> Self {
        self.known = position.into();
        self
    }
}

/// How much of a history is kept. What both limits allow is there; more may be there as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Keep {
    /// How many messages are kept: the last ones.
    pub messages: usize,
    /// How long the history is kept after its last append. Then the broker forgets it as a whole.
    pub age: Duration,
}

impl Keep {
    /// Keeps the last `messages`, for `age` after the last of them.
    pub const fn new(messages: usize, age: Duration) -> Self {
        Self { messages, age }
    }
}

/// An idempotency key: what makes two appends to one topic the same.
///
/// ```
/// # use sockeye_state::{NodeId, Stamp};
/// # let node = NodeId::from_u64(7);
/// assert_eq!(Stamp::of_node(node, 1), Stamp::of_node(node, 1));
/// assert_ne!(Stamp::of_node(node, 1), Stamp::of_node(node, 2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp([u8; 16]);

impl Stamp {
    /// The stamp with these bytes. Somebody who can choose the stamps of others can have their messages taken for repeats:
    /// where a client has a part in the stamp, the stamp must be a hash that also has what the client was authenticated as.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The stamp of a message of a node itself, which counts its messages.
    pub fn of_node(node: NodeId, count: u64) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&node.as_u64().to_be_bytes());
        bytes[8..].copy_from_slice(&count.to_be_bytes());
        Self(bytes)
    }

    /// The bytes of the stamp.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Stamp {
    /// 32 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stamp({self})")
    }
}

/// A message in a history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The offset of the message before this one in the same epoch, whether that is still kept or not; 0 for the first message.
    /// A reader that has seen that message has missed nothing.
    pub after: u64,
    /// Where this message stands.
    pub at: Position,
    /// The message.
    pub envelope: Bytes,
}

impl Entry {
    /// A message in a history: for those who write brokers.
    pub const fn new(after: u64, at: Position, envelope: Bytes) -> Self {
        Self { after, at, envelope }
    }
}

/// A part of a history. From [`Broker::read`](crate::Broker::read).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The messages, oldest first.
    pub entries: Vec<Entry>,
    /// The last position of the history at the moment of the read, whether that message is still kept or not; `None` if there is
    /// no history.
    pub top: Option<Position>,
    /// Whether nothing is missing between the position that was asked for and the first message of the page, or the top if the
    /// page is empty. Always true where no position was asked for.
    pub is_contiguous: bool,
    /// Whether the history had no messages after this page at the moment of the read. Otherwise the next page begins after the
    /// last message of this one.
    pub is_last: bool,
}

impl Page {
    /// A part of a history: for those who write brokers.
    pub const fn new(entries: Vec<Entry>, top: Option<Position>, is_contiguous: bool, is_last: bool) -> Self {
        Self { entries, top, is_contiguous, is_last }
    }
}
