//! Whom a message is for: members of rooms, all members, or one.

use std::{collections::HashSet, fmt, sync::Weak};

use sockeye_proto::{CloseCode, CloseFrame, PreparedMessage};

use crate::{
    Hub, InvalidCloseCode, JoinError, MemberId, Room, envelope::Order, hub::Inner, member::Begun, members::Inside,
    relay::CarryOut, stats::Delivered,
};

/// The members of one or several rooms, on all nodes, and nobody twice. From [`Hub::to`], [`Room::except`] and
/// [`Joined::to_others`](crate::Joined::to_others).
///
/// ```
/// # use sockeye_state::{Hub, MemberId};
/// fn warn(hub: &Hub<String>, author: MemberId) -> usize {
///     hub.to(["harbour", "lighthouse"]).except(author).send("a storm is coming")
/// }
/// ```
#[must_use = "nobody gets anything before `send`"]
pub struct Audience<T> {
    rooms: Vec<Room<T>>,
    /// Identities and not the numbers of members: a number may belong to another member when the message is sent.
    except: Vec<MemberId>,
}

impl<T: Send + Sync + 'static> Audience<T> {
    pub(crate) fn new(rooms: Vec<Room<T>>) -> Self {
        Self { rooms, except: Vec::new() }
    }

    /// The same members without this one.
    pub fn except(mut self, member: MemberId) -> Self {
        if !self.except.contains(&member) {
            self.except.push(member);
        }
        self
    }

    /// Sends a message to these members. Returns how many members of this node the message is for. As [`Room::send`].
    ///
    /// With a [broker](crate::Builder::broker), a message to several rooms goes to the topic of each of them, and a node that has members in
    /// several delivers the first copy that comes. A message to more than 32 rooms goes to all nodes instead, once.
    ///
    /// A message to several rooms is for rooms without a [history](crate::Rooms::history): in two histories it would have two
    /// positions, and a member of both rooms would get it twice. If one of several rooms has a history, nobody gets the message: 0 is
    /// returned, the message counts in [`Stats::refused`](crate::Stats::refused), and an error is logged. Send to each of these rooms.
    pub fn send(&self, message: impl Into<PreparedMessage>) -> usize {
        match &self.rooms[..] {
            [room] => room.send_except(message.into(), &self.except),
            [first, ..] if self.rooms.iter().any(Room::has_history) => {
                let rooms: Vec<_> = self.rooms.iter().filter(|room| room.has_history()).map(Room::name).collect();
                tracing::error!(
                    ?rooms,
                    "refused a message to several rooms, since these have a history; send to each of the rooms"
                );
                first.hub().inner().engine.counters.refused();
                0
            }
            _ => self.send_now(&message.into()),
        }
    }

    /// As [`Room::volatile`], also in rooms with a history.
    pub fn volatile(&self, message: impl Into<PreparedMessage>) -> usize {
        self.send_now(&message.into())
    }

    /// Sends to the members of this moment, by no history.
    fn send_now(&self, message: &PreparedMessage) -> usize {
        match &self.rooms[..] {
            [] => 0,
            [room] => room.send_volatile(message.clone(), &self.except),
            [first, ..] => {
                let inner = first.hub().inner();
                let rooms = self.rooms.iter().filter_map(Room::current);
                let framed = rooms.filter_map(|room| {
                    let message = inner.engine.framing.message(&room.name, None, message.clone())?;
                    Some((room, message))
                });
                let reached =
                    inner.engine.send_to_all(&framed.collect::<Vec<_>>(), &first.hub().excepted(&self.except));
                if let Some(relay) = &inner.relay {
                    relay.send_to_several(&self.names(), message, &self.except);
                }
                reached
            }
        }
    }

    /// Closes the connections of these members, on all nodes, after what was sent to their rooms before. Returns how many members of this node
    /// it concerns; a member of several of the rooms is counted in each. For rooms with a history, see [`Room::close_members`].
    ///
    /// # Errors
    ///
    /// [`InvalidCloseCode`] if the code must not be sent.
    pub fn close_members(&self, code: CloseCode, reason: &str) -> Result<usize, InvalidCloseCode> {
        InvalidCloseCode::check(code)?;
        let Some(first) = self.rooms.first() else { return Ok(0) };
        let except = first.hub().excepted(&self.except);
        let frame = CloseFrame::new(code, reason);
        let close = |room: &Room<T>| {
            let engine = &room.hub().inner().engine;
            room.current().map_or(0, |room| engine.close(&room, &frame, &except))
        };
        let reached = self.rooms.iter().map(close).sum();
        if let Some(relay) = &first.hub().inner().relay {
            self.names().into_iter().for_each(|room| relay.close_room(room, &frame, &self.except));
        }
        Ok(reached)
    }

    /// The names of the rooms, each once, without those that no room can have.
    fn names(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        self.rooms.iter().filter(|room| room.has_name()).map(Room::name).filter(|name| seen.insert(*name)).collect()
    }
}

