//! `Member`: a connection's place in the hub, which the connection has until the member is dropped.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use sockeye_proto::{CloseCode, PreparedMessage};
use sockeye_tokio::{Overflow, PushedMany, Sender};

use crate::{
    CaughtUp, Hub, InvalidCloseCode, Join, JoinError, MemberId, Person, Position, Room, engine,
    history::catch_up::{Appearance, Arrival, OpenJoin, Stop},
    members::Inside,
    name, presence,
    relay::Waiting,
};

/// A join that has begun.
pub(crate) enum Begun<T> {
    /// It is done, but for what the member may have to wait for.
    Done(Arc<engine::Room<Sender>>, Option<Waiting>),
    /// The member catches up first.
    Arrival(Arrival<T>),
}

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
    /// With a [broker](crate::Builder::broker), the first join of a room on this node waits until the node gets what other nodes send to
    /// the room, which takes one answer of the broker, and at most 500 ms. If the broker does not answer in this time, or has not
    /// answered lately, the join is `Ok` all the same, and the members of the room hear of a [gap](crate::Delivery::Gap) as soon as
    /// the node gets everything.
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

    /// Begins a join. One that is done at once is done when this returns.
    pub(crate) fn begin_join(&self, room: &str, since: Option<Position>) -> Result<Begun<T>, JoinError> {
        let begun = self.inside.begin_join(&self.hub, room, since)?;
        Ok(begun.expect("a member is in the hub until it is dropped"))
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

    /// Tells something else of this member's person, such as "away", in all rooms with [presence](crate::Rooms::presence) that
    /// the member is in or joins later, instead of the info that [`Rooms::presence`](crate::Rooms::presence) gives. Observers get
    /// [`PresenceChange::Updated`](crate::PresenceChange::Updated). Of several connections with the same key, the latest info
    /// counts. Returns in how many rooms the person is present at the moment.
    ///
    /// `info` is copied.
    ///
    /// ```
    /// # use sockeye_state::Member;
    /// fn away(me: &Member<String>) {
    ///     me.update_presence(format!(r#"{{"name":{:?},"away":true}}"#, me.value()));
    /// }
    /// ```
    pub fn update_presence(&self, info: impl Into<Bytes>) -> usize {
        self.inside.update_presence(&self.hub, presence::own(info))
    }

    /// Whether this member is in the room.
    #[cfg(feature = "protocol")]
    pub(crate) fn is_in(&self, room: &str) -> bool {
        let rooms = self.inside.rooms.lock();
        self.hub.inner().engine.room(room).is_some_and(|room| rooms.numbers.contains(&room.number()))
    }

    /// The rooms that others make the member leave, from now on. Called once.
    #[cfg(feature = "protocol")]
    pub(crate) fn expulsions(&self) -> tokio::sync::mpsc::UnboundedReceiver<Box<str>> {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        // A second one would hear nothing.
        let _ = self.inside.expulsions.set(sender);
        receiver
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

impl<T> Begun<T> {
    /// The member has joined. Called without a lock.
    fn done(hub: &Hub<T>, room: Arc<engine::Room<Sender>>) -> Self {
        let waiting = hub.inner().relay.as_ref().and_then(|relay| relay.joined(&room));
        Self::Done(room, waiting)
    }
}

impl<T> Inside<T> {
    /// Begins a join. `None` if the member has left the hub.
    pub(crate) fn begin_join(
        self: &Arc<Self>,
        hub: &Hub<T>,
        room: &str,
        since: Option<Position>,
    ) -> Result<Option<Begun<T>>, JoinError> {
        name::check(room)?;
        let inner = hub.inner();
        let most = inner.engine.rules.limits.rooms_per_member;
        let history = inner.history.as_ref().and_then(|history| history.keep(room).map(|keep| (history, keep)));
        // Before the lock: this is code of the application.
        let person = inner.presence.person(room, &self.value);
        let mut presence = inner.presence.changes();
        let mut rooms = self.rooms.lock();
        if rooms.is_gone {
            return Ok(None);
        }
        let joined = inner.engine.room(room).filter(|room| rooms.numbers.contains(&room.number()));
        let again = match joined {
            // With a position, the member leaves its seat, and takes it again once it has caught up.
            Some(joined) if history.is_some() && since.is_some() => Some(joined),
            Some(joined) => {
                drop(rooms);
                return Ok(Some(Begun::done(hub, joined)));
            }
            None => None,
        };
        let before = rooms.stop_open(Some(room));
        if let Some(again) = &again {
            rooms.numbers.retain(|number| *number != again.number());
            inner.engine.leave(again, self.id.key);
            presence.leave(room, self.id.key);
        } else if rooms.count() >= most {
            return Err(JoinError::TooManyRooms { max: most });
        }
        if history.is_none() && !inner.engine.framing.is_some() {
            let joined = inner.engine.join(room, self.id.key, &self.sender);
            rooms.numbers.push(joined.number());
            presence.join(room, self.id.key, person, rooms.info.as_deref());
            drop(rooms);
            drop(presence);
            return Ok(Some(Begun::done(hub, joined)));
        }
        let open = OpenJoin { room: room.into(), stop: Arc::default() };
        rooms.open(open.clone());
        drop(rooms);
        drop(presence);
        before.iter().for_each(|stop| stop.wake());
        let Some((history, keep)) = history else { return self.join_framed(hub, &open, person) };
        let appearance = Appearance { presence: inner.presence.clone(), person };
        let arrival = Arrival::new(history.clone(), self.clone(), open, keep, before, appearance);
        if again.is_some() {
            history.leave(room);
        }
        Ok(Some(Begun::Arrival(arrival)))
    }

    /// Joins a room without a history, whose messages have frames. The frame comes first, without a lock.
    fn join_framed(
        &self,
        hub: &Hub<T>,
        open: &OpenJoin,
        person: Option<Person>,
    ) -> Result<Option<Begun<T>>, JoinError> {
        let inner = hub.inner();
        // Also if the application's closure panics.
        let _open = CloseOpen(self, &open.stop);
        if let Some(frame) = inner.engine.framing.joined(&open.room, None, CaughtUp::Fresh) {
            self.push(&frame, inner.engine.rules.kind(&open.room).overflow);
        }
        let mut presence = inner.presence.changes();
        let mut rooms = self.rooms.lock();
        if rooms.is_gone {
            return Ok(None);
        }
        if open.stop.is_stopped() {
            return Err(JoinError::Stopped);
        }
        let joined = inner.engine.join(&open.room, self.id.key, &self.sender);
        rooms.numbers.push(joined.number());
        presence.join(&open.room, self.id.key, person, rooms.info.as_deref());
        drop(rooms);
        drop(presence);
        Ok(Some(Begun::done(hub, joined)))
    }

    /// Leaves a room. Returns whether the member was in it, or about to be.
    pub(crate) fn leave(&self, hub: &Hub<T>, room: &str) -> bool {
        let inner = hub.inner();
        let mut presence = inner.presence.changes();
        let mut rooms = self.rooms.lock();
        let stopped = rooms.stop_open(Some(room));
        let left = inner.engine.room(room).filter(|room| rooms.numbers.contains(&room.number()));
        let mut is_empty = false;
        if let Some(left) = &left {
            rooms.numbers.retain(|number| *number != left.number());
            is_empty = inner.engine.leave(left, self.id.key);
            presence.leave(room, self.id.key);
        }
        drop(rooms);
        drop(presence);
        if let Some(left) = &left {
            inner.has_left(left, is_empty);
        }
        stopped.iter().for_each(|stop| stop.wake());
        left.is_some() || !stopped.is_empty()
    }

    /// Somebody else has made the member leave the room. Called without a lock, since a task is woken.
    #[cfg(feature = "protocol")]
    pub(crate) fn expelled(&self, room: &str) {
        if let Some(expulsions) = self.expulsions.get() {
            // An error means that the connection is ending.
            let _ = expulsions.send(room.into());
        }
    }

    fn leave_all(&self, hub: &Hub<T>) {
        let inner = hub.inner();
        let mut left = Vec::new();
        let mut presence = inner.presence.changes();
        let mut rooms = self.rooms.lock();
        rooms.is_gone = true;
        let stopped = rooms.stop_open(None);
        for number in std::mem::take(&mut rooms.numbers) {
            if let Some(room) = inner.engine.room_by_number(number) {
                let is_empty = inner.engine.leave(&room, self.id.key);
                presence.leave(&room.name, self.id.key);
                if inner.link.is_some() {
                    left.push((room, is_empty));
                }
            }
        }
        drop(rooms);
        drop(presence);
        for (room, is_empty) in left {
            inner.has_left(&room, is_empty);
        }
        stopped.iter().for_each(|stop| stop.wake());
    }

    /// Tells this info in all rooms. Returns in how many rooms with presence the member is.
    fn update_presence(&self, hub: &Hub<T>, info: Bytes) -> usize {
        let engine = &hub.inner().engine;
        let mut presence = hub.inner().presence.changes();
        let mut rooms = self.rooms.lock();
        let found = rooms.numbers.iter().filter_map(|number| engine.room_by_number(*number));
        let updated = found.filter(|room| presence.update(&room.name, self.id.key, &info)).count();
        rooms.info = Some(Box::new(info));
        updated
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

/// Takes a join out of the member's list when it is dropped.
struct CloseOpen<'a, T>(&'a Inside<T>, &'a Arc<Stop>);

impl<T> Drop for CloseOpen<'_, T> {
    fn drop(&mut self) {
        self.0.rooms.lock().close_open(self.1);
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
