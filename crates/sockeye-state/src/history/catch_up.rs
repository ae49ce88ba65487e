//! `Arrival`: a member that joins a room with a history. It gets what it has missed, and then becomes a member of the room.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Poll,
};

use sockeye_proto::PreparedMessage;
use sockeye_tokio::Sender;
use tokio::{sync::Notify, time::Instant};

use super::{
    History,
    log::{Log, Next, Standing},
};
use crate::{
    BrokerError, JoinError, Keep, Person, Position,
    engine::{Engine, Room},
    link::{ANSWER, Link},
    members::Inside,
    presence::Registry,
};

/// How many messages are read at once for a member that has missed more than the node has.
const PAGE: usize = 256;

/// Whether a member that has joined a room got what it had missed. From [`Joined::caught_up`](crate::Joined::caught_up).
///
/// ```
/// # use sockeye_state::{CaughtUp, Joined};
/// fn must_load_all(room: &Joined<String>) -> bool {
///     matches!(room.caught_up(), CaughtUp::Gap | CaughtUp::Fresh)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaughtUp {
    /// The member came without a position. Nothing was sent again.
    Fresh,
    /// The member came with a position, and got all messages after it: so many, before it went live.
    Whole(usize),
    /// The member came with a position, and it may have missed messages that cannot be had any more. The application loads the
    /// state anew.
    Gap,
}

/// A join that is not done. The member's list of rooms has it too, so that leaving stops it.
#[derive(Debug, Clone)]
pub(crate) struct OpenJoin {
    pub(crate) room: Arc<str>,
    pub(crate) stop: Arc<Stop>,
}

/// Stops a join.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_stopped: AtomicBool,
    /// Whether the join is sending at this moment.
    is_running: AtomicBool,
    notify: Notify,
}

impl Stop {
    /// From now on, the join sends nothing but what it is sending at this moment. Under the lock of the member's rooms, where a
    /// join also looks before it makes a member.
    pub(crate) fn mark(self: &Arc<Self>) -> Arc<Self> {
        self.is_stopped.store(true, SeqCst);
        self.clone()
    }

    /// Wakes the join, so that it ends.
    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(SeqCst)
    }

    /// Polls the join, unless it is stopped.
    fn run<R>(&self, poll: impl FnOnce() -> R) -> Option<R> {
        // In this order, and `mark` and `is_running` in the opposite one: nobody who has marked it and sees it at rest misses
        // that it sends.
        let running = Running::new(&self.is_running);
        if self.is_stopped() {
            return None;
        }
        let result = poll();
        drop(running);
        Some(result)
    }
}

struct Running<'a>(&'a AtomicBool);

impl<'a> Running<'a> {
    fn new(is_running: &'a AtomicBool) -> Self {
        is_running.store(true, SeqCst);
        Self(is_running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

/// What a member gets from a join.
pub(crate) struct Arrived {
    pub(crate) room: Arc<Room<Sender>>,
    pub(crate) caught_up: CaughtUp,
    pub(crate) position: Option<Position>,
}

/// As whom a member appears in the presence of the room, once it is there.
pub(crate) struct Appearance<T> {
    pub(crate) presence: Arc<Registry<T>>,
    pub(crate) person: Option<Person>,
}

/// A member that joins, from the moment on in which its list of rooms has the join. Dropping it ends the join.
pub(crate) struct Arrival<T> {
    history: Arc<History>,
    inside: Arc<Inside<T>>,
    name: Arc<str>,
    stop: Arc<Stop>,
    log: Arc<Log<Sender>>,
    /// Earlier joins of the same room by this member.
    before: Vec<Arc<Stop>>,
    appearance: Appearance<T>,
    is_member: bool,
}

impl<T> Arrival<T> {
    pub(crate) fn new(
        history: Arc<History>,
        inside: Arc<Inside<T>>,
        open: OpenJoin,
        keep: Keep,
        before: Vec<Arc<Stop>>,
        appearance: Appearance<T>,
    ) -> Self {
        let OpenJoin { room: name, stop } = open;
        let log = history.join(&name, keep);
        Self { history, inside, name, stop, log, before, appearance, is_member: false }
    }

    /// Sends what comes after `since`, and makes the member one of the room.
    pub(crate) async fn arrive(mut self, since: Option<Position>) -> Result<Arrived, JoinError> {
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.notify.notified());
        let mut arrived = pin!(self.catch_up(since));
        poll_fn(|cx| {
            if stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(JoinError::Stopped));
            }
            stop.run(|| arrived.as_mut().poll(cx)).unwrap_or(Poll::Ready(Err(JoinError::Stopped)))
        })
        .await
    }

