//! `Peers`: the other nodes, as far as this one hears them, and what of them it knows too little about.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    super::{
        nodes::{Applied, Delta, Part},
        partition::{Effects, PARTITIONS, Partitions},
        shared::Shared,
    },
    assembly::{Assembly, Budget},
    wire::{Piece, Version},
};
use crate::NodeId;

/// A node that has been silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(6);

/// How long a delta may be later than a heartbeat with the same version: they have different topics, and no order.
const GRACE: Duration = Duration::from_millis(250);

/// How long a node may take for the next piece of what it was asked for.
const ANSWER: Duration = Duration::from_secs(1);

/// For how many parts a node asks at the same time.
const MAX_ASKED: usize = 1024;

/// How many deltas of a part are kept that come before the part.
const MAX_WAITING: usize = 32;

/// How many other nodes there may be. Other programs that write to the broker may invent any number.
const MAX_NODES: usize = 4096;

/// How many nodes that are over are remembered, since what they have sent may come after their bye.
const MAX_OVER: usize = 1024;

#[derive(Default)]
pub(super) struct Peers {
    nodes: HashMap<NodeId, Peer>,
    over: Over,
    budget: Budget,
    /// For how many parts this node has asked.
    asked: usize,
    /// Whether there were too many nodes, which is logged once.
    is_full: bool,
}

struct Peer {
    last_received: Instant,
    /// How far the node is in each partition, as it has said.
    versions: Box<[Version; PARTITIONS]>,
    /// Where something of the node is missing here.
    wants: BTreeMap<usize, Want>,
}

/// A part that is missing here, or is older than it should be.
struct Want {
    ask_at: Instant,
    is_asked: bool,
    assembly: Option<Assembly>,
    /// What the node has told meanwhile.
    waiting: Vec<Delta>,
}

/// Nodes that have said bye, the latest of them.
#[derive(Default)]
struct Over {
    nodes: HashSet<NodeId>,
    order: VecDeque<NodeId>,
}

/// What a message of a node says of the node alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contact {
    First,
    Known,
    /// The node is over, or there are too many.
    Refused,
}

impl Peers {
    /// A message of this node has arrived.
    pub(super) fn receive(&mut self, node: NodeId, now: Instant) -> Contact {
        if let Some(peer) = self.nodes.get_mut(&node) {
            peer.last_received = now;
            return Contact::Known;
        }
        if self.over.nodes.contains(&node) {
            return Contact::Refused;
        }
        if self.nodes.len() >= MAX_NODES {
            if !std::mem::replace(&mut self.is_full, true) {
                tracing::error!(
                    most = MAX_NODES,
                    "there are too many nodes, and this one knows nothing of the presence on others; check who uses the namespace"
                );
            }
            return Contact::Refused;
        }
        self.nodes.insert(node, Peer::new(now));
        Contact::First
    }

    /// A node has said how far it is. `partitions` are those that this node hears.
    pub(super) fn versions(
        &mut self,
        node: NodeId,
        versions: &[Version],
        contact: Contact,
        partitions: Partitions,
        shared: &Shared,
        now: Instant,
    ) {
        let Some(peer) = self.nodes.get_mut(&node) else { return };
        let grace = if contact == Contact::First { Duration::ZERO } else { GRACE };
        for version in versions {
            let known = &mut peer.versions[version.partition];
            if known.version <= version.version {
                // It may be older than a delta that has overtaken it.
                *known = *version;
            }
            if partitions & (1 << version.partition) != 0 {
                peer.compare(node, version.partition, shared, now, grace);
            }
        }
        self.count_asked();
    }

    /// A node has told what it says differently.
    pub(super) fn delta(&mut self, number: usize, delta: Delta, shared: &Arc<Shared>, now: Instant) {
        let Some(peer) = self.nodes.get_mut(&delta.node) else { return };
        let node = delta.node;
        let version = &mut peer.versions[number];
        if version.version < delta.version {
            *version = Version { partition: number, version: delta.version, is_empty: false };
        }
        match shared.change(number, |partition, effects| partition.apply(delta, now, effects)) {
            Applied::Missing(delta) => {
                let want = peer.wants.entry(number).or_insert_with(|| Want::new(now));
                if !want.is_asked {
                    want.ask_at = want.ask_at.min(now);
                }
                if want.waiting.len() == MAX_WAITING {
                    // Without the first of them, the others are worth nothing.
                    want.waiting.clear();
                }
                want.waiting.push(delta);
            }
            Applied::Done | Applied::Known => peer.compare(node, number, shared, now, GRACE),
        }
        self.count_asked();
    }

    /// A node has answered. Returns whether its whole part has been taken over.
    pub(super) fn piece(&mut self, node: NodeId, piece: Piece, shared: &Arc<Shared>, now: Instant) -> bool {
        let Self { nodes, budget, .. } = self;
        let Some(peer) = nodes.get_mut(&node) else { return false };
        let (number, version, is_last) = (piece.partition, piece.version, piece.is_last);
        let Some(want) = peer.wants.get_mut(&number).filter(|want| want.is_asked) else { return false };
        want.ask_at = now + ANSWER;
        want.assembly = Assembly::add(want.assembly.take(), piece, budget);
        let Some(assembly) = want.assembly.take_if(|_| is_last) else { return false };
        let part = Part { node, version, said: assembly.finish() };
        let waiting = std::mem::take(&mut want.waiting);
        (want.is_asked, want.ask_at) = (false, now + GRACE);
        let is_news = shared.change(number, |partition, effects| {
            let is_news = partition.merge(part, now, effects);
            waiting.into_iter().for_each(|delta| _ = partition.apply(delta, now, effects));
            is_news
        });
        peer.compare(node, number, shared, now, GRACE);
        self.count_asked();
        is_news
    }

