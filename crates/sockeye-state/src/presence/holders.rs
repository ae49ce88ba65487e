//! `Holders`: what keeps one person in a room: connections of this node, and what other nodes say.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::NodeId;

/// What a node says of a person: the info that its latest connection, or its latest update, has given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) info: Bytes,
    /// When the info was given, on a clock that counts what nodes have told each other. It never depends on the time of day.
    pub(crate) stamp: u64,
}

/// Of all infos of a person, the one with the highest stamp counts, and of equal stamps that of the highest node. So all nodes
/// come to the same answer, in whatever order they learn of each other's entries.
#[derive(Default)]
pub(super) struct Holders {
    here: Here,
    /// Empty, or a few: each node once.
    elsewhere: Vec<(NodeId, Entry)>,
}

/// The connections of this node, by the stamps of their infos, which differ.
#[derive(Default)]
enum Here {
    #[default]
    Nobody,
    One(Entry),
    /// All guests of a site may be one person: so nothing goes through all of the connections.
    Many(BTreeMap<u64, Bytes>),
}

impl Holders {
    /// Adds a connection of this node.
    pub(super) fn add(&mut self, entry: Entry) {
        let Entry { info, stamp } = entry;
        self.here = match std::mem::take(&mut self.here) {
            Here::Nobody => Here::One(Entry { info, stamp }),
            Here::One(first) => Here::Many([(first.stamp, first.info), (stamp, info)].into()),
            Here::Many(mut all) => {
                all.insert(stamp, info);
                Here::Many(all)
            }
        };
    }

    /// Removes the connection of this node whose info has this stamp. Returns whether this changes what this node says.
    pub(super) fn remove(&mut self, stamp: u64) -> bool {
        let is_latest = self.latest_here().is_some_and(|(latest, _)| latest == stamp);
        match &mut self.here {
            Here::One(entry) if entry.stamp == stamp => self.here = Here::Nobody,
            Here::Many(all) => {
                all.remove(&stamp);
                if all.is_empty() {
                    self.here = Here::Nobody;
                }
            }
            Here::Nobody | Here::One(_) => {}
        }
        is_latest
    }

    /// Takes over what another node says. Returns whether that is something else than before.
    pub(super) fn set(&mut self, node: NodeId, entry: Option<Entry>) -> bool {
        let place = self.elsewhere.iter().position(|(other, _)| *other == node);
        match (place, entry) {
            (Some(place), Some(entry)) => {
                let is_news = self.elsewhere[place].1 != entry;
                self.elsewhere[place].1 = entry;
                is_news
            }
            (Some(place), None) => {
                self.elsewhere.swap_remove(place);
                true
            }
            (None, Some(entry)) => {
                self.elsewhere.push((node, entry));
                true
            }
            (None, None) => false,
        }
    }

    /// Whether this other node says that the person is there.
    pub(super) fn has(&self, node: NodeId) -> bool {
        self.elsewhere.iter().any(|(other, _)| *other == node)
    }

    /// What this node says to others.
    pub(super) fn here(&self) -> Option<Entry> {
        self.latest_here().map(|(stamp, info)| Entry { info: info.clone(), stamp })
    }

    /// The info that counts over all nodes. `None` if nothing keeps the person in the room.
    pub(super) fn info(&self, this_node: NodeId) -> Option<&Bytes> {
        let here = self.latest_here().map(|(stamp, info)| (stamp, this_node, info));
        let elsewhere = self.elsewhere.iter().map(|(node, entry)| (entry.stamp, *node, &entry.info));
        elsewhere.chain(here).max_by_key(|(stamp, node, _)| (*stamp, *node)).map(|(_, _, info)| info)
    }

    fn latest_here(&self) -> Option<(u64, &Bytes)> {
        match &self.here {
            Here::Nobody => None,
            Here::One(entry) => Some((entry.stamp, &entry.info)),
            Here::Many(all) => all.last_key_value().map(|(stamp, info)| (*stamp, info)),
        }
    }
}