    /// The same for a member that somebody else makes join.
    pub(crate) fn arrive_in_task(self)
    where
        T: Send + Sync + 'static,
    {
        let runtime = self.history.link.runtime().clone();
        let name = self.name.clone();
        runtime.spawn(async move {
            if let Err(error) = self.arrive(None).await {
                tracing::warn!(room = &*name, %error, "a member that was to join a room has not done so");
            }
        });
    }

    async fn catch_up(&mut self, since: Option<Position>) -> Result<Arrived, JoinError> {
        self.last_chunk().await;
        let (_, mut forks) = self.log.standpoint();
        let mut first = None;
        let (mut caught_up, mut cursor, head) = self.begin(since, &mut first).await?;
        let framing = &self.history.engine.framing;
        if let Some(joined) = framing.joined(&self.name, head, caught_up) {
            self.send(joined).await?;
        }
        let mut count = 0;
        if let Some((messages, at)) = first {
            count += self.send_all(messages).await?;
            cursor = Some(at);
        }
        let room = loop {
            let missing = match self.log.next(cursor, forks) {
                Next::Nothing => match self.go_live(cursor, forks)? {
                    Some(room) => break room,
                    None => continue,
                },
                Next::Part(part, at) => Some((part.messages, at)),
                Next::Elsewhere { head } => match cursor {
                    Some(from) => self.read(from, head).await?,
                    None => None,
                },
                Next::Gap => None,
                Next::Unknown => {
                    self.until(Instant::now() + ANSWER, |log| log.is_subscribed()).await?;
                    continue;
                }
            };
            match missing {
                Some((messages, at)) => {
                    count += self.send_all(messages).await?;
                    cursor = Some(at);
                }
                None => {
                    caught_up = CaughtUp::Gap;
                    (cursor, forks) = self.log.standpoint();
                    if let Some(gap) = self.history.engine.framing.gap(&self.name) {
                        self.send(gap).await?;
                    }
                }
            }
        };
        if let CaughtUp::Whole(_) = caught_up {
            caught_up = CaughtUp::Whole(count);
        }
        self.history.engine.counters.caught_up(caught_up);
        Ok(Arrived { room, caught_up, position: cursor })
    }

    /// Waits for what a drain or another join is handing to the member at this moment, of a time when it was in the room before.
    async fn last_chunk(&self) {
        for stop in &self.before {
            while stop.is_running.load(SeqCst) {
                tokio::task::yield_now().await;
            }
        }
        let Some(room) = self.history.engine.room(&self.name) else { return };
        let Some(chunk) = room.chunk() else { return };
        while room.chunk() == Some(chunk) {
            tokio::task::yield_now().await;
        }
    }

    /// Finds out where the member stands: from where on it gets what. `first` are messages that had to be read to know this.
    async fn begin(
        &self,
        since: Option<Position>,
        first: &mut Option<(Vec<PreparedMessage>, Position)>,
    ) -> Result<(CaughtUp, Option<Position>, Option<Position>), JoinError> {
        let deadline = Instant::now() + ANSWER;
        let mut has_asked = false;
        loop {
            match self.log.standing(since, has_asked) {
                Standing::Known { caught_up, from, head } => return Ok((caught_up, from, head)),
                Standing::Unknown => self.until(deadline, |log| log.is_subscribed()).await?,
                Standing::Ask => {
                    let look = self.history.ask(&self.log);
                    self.until(deadline, |log| log.has_looked(look)).await?;
                    has_asked = true;
                }
                Standing::Elsewhere { head } => {
                    let read = match since {
                        Some(since) => self.read(since, head).await?,
                        None => None,
                    };
                    let Some((messages, at)) = read else {
                        return Ok((CaughtUp::Gap, Some(head), Some(head)));
                    };
                    let rest = match self.log.standing(Some(at), true) {
                        Standing::Known { caught_up: CaughtUp::Whole(rest), .. } => rest,
                        _ => 0,
                    };
                    let caught_up = CaughtUp::Whole(messages.len() + rest);
                    *first = Some((messages, at));
                    return Ok((caught_up, since, Some(head)));
                }
            }
        }
    }

