//! `Limits`: how much a hub accepts.

/// How much a hub accepts, so that no member and no burst can take all memory.
///
/// ```
/// use sockeye_state::{Hub, Limits};
///
/// # async fn build() -> Result<(), sockeye_state::BuildError> {
/// let hub = Hub::<String>::builder().limits(Limits::new().rooms_per_member(16)).build().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Limits {
    pub(crate) rooms_per_member: usize,
    pub(crate) pending_messages: usize,
    pub(crate) pending_bytes: usize,
    pub(crate) history_bytes: usize,
}

impl Limits {
    /// The defaults: 128 rooms for each member, 4,096 messages or 1 MiB pending in each room, and 64 MiB for the ends of histories.
    pub fn new() -> Self {
        Self { rooms_per_member: 128, pending_messages: 4096, pending_bytes: 1 << 20, history_bytes: 64 << 20 }
    }

    /// How many rooms a member may be in at the same time. A join beyond that is an error. Default: 128, more than people use,
    /// and little enough for a search from the first to the last.
    pub fn rooms_per_member(mut self, most: usize) -> Self {
        self.rooms_per_member = most;
        self
    }

    /// How many messages may be pending in a room, that is accepted, and not yet on their way to the members. A message beyond
    /// that is refused: nobody gets it, it counts in [`Stats::refused`](crate::Stats::refused), and
    /// [`Event::Gap`](crate::Event::Gap) is reported. Default: 4,096. Messages wait only while a large room is being served, so
    /// this many mean that they are sent faster than the processor can deliver them.
    pub fn pending_messages(mut self, most: usize) -> Self {
        self.pending_messages = most;
        self
    }

    /// Like [`pending_messages`](Self::pending_messages), in bytes. A room without pending messages accepts one of any length.
    /// Default: 1 MiB, the same as for the queue of a connection.
    pub fn pending_bytes(mut self, most: usize) -> Self {
        self.pending_bytes = most;
        self
    }

    /// How much memory the node may use for the last messages of rooms with a [history](crate::Rooms::history) and members here,
    /// in bytes, so that members who come back cost no question to the broker. What does not fit is read from the broker when a member
    /// needs it. Each room keeps a little in any case. Default: 64 MiB.
    pub fn history_bytes(mut self, most: usize) -> Self {
        self.history_bytes = most;
        self
    }
}

impl Default for Limits {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}
