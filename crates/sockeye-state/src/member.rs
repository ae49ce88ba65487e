//! `Member`: a connection's place in the hub, which the connection has until the member is dropped.

use std::{fmt, sync::Arc};

use sockeye_proto::{CloseCode, PreparedMessage};
use sockeye_tokio::{Overflow, PushedMany, Sender};

use crate::{Hub, InvalidCloseCode, Join, JoinError, MemberId, Room, engine, members::Inside, name};

/// A connection in the hub. When the member is dropped, the connection leaves all rooms and the hub. From [`Hub::register`].
///
/// The connection itself stays open: it closes when its `WebSocket` is dropped.
///
/// ```
/// use sockeye_state::{Hub, JoinError};
/// use sockeye_tokio::WebSocket;
///
/// async fn watch(mut socket: WebSocket, hub: Hub<u64>, user: u64) -> Result<(), JoinError> {
///     let me = hub.register(socket.sender(), user);
///     me.join("news").await?;
///     me.join(format!("user:{user}")).await?; // all devices of the user
///     while let Some(Ok(_)) = socket.recv().await {}
///     Ok(())
/// } // here the member leaves both rooms and the hub
/// ```
#[must_use = "dropping a member leaves the hub at once"]
pub struct Member<T> {
    hub: Hub<T>,
    inside: Arc<Inside<T>>,
}

impl<T: Send + Sync + 'static> Member<T> {
    pub(crate) fn new(hub: Hub<T>, inside: Arc<Inside<T>>) -> Self {
        Self { hub, inside }
    }

    /// The identity of this member.
    pub fn id(&self) -> MemberId {
        self.inside.id
    }

    /// The value that this member was registered with.
    pub fn value(&self) -> &T {
        &self.inside.value
    }

    /// The connection.
    pub fn sender(&self) -> &Sender {
        &self.inside.sender
    }

    /// The hub of this member.
    pub fn hub(&self) -> &Hub<T> {
        &self.hub
    }

    /// Joins a room: `member.join("harbour").await`. The member gets all that is sent to the room from then on, until it
    /// [leaves](Self::leave). Joining again changes nothing.
    ///
    /// ```
    /// # use sockeye_state::{JoinError, Member};
    /// async fn go(me: &Member<String>, to: &str) -> Result<(), JoinError> {
    ///     let room = me.join(to).await?;
    ///     room.to_others().send(format!("{} is here", me.value()));
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// A [`JoinError`], if no room can have this name, or if the member is in too many rooms. A name has 1 to 200 bytes and no
    /// control characters.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, the member may have joined.
    pub fn join(&self, room: impl Into<String>) -> Join<'_, T> {
        Join::new(self, room.into())
    }

    pub(crate) fn join_now(&self, room: &str) -> Result<Room<T>, JoinError> {
        let joined = self.inside.join(&self.hub, room)?.expect("a member is in the hub until it is dropped");
        Ok(Room::known(self.hub.clone(), joined))
    }

    /// Leaves a room. Nothing that is sent to the room afterwards reaches this member. Of what was sent before, at most the
    /// messages arrive that are on their way to this member at this moment. Returns whether the member was in the room.
    ///
    /// ```
    /// # use sockeye_state::Member;
    /// # async fn go(me: &Member<String>) {
    /// me.leave("harbour").await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, the member may have left.
    pub async fn leave(&self, room: impl AsRef<str>) -> bool {
        self.inside.leave(&self.hub, room.as_ref())
    }

    /// The rooms that this member is in, in the order in which it joined.
    pub fn rooms(&self) -> Vec<Room<T>> {
        let engine = &self.hub.inner().engine;
        // All under the lock: once the member has left a room, another room may have its number.
        let rooms = self.inside.rooms.lock();
        let found = rooms.numbers.iter().filter_map(|number| engine.room_by_number(*number));
        found.map(|room| Room::known(self.hub.clone(), room)).collect()
    }
}

