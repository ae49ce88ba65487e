//! `Appends`: messages on their way to the broker, in order for each room.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Relaxed},
        },
    },
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use sockeye_proto::PreparedMessage;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use super::{History, append::AppendError};
use crate::{Append, AppendOptions, BrokerError, Keep, Position, Stamp, link::Link, sync::Mutex};

/// What `append` returns in the end.
pub(super) type Answer = Result<Position, AppendError>;

/// How many messages of a node may wait for the broker, and how many bytes of them.
const MOST: usize = 1024;
const MOST_BYTES: usize = 4 << 20;

/// How long a message is sent again while the broker does not answer. Well below the five minutes for which brokers remember
/// stamps, so that no repeat is a second message.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first and the longest pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How many messages the caller of `send` hands to the broker before a task does so: others may add more and more.
const IN_A_ROW: usize = 16;

/// How many locks share the queues.
const SHARDS: usize = 16;

/// The queues of the rooms for which something is under way.
type Queues = HashMap<Arc<str>, VecDeque<Job>>;

pub(super) struct Appends {
    shards: Box<[Mutex<Queues>]>,
    hasher: RandomState,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    /// Whether the log says already that the queue is full.
    is_reported: AtomicBool,
}

/// A message's share of what may wait.
struct Share {
    waiting: Arc<Waiting>,
    bytes: usize,
}

struct Job {
    envelope: Bytes,
    stamp: Stamp,
    until: Instant,
    /// `None` if nobody waits for the answer.
    answer: Option<oneshot::Sender<Answer>>,
    _share: Share,
}

impl Appends {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new(), waiting: Arc::default() }
    }

    /// Adds a job. Returns whether the caller drives the queue of this room.
    fn add(&self, room: &Arc<str>, job: Job) -> bool {
        let mut queues = self.queues(room).lock();
        match queues.get_mut(room) {
            Some(queue) => {
                queue.push_back(job);
                false
            }
            None => {
                queues.insert(room.clone(), VecDeque::from([job]));
                true
            }
        }
    }

    /// The next job. `None` ends the queue.
    fn next(&self, room: &Arc<str>) -> Option<Job> {
        let mut queues = self.queues(room).lock();
        let job = queues.get_mut(room).and_then(VecDeque::pop_front);
        if job.is_none() {
            queues.remove(room);
        }
        job
    }

    fn queues(&self, room: &Arc<str>) -> &Mutex<Queues> {
        &self.shards[self.hasher.hash_one(room) as usize % SHARDS]
    }
}

impl Waiting {
    fn admit(self: &Arc<Self>, bytes: usize) -> Result<Share, AppendError> {
        let share = Share { waiting: self.clone(), bytes };
        let before = self.messages.fetch_add(1, AcqRel);
        let bytes_before = self.bytes.fetch_add(bytes, AcqRel);
        // A message of any length may wait alone.
        if before >= MOST || (before > 0 && bytes_before + bytes > MOST_BYTES) {
            return Err(AppendError::QueueFull { messages: before, bytes: bytes_before });
        }
        Ok(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.waiting.messages.fetch_sub(1, AcqRel);
        self.waiting.bytes.fetch_sub(self.bytes, AcqRel);
    }
}

impl History {
    /// Puts a message into the queue of its room. If nothing is before it, the broker gets it at once, and may answer at once.
    pub(crate) fn append(
        self: &Arc<Self>,
        room: Arc<str>,
        keep: Keep,
        message: &PreparedMessage,
        options: AppendOptions,
        answer: Option<oneshot::Sender<Answer>>,
    ) -> Result<(), AppendError> {
        if self.link.is_closed() {
            // Not asked: the timers of a runtime that has ended panic.
            self.failed_to_append(&room, answer.is_none());
            return Err(AppendError::Unavailable(Link::ended()));
        }
        let AppendOptions { stamp, except } = options;
        let envelope = self.seal(message, &except);
        let waiting = &self.appends.waiting;
        let share = match waiting.admit(envelope.len()) {
            Ok(share) => share,
            Err(error) => {
                if !waiting.is_reported.swap(true, Relaxed) {
                    tracing::warn!(room = &*room, %error, "the broker does not keep up with what is appended to rooms");
                }
                self.failed_to_append(&room, answer.is_none());
                return Err(error);
            }
        };
        let stamp = stamp.unwrap_or_else(|| self.stamp());
        let job = Job { envelope, stamp, until: Instant::now() + PATIENCE, answer, _share: share };
        if self.appends.add(&room, job) {
            self.drive(room, keep);
        }
        Ok(())
    }

