//! The engine of one node: rooms, who is in them, and how messages reach them. It knows nothing of the values of members, and
//! nothing of a network.
//!
//! * `seats`: who is in a room
//! * `room`: the members of a room, and the messages on their way to them
//! * `delivery`: a message on its way, and whom it is for
//! * `drain`: carries the messages to the members
//! * `directory`: the rooms, by their names
//!
//! Locks are taken in the order directory, room. No lock is held while a message is handed to a connection: that wakes tasks,
//! and runs other code of others.

mod delivery;
mod directory;
mod drain;
#[cfg(all(test, sockeye_loom))]
mod models;
mod room;
mod seats;

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use sockeye_proto::{CloseFrame, PreparedMessage};
use tokio::runtime::Handle;

pub(crate) use self::{
    delivery::Except,
    drain::Drain,
    room::{Room, RoomKind, Seat, Sent},
    seats::Key,
};
use self::{
    delivery::Once,
    directory::Directory,
    room::{Capacity, Removed},
};
use crate::{events::EventSender, framing::Framing, rules::Rules, stats::Counters};

pub(crate) struct Engine<S> {
    directory: Arc<Directory<S>>,
    pub(crate) rules: Rules,
    pub(crate) events: EventSender,
    pub(crate) framing: Framing,
    pub(crate) counters: Arc<Counters>,
}

impl<S: Seat + Send + Sync + 'static> Engine<S> {
    pub(crate) fn new(rules: Rules, framing: Framing) -> Self {
        Self { directory: Arc::default(), rules, events: EventSender::default(), framing, counters: Arc::default() }
    }

    pub(crate) fn room(&self, name: &str) -> Option<Arc<Room<S>>> {
        self.directory.get(name)
    }

    pub(crate) fn room_by_number(&self, number: u32) -> Option<Arc<Room<S>>> {
        self.directory.by_number(number)
    }

    /// How many rooms have a member.
    pub(crate) fn rooms(&self) -> usize {
        self.directory.len()
    }

    /// Adds a member to the room with this name.
    pub(crate) fn join(&self, name: &str, key: Key, seat: &S) -> Arc<Room<S>> {
        loop {
            let room = self.directory.get_or_add(name, || self.rules.kind(name));
            // A room that was removed meanwhile makes place for a new one.
            if room.join(key, seat.clone()).is_ok() {
                return room;
            }
        }
    }

    /// Removes a member from its room. Returns whether nobody is left in the room.
    pub(crate) fn leave(&self, room: &Room<S>, key: Key) -> bool {
        let is_empty = room.leave(key);
        if is_empty {
            self.directory.remove_if_empty(room);
        }
        is_empty
    }

    /// Sends to one room. Returns how many members the message is for.
    pub(crate) fn send(&self, room: &Arc<Room<S>>, message: PreparedMessage, except: Except) -> usize {
        self.sent(self.pass_on(room, message, except))
    }

    /// Sends what has arrived from another node. Returns how many members the message is for.
    pub(crate) fn pass_on(&self, room: &Arc<Room<S>>, message: PreparedMessage, except: Except) -> usize {
        self.append(room, |room| room.send(message.clone(), except.clone(), self.capacity()))
    }

    /// Sends to several rooms, each with the message for its members, and to nobody twice. Returns how many members the message is
    /// for.
    pub(crate) fn send_to_all(&self, rooms: &[(Arc<Room<S>>, PreparedMessage)], except: &Except) -> usize {
        self.sent(self.pass_on_to_all(rooms, except))
    }

    /// The same for what has arrived from another node.
    pub(crate) fn pass_on_to_all(&self, rooms: &[(Arc<Room<S>>, PreparedMessage)], except: &Except) -> usize {
        let once = Arc::new(Once::default());
        let mut seen = HashSet::new();
        let send = |(room, message): &(Arc<Room<S>>, PreparedMessage)| {
            self.append(room, |room| {
                room.send_once(message.clone(), except.clone(), once.clone(), &mut seen, self.capacity())
            })
        };
        let mut sent_to = HashSet::new();
        rooms.iter().filter(|(room, _)| sent_to.insert(Arc::as_ptr(room))).map(send).sum()
    }

    /// The drain of a room that has said that the caller is to start it.
    pub(crate) fn own_drain(&self, room: Arc<Room<S>>) -> Drain<S> {
        Drain::new(room, self.directory.clone(), self.counters.clone())
    }

    /// Closes the connections of a room's members, after what was sent before. Returns how many.
    pub(crate) fn close(&self, room: &Arc<Room<S>>, frame: &CloseFrame, except: &Except) -> usize {
        self.append(room, |room| room.close(frame.clone(), except.clone()))
    }

    /// Tells the members of a room that they may have missed messages of other nodes.
    pub(crate) fn say_gap(&self, room: &Arc<Room<S>>) {
        self.counters.gap();
        self.events.gap(&room.name);
        if let Some(gap) = self.frame_gap(room) {
            self.pass_on(room, gap, Except::Nobody);
        }
    }

    /// A closure of the application that panics must not end the task that tells others.
    fn frame_gap(&self, room: &Room<S>) -> Option<PreparedMessage> {
        catch_unwind(AssertUnwindSafe(|| self.framing.gap(&room.name))).unwrap_or_default()
    }

    fn append(&self, room: &Arc<Room<S>>, mut append: impl FnMut(&Room<S>) -> Result<Sent, Removed>) -> usize {
        let mut again;
        let mut room = room;
        let sent = loop {
            match append(room) {
                Ok(sent) => break sent,
                Err(Removed) => {
                    let Some(other) = self.directory.get(&room.name) else { return 0 };
                    again = other;
                    room = &again;
                }
            }
        };
        match sent {
            Sent::Pending(reached) => reached,
            Sent::Drain(reached) => {
                self.drain(room);
                reached
            }
            Sent::Refused { is_first, starts } => {
                if starts {
                    self.drain(room);
                }
                self.refuse(room, is_first);
                0
            }
        }
    }

    /// Counts a message that is for `reached` members.
    fn sent(&self, reached: usize) -> usize {
        if reached > 0 {
            self.counters.sent();
        }
        reached
    }

    /// Starts a drain, in a task of its own even for a few members: a handler that sends several messages in a row sends them all
    /// before the task runs, and then each member's are one write. Outside a runtime, the caller drains.
    fn drain(&self, room: &Arc<Room<S>>) {
        let drain = self.own_drain(room.clone());
        match Handle::try_current() {
            Ok(runtime) => _ = runtime.spawn(drain.run_as_task()),
            Err(_) => drain.run(),
        }
    }

    fn refuse(&self, room: &Arc<Room<S>>, is_first: bool) {
        self.counters.refused();
        // Without a history: what is volatile may be lost, and all else comes from the history.
        if is_first && !room.has_history {
            let Capacity { messages, bytes } = self.capacity();
            tracing::warn!(
                room = &*room.name,
                messages,
                bytes,
                "messages are sent to the room faster than its members get them; refused one, and may refuse more"
            );
            self.events.gap(&room.name);
            // In the place of what was refused.
            if let Some(gap) = self.frame_gap(room) {
                self.append(room, |room| room.send_kept(gap.clone(), Except::Nobody));
            }
        }
    }

    fn capacity(&self) -> Capacity {
        let limits = &self.rules.limits;
        Capacity { messages: limits.pending_messages, bytes: limits.pending_bytes }
    }
}