/// All members of this node, or those that a filter lets through. From [`Hub::all`].
///
/// The message goes out in the task of the caller, which takes the longer the more members there are. Two calls at the same time
/// may reach two members in different orders. A room to which all members belong has neither drawback.
///
/// ```
/// # use sockeye_state::{Hub, InvalidCloseCode};
/// fn end(hub: &Hub<String>) -> Result<usize, InvalidCloseCode> {
///     hub.all().send("the server ends");
///     hub.all().close_members(1001, "")
/// }
/// ```
#[must_use = "nobody gets anything before `send`"]
pub struct Everyone<'a, T> {
    hub: &'a Hub<T>,
    filter: Option<Filter<'a, T>>,
}

type Filter<'a, T> = Box<dyn Fn(&T) -> bool + 'a>;

impl<'a, T: Send + Sync + 'static> Everyone<'a, T> {
    pub(crate) fn new(hub: &'a Hub<T>) -> Self {
        Self { hub, filter: None }
    }

    /// Only members for whose value `filter` returns `true`. Several filters must all return `true`. They run in the caller,
    /// and may use the hub.
    ///
    /// ```
    /// # use sockeye_state::Hub;
    /// # struct User { admin: bool }
    /// # let hub: Hub<User> = Hub::new();
    /// hub.all().filter(|user| user.admin).send("the disk is full");
    /// ```
    pub fn filter(mut self, filter: impl Fn(&T) -> bool + 'a) -> Self {
        self.filter = Some(match self.filter {
            Some(first) => Box::new(move |value| first(value) && filter(value)),
            None => Box::new(filter),
        });
        self
    }

    /// Sends a message to these members. Returns how many there are.
    pub fn send(&self, message: impl Into<PreparedMessage>) -> usize {
        let message = message.into();
        let inner = self.hub.inner();
        let mut delivered = Delivered::default();
        let reached = self.for_each(|member| delivered.add(member.push(&message, inner.engine.rules.all)));
        if reached > 0 {
            inner.engine.counters.sent();
            inner.engine.counters.delivered(&delivered);
        }
        reached
    }

    /// Closes the connections of these members. Returns how many there are.
    ///
    /// # Errors
    ///
    /// [`InvalidCloseCode`] if the code must not be sent.
    pub fn close_members(&self, code: CloseCode, reason: &str) -> Result<usize, InvalidCloseCode> {
        InvalidCloseCode::check(code)?;
        Ok(self.for_each(|member| member.close(code, reason)))
    }

    fn for_each(&self, mut each: impl FnMut(&Inside<T>)) -> usize {
        let mut reached = 0;
        self.hub.inner().members.for_each(|member| {
            if self.filter.as_ref().is_none_or(|filter| filter(&member.value)) {
                reached += 1;
                each(&member);
            }
        });
        reached
    }
}

/// A member by its identity, on whatever node, and whether it is still there or not. From [`Hub::member`].
///
/// Each method returns how many members of this node it concerns: 1, or 0 if the member has left or belongs to another node. For a member
/// of another node, the method tells that node, by the [broker](crate::Builder::broker), and does not wait: nothing says whether the member
/// is still there, and while the broker is away, nothing happens. What one node wants of a member happens in that order, each at
/// most once.
///
/// ```
/// # use sockeye_state::{Hub, MemberId};
/// fn seat(hub: &Hub<String>, player: MemberId) -> Result<(), sockeye_state::JoinError> {
///     let player = hub.member(player);
///     if player.join("table:4")? == 1 {
///         player.send("you sit at table 4");
///     }
///     Ok(())
/// }
/// ```
#[must_use = "nothing happens to the member before a method is called"]
pub struct RemoteMember<T> {
    hub: Hub<T>,
    id: MemberId,
}

