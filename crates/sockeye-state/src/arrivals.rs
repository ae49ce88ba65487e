//! What arrives from the broker, and who of the hub gets it.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::{
    BrokerError, Entry, Inbox, Lost, Topic, broker::InboxTarget, history::History, link::Link, presence::Exchange,
    relay::Relay,
};

/// Connects the node to the broker, and hands on what arrives.
pub(crate) async fn start(link: &Link, receivers: Receivers) -> Result<(), BrokerError> {
    let inbox = Inbox::new(Arc::new(receivers));
    link.broker().start(link.node(), inbox).await
}

/// Who gets what arrives.
pub(crate) struct Receivers {
    pub(crate) history: Weak<History>,
    /// Gone if the hub has no other nodes.
    pub(crate) relay: Weak<Relay>,
    /// Gone if the hub has no other nodes, or no rooms with presence.
    pub(crate) exchange: Weak<Exchange>,
}

impl InboxTarget for Receivers {
    fn message(&self, topic: Topic, envelope: Bytes) {
        if Exchange::has(&topic) {
            if let Some(exchange) = self.exchange.upgrade() {
                exchange.arrived(&topic, &envelope);
            }
        } else if let Some(relay) = self.relay.upgrade() {
            relay.arrived(&topic, &envelope);
        }
    }

    fn appended(&self, topic: Topic, entry: Entry) {
        let Some(history) = self.history.upgrade() else { return };
        if history.keep(topic.name()).is_some() {
            history.appended(&topic, entry);
        } else if let Some(relay) = self.relay.upgrade() {
            // Another node is configured with a history, as while a new version of an application is deployed.
            relay.arrived(&topic, &entry.envelope);
        }
    }

    fn lost(&self, what: Lost) {
        if let Some(history) = self.history.upgrade() {
            history.lost(&what);
        }
        if let Some(exchange) = self.exchange.upgrade() {
            exchange.lost(&what);
        }
        if let Some(relay) = self.relay.upgrade() {
            relay.lost(what);
        }
    }
}
