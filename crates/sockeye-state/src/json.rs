//! `send_json`: values as JSON, each in a text message. Behind the feature `json`.

use serde::Serialize;
use sockeye_tokio::{Error, json::prepare};

use crate::{Audience, Everyone, RemoteMember, Room};

impl<T: Send + Sync + 'static> Room<T> {
    /// Sends a value as JSON, in a text message, to all members of the room. The value is encoded once. Otherwise as
    /// [`send`](Self::send).
    ///
    /// For a message that is in no history, pass [`json::prepare`](prepare) of the value to [`volatile`](Self::volatile).
    ///
    /// ```
    /// # use sockeye_state::Hub;
    /// #[derive(serde::Serialize)]
    /// struct Tide {
    ///     metres: f32,
    /// }
    ///
    /// # fn tell(hub: &Hub<String>) -> Result<(), sockeye_tokio::Error> {
    /// hub.room("harbour").send_json(&Tide { metres: 6.7 })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`] if the value has no JSON: nobody gets anything.
    pub fn send_json(&self, value: impl Serialize) -> Result<usize, Error> {
        Ok(self.send(prepare(value)?))
    }
}

impl<T: Send + Sync + 'static> Audience<T> {
    /// Sends a value as JSON, in a text message, to these members; see [`Room::send_json`].
    ///
    /// # Errors
    ///
    /// As for [`Room::send_json`].
    pub fn send_json(&self, value: impl Serialize) -> Result<usize, Error> {
        Ok(self.send(prepare(value)?))
    }
}

impl<T: Send + Sync + 'static> Everyone<'_, T> {
    /// Sends a value as JSON, in a text message, to these members; see [`Room::send_json`].
    ///
    /// # Errors
    ///
    /// As for [`Room::send_json`].
    pub fn send_json(&self, value: impl Serialize) -> Result<usize, Error> {
        Ok(self.send(prepare(value)?))
    }
}

impl<T: Send + Sync + 'static> RemoteMember<T> {
    /// Sends a value as JSON, in a text message, to this member alone; see [`Room::send_json`].
    ///
    /// # Errors
    ///
    /// As for [`Room::send_json`].
    pub fn send_json(&self, value: impl Serialize) -> Result<usize, Error> {
        Ok(self.send(prepare(value)?))
    }
}
