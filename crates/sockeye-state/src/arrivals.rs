//! What arrives from the broker, and who of the hub gets it.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::{BrokerError, Entry, Inbox, Lost, Topic, broker::InboxTarget, history::History, link::Link};

/// Connects the node to the broker, and hands on what arrives.
pub(crate) async fn start(link: &Link, receivers: Receivers) -> Result<(), BrokerError> {
    let inbox = Inbox::new(Arc::new(receivers));
    link.broker().start(link.node(), inbox).await
}

/// Who gets what arrives.
pub(crate) struct Receivers {
    pub(crate) history: Weak<History>,
}

impl InboxTarget for Receivers {
    fn message(&self, topic: Topic, _envelope: Bytes) {
        tracing::debug!(%topic, "a message of another node is for nobody here");
    }

    fn appended(&self, topic: Topic, entry: Entry) {
        if let Some(history) = self.history.upgrade() {
            history.appended(&topic, entry);
        }
    }

    fn lost(&self, what: Lost) {
        if let Some(history) = self.history.upgrade() {
            history.lost(&what);
        }
    }
}
