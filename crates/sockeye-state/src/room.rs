//! `Room`: a name, and the members that have joined it.

use std::{fmt, sync::Arc};

use sockeye_proto::{CloseCode, PreparedMessage};
use sockeye_tokio::Sender;

use crate::{
    AppendOptions, Appending, Audience, HistoryError, Hub, InvalidCloseCode, MemberId, Past, Present, engine, name,
};

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
    ///
    /// With a [broker](crate::Builder::broker), the message also goes to the members of other nodes, after it has been sent to those here:
    /// to each of them at most once, and in the order in which this node has sent. `send` does not wait for the broker. At most 1,024
    /// messages or 4 MiB of a node are on their way to it. What the broker does not take, or what is beyond that, does not reach other
    /// nodes: their members hear of a [gap](crate::Delivery::Gap) as soon as the broker is back, [`Event::PublishFailed`](crate::Event::PublishFailed) says so here, and
    /// [`Stats::publish_failed`](crate::Stats::publish_failed) counts the messages.
    ///
    /// In a room with a [history](crate::Rooms::history), the message goes to the broker first, and reaches all members in the order of
    /// the history, also those of this node. It waits while the broker is away; [`append`](Self::append) tells what became of it, and
    /// otherwise [`Event::AppendFailed`](crate::Event::AppendFailed) does. 0 then means that nobody is in the room here, or that too
    /// many messages wait.
    pub fn send(&self, message: impl Into<PreparedMessage>) -> usize {
        self.send_except(message.into(), &[])
    }

    /// Appends a message to the history of the room, and waits until the broker has said where. All members get it, in the order of the
    /// history.
    ///
    /// While the broker is away, the message waits, behind those that were sent to the room before. At most 1,024 messages or 4 MiB of
    /// a node wait, and each for at most a minute. A message whose fate is unknown is sent again with the same stamp, so that it is
    /// in the history once.
    ///
    /// ```
    /// # use sockeye_state::{AppendError, Room};
    /// async fn post(room: &Room<String>, line: &str) -> Result<String, AppendError> {
    ///     let position = room.append(line).await?;
    ///     Ok(position.to_string())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// An [`AppendError`](crate::AppendError) that says whether the message may be in the history all the same.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is polled, nothing is appended. If it is dropped later, the message may be appended.
    pub fn append(&self, message: impl Into<PreparedMessage>) -> Appending {
        self.append_with(message, AppendOptions::new())
    }

    /// Like [`append`](Self::append), with a stamp of the application's, or for all members but some. [`AppendOptions`] has an example.
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    ///
    /// # Cancel safety
    ///
    /// As for [`append`](Self::append).
    pub fn append_with(&self, message: impl Into<PreparedMessage>, options: AppendOptions) -> Appending {
        Appending::new(self.hub.inner().history.clone(), self.name(), message.into(), options)
    }

    /// The newest messages in the history of the room, the oldest of them first: at most `most`, and at most as many as the room
    /// [keeps](crate::Rooms::history). For a client that comes for the first time, or after a gap. A client that joins first, and then
    /// asks for these, misses nothing in between; what it gets twice has the same position.
    ///
    /// ```
    /// # use sockeye_state::{HistoryError, Room};
    /// async fn last_lines(room: &Room<String>) -> Result<Vec<String>, HistoryError> {
    ///     let line = |message: &[u8]| String::from_utf8_lossy(message).into_owned();
    ///     Ok(room.history(50).await?.iter().map(|past| line(past.message.payload())).collect())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// A [`HistoryError`] if there is no history, or if the broker cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed, so the future can be dropped at any time.
    pub async fn history(&self, most: usize) -> Result<Vec<Past>, HistoryError> {
        name::check(self.name())?;
        match &self.hub.inner().history {
            Some(history) => history.past(self.name(), most).await,
            None => Err(HistoryError::NoHistory { room: self.name().into() }),
        }
    }

    /// Like [`send`](Self::send), for a message that is worth nothing later, such as "is typing" or the position of a cursor:
    /// it is in no history of the room. It reaches the members of other nodes as in a room without a history. In a room with a [history](crate::Rooms::history), it does not wait for the broker either, so
    /// that it may arrive before what was sent to the room earlier.
    ///
    /// ```
    /// # use sockeye_state::Hub;
    /// # let hub: Hub<String> = Hub::new();
    /// hub.room("map").volatile(r#"{"cursor":[12,40]}"#);
    /// ```
    pub fn volatile(&self, message: impl Into<PreparedMessage>) -> usize {
        self.send_volatile(message.into(), &[])
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

    /// Closes the connections of all members of the room, on all nodes, after what was sent to the room from this node before. Returns
    /// how many members of this node it concerns. The members leave the room when their handlers end. Others may join meanwhile. While
    /// the [broker](crate::Builder::broker) is away, the members of other nodes are not closed.
    ///
    /// In a room with a [history](crate::Rooms::history), what is on its way to the broker or back at this moment is not waited for:
    /// the members get it when they come back with their positions. Members that are catching up are not closed.
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

    /// Sends to all but these members, by the history if the room has one.
    pub(crate) fn send_except(&self, message: PreparedMessage, except: &[MemberId]) -> usize {
        if self.has_history() {
            return self.send_kept(message, except);
        }
        self.send_volatile(message, except)
    }

    /// Sends to the members of this moment, by no history: first to those that are here.
    pub(crate) fn send_volatile(&self, message: PreparedMessage, except: &[MemberId]) -> usize {
        let Some(relay) = &self.hub.inner().relay else { return self.send_here(message, except) };
        let reached = self.send_here(message.clone(), except);
        if self.has_name() {
            relay.send(self.name(), &message, except);
        }
        reached
    }

    fn send_here(&self, message: PreparedMessage, except: &[MemberId]) -> usize {
        let inner = self.hub.inner();
        let Some(message) = inner.engine.framing.message(self.name(), None, message) else { return 0 };
        let except = self.hub.excepted(except);
        match &self.target {
            Target::Known(room) => inner.engine.send(room, message, except),
            Target::Named(name) => inner.engine.room(name).map_or(0, |room| inner.engine.send(&room, message, except)),
        }
    }

    fn send_kept(&self, message: PreparedMessage, except: &[MemberId]) -> usize {
        let inner = self.hub.inner();
        let Some(history) = &inner.history else { return 0 };
        let Some(keep) = history.keep(self.name()) else { return 0 };
        let reached = self.current().map_or(0, |room| room.count(&self.hub.excepted(except)));
        let options = AppendOptions { stamp: None, except: except.to_vec() };
        match history.append(self.name().into(), keep, &message, options, None) {
            Ok(()) => reached,
            Err(_) => 0,
        }
    }

    /// Whether a room can have this name.
    pub(crate) fn has_name(&self) -> bool {
        match &self.target {
            Target::Known(_) => true,
            Target::Named(name) => name::check(name).is_ok(),
        }
    }

    /// Whether a broker keeps what is sent to the room.
    pub(crate) fn has_history(&self) -> bool {
        match &self.target {
            Target::Known(room) => room.has_history,
            Target::Named(name) => {
                let history = self.hub.inner().history.as_ref();
                history.is_some_and(|history| name::check(name).is_ok() && history.keep(name).is_some())
            }
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
