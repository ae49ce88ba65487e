//! The task that subscribes and unsubscribes.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use sockeye_tokio::Sender;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use super::{Look, PATIENCE, Relay};
use crate::{BoxFuture, BrokerError, Lost, Topic, engine::Room, link::guarded, relay::ROOMS};

/// How long the node stays subscribed to a room that is empty, so that a page that is loaded again costs nothing.
const LINGER: Duration = Duration::from_secs(10);

/// How many topics one call of the broker has.
const TOPICS: usize = 256;

/// After how many rooms other tasks have their turn.
const IN_A_ROW: usize = 64;

/// The first and the longest pause after the broker has not answered.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

struct Task {
    relay: Arc<Relay>,
    topics: HashMap<Topic, State>,
    /// Topics that may have to be subscribed to. The state of each says whether that is still so.
    to_subscribe: VecDeque<Topic>,
    /// The same for those that nobody needs any more.
    to_unsubscribe: VecDeque<Topic>,
    /// Topics that are looked at later, once each, the next of them first.
    lingering: VecDeque<(Instant, Topic)>,
    call: Option<Call>,
    /// Whether the last call was to subscribe.
    has_subscribed: bool,
    /// When the broker is asked again.
    retry_at: Option<Instant>,
    pause: Duration,
}

struct State {
    standing: Standing,
    /// Whether the broker may have the node subscribed.
    may_be_subscribed: bool,
    /// From when on somebody is there.
    since: Instant,
    /// From when on nobody is there.
    empty_since: Option<Instant>,
    is_lingering: bool,
    /// Whether members are there who have not waited.
    owes_gap: bool,
    waiters: Vec<oneshot::Sender<()>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// In `to_subscribe`.
    Missing,
    /// In the call under way.
    Subscribing,
    Subscribed,
    /// In the call under way.
    Unsubscribing,
}

/// What the broker is asked at this moment.
struct Call {
    is_subscribe: bool,
    topics: Vec<Topic>,
    answer: BoxFuture<'static, Result<(), BrokerError>>,
}

/// Runs until the hub is gone.
pub(super) async fn run(relay: Arc<Relay>) {
    let mut task = Task {
        relay,
        topics: HashMap::new(),
        to_subscribe: VecDeque::new(),
        to_unsubscribe: VecDeque::new(),
        lingering: VecDeque::new(),
        call: None,
        has_subscribed: false,
        retry_at: None,
        pause: PAUSE,
    };
    while !task.relay.link.is_closed() {
        task.read_notes().await;
        task.look_at_lingering();
        task.begin_call();
        if let Some((call, answer)) = task.wait().await {
            task.end_call(call, answer).await;
        }
    }
}

