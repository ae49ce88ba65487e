//! Nodes, and what is on its way between them.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::advance;

use super::*;

pub(super) struct Node {
    pub(super) shared: Arc<Shared>,
    pub(super) machine: Machine,
    /// How it is with the node.
    pub(super) state: State,
    pub(super) left: Vec<NodeId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Awake,
    /// Nothing runs, and what arrives waits.
    Stopped,
    Killed,
}

pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    /// What is on its way, by its time of arrival: to whom, from whom, and what.
    pub(super) flying: BTreeMap<(Instant, u64), (usize, usize, Vec<u8>)>,
    pub(super) count: u64,
    pub(super) delay: Duration,
    /// Which nodes do not hear which.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// Whether a content is lost.
    pub(super) loses: fn(&[u8]) -> bool,
}

impl World {
    pub(super) fn new(count: u64) -> Self {
        let mut world = Self {
            nodes: Vec::new(),
            flying: BTreeMap::new(),
            count: 0,
            delay: millis(5),
            cut: BTreeSet::new(),
            loses: |_| false,
        };
        (0..count).for_each(|_| world.start());
        world
    }

    pub(super) fn start(&mut self) {
        let id = NodeId::from_u64(self.nodes.len() as u64 + 1);
        let shared = Arc::new(Shared::new(id));
        shared.gather();
        let machine = Machine::new(id, Instant::now());
        self.nodes.push(Node { shared, machine, state: State::Awake, left: Vec::new() });
        self.pump(self.nodes.len() - 1);
    }

    pub(super) fn join(&mut self, node: usize, room: &str, member: u32, key: &str) {
        let person = Person::new(key, "");
        self.nodes[node].shared.change(Partition::of(room), |partition, effects| {
            partition.join(room, member, person, Instant::now(), effects);
        });
        self.pump(node);
    }

    pub(super) fn leave(&mut self, node: usize, room: &str, member: u32) {
        self.nodes[node].shared.change(Partition::of(room), |partition, effects| {
            partition.leave(room, member, Instant::now(), effects);
        });
        self.pump(node);
    }

    pub(super) fn observe(&mut self, node: usize, room: &str) -> Observer {
        let shared = &self.nodes[node].shared;
        let observation: Observation =
            shared.change(Partition::of(room), |partition, effects| partition.observe(room, LINGER, effects));
        let who = Presence::new(Arc::downgrade(shared), observation);
        let people = who.snapshot().iter().map(|person| person.key().to_owned()).collect();
        self.pump(node);
        Observer { node, who, people }
    }

    /// Lets a node do what there is to do.
    pub(super) fn pump(&mut self, at: usize) {
        let now = Instant::now();
        let Node { shared, machine, state, .. } = &mut self.nodes[at];
        if *state != State::Awake {
            return;
        }
        let (changed, interest) = shared.marks.take();
        machine.interested(interest, shared, now);
        machine.changed(changed, now);
        machine.hears(true, machine.wanted(), now);
        let idle = machine.look(shared, now);
        machine.forget(idle, shared, now);
        for action in machine.actions() {
            match action {
                Action::Send(to, content) => self.send(at, to, content),
                Action::Answer(node, partitions) => {
                    for number in numbers(partitions) {
                        let pieces: Vec<_> = Answer::new(number, &self.nodes[at].shared).collect();
                        pieces.into_iter().for_each(|piece| self.send(at, To::Node(node), piece));
                    }
                }
                Action::Left(node) => self.nodes[at].left.push(node),
            }
        }
    }

    pub(super) fn send(&mut self, from: usize, to: To, content: Vec<u8>) {
        let receivers = match to {
            To::All | To::Partition(_) => 0..self.nodes.len(),
            To::Node(node) => node.as_u64() as usize - 1..node.as_u64() as usize,
        };
        for to in receivers {
            if !self.cut.contains(&(from, to)) && !(self.loses)(&content) {
                self.count += 1;
                self.flying.insert((Instant::now() + self.delay, self.count), (to, from, content.clone()));
            }
        }
    }

    pub(super) async fn run(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            let awake = self.nodes.iter_mut().filter(|node| node.state == State::Awake);
            let next = awake.map(|node| node.machine.next()).min();
            let arrives = self.flying.first_key_value().map(|((at, _), _)| *at);
            let at = [next, arrives].into_iter().flatten().min().filter(|at| *at <= end);
            advance(at.unwrap_or(end) - Instant::now()).await;
            if at.is_none() {
                return;
            }
            self.arrive();
            (0..self.nodes.len()).for_each(|node| self.pump(node));
        }
    }

    /// Hands over what has arrived by now.
    pub(super) fn arrive(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= now) {
            let (to, from, content) = entry.remove();
            let Node { shared, machine, state, .. } = &mut self.nodes[to];
            let from = NodeId::from_u64(from as u64 + 1);
            match state {
                State::Awake => machine.arrived(from, Content::decode(from, &content).unwrap(), shared, now),
                State::Stopped => {
                    self.count += 1;
                    let later = (now + millis(1), self.count);
                    self.flying.insert(later, (to, from.as_u64() as usize - 1, content));
                }
                State::Killed => {}
            }
        }
    }

    pub(super) fn set(&mut self, node: usize, state: State) {
        self.nodes[node].state = state;
    }

    /// Nobody hears this node, and it hears nobody, or the contrary.
    pub(super) fn isolate(&mut self, node: usize, is_isolated: bool) {
        for other in (0..self.nodes.len()).filter(|other| *other != node) {
            for pair in [(node, other), (other, node)] {
                if is_isolated {
                    self.cut.insert(pair)
                } else {
                    self.cut.remove(&pair)
                };
            }
        }
    }

    pub(super) fn knows(&self, node: usize, room: &str) -> bool {
        self.nodes[node].machine.known(Instant::now()) & (1 << Partition::of(room)) != 0
    }

    pub(super) fn snapshots(&self, node: usize) -> u64 {
        let mut stats = crate::Stats::default();
        self.nodes[node].shared.figures.read(&mut stats);
        stats.snapshots
    }
}

pub(super) struct Observer {
    pub(super) node: usize,
    pub(super) who: Presence,
    pub(super) people: BTreeSet<String>,
}

impl Observer {
    /// All changes that there are. Each of them must be about what is known.
    pub(super) fn look(&mut self, world: &World) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(change) = self.who.look(&world.nodes[self.node].shared) {
            match change {
                PresenceChange::Joined(person) => {
                    assert!(self.people.insert(person.key().to_owned()), "{person:?} is there");
                    seen.push(format!("+{}", person.key()));
                }
                PresenceChange::Left(person) => {
                    assert!(self.people.remove(person.key()), "{person:?} is not there");
                    seen.push(format!("-{}", person.key()));
                }
                PresenceChange::Updated(person) => seen.push(format!("={}", person.key())),
                PresenceChange::Reset(all) => {
                    self.people = all.iter().map(|person| person.key().to_owned()).collect();
                    seen.push("reset".to_owned());
                }
            }
        }
        seen
    }

    pub(super) fn people(&mut self, world: &World) -> Vec<&str> {
        self.look(world);
        self.people.iter().map(String::as_str).collect()
    }
}
