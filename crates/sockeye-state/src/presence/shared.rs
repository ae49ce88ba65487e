//! `Shared`: the presence of a hub's rooms, for the members that change it and the observers that read it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use super::{
    partition::{Effects, PARTITIONS, Partition},
    timer::Timer,
};
use crate::{NodeId, metrics, sync::Mutex};

pub(crate) struct Shared {
    partitions: Box<[Mutex<Partition>]>,
    pub(super) timer: Arc<Timer>,
    pub(super) figures: Figures,
}

/// What a hub's [`Stats`](crate::Stats) say of presence.
#[derive(Default)]
pub(super) struct Figures {
    people: AtomicUsize,
    observers: AtomicUsize,
    resets: AtomicU64,
}

impl Shared {
    pub(super) fn new(node: NodeId) -> Self {
        let partitions = (0..PARTITIONS).map(|_| Mutex::new(Partition::new(node))).collect();
        Self { partitions, timer: Arc::default(), figures: Figures::default() }
    }

    pub(super) fn partition(&self, room: &str) -> &Mutex<Partition> {
        &self.partitions[Partition::of(room)]
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = &Mutex<Partition>> {
        self.partitions.iter()
    }

    /// Does what follows from changes. Called without any lock, since this wakes tasks and calls a recorder of metrics.
    pub(super) fn finish(self: &Arc<Self>, effects: Effects) {
        let Effects { changed, deadline, people } = effects;
        changed.iter().for_each(|observed| observed.changed.notify_waiters());
        if let Some(at) = deadline {
            self.wake_at(at);
        }
        self.figures.people(people);
    }

    /// Makes all observers look.
    pub(super) fn wake_observers(&self) {
        for partition in &self.partitions {
            let observed: Vec<_> = partition.lock().observed().cloned().collect();
            observed.iter().for_each(|observed| observed.changed.notify_waiters());
        }
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

    /// People, observers, and resets.
    pub(super) fn read(&self) -> (usize, usize, u64) {
        // A negative number, for a moment, is nobody.
        let people = self.people.load(Relaxed);
        (if people > isize::MAX as usize { 0 } else { people }, self.observers.load(Relaxed), self.resets.load(Relaxed))
    }
}

impl Drop for Shared {
    /// The hub is gone: those who observe its rooms, and the timer, find that out.
    fn drop(&mut self) {
        self.timer.end();
        self.wake_observers();
        let people: usize = self.partitions.iter().map(|partition| partition.lock().len()).sum();
        self.figures.people(-(people as isize));
    }
}
