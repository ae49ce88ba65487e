//! `Rules`: what the engine and the histories must know of the configuration.

use sockeye_proto::close_code;
use sockeye_tokio::Overflow;

use crate::{Keep, Limits, engine::RoomKind};

/// What the engine must know of the configuration.
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    /// `None` if the setting of each connection applies.
    pub(crate) all: Option<Overflow>,
    /// By prefix, the longest first.
    rooms: Vec<(String, Rule)>,
}

/// How the rooms with a prefix work.
pub(crate) struct Rule {
    pub(crate) overflow: Option<Overflow>,
    pub(crate) history: Option<Keep>,
}

impl Rules {
    /// `rooms` are the rules by prefix, in any order.
    pub(crate) fn new(limits: Limits, all: Option<Overflow>, mut rooms: Vec<(String, Rule)>) -> Self {
        rooms.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self { limits, all, rooms }
    }

    /// For models: all rooms have a history of so many messages.
    #[cfg(all(test, sockeye_loom))]
    pub(crate) fn with_history(messages: usize) -> Self {
        let rule = Rule { overflow: None, history: Some(Keep::new(messages, std::time::Duration::from_secs(3600))) };
        Self { limits: Limits::new(), all: None, rooms: vec![(String::new(), rule)] }
    }

    /// How the room with this name works.
    pub(crate) fn kind(&self, name: &str) -> RoomKind {
        let rule = self.rule(name);
        let has_history = rule.is_some_and(|rule| rule.history.is_some());
        let overflow = match has_history {
            true => Some(Overflow::Disconnect(close_code::AGAIN)),
            false => rule.and_then(|rule| rule.overflow).or(self.all),
        };
        RoomKind { overflow, has_history }
    }

    /// How much of the room with this name is kept.
    pub(crate) fn history(&self, name: &str) -> Option<Keep> {
        self.rule(name)?.history
    }

    pub(crate) fn has_history(&self) -> bool {
        self.rooms.iter().any(|(_, rule)| rule.history.is_some())
    }

    fn rule(&self, name: &str) -> Option<&Rule> {
        self.rooms.iter().find(|(prefix, _)| name.starts_with(&**prefix)).map(|(_, rule)| rule)
    }
}