impl<T> Inside<T> {
    /// Joins a room. `None` if the member has left the hub.
    pub(crate) fn join(&self, hub: &Hub<T>, room: &str) -> Result<Option<Arc<engine::Room<Sender>>>, JoinError> {
        name::check(room)?;
        let hub = hub.inner();
        let most = hub.engine.rules.limits.rooms_per_member;
        let mut rooms = self.rooms.lock();
        if let Some(joined) = hub.engine.room(room).filter(|room| rooms.numbers.contains(&room.number())) {
            return Ok(Some(joined));
        }
        if rooms.is_gone {
            return Ok(None);
        }
        if rooms.numbers.len() >= most {
            return Err(JoinError::TooManyRooms { max: most });
        }
        let joined = hub.engine.join(room, self.id.key, &self.sender);
        rooms.numbers.push(joined.number());
        Ok(Some(joined))
    }

    /// Leaves a room. Returns whether the member was in it.
    pub(crate) fn leave(&self, hub: &Hub<T>, room: &str) -> bool {
        let engine = &hub.inner().engine;
        let mut rooms = self.rooms.lock();
        let Some(room) = engine.room(room) else { return false };
        let Some(index) = rooms.numbers.iter().position(|number| *number == room.number()) else { return false };
        rooms.numbers.remove(index);
        engine.leave(&room, self.id.key);
        true
    }

    fn leave_all(&self, hub: &Hub<T>) {
        let engine = &hub.inner().engine;
        let mut rooms = self.rooms.lock();
        rooms.is_gone = true;
        for number in std::mem::take(&mut rooms.numbers) {
            if let Some(room) = engine.room_by_number(number) {
                engine.leave(&room, self.id.key);
            }
        }
    }

    /// Queues one message for this member alone.
    pub(crate) fn push(&self, message: &PreparedMessage, overflow: Option<Overflow>) -> PushedMany {
        self.sender.push_many(std::slice::from_ref(message), overflow)
    }

    /// Begins the close handshake. The code was checked.
    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        // An error means that the connection has ended already.
        let _ = self.sender.close_with(code, reason);
    }
}

/// A member of this node at the moment when the hub was asked. It may be gone by now. From [`Hub::members`],
/// [`Hub::members_of`], [`Hub::by_key`] and [`Room::members`].
///
/// ```
/// # use sockeye_state::Hub;
/// fn names(hub: &Hub<String>, room: &str) -> Vec<String> {
///     hub.members_of(room).iter().map(|member| member.value().clone()).collect()
/// }
/// ```
pub struct Present<T> {
    inside: Arc<Inside<T>>,
}

impl<T> Present<T> {
    pub(crate) fn new(inside: Arc<Inside<T>>) -> Self {
        Self { inside }
    }

    /// The identity of the member.
    pub fn id(&self) -> MemberId {
        self.inside.id
    }

    /// The value that the member was registered with.
    pub fn value(&self) -> &T {
        &self.inside.value
    }

    /// The connection of the member.
    pub fn sender(&self) -> &Sender {
        &self.inside.sender
    }

    /// Closes the connection of the member; see [`Sender::close_with`].
    ///
    /// # Errors
    ///
    /// [`InvalidCloseCode`] if the code must not be sent.
    pub fn close_with(&self, code: CloseCode, reason: &str) -> Result<(), InvalidCloseCode> {
        InvalidCloseCode::check(code)?;
        self.inside.close(code, reason);
        Ok(())
    }
}

impl<T> Clone for Present<T> {
    fn clone(&self) -> Self {
        Self { inside: self.inside.clone() }
    }
}

impl<T> Drop for Member<T> {
    fn drop(&mut self) {
        self.inside.leave_all(&self.hub);
        self.hub.inner().members.remove(&self.inside);
    }
}

impl<T: fmt::Debug> fmt::Debug for Member<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.inside.id).field("value", &self.inside.value).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug> fmt::Debug for Present<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Present")
            .field("id", &self.inside.id)
            .field("value", &self.inside.value)
            .finish_non_exhaustive()
    }
}
