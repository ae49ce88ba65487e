//! `Subscriptions`: which topics the node listens to. Rooms without a history follow their members here.
//!
//! Whoever joins a room first notes this, and waits for a moment until the node has subscribed. Whoever leaves a room as the last notes
//! this as well. One task, in `task`, reads the notes and asks the broker, so that all calls have one order.
//!
//! # Gaps
//!
//! A member misses nothing once its join has returned, but where the broker is slow or away: then the join returns at once, and the members
//! hear of a gap as soon as the node has subscribed. They also hear of one if the broker says that something was lost.

mod task;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use sockeye_tokio::Sender;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::Relay;
use crate::{Lost, Topic, engine::Room, sync::Mutex};

/// How long a join waits for the broker. Afterwards, members of the room hear of a gap.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(super) struct Subscriptions {
    notes: Mutex<Notes>,
    changed: Notify,
    /// Whether the broker has not answered lately, so that nobody waits for it.
    is_away: AtomicBool,
}

/// What the task does not know yet.
#[derive(Default)]
struct Notes {
    looks: Vec<Look>,
    has_lost_all: bool,
    lost: HashSet<Topic>,
}

/// Something has happened in a room.
struct Look {
    topic: Topic,
    at: Instant,
    /// Whether somebody has joined. Otherwise, the last member has left.
    has_joined: bool,
    /// Whether a join has returned already.
    owes_gap: bool,
    waiter: Option<oneshot::Sender<()>>,
}

/// A join that waits until the node has subscribed.
pub(crate) struct Waiting {
    relay: Arc<Relay>,
    until: Instant,
    subscribed: oneshot::Receiver<()>,
}

/// Starts the task with topics of the hubs, and waits for a moment until the node has subscribed to these.
pub(super) async fn start(relay: &Arc<Relay>, topics: [Topic; 2]) {
    let waiting = topics.map(|topic| relay.note_join(topic));
    relay.link.runtime().spawn(task::run(relay.clone()));
    for waiting in waiting.into_iter().flatten() {
        waiting.done().await;
    }
}

impl Relay {
    /// Somebody has joined a room. Called without a lock, since the task is woken.
    pub(crate) fn joined(self: &Arc<Self>, room: &Room<Sender>) -> Option<Waiting> {
        if room.has_history || room.is_subscribed() {
            return None;
        }
        self.note_join(self.link.room_topic(&*room.name))
    }

    /// The last member has left a room. Called without a lock.
    pub(crate) fn left(&self, room: &Room<Sender>) {
        // After the end of the task, nobody reads notes.
        if !room.has_history && !self.link.is_closed() {
            let topic = self.link.room_topic(&*room.name);
            self.subscriptions.note(Look {
                topic,
                at: Instant::now(),
                has_joined: false,
                owes_gap: false,
                waiter: None,
            });
        }
    }

    fn note_join(self: &Arc<Self>, topic: Topic) -> Option<Waiting> {
        if self.link.is_closed() {
            return None;
        }
        let at = Instant::now();
        let is_away = self.subscriptions.is_away.load(Relaxed);
        let (waiter, subscribed) = (!is_away).then(oneshot::channel).unzip();
        self.subscriptions.note(Look { topic, at, has_joined: true, owes_gap: is_away, waiter });
        subscribed.map(|subscribed| Waiting { relay: self.clone(), until: at + PATIENCE, subscribed })
    }
}

impl Subscriptions {
    /// The broker has lost something.
    pub(super) fn lost(&self, what: Lost) {
        let mut notes = self.notes.lock();
        match what {
            Lost::All => notes.has_lost_all = true,
            Lost::Topics(topics) => notes.lost.extend(topics),
        }
        drop(notes);
        self.wake();
    }

    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    fn note(&self, look: Look) {
        self.notes.lock().looks.push(look);
        self.wake();
    }

    fn take_notes(&self) -> Notes {
        std::mem::take(&mut *self.notes.lock())
    }
}

impl Waiting {
    /// Waits until the node has subscribed, but not for long.
    pub(crate) async fn done(self) {
        let Self { relay, until, subscribed } = self;
        if relay.link.timeout_at(until, subscribed).await.is_err() {
            relay.subscriptions.is_away.store(true, Relaxed);
        }
    }
}