impl<T: Send + Sync + 'static> RemoteMember<T> {
    pub(crate) fn new(hub: Hub<T>, id: MemberId) -> Self {
        Self { hub, id }
    }

    /// Sends a message to this member alone.
    pub fn send(&self, message: impl Into<PreparedMessage>) -> usize {
        let inner = self.hub.inner();
        if self.is_elsewhere() {
            return self.order(&Order::Message(message.into()));
        }
        let Some(member) = inner.members.get(self.id) else { return 0 };
        let mut delivered = Delivered::default();
        delivered.add(member.push(&message.into(), inner.engine.rules.all));
        inner.engine.counters.sent();
        inner.engine.counters.delivered(&delivered);
        1
    }

    /// Closes the connection of the member.
    ///
    /// # Errors
    ///
    /// [`InvalidCloseCode`] if the code must not be sent.
    pub fn close_with(&self, code: CloseCode, reason: &str) -> Result<usize, InvalidCloseCode> {
        InvalidCloseCode::check(code)?;
        if self.is_elsewhere() {
            return Ok(self.order(&Order::Close(CloseFrame::new(code, reason))));
        }
        let Some(member) = self.hub.inner().members.get(self.id) else { return Ok(0) };
        member.close(code, reason);
        Ok(1)
    }

    /// Makes the member join a room, as [`Member::join`](crate::Member::join), but without waiting: what other nodes send to the room reaches
    /// the member from a moment later on, once its node has subscribed to the room.
    ///
    /// A room with a history is joined in a task, which logs a warning if the broker does not answer.
    ///
    /// # Errors
    ///
    /// A [`JoinError`], if no room can have this name, or if the member is in too many rooms. If a member of another node is, that node
    /// logs a warning.
    pub fn join(&self, room: &str) -> Result<usize, JoinError> {
        crate::name::check(room)?;
        if self.is_elsewhere() {
            return Ok(self.order(&Order::Join(room.into())));
        }
        let Some(member) = self.hub.inner().members.get(self.id) else { return Ok(0) };
        match member.begin_join(&self.hub, room, None)? {
            None => Ok(0),
            Some(Begun::Done(..)) => Ok(1),
            Some(Begun::Arrival(arrival)) => {
                arrival.arrive_in_task();
                Ok(1)
            }
        }
    }

    /// Makes the member leave a room, as [`Member::leave`](crate::Member::leave). 0 also if the member was not in the room.
    pub fn leave(&self, room: &str) -> usize {
        if self.is_elsewhere() {
            // A name that no room can have is not told anybody.
            return if crate::name::check(room).is_ok() { self.order(&Order::Leave(room.into())) } else { 0 };
        }
        let Some(member) = self.hub.inner().members.get(self.id) else { return 0 };
        let has_left = member.leave(&self.hub, room);
        #[cfg(feature = "protocol")]
        if has_left {
            member.expelled(room);
        }
        usize::from(has_left)
    }

    /// Whether another node has the connection.
    fn is_elsewhere(&self) -> bool {
        self.id.node() != self.hub.node()
    }

    /// Tells the node of the member. Returns how many members of this node it concerns, which is none.
    fn order(&self, order: &Order) -> usize {
        if let Some(relay) = &self.hub.inner().relay {
            relay.order(self.id, order);
        }
        0
    }
}

/// Does with members of this hub what other nodes want.
pub(crate) struct OrdersOf<T>(pub(crate) Weak<Inner<T>>);

impl<T: Send + Sync + 'static> CarryOut for OrdersOf<T> {
    fn carry_out(&self, id: MemberId, order: Order) {
        let Some(hub) = Hub::upgrade(&self.0) else { return };
        let member = hub.member(id);
        match order {
            Order::Message(message) => _ = member.send(message),
            // The code was checked.
            Order::Close(frame) => _ = member.close_with(frame.code, &frame.reason),
            Order::Leave(room) => _ = member.leave(&room),
            Order::Join(room) => {
                if let Err(error) = member.join(&room) {
                    tracing::warn!(%room, %error, "another node has made a member join a room, and it cannot");
                }
            }
        }
    }
}

impl<T> fmt::Debug for Audience<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Audience").field("rooms", &self.rooms).field("except", &self.except).finish()
    }
}

impl<T> fmt::Debug for Everyone<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Everyone").field("is_filtered", &self.filter.is_some()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for RemoteMember<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteMember").field("id", &self.id).finish_non_exhaustive()
    }
}
