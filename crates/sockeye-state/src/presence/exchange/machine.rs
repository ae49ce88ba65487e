//! `Machine`: the exchange of one node with all others. It is a state machine: it is told what arrives and what time it is, says
//! what is to be sent, and knows no broker and no task.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    super::{
        partition::{PARTITIONS, Partitions},
        shared::Shared,
    },
    peers::{Contact, Peers, numbers},
    wire::{self, Content, Heartbeat, Version},
};
use crate::NodeId;

/// How often a node says that it is there.
const BEAT: Duration = Duration::from_secs(2);

/// The shortest time between two heartbeats, however many nodes want an answer.
const MIN_BEAT: Duration = Duration::from_millis(50);

/// For how long changes are gathered before they are told.
const GATHER: Duration = Duration::from_millis(50);

/// After this time, a node that has just come knows which others there are: they answer its first heartbeat.
const GREETING: Duration = Duration::from_millis(500);

/// How long a node goes on to hear a partition in which it needs nothing any more.
const IDLE: Duration = Duration::from_secs(10);

/// If a node looks so much later than it wanted to, it was not awake.
const LATE: Duration = Duration::from_secs(1);

pub(super) struct Machine {
    node: NodeId,
    peers: Peers,
    /// The partitions that this node wants to hear, and those that it hears.
    wanted: Partitions,
    hears: Partitions,
    /// Since when nothing is needed in partitions that are wanted.
    idle: BTreeMap<usize, Instant>,
    /// Where there is something to tell, and when it is told.
    changed: Partitions,
    tell_at: Option<Instant>,
    last_beat: Option<Instant>,
    beat_at: Instant,
    /// Whether the next heartbeat wants an answer.
    wants_answer: bool,
    /// When the others have had time to say that they are there.
    greeted_at: Option<Instant>,
    /// When there was something to do, as far as was known at the last look.
    next: Instant,
    actions: Vec<Action>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Action {
    Send(To, Vec<u8>),
    /// Another node asks for this node's part of these partitions.
    Answer(NodeId, Partitions),
    /// Another node is there no more.
    Left(NodeId),
}

/// To whom a content goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    All,
    Partition(usize),
    Node(NodeId),
}

impl Machine {
    pub(super) fn new(node: NodeId, now: Instant) -> Self {
        Self {
            node,
            peers: Peers::default(),
            wanted: 0,
            hears: 0,
            idle: BTreeMap::new(),
            changed: 0,
            tell_at: None,
            last_beat: None,
            beat_at: now,
            wants_answer: false,
            greeted_at: None,
            next: now,
            actions: Vec::new(),
        }
    }

    /// Something has arrived, from another node or from this one.
    pub(super) fn arrived(&mut self, node: NodeId, content: Content, shared: &Arc<Shared>, now: Instant) {
        if node == self.node {
            return;
        }
        if content == Content::Bye {
            if self.peers.bye(node, shared, now) {
                self.left(node, shared);
            }
            return;
        }
        let contact = self.peers.receive(node, now);
        match contact {
            Contact::Refused => return,
            Contact::First => shared.figures.node(1),
            Contact::Known => {}
        }
        match content {
            Content::Heartbeat(Heartbeat { wants_answer, versions }) => {
                shared.figures.heartbeat();
                self.peers.versions(node, &versions, contact, self.hears, shared, now);
                if wants_answer {
                    self.beat_soon(now);
                }
            }
            Content::Delta(partition, delta) if self.hears & (1 << partition) != 0 => {
                self.peers.delta(partition, delta, shared, now);
            }
            Content::Delta(..) | Content::Bye => {}
            Content::Ask(partitions) => self.actions.push(Action::Answer(node, partitions)),
            Content::Piece(piece) => {
                if self.peers.piece(node, piece, shared, now) {
                    shared.figures.snapshot();
                }
            }
        }
    }

    /// This node has something to tell in these partitions.
    pub(super) fn changed(&mut self, partitions: Partitions, now: Instant) {
        self.changed |= partitions;
        if self.changed != 0 && self.tell_at.is_none() {
            self.tell_at = Some(now + GATHER);
        }
    }

    /// What this node needs of these partitions may have changed.
    pub(super) fn interested(&mut self, partitions: Partitions, shared: &Shared, now: Instant) {
        for number in numbers(partitions) {
            if shared.at(number).lock().is_of_interest() {
                self.idle.remove(&number);
                self.wanted |= 1 << number;
            } else if self.wanted & (1 << number) != 0 {
                self.idle.entry(number).or_insert(now);
            }
        }
    }