impl Task {
    async fn read_notes(&mut self) {
        let notes = self.relay.subscriptions.take_notes();
        for look in notes.looks {
            self.look(look);
        }
        // By this topic, other nodes say what they could not publish.
        let has_lost_rooms = notes.lost.iter().any(|topic| !topic.is_room() && topic.name() == ROOMS);
        let has_lost_all = notes.has_lost_all || has_lost_rooms;
        let lost: Vec<Topic> = if has_lost_all {
            self.topics.keys().filter(|topic| topic.is_room()).cloned().collect()
        } else {
            notes.lost.into_iter().filter(Topic::is_room).collect()
        };
        for (count, topic) in lost.iter().enumerate() {
            let is_subscribed = self.topics.get(topic).is_some_and(|state| state.standing == Standing::Subscribed);
            if is_subscribed {
                self.say_gap(topic);
            }
            if count % IN_A_ROW == IN_A_ROW - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    fn look(&mut self, look: Look) {
        let Look { topic, at, has_joined, owes_gap, waiter } = look;
        let is_wanted = self.is_wanted(&topic);
        let Some(state) = self.topics.get_mut(&topic) else {
            if is_wanted {
                self.to_subscribe.push_back(topic.clone());
                self.topics.insert(topic, State::new(at, owes_gap, waiter));
            }
            return;
        };
        if !is_wanted {
            state.empty_since = Some(at);
            if !std::mem::replace(&mut state.is_lingering, true) {
                self.lingering.push_back((at + LINGER, topic));
            }
            return;
        }
        if state.empty_since.take().is_some() {
            state.since = at;
        }
        if state.standing == Standing::Subscribed {
            // Another room of this name may have been there when the node subscribed.
            self.mark(&topic);
            return;
        }
        if has_joined {
            state.owes_gap |= owes_gap;
            state.waiters.extend(waiter);
        }
    }

    /// Ends the subscriptions of rooms that have been empty for long enough.
    fn look_at_lingering(&mut self) {
        let now = Instant::now();
        while self.lingering.front().is_some_and(|(until, _)| *until <= now) {
            let Some((_, topic)) = self.lingering.pop_front() else { return };
            let room = self.room(&topic);
            let Some(state) = self.topics.get_mut(&topic) else { continue };
            state.is_lingering = false;
            if room.as_ref().is_some_and(|room| room.len() > 0) {
                state.empty_since = None;
                continue;
            }
            let until = *state.empty_since.get_or_insert(now) + LINGER;
            let is_in_call = matches!(state.standing, Standing::Subscribing | Standing::Unsubscribing);
            if until > now || room.is_some() || is_in_call {
                // A drain may keep a room, which then goes without a note.
                state.is_lingering = true;
                let until = if until > now { until } else { now + LINGER };
                let place = self.lingering.partition_point(|(other, _)| *other <= until);
                self.lingering.insert(place, (until, topic));
            } else if state.may_be_subscribed {
                self.to_unsubscribe.push_back(topic);
            } else {
                self.topics.remove(&topic);
            }
        }
    }

    /// Asks the broker for the next topics, unless it is asked already.
    fn begin_call(&mut self) {
        if self.call.is_some() || self.retry_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.retry_at = None;
        // In turns, since there may always be rooms to subscribe to, or a broker that never does it.
        let is_turn_of_others = std::mem::take(&mut self.has_subscribed) && !self.to_unsubscribe.is_empty();
        let mut topics = if is_turn_of_others { Vec::new() } else { self.next_to_subscribe() };
        let mut is_subscribe = !topics.is_empty();
        if topics.is_empty() {
            topics = self.next_to_unsubscribe();
        }
        if topics.is_empty() && is_turn_of_others {
            topics = self.next_to_subscribe();
            is_subscribe = true;
        }
        if !topics.is_empty() {
            self.has_subscribed = is_subscribe;
            let (link, asked) = (self.relay.link.clone(), topics.clone());
            let answer: BoxFuture<'static, _> = match is_subscribe {
                true => Box::pin(async move { guarded(link.subscribe(asked)).await }),
                false => Box::pin(async move { guarded(link.unsubscribe(asked)).await }),
            };
            self.call = Some(Call { is_subscribe, topics, answer });
        } else if !self.to_subscribe.is_empty() {
            // What nobody needed was needed again.
            self.relay.subscriptions.wake();
        }
    }

    fn next_to_subscribe(&mut self) -> Vec<Topic> {
        let mut topics = Vec::new();
        while topics.len() < TOPICS {
            let Some(topic) = self.to_subscribe.pop_front() else { break };
            let is_wanted = self.is_wanted(&topic);
            let Some(state) = self.topics.get_mut(&topic).filter(|state| state.standing == Standing::Missing) else {
                continue;
            };
            if is_wanted {
                state.standing = Standing::Subscribing;
                topics.push(topic);
            } else if state.may_be_subscribed {
                self.to_unsubscribe.push_back(topic);
            } else {
                self.topics.remove(&topic);
            }
        }
        topics
    }

    fn next_to_unsubscribe(&mut self) -> Vec<Topic> {
        let mut topics = Vec::new();
        while topics.len() < TOPICS {
            let Some(topic) = self.to_unsubscribe.pop_front() else { break };
            let is_wanted = self.is_wanted(&topic);
            let is_there = self.room(&topic).is_some();
            let Some(state) = self.topics.get_mut(&topic) else { continue };
            match state.standing {
                Standing::Missing if is_wanted => self.to_subscribe.push_back(topic),
                // Joins of this room would not wait. A room that is missing was never marked, so there they do.
                Standing::Subscribed if is_there => self.linger(topic),
                Standing::Missing | Standing::Subscribed => {
                    state.standing = Standing::Unsubscribing;
                    topics.push(topic);
                }
                Standing::Subscribing | Standing::Unsubscribing => {}
            }
        }
        topics
    }

    /// Waits for notes, for the time of the next look, or for the answer of the broker, which is returned.
    async fn wait(&mut self) -> Option<(Call, Result<(), BrokerError>)> {
        let lingering = self.lingering.front().map(|(until, _)| *until);
        let next = [lingering, self.retry_at].into_iter().flatten().min();
        let mut pause = pin!(sleep_until(next.unwrap_or_else(Instant::now)));
        let mut changed = pin!(self.relay.subscriptions.changed.notified());
        let call = &mut self.call;
        let answer = poll_fn(|cx| {
            if let Some(Call { answer, .. }) = call {
                if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                    return Poll::Ready(Some(answer));
                }
            }
            let is_changed = changed.as_mut().poll(cx).is_ready();
            let is_time = next.is_some() && pause.as_mut().poll(cx).is_ready();
            if is_changed || is_time { Poll::Ready(None) } else { Poll::Pending }
        });
        let answer = answer.await?;
        Some((self.call.take()?, answer))
    }