    /// This node hears these partitions from now on. What the others said before is asked for: a heartbeat may be older.
    pub(super) fn hear(&mut self, partitions: Partitions, now: Instant) {
        for peer in self.nodes.values_mut() {
            peer.wants.extend(numbers(partitions).map(|number| (number, Want::new(now))));
        }
    }

    /// This node does not hear these partitions any more.
    pub(super) fn forget(&mut self, partitions: Partitions) {
        for peer in self.nodes.values_mut() {
            peer.wants.retain(|number, _| partitions & (1 << number) == 0);
        }
        self.count_asked();
    }

    /// The partitions in which something is missing here.
    pub(super) fn missing(&self) -> Partitions {
        let wants = self.nodes.values().flat_map(|peer| peer.wants.keys());
        wants.fold(0, |partitions, number| partitions | 1 << number)
    }

    /// Whom to ask now, and for what.
    pub(super) fn ask(&mut self, now: Instant) -> Vec<(NodeId, Partitions)> {
        let mut asks = Vec::new();
        for (node, peer) in &mut self.nodes {
            let mut partitions = 0;
            for (number, want) in &mut peer.wants {
                if want.ask_at > now || (!want.is_asked && self.asked >= MAX_ASKED) {
                    continue;
                }
                want.assembly = None;
                self.asked += usize::from(!want.is_asked);
                (want.is_asked, want.ask_at) = (true, now + ANSWER);
                partitions |= 1 << number;
            }
            if partitions != 0 {
                asks.push((*node, partitions));
            }
        }
        asks
    }

    /// The nodes that have been silent for too long.
    pub(super) fn silent(&self, now: Instant) -> Vec<NodeId> {
        let silent = self.nodes.iter().filter(|(_, peer)| peer.last_received + SILENCE <= now);
        silent.map(|(node, _)| *node).collect()
    }

    /// This node was not awake for so long. Nobody else was silent meanwhile.
    pub(super) fn slept(&mut self, time: Duration, now: Instant) {
        for peer in self.nodes.values_mut() {
            peer.last_received = (peer.last_received + time).min(now);
        }
    }

    /// A node has been silent for too long. It may come back.
    pub(super) fn gone(&mut self, node: NodeId, shared: &Arc<Shared>, now: Instant) {
        self.remove(node);
        (0..PARTITIONS).for_each(|number| shared.change(number, |part, effects| part.gone(node, now, effects)));
    }

    /// A node has said that it is over. Returns whether it was known.
    pub(super) fn bye(&mut self, node: NodeId, shared: &Arc<Shared>, now: Instant) -> bool {
        self.over.add(node);
        let is_known = self.remove(node);
        (0..PARTITIONS).for_each(|number| shared.change(number, |part, effects| part.bye(node, now, effects)));
        is_known
    }

    /// When there is something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        let may_ask = self.asked < MAX_ASKED;
        let wants = |peer: &Peer| {
            let wants = peer.wants.values().filter(|want| may_ask || want.is_asked);
            wants.map(|want| want.ask_at).min()
        };
        let of_peer = |peer: &Peer| {
            wants(peer).map_or(peer.last_received + SILENCE, |ask_at| ask_at.min(peer.last_received + SILENCE))
        };
        self.nodes.values().map(of_peer).min()
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    fn remove(&mut self, node: NodeId) -> bool {
        let is_known = self.nodes.remove(&node).is_some();
        self.count_asked();
        is_known
    }

    fn count_asked(&mut self) {
        self.asked = self.nodes.values().flat_map(|peer| peer.wants.values()).filter(|want| want.is_asked).count();
    }
}

impl Peer {
    fn new(now: Instant) -> Self {
        let version = |partition| Version { partition, version: 0, is_empty: true };
        Self { last_received: now, versions: Box::new(std::array::from_fn(version)), wants: BTreeMap::new() }
    }

    /// Compares what is known of the node's part with what the node has said.
    fn compare(&mut self, node: NodeId, number: usize, shared: &Shared, now: Instant, grace: Duration) {
        let Version { version, is_empty, .. } = self.versions[number];
        let mut partition = shared.at(number).lock();
        let known = partition.known(node);
        if known.is_none() && is_empty && version > 0 {
            // There is nobody to ask for.
            partition.merge(Part { node, version, said: Vec::new() }, now, &mut Effects::default());
        }
        drop(partition);
        if version == 0 || is_empty && known.is_none() || known.is_some_and(|known| known >= version) {
            self.wants.remove(&number);
        } else {
            self.wants.entry(number).or_insert_with(|| Want::new(now + grace));
        }
    }
}

impl Want {
    fn new(ask_at: Instant) -> Self {
        Self { ask_at, is_asked: false, assembly: None, waiting: Vec::new() }
    }
}

impl Over {
    fn add(&mut self, node: NodeId) {
        if self.nodes.insert(node) {
            self.order.push_back(node);
        }
        if self.order.len() > MAX_OVER {
            if let Some(oldest) = self.order.pop_front() {
                self.nodes.remove(&oldest);
            }
        }
    }
}

/// The numbers of these partitions.
pub(super) fn numbers(partitions: Partitions) -> impl Iterator<Item = usize> {
    (0..PARTITIONS).filter(move |number| partitions & (1 << number) != 0)
}
