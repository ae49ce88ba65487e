//! `Events`: what an operator or an application may want to know of a hub, apart from messages.

use std::sync::{Arc, OnceLock};

use tokio::sync::broadcast::{self, error::RecvError};

use crate::NodeId;

/// How many events are kept for a receiver that does not look. Events are rare.
const KEPT: usize = 64;

/// Something that a hub reports. From [`Events::next`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The members of the room may have missed messages: since too many were pending, as
    /// [`Limits::pending_messages`](crate::Limits::pending_messages) says, which is reported once until the room has caught up; or since
    /// its history has lost them; or since the node was cut off from the broker, or from the nodes that sent them.
    Gap {
        /// The name of the room.
        room: Arc<str>,
    },
    /// A message to a room with a history was not appended, or may not have been: the broker is away, and too many messages wait, or
    /// this one has waited for a minute. Reported for messages of `send`; `append` returns an error instead.
    AppendFailed {
        /// The name of the room.
        room: Arc<str>,
    },
    /// Messages to a room without a history have not reached the members of other nodes, or may not have: the broker is away, or does not
    /// take them as fast as they are sent. Those members hear of a gap as soon as the broker is back; until then, this is reported once
    /// for each room. [`Stats::publish_failed`](crate::Stats::publish_failed) counts the messages.
    PublishFailed {
        /// The name of the room.
        room: Arc<str>,
    },
    /// The broker does not answer. Rooms without a history go on among the members of this node.
    BrokerLost,
    /// The broker answers again. What has not arrived is read.
    BrokerBack,
    /// Another node with rooms with [presence](crate::Rooms::presence) is there no more: its hub has ended, or it has been silent for
    /// 6 seconds. Its members are no longer shown. If it was only slow, or cut off, it comes back, and so do they.
    NodeLeft {
        /// The node, as [`Hub::node`](crate::Hub::node) says there.
        node: NodeId,
    },
    /// The receiver was too slow, and this many events were dropped.
    Missed(u64),
}

/// The events of a hub from the moment of [`Hub::events`](crate::Hub::events) on.
///
/// ```
/// use sockeye_state::{Event, Hub};
///
/// async fn watch(hub: Hub<String>) {
///     let mut events = hub.events();
///     drop(hub); // events end with the last clone of the hub
///     while let Some(event) = events.next().await {
///         if let Event::Gap { room } = event {
///             eprintln!("messages to {room} were refused");
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// Waits for the next event. `None` once the hub is gone.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(missed)) => Some(Event::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// Where the hub reports events. Makes a channel only once somebody listens.
#[derive(Default)]
pub(crate) struct EventSender(OnceLock<broadcast::Sender<Event>>);

impl EventSender {
    pub(crate) fn subscribe(&self) -> Events {
        Events(self.0.get_or_init(|| broadcast::Sender::new(KEPT)).subscribe())
    }

    /// Called without any lock, since tasks are woken.
    pub(crate) fn gap(&self, room: &str) {
        self.send(|| Event::Gap { room: room.into() });
    }

    pub(crate) fn append_failed(&self, room: &str) {
        self.send(|| Event::AppendFailed { room: room.into() });
    }

    pub(crate) fn publish_failed(&self, room: &str) {
        self.send(|| Event::PublishFailed { room: room.into() });
    }

    pub(crate) fn broker_lost(&self) {
        self.send(|| Event::BrokerLost);
    }

    pub(crate) fn broker_back(&self) {
        self.send(|| Event::BrokerBack);
    }

    pub(crate) fn node_left(&self, node: NodeId) {
        self.send(|| Event::NodeLeft { node });
    }

    fn send(&self, event: impl FnOnce() -> Event) {
        if let Some(sender) = self.0.get() {
            // An error means that nobody listens any more.
            let _ = sender.send(event());
        }
    }
}