    async fn end_call(&mut self, call: Call, answer: Result<(), BrokerError>) {
        let is_away = &self.relay.subscriptions.is_away;
        match &answer {
            Ok(()) => {
                self.pause = PAUSE;
                is_away.store(false, Relaxed);
            }
            Err(error) => {
                let was_away = is_away.swap(true, Relaxed);
                self.retry_at = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                if was_away {
                    tracing::debug!(%error, "the broker does not subscribe to rooms");
                } else {
                    tracing::warn!(%error, "the broker does not subscribe to rooms; their members will hear of a gap");
                }
            }
        }
        for (count, topic) in call.topics.into_iter().enumerate() {
            match (call.is_subscribe, answer.is_ok()) {
                (true, true) => self.subscribed(topic),
                (true, false) => self.not_subscribed(topic),
                (false, true) => self.unsubscribed(topic),
                (false, false) => self.not_unsubscribed(topic),
            }
            if count % IN_A_ROW == IN_A_ROW - 1 {
                tokio::task::yield_now().await;
            }
        }
        if answer.is_err() {
            // Nobody waits for a broker that is away.
            self.topics.values_mut().filter(|state| !state.waiters.is_empty()).for_each(State::release);
        }
    }

    fn subscribed(&mut self, topic: Topic) {
        let Some(state) = self.topics.get_mut(&topic) else { return };
        state.standing = Standing::Subscribed;
        state.may_be_subscribed = true;
        let owes_gap = std::mem::take(&mut state.owes_gap) || state.since.elapsed() >= PATIENCE;
        let waiters = std::mem::take(&mut state.waiters);
        self.mark(&topic);
        if owes_gap && topic.is_room() {
            self.say_gap(&topic);
        } else if owes_gap && topic.name() == ROOMS {
            // Until now, the node did not hear what others could not publish.
            self.relay.subscriptions.lost(Lost::All);
        }
        for waiter in waiters {
            // An error means that nobody waits any more.
            let _ = waiter.send(());
        }
    }

    fn not_subscribed(&mut self, topic: Topic) {
        let Some(state) = self.topics.get_mut(&topic) else { return };
        state.standing = Standing::Missing;
        state.may_be_subscribed = true;
        state.release();
        self.to_subscribe.push_back(topic);
    }

    fn unsubscribed(&mut self, topic: Topic) {
        if self.is_wanted(&topic) {
            if let Some(state) = self.topics.get_mut(&topic) {
                // Those who have come meanwhile wait from now on.
                state.standing = Standing::Missing;
                state.may_be_subscribed = false;
                self.to_subscribe.push_back(topic);
            }
        } else {
            self.topics.remove(&topic);
        }
    }

    fn not_unsubscribed(&mut self, topic: Topic) {
        let Some(state) = self.topics.get_mut(&topic) else { return };
        state.standing = Standing::Missing;
        if !state.waiters.is_empty() {
            state.release();
        }
        self.to_unsubscribe.push_back(topic);
    }

    /// Looks at the topic again later.
    fn linger(&mut self, topic: Topic) {
        let Some(state) = self.topics.get_mut(&topic) else { return };
        if !std::mem::replace(&mut state.is_lingering, true) {
            self.lingering.push_back((Instant::now() + LINGER, topic));
        }
    }

    /// From now on, joins of the room do not wait.
    fn mark(&self, topic: &Topic) {
        if let Some(room) = self.room(topic) {
            room.mark_subscribed();
        }
    }

    fn say_gap(&self, topic: &Topic) {
        if let Some(room) = self.room(topic).filter(|room| room.len() > 0) {
            self.relay.engine.say_gap(&room);
        }
    }

    /// Whether the node is to be subscribed.
    fn is_wanted(&self, topic: &Topic) -> bool {
        !topic.is_room() || self.room(topic).is_some_and(|room| room.len() > 0)
    }

    fn room(&self, topic: &Topic) -> Option<Arc<Room<Sender>>> {
        if topic.is_room() { self.relay.engine.room(topic.name()) } else { None }
    }
}

impl State {
    fn new(since: Instant, owes_gap: bool, waiter: Option<oneshot::Sender<()>>) -> Self {
        Self {
            standing: Standing::Missing,
            may_be_subscribed: false,
            since,
            empty_since: None,
            is_lingering: false,
            owes_gap,
            waiters: waiter.into_iter().collect(),
        }
    }

    /// The joins that wait return, since the broker is away.
    fn release(&mut self) {
        self.owes_gap = true;
        for waiter in self.waiters.drain(..) {
            let _ = waiter.send(());
        }
    }
}
