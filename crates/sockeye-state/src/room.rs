//! `Room`: a name, and the members that have joined it.

use std::{fmt, sync::Arc};

use sockeye_proto::{CloseCode, PreparedMessage};
use sockeye_tokio::Sender;

use crate::{Audience, Hub, InvalidCloseCode, MemberId, Present, engine, name};

/// A room of a [`Hub`], from anywhere. Cheap to clone. From [`Hub::room`].
///
/// A room exists as long as it has members. The value stays valid: when others join later, it means the room that they are in.
///
/// All members of a room get its messages in the same order, and what one task sends to a room arrives in the order in which it
/// was sent. Messages to a single member, and to [several rooms](Hub::to) at once, have no place in this order.
///
/// ```
/// use sockeye_state::Hub;
///
/// let hub: Hub<String> = Hub::new();
/// let harbour = hub.room("harbour");
/// // Nobody is in the room yet, so the message is for nobody.
/// assert_eq!((harbour.send("high tide at six"), harbour.len()), (0, 0));
/// ```
pub struct Room<T> {
    hub: Hub<T>,
    target: Target,
}

#[derive(Clone)]
enum Target {
    /// A room that had members. If all have left since, the directory has the one that now has its name.
    Known(Arc<engine::Room<Sender>>),
    Named(Arc<str>),
}

impl<T: Send + Sync + 'static> Room<T> {
    pub(crate) fn known(hub: Hub<T>, room: Arc<engine::Room<Sender>>) -> Self {
        Self { hub, target: Target::Known(room) }
    }

    pub(crate) fn named(hub: Hub<T>, name: &str) -> Self {
        let target = match hub.inner().engine.room(name) {
            Some(room) => Target::Known(room),
            None => Target::Named(name.into()),
        };
        if let Err(error) = name::check(name) {
            // Not a warning: the name may come from a client, and a client could fill the log.
            tracing::debug!(%error, "messages to this room are for nobody");
        }
        Self { hub, target }
    }

    /// The name of the room.
    pub fn name(&self) -> &str {
        match &self.target {
            Target::Known(room) => &room.name,
            Target::Named(name) => name,
        }
    }

    /// The hub of the room.
    pub fn hub(&self) -> &Hub<T> {
        &self.hub
    }

    /// Sends a message to all members of the room. Returns how many members of this node the message is for.
    ///
    /// Sending never waits, and never fails for a slow receiver: its [`Overflow`](crate::Overflow) says what happens to it, and
    /// [`Hub::stats`] counts it. The message is encoded once. A task delivers the message, so the caller continues at once, and what
    /// a handler sends in a row reaches each member in one write. The task belongs to the Tokio runtime of the caller, and all of
    /// the room waits for it: send from a runtime that keeps running. If the runtime is shut down first, the message waits for
    /// the next one to the room. Outside of a runtime, the caller delivers the message, and all that others send to the room
    /// meanwhile.
    ///
    /// 0 means that nobody is in the room, or that too many messages are pending in it; see
    /// [`Limits::pending_messages`](crate::Limits::pending_messages).
    pub fn send(&self, message: impl Into<PreparedMessage>) -> usize {
        self.send_except(message.into(), engine::Except::Nobody)
    }

    /// Like [`send`](Self::send), for a message that is worth nothing later, such as "is typing" or the position of a cursor:
    /// it is in no history of the room.
    ///
    /// ```
    /// # use sockeye_state::Hub;
    /// # let hub: Hub<String> = Hub::new();
    /// hub.room("map").volatile(r#"{"cursor":[12,40]}"#);
    /// ```
    pub fn volatile(&self, message: impl Into<PreparedMessage>) -> usize {
        self.send(message)
    }

    /// All members of the room but this one.
    ///
    /// ```
    /// # use sockeye_state::{MemberId, Room};
    /// fn pass_on(room: &Room<String>, from: MemberId, text: String) -> usize {
    ///     room.except(from).send(text)
    /// }
    /// ```
    pub fn except(&self, member: MemberId) -> Audience<T> {
        Audience::new(vec![self.clone()]).except(member)
    }

    /// Closes the connections of all members of the room, after what was sent to the room before. Returns how many members of
    /// this node it concerns. The members leave the room when their handlers end. Others may join meanwhile.
    ///
    /// ```
    /// # use sockeye_state::{Hub, InvalidCloseCode};
    /// # fn close(hub: &Hub<String>) -> Result<(), InvalidCloseCode> {
    /// let room = hub.room("auction:17");
    /// room.send("sold");
    /// room.close_members(1000, "the auction is over")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidCloseCode`] if the code must not be sent.
    pub fn close_members(&self, code: CloseCode, reason: &str) -> Result<usize, InvalidCloseCode> {
        Audience::new(vec![self.clone()]).close_members(code, reason)
    }

    /// The members of this node that are in the room, in no order.
    pub fn members(&self) -> Vec<Present<T>> {
        let Some(room) = self.current() else { return Vec::new() };
        let members = room.keys().into_iter().filter_map(|key| self.hub.inner().members.by_number(key));
        // A number may belong to another member by now.
        members.filter(|member| room.contains(member.id.key)).map(Present::new).collect()
    }

    /// How many members of this node are in the room.
    pub fn len(&self) -> usize {
        self.current().map_or(0, |room| room.len())
    }

    /// Whether no member of this node is in the room.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The room that has this name now, if it has members.
    pub(crate) fn current(&self) -> Option<Arc<engine::Room<Sender>>> {
        match &self.target {
            Target::Known(room) if !room.is_removed() => Some(room.clone()),
            _ => self.hub.inner().engine.room(self.name()),
        }
    }

    pub(crate) fn send_except(&self, message: PreparedMessage, except: engine::Except) -> usize {
        let engine = &self.hub.inner().engine;
        match &self.target {
            Target::Known(room) => engine.send(room, message, except),
            Target::Named(name) => engine.room(name).map_or(0, |room| engine.send(&room, message, except)),
        }
    }
}

impl<T> Clone for Room<T> {
    fn clone(&self) -> Self {
        Self { hub: self.hub.clone(), target: self.target.clone() }
    }
}

impl<T> fmt::Debug for Room<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match &self.target {
            Target::Known(room) => &*room.name,
            Target::Named(name) => name,
        };
        f.debug_struct("Room").field("name", &name).finish_non_exhaustive()
    }
}