    /// The partitions that this node wants to hear.
    pub(super) fn wanted(&self) -> Partitions {
        self.wanted
    }

    /// What this node hears at this moment: what all hear, if `is_connected`, and these partitions.
    pub(super) fn hears(&mut self, is_connected: bool, partitions: Partitions, now: Instant) {
        if is_connected && self.greeted_at.is_none() {
            self.greeted_at = Some(now + GREETING);
            self.greet(now);
        }
        let before = std::mem::replace(&mut self.hears, partitions & self.wanted);
        self.peers.forget(before & !self.hears);
        self.peers.hear(self.hears & !before, now);
    }

    /// Something may not have arrived. The others say how far they are.
    pub(super) fn greet(&mut self, now: Instant) {
        self.wants_answer = true;
        self.beat_soon(now);
    }

    /// Where this node knows what all others say, as far as it knows of them.
    pub(super) fn known(&self, now: Instant) -> Partitions {
        match self.greeted_at {
            Some(at) if at <= now => self.hears & !self.peers.missing(),
            _ => 0,
        }
    }

    /// Does what it is time for. Returns the partitions that are not wanted any more, whose others are about to be forgotten by
    /// [`forget`](Self::forget).
    pub(super) fn look(&mut self, shared: &Arc<Shared>, now: Instant) -> Partitions {
        let late = now.saturating_duration_since(self.next);
        if late > LATE {
            self.peers.slept(late, now);
        }
        for node in self.peers.silent(now) {
            tracing::info!(%node, "another node has been silent, and its members are taken for gone");
            self.peers.gone(node, shared, now);
            self.left(node, shared);
        }
        for (node, partitions) in self.peers.ask(now) {
            self.actions.push(Action::Send(To::Node(node), wire::encode_ask(partitions)));
        }
        if self.tell_at.is_some_and(|at| at <= now) {
            self.tell_at = None;
            for number in numbers(std::mem::take(&mut self.changed)) {
                self.tell(number, shared);
            }
        }
        if self.beat_at <= now {
            self.beat(shared, now);
        }
        let idle = self.idle.iter().filter(|(_, since)| **since + IDLE <= now);
        let idle = idle.fold(0, |partitions, (number, _)| partitions | 1 << number);
        self.next = self.find_next(now);
        idle
    }

    /// Forgets what the others say in these partitions, unless this node needs it again.
    pub(super) fn forget(&mut self, partitions: Partitions, shared: &Arc<Shared>, now: Instant) {
        for number in numbers(partitions) {
            self.idle.remove(&number);
            if shared.change(number, |partition, effects| partition.forget_if_idle(now, effects)) {
                self.wanted &= !(1 << number);
                self.hears &= !(1 << number);
                self.peers.forget(1 << number);
            }
        }
    }

    /// When there is something to do, whatever arrives until then.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    fn find_next(&self, now: Instant) -> Instant {
        let idle = self.idle.values().min().map(|since| *since + IDLE);
        // Once that is over, more is known.
        let greeted_at = self.greeted_at.filter(|at| *at > now);
        let times = [self.tell_at, idle, greeted_at, self.peers.next()];
        times.into_iter().flatten().fold(self.beat_at, Instant::min)
    }

    /// What is to be done, since the last time.
    pub(super) fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn left(&mut self, node: NodeId, shared: &Shared) {
        shared.figures.node(-1);
        self.actions.push(Action::Left(node));
    }

    fn tell(&mut self, number: usize, shared: &Shared) {
        let deltas = shared.at(number).lock().deltas(wire::FULL);
        let contents = deltas.iter().map(|delta| wire::encode_delta(number, delta));
        self.actions.extend(contents.map(|content| Action::Send(To::Partition(number), content)));
    }

    fn beat(&mut self, shared: &Shared, now: Instant) {
        let mut versions = Vec::new();
        for partition in 0..PARTITIONS {
            let (version, is_empty) = shared.at(partition).lock().told_version();
            if version > 0 {
                versions.push(Version { partition, version, is_empty });
            }
        }
        let heartbeat = Heartbeat { wants_answer: std::mem::take(&mut self.wants_answer), versions };
        self.actions.push(Action::Send(To::All, wire::encode_heartbeat(&heartbeat)));
        (self.last_beat, self.beat_at) = (Some(now), now + BEAT);
    }

    fn beat_soon(&mut self, now: Instant) {
        let earliest = self.last_beat.map_or(now, |last| (last + MIN_BEAT).max(now));
        self.beat_at = self.beat_at.min(earliest);
    }
}

#[cfg(test)]
mod tests;