    /// Hands the messages of a queue to the broker. If it is ready at once, so is this; otherwise a task goes on.
    fn drive(self: &Arc<Self>, room: Arc<str>, keep: Keep) {
        let drive = Drive { history: self.clone(), room, keep, current: None, is_done: false };
        let mut drive: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(drive.run());
        let entered = self.link.runtime().enter();
        let is_pending = drive.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
        drop(entered);
        if is_pending {
            self.link.runtime().spawn(drive);
        }
    }

    /// `is_unheard`: nobody waits for the answer.
    fn failed_to_append(&self, room: &str, is_unheard: bool) {
        self.engine.counters.append_failed();
        if is_unheard {
            self.engine.events.append_failed(room);
        }
    }
}

/// The one task that hands the messages of a room to the broker.
struct Drive {
    history: Arc<History>,
    room: Arc<str>,
    keep: Keep,
    /// What the broker is asked to append at this moment.
    current: Option<Job>,
    is_done: bool,
}

impl Drive {
    async fn run(mut self) {
        let mut count = 0;
        loop {
            self.current = self.history.appends.next(&self.room);
            let Some(job) = &self.current else { break };
            let answer = self.append(job).await;
            if let Some(job) = self.current.take() {
                self.finish(job, answer);
            }
            count += 1;
            if count % IN_A_ROW == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.is_done = true;
    }

    /// Asks the broker until it answers, or until the message has waited for too long.
    async fn append(&self, job: &Job) -> Answer {
        let history = &self.history;
        if Instant::now() >= job.until {
            // Not even one try: with a broker that does not answer, each would hold up the next message.
            let why =
                format!("it waited for {PATIENCE:?} behind other messages to the room; check that the broker runs");
            return Err(AppendError::Unavailable(BrokerError::unavailable(why)));
        }
        let mut is_uncertain = false;
        let mut pause = PAUSE;
        loop {
            let known = history.logs.get(&self.room).and_then(|log| log.head());
            let append =
                Append::new(history.link.room_topic(self.room.clone()), job.envelope.clone(), job.stamp, self.keep)
                    .known(known);
            let error = match history.link.answer(history.link.broker().append(append)).await {
                Ok(position) => return Ok(position),
                Err(error) => error,
            };
            is_uncertain |= error.is_uncertain();
            if is_uncertain {
                if error.is_refused() || Instant::now() + pause > job.until || history.link.is_closed() {
                    return Err(AppendError::Uncertain(error));
                }
            } else if error.is_refused() {
                return Err(AppendError::Refused(error));
            } else if Instant::now() + pause > job.until || history.link.is_closed() {
                return Err(AppendError::Unavailable(error));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn finish(&self, job: Job, answer: Answer) {
        let Job { answer: to, _share: share, .. } = job;
        drop(share);
        match &answer {
            Ok(_) => {
                self.history.appends.waiting.is_reported.store(false, Relaxed);
                self.history.engine.counters.appended();
            }
            Err(error) => {
                tracing::warn!(room = &*self.room, %error, "a message for a history has failed");
                self.history.failed_to_append(&self.room, to.is_none());
            }
        }
        if let Some(to) = to {
            // An error means that nobody waits any more.
            let _ = to.send(answer);
        }
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        // The runtime ends, or the broker has panicked. Whoever waits sees that nobody will answer.
        while let Some(job) = self.current.take().or_else(|| self.history.appends.next(&self.room)) {
            self.history.failed_to_append(&self.room, job.answer.is_none());
        }
    }
}