    /// Waits until the log is as wanted.
    async fn until(&self, deadline: Instant, is_so: impl Fn(&Log<Sender>) -> bool) -> Result<(), JoinError> {
        loop {
            let mut changed = pin!(self.log.changed.notified());
            changed.as_mut().enable();
            if is_so(&self.log) {
                return Ok(());
            }
            if self.history.link.is_closed() {
                return Err(JoinError::Unavailable(Link::ended()));
            }
            if self.history.link.timeout_at(deadline, changed).await.is_err() {
                let why =
                    || BrokerError::unavailable(format!("no answer within {ANSWER:?}; check that the broker runs"));
                return Err(JoinError::Unavailable(self.log.failure().unwrap_or_else(why)));
            }
        }
    }

    /// Reads messages that are no longer in memory. `None` if there is a hole.
    async fn read(
        &self,
        after: Position,
        head: Position,
    ) -> Result<Option<(Vec<PreparedMessage>, Position)>, JoinError> {
        let page =
            self.history.read(self.log.topic.clone(), Some(after), PAGE).await.map_err(JoinError::Unavailable)?;
        if !page.is_contiguous {
            return Ok(None);
        }
        let mut at = after;
        let mut messages = Vec::new();
        for entry in page.entries {
            let is_next = entry.at.epoch == at.epoch && entry.after <= at.offset && entry.at.offset > at.offset;
            if !is_next || entry.at.offset > head.offset {
                break;
            }
            at = entry.at;
            let (message, _) = self.history.open(&entry);
            messages
                .extend(message.and_then(|message| self.history.engine.framing.message(&self.name, Some(at), message)));
        }
        Ok((at != after).then_some((messages, at)))
    }

    async fn send_all(&self, messages: Vec<PreparedMessage>) -> Result<usize, JoinError> {
        let count = messages.len();
        for message in messages {
            self.send(message).await?;
        }
        Ok(count)
    }

    /// Waits until the connection has capacity. What was taken from the log after the member has left is not sent.
    async fn send(&self, message: PreparedMessage) -> Result<(), JoinError> {
        if self.stop.is_stopped() {
            return Err(JoinError::Stopped);
        }
        self.inside.sender.send_prepared(message).await.map_err(|_| JoinError::Closed)
    }

    /// Makes a member of somebody who has all messages up to `cursor`. `None` if there are more by now.
    fn go_live(&mut self, cursor: Option<Position>, forks: u64) -> Result<Option<Arc<Room<Sender>>>, JoinError> {
        let engine: &Engine<Sender> = &self.history.engine;
        let Appearance { presence, person } = &mut self.appearance;
        let mut presence = presence.changes();
        let mut rooms = self.inside.rooms.lock();
        if rooms.is_gone || self.stop.is_stopped() {
            return Err(JoinError::Stopped);
        }
        let join = || engine.join(&self.name, self.inside.id.key, &self.inside.sender);
        let Some(room) = self.log.go_live(cursor, forks, join) else { return Ok(None) };
        rooms.close_open(&self.stop);
        rooms.numbers.push(room.number());
        presence.join(&self.name, self.inside.id.key, person.take(), rooms.info.as_deref());
        self.is_member = true;
        Ok(Some(room))
    }
}

impl<T> Drop for Arrival<T> {
    fn drop(&mut self) {
        if !self.is_member {
            self.inside.rooms.lock().close_open(&self.stop);
        }
        self.log.end_join(self.is_member);
    }
}

/// A future in a box.
pub(crate) type Boxed<'a, R> = Pin<Box<dyn Future<Output = R> + Send + 'a>>;
