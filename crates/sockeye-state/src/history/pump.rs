//! `Pump`: the one task at a time that does the work of a log. It subscribes, takes what has arrived, reads what is missing, and
//! hands the messages to the members, in the order of the history.

use std::{
    iter,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use sockeye_tokio::Sender;
use tokio::time::{Instant, sleep};

use super::{
    History,
    feed::{Framed, Relation, Work, without_hole},
    log::Log,
};
use crate::{
    BrokerError, Entry,
    engine::{Drain, Room},
};

/// How many messages are read at once.
const PAGE: usize = 256;

/// How many messages are read when a room gets its first member.
const FIRST_PAGE: usize = 4096;

/// The first and the longest pause after the broker has not answered.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often the broker is asked for a message that the next one names, before that message counts as lost.
const TRIES: u32 = 5;

/// How many messages of a room may wait for a drain of another task.
const WAITING: usize = 64;

pub(super) struct Pump {
    history: Arc<History>,
    log: Arc<Log<Sender>>,
    pause: Duration,
    /// How often the broker was asked for the message before the next one.
    tries: u32,
    /// When the look under way began.
    asked: Option<Instant>,
    /// The drain of the room, if it is the pump's to run. Kept like this, it cannot be lost with the pump.
    drain: Option<Drain<Sender>>,
    is_done: bool,
}

impl Pump {
    /// Starts the pump of a log, whose lock has said so.
    pub(super) fn start(history: &Arc<History>, log: Arc<Log<Sender>>) {
        let pump =
            Self { history: history.clone(), log, pause: PAUSE, tries: 0, asked: None, drain: None, is_done: false };
        history.link.runtime().spawn(pump.run());
    }

    async fn run(mut self) {
        while !self.history.link.is_closed() {
            match self.log.next_work() {
                None => break,
                Some(Work::Subscribe) => self.subscribe().await,
                Some(Work::Look) => self.look().await,
                Some(Work::Entries(entries)) => self.entries(entries).await,
                Some(Work::Close) => {
                    if self.close().await {
                        break;
                    }
                }
            }
            tokio::task::yield_now().await;
        }
        self.is_done = true;
    }

    async fn subscribe(&mut self) {
        let asked = Instant::now();
        let topic = self.log.topic.clone();
        let subscribed = self.history.link.subscribe(vec![topic]).await;
        let page = match subscribed {
            Ok(()) => {
                let topic = self.log.topic.clone();
                self.history.read(topic, None, self.log.keep.messages.min(FIRST_PAGE)).await
            }
            Err(error) => Err(error),
        };
        let page = match page {
            Ok(page) => page,
            Err(error) => return self.failed(error).await,
        };
        self.pause = PAUSE;
        let mut entries = without_hole(page.entries);
        if entries.last().map(|last| last.at) != page.top {
            entries.clear();
        }
        let messages = entries.iter().map(|entry| self.frame(entry, self.history.digest(entry)).0).collect();
        if self.log.owes_gap() {
            // Not earlier: whoever loads everything at the gap has all that is in the history by now. What comes after that is
            // delivered.
            self.gap().await;
        }
        self.log.begin(messages, page.top, asked);
        self.spare_memory();
    }

    /// Reads what comes after the head.
    async fn look(&mut self) {
        let asked = *self.asked.get_or_insert_with(Instant::now);
        let after = self.log.head();
        let most = if after.is_some() { PAGE } else { self.log.keep.messages.min(FIRST_PAGE) };
        let page = match self.history.read(self.log.topic.clone(), after, most).await {
            Ok(page) => page,
            Err(error) => return self.failed(error).await,
        };
        self.pause = PAUSE;
        let mut has_hole = match after {
            Some(_) => !page.is_contiguous,
            None => page.entries.first().is_some_and(|first| first.after != 0),
        };
        if page.entries.is_empty() && page.top.is_some() && page.top != after {
            self.gap().await;
            self.log.skip_to(page.top);
            has_hole = false;
        }
        // Without a history, nothing can be read, and nothing is known to be missing: it may have expired.
        has_hole &= page.top.is_some();
        for entry in page.entries {
            let digest = self.history.digest(&entry);
            match self.log.relation(&entry, digest) {
                Relation::Next => {}
                Relation::Seen => continue,
                Relation::Forked => return self.forked().await,
                Relation::Ahead => has_hole = true,
            }
            if std::mem::take(&mut has_hole) {
                self.gap().await;
            }
            self.tries = 0;
            self.take(&entry, digest).await;
        }
        if has_hole {
            // The end of the history is before the head.
            return self.forked().await;
        }
        if page.is_last {
            self.asked = None;
            self.log.looked(asked, page.top.is_some());
        }
        self.deliver().await;
    }

    /// Takes messages that have arrived.
    async fn entries(&mut self, entries: Vec<Entry>) {
        let mut entries = entries.into_iter();
        while let Some(entry) = entries.next() {
            let digest = self.history.digest(&entry);
            match self.log.relation(&entry, digest) {
                Relation::Next => {}
                Relation::Seen => continue,
                Relation::Forked => return self.forked().await,
                Relation::Ahead if self.tries < TRIES => {
                    let pause = PAUSE * self.tries;
                    self.tries += 1;
                    self.log.put_back(iter::once(entry).chain(entries));
                    self.deliver().await;
                    if pause > Duration::ZERO {
                        sleep(pause).await;
                    }
                    return;
                }
                Relation::Ahead => self.gap().await,
            }
            self.tries = 0;
            self.take(&entry, digest).await;
        }
        self.deliver().await;
    }

    /// Moves the head on, to a message.
    async fn take(&mut self, entry: &Entry, digest: u64) {
        let (framed, is_framed) = self.frame(entry, digest);
        let room = self.log.take(framed, |id| self.history.members.is_here(id));
        self.own(room);
        self.spare_memory();
        if !is_framed {
            self.gap().await;
        }
    }

    /// The message as members get it. `false` if the application's own code has panicked.
    fn frame(&self, entry: &Entry, digest: u64) -> (Framed, bool) {
        let Entry { after, at, .. } = *entry;
        let framing = &self.history.engine.framing;
        let name = self.log.topic.name();
        let (message, except) = self.history.open(entry);
        let framed = catch_unwind(AssertUnwindSafe(|| {
            let instead = if except.is_empty() { None } else { framing.instead(name, at) };
            (message.and_then(|message| framing.message(name, Some(at), message)), instead)
        }));
        let is_framed = framed.is_ok();
        if !is_framed {
            tracing::error!(room = name, position = %at, "the closure of Builder::frame has panicked; nobody gets the message");
        }
        let (message, instead) = framed.unwrap_or_default();
        (Framed { after, at, digest, message, except, instead }, is_framed)
    }

    /// Tells the members of a gap.
    async fn gap(&mut self) {
        let name = self.log.topic.name();
        let framing = &self.history.engine.framing;
        let message = catch_unwind(AssertUnwindSafe(|| framing.gap(name))).unwrap_or_default();
        tracing::warn!(room = name, "the history of the room has lost messages that members may have missed");
        self.history.engine.counters.gap();
        self.history.engine.events.gap(name);
        let room = self.log.send_gap(message);
        self.own(room);
        self.deliver().await;
    }

    /// The members have a message that is not in the history.
    async fn forked(&mut self) {
        self.asked = None;
        self.tries = 0;
        self.deliver().await;
        self.log.reset();
    }

    /// The drain of this room is the pump's.
    fn own(&mut self, room: Option<Arc<Room<Sender>>>) {
        if let Some(room) = room {
            self.drain = Some(self.history.engine.own_drain(room));
        }
    }

    /// Gives the members what was sent to their room.
    async fn deliver(&mut self) {
        if let Some(drain) = self.drain.take() {
            return drain.run_as_task().await;
        }
        // Another drain has the messages. The pump waits for it, so that what waits in the room stays little.
        let Some(room) = self.log.room() else { return };
        let mut rounds = 0;
        while room.pending() > WAITING {
            if room.take_over_drain() {
                return self.history.engine.own_drain(room).run_as_task().await;
            }
            rounds += 1;
            match rounds % WAITING {
                0 => sleep(Duration::from_millis(1)).await,
                _ => tokio::task::yield_now().await,
            }
        }
    }

    async fn failed(&mut self, error: BrokerError) {
        tracing::debug!(room = self.log.topic.name(), %error, "the history of the room waits for the broker");
        self.log.failed(error);
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Ends the subscription. Returns whether this is the end of the log.
    async fn close(&mut self) -> bool {
        let topic = self.log.topic.clone();
        if let Err(error) = self.history.link.unsubscribe(vec![topic]).await {
            // What still arrives is for nobody.
            tracing::debug!(room = self.log.topic.name(), %error, "a room that is empty may still be subscribed to");
        }
        self.history.logs.remove_if_unused(self.log.topic.name(), &self.log)
    }

    /// The room that gets messages gives memory back first, and all others at the next look at them.
    fn spare_memory(&self) {
        if self.log.memory.is_used_up() {
            self.log.give_back();
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        if !self.is_done {
            // The runtime ends, or code of others has panicked. Not restarted here: a runtime that ends drops new tasks at once.
            self.log.lose_pump();
            self.history.lost_pump.notify_one();
        }
    }
}
