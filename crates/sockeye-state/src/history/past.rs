//! Reading a history, for those who come for the first time.

use std::sync::Arc;

use sockeye_proto::PreparedMessage;

use super::History;
use crate::{BrokerError, Entry, NameError, Position};

/// A message of a history, from [`Room::history`](crate::Room::history).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Past {
    /// Where the message stands in the history.
    pub at: Position,
    /// The message as it was sent, without the frame of [`Builder::frame`](crate::Builder::frame).
    pub message: PreparedMessage,
}

/// Why a history was not read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// No room can have this name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The room has no history.
    #[error("the room {room:?} has no history; give its prefix one with Rooms::history")]
    NoHistory {
        /// The name of the room.
        room: Arc<str>,
    },
    /// The broker did not answer, for 5 s at most.
    #[error("the history of the room cannot be read at the moment: {0}")]
    Unavailable(#[source] BrokerError),
}

impl History {
    /// The newest messages of a room, the oldest of them first.
    pub(crate) async fn past(&self, name: &str, most: usize) -> Result<Vec<Past>, HistoryError> {
        let keep = self.keep(name).ok_or_else(|| HistoryError::NoHistory { room: name.into() })?;
        let read = self.read(self.link.room_topic(name), None, most.min(keep.messages));
        let page = read.await.map_err(HistoryError::Unavailable)?;
        let past = |entry: Entry| Some(Past { at: entry.at, message: self.open(&entry).0? });
        Ok(page.entries.into_iter().filter_map(past).collect())
    }
}
