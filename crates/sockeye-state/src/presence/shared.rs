//! `Shared`: the presence of a hub's rooms, for the members that change it and the observers that read it.

use std::sync::{
    Arc,
    atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use tokio::{sync::Notify, time::Instant};

use super::{
    partition::{Effects, PARTITIONS, Partition, Partitions},
    timer::Timer,
};
use crate::{NodeId, metrics, stats::Stats, sync::Mutex};

pub(crate) struct Shared {
    partitions: Box<[Mutex<Partition>]>,
    pub(super) timer: Arc<Timer>,
    pub(super) figures: Figures,
    /// What the exchange with other nodes has to look at.
    pub(super) marks: Arc<Marks>,
}

/// What has changed since the exchange with other nodes has looked.
#[derive(Default)]
pub(super) struct Marks {
    told: AtomicU64,
    interest: AtomicU64,
    /// Wakes the exchange, for these marks and for all else.
    pub(super) wake: Notify,
}

/// What a hub's [`Stats`](crate::Stats) say of presence.
#[derive(Default)]
pub(super) struct Figures {
    people: AtomicUsize,
    observers: AtomicUsize,
    resets: AtomicU64,
    nodes: AtomicUsize,
    heartbeats: AtomicU64,
    snapshots: AtomicU64,
}

impl Shared {
    pub(super) fn new(node: NodeId) -> Self {
        let partitions = (0..PARTITIONS).map(|number| Mutex::new(Partition::new(node, number))).collect();
        Self { partitions, timer: Arc::default(), figures: Figures::default(), marks: Arc::default() }
    }

    pub(super) fn partition(&self, room: &str) -> &Mutex<Partition> {
        &self.partitions[Partition::of(room)]
    }

    /// The partition with this number, below 64.
    pub(super) fn at(&self, number: usize) -> &Mutex<Partition> {
        &self.partitions[number]
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = &Mutex<Partition>> {
        self.partitions.iter()
    }

    /// Changes a partition, and does what follows without its lock.
    pub(super) fn change<R>(
        self: &Arc<Self>,
        number: usize,
        with: impl FnOnce(&mut Partition, &mut Effects) -> R,
    ) -> R {
        let mut effects = Effects::default();
        let result = with(&mut self.at(number).lock(), &mut effects);
        self.finish(effects);
        result
    }

    /// Gathers, from now on, what other nodes have to be told. The exchange looks at all partitions.
    pub(super) fn gather(&self) {
        self.partitions().for_each(|partition| partition.lock().gather());
        self.marks.set(0, Partitions::MAX);
    }

    /// Nothing is exchanged with other nodes any more. Their members are gone.
    pub(super) fn end_exchange(self: &Arc<Self>) {
        let now = Instant::now();
        (0..PARTITIONS)
            .for_each(|number| self.change(number, |partition, effects| partition.end_exchange(now, effects)));
        self.figures.node(-(self.figures.nodes.load(Relaxed) as isize));
    }

    /// Does what follows from changes. Called without any lock, since this wakes tasks and calls a recorder of metrics.
    pub(super) fn finish(self: &Arc<Self>, effects: Effects) {
        let Effects { changed, deadline, people, told, interest } = effects;
        changed.iter().for_each(|observed| observed.changed.notify_waiters());
        if let Some(at) = deadline {
            self.wake_at(at);
        }
        self.figures.people(people);
        self.marks.set(told, interest);
    }

    /// Makes all observers look.
    pub(super) fn wake_observers(&self) {
        for partition in &self.partitions {
            let observed: Vec<_> = partition.lock().observed().cloned().collect();
            observed.iter().for_each(|observed| observed.changed.notify_waiters());
        }
    }
}

impl Marks {
    fn set(&self, told: Partitions, interest: Partitions) {
        if told | interest != 0 {
            self.told.fetch_or(told, Release);
            self.interest.fetch_or(interest, Release);
            self.wake.notify_one();
        }
    }

    /// Where there is something to tell, and where the interest may have changed.
    pub(super) fn take(&self) -> (Partitions, Partitions) {
        (self.told.swap(0, Acquire), self.interest.swap(0, Acquire))
    }
}

impl Figures {
    fn people(&self, more: isize) {
        if more != 0 {
            // Wraps around, and back: who leaves may be counted before who has come.
            self.people.fetch_add(more as usize, Relaxed);
            metrics::people(more as f64);
        }
    }

    pub(super) fn observers(&self, more: isize) {
        self.observers.fetch_add(more as usize, Relaxed);
        metrics::observers(more as f64);
    }

    pub(super) fn reset(&self) {
        self.resets.fetch_add(1, Relaxed);
        metrics::reset();
    }

    /// Another node is there, or is there no more.
    pub(super) fn node(&self, more: isize) {
        if more != 0 {
            self.nodes.fetch_add(more as usize, Relaxed);
            metrics::nodes(more as f64);
        }
    }

    /// Another node has said that it is there.
    pub(super) fn heartbeat(&self) {
        self.heartbeats.fetch_add(1, Relaxed);
        metrics::heartbeat();
    }

    /// All that another node says of a partition has been taken over.
    pub(super) fn snapshot(&self) {
        self.snapshots.fetch_add(1, Relaxed);
        metrics::snapshot();
    }

    pub(super) fn read(&self, stats: &mut Stats) {
        // A negative number, for a moment, is nobody.
        let people = self.people.load(Relaxed);
        stats.people = if people > isize::MAX as usize { 0 } else { people };
        stats.observers = self.observers.load(Relaxed);
        stats.resets = self.resets.load(Relaxed);
        stats.nodes = self.nodes.load(Relaxed);
        stats.heartbeats = self.heartbeats.load(Relaxed);
        stats.snapshots = self.snapshots.load(Relaxed);
    }
}

impl Drop for Shared {
    /// The hub is gone: those who observe its rooms, and the timer, find that out.
    fn drop(&mut self) {
        self.timer.end();
        self.wake_observers();
        let people: usize = self.partitions.iter().map(|partition| partition.lock().len()).sum();
        self.figures.people(-(people as isize));
        self.figures.node(-(self.figures.nodes.load(Relaxed) as isize));
    }
}
