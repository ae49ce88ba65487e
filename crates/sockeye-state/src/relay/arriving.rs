//! What comes from other nodes, and whom it reaches.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use sockeye_proto::PreparedMessage;

use super::Relay;
use crate::{
    Lost, MemberId, Topic, TopicKind,
    engine::Except,
    envelope::{Body, Envelope, Several},
};

impl Relay {
    /// A message has arrived.
    pub(crate) fn arrived(&self, topic: &Topic, envelope: &Bytes) {
        if self.link.is_closed() || Envelope::is_from(self.link.node(), envelope) {
            return;
        }
        let envelope = match Envelope::decode(envelope) {
            Ok(envelope) => envelope,
            Err(error) => return self.link.report(topic, error),
        };
        // Whose task this is, only the broker knows: drains belong to the runtime of the hub.
        let _entered = self.link.runtime().enter();
        // Closures of the application make frames, and the broker is not to pay if they panic.
        let is_done = catch_unwind(AssertUnwindSafe(|| self.pass_on(topic, envelope))).is_ok();
        if !is_done {
            tracing::error!(%topic, "a closure of the application has panicked; nobody gets a message of another node");
            self.say_gap_of(topic);
        }
    }

    /// The node may have missed something.
    pub(crate) fn lost(&self, what: Lost) {
        if !self.link.is_closed() {
            self.subscriptions.lost(what);
        }
    }

    fn pass_on(&self, topic: &Topic, envelope: Envelope) {
        let Envelope { origin, body } = envelope;
        match (topic.kind(), body) {
            (_, Body::Message { message, excluded, several: Some(several) }) => {
                if self.seen.lock().is_first(origin.node(), several.number) {
                    self.pass_on_to_several(&message, &excluded, &several);
                }
            }
            (TopicKind::Room, Body::Message { message, excluded, several: None }) => {
                let Some(room) = self.engine.room(topic.name()) else { return };
                self.engine.counters.arrived();
                if let Some(message) = self.engine.framing.message(&room.name, None, message) {
                    self.engine.pass_on(&room, message, self.excepted(&excluded));
                }
            }
            (TopicKind::Room, Body::CloseRoom { frame, excluded }) => {
                let Some(room) = self.engine.room(topic.name()) else { return };
                self.engine.counters.arrived();
                self.engine.close(&room, &frame, &self.excepted(&excluded));
            }
            (TopicKind::Room, Body::Gap) => self.say_gap_of(topic),
            (TopicKind::Hub, Body::Gap) => self.subscriptions.lost(Lost::All),
            (TopicKind::Hub, Body::Member { id, order }) if id.node() == self.link.node() => {
                self.engine.counters.arrived();
                if let Some(orders) = self.orders.get() {
                    orders.carry_out(id, order);
                }
            }
            _ => tracing::debug!(%topic, "a message of another node is for nobody here"),
        }
    }

    fn pass_on_to_several(&self, message: &PreparedMessage, excluded: &[MemberId], several: &Several) {
        let rooms = several.rooms.iter().filter_map(|room| self.engine.room(room));
        let framed = rooms.filter_map(|room| {
            let message = self.engine.framing.message(&room.name, None, message.clone())?;
            Some((room, message))
        });
        let framed: Vec<_> = framed.collect();
        if !framed.is_empty() {
            self.engine.counters.arrived();
            self.engine.pass_on_to_all(&framed, &self.excepted(excluded));
        }
    }

    /// With a history, nothing is missing but what is volatile.
    fn say_gap_of(&self, topic: &Topic) {
        if let Some(room) = self.engine.room(topic.name()).filter(|room| !room.has_history) {
            self.engine.say_gap(&room);
        }
    }

    /// Those of the excluded members that are here.
    fn excepted(&self, excluded: &[MemberId]) -> Except {
        // Another node may name somebody twice.
        let mut keys: Vec<_> = excluded.iter().filter(|id| self.members.is_here(**id)).map(|id| id.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().collect()
    }
}
