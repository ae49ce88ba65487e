//! Who is in a room, for one page.

use std::time::Duration;

use tokio::{
    sync::oneshot::{self, error::TryRecvError},
    time::{Instant, sleep_until},
};

use super::answer::{Answer, News, PersonOnWire};
use crate::{Hub, Presence, PresenceChange};

/// Above so many people, a page is told how many there are, and no more who.
const MOST_NAMED: usize = 1_000;

/// Below so many, it is told again who they are. Less than `MOST_NAMED`, so that one person who comes and goes is not each time a list of
/// all.
const NAMED_AGAIN: usize = 900;

/// How often a page is told the number, at most.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Tells a page who is in a room.
pub(crate) struct Watch<T> {
    hub: Hub<T>,
    room: String,
    presence: Presence,
    counting: Option<Counting>,
    /// Whether the page has been told anything yet.
    has_begun: bool,
    /// Ready once the page wants to know no more.
    end: oneshot::Receiver<()>,
}

/// While a page is told only how many people there are.
struct Counting {
    /// The number that it was told last.
    told: usize,
    /// When it may be told the next.
    next: Instant,
}

impl<T: Send + Sync + 'static> Watch<T> {
    pub(crate) fn new(hub: Hub<T>, room: String, presence: Presence, end: oneshot::Receiver<()>) -> Self {
        Self { hub, room, presence, counting: None, has_begun: false, end }
    }

    /// Waits for the next frame; the first is there at once. It is made when it can be sent, and not before: a list may be long. `None`
    /// once the page, or the presence of the room, has ended.
    pub(crate) async fn next(mut self) -> Option<(Self, String)> {
        if !self.has_begun {
            self.has_begun = true;
            if self.end.try_recv() != Err(TryRecvError::Empty) {
                return None;
            }
            let first = if self.is_crowded() { self.tell_count() } else { self.all() };
            return Some((self, first));
        }
        loop {
            let count = self.presence.count();
            let count_at =
                self.counting.as_ref().filter(|counting| counting.told != count).map(|counting| counting.next);
            let change = tokio::select! {
                biased;
                // First: after the end, the page is told nothing more.
                _ = &mut self.end => return None,
                change = self.presence.next() => change?,
                () = sleep_until(count_at.unwrap_or_else(Instant::now)), if count_at.is_some() => {
                    let frame = self.tell_count();
                    return Some((self, frame));
                }
            };
            if let Some(frame) = self.changed(change).await {
                return Some((self, frame));
            }
        }
    }

    async fn changed(&mut self, change: PresenceChange) -> Option<String> {
        if self.counting.is_none() {
            if self.is_crowded() {
                return Some(self.tell_count());
            }
            let news = match &change {
                PresenceChange::Joined(person) => News::Joined(PersonOnWire::new(person)),
                PresenceChange::Updated(person) => News::Updated(PersonOnWire::new(person)),
                PresenceChange::Left(person) => News::Left(person.key()),
                PresenceChange::Reset(all) => News::All(all.iter().map(PersonOnWire::new).collect()),
            };
            return Some(Answer::Who { room: &self.room, news }.text());
        }
        if self.presence.count() >= NAMED_AGAIN {
            return None;
        }
        // Few enough to be named. Who they are is asked anew: the names of the many were not kept.
        self.presence = self.hub.presence(&self.room).await.ok()?;
        if self.is_crowded() {
            return None;
        }
        self.counting = None;
        Some(self.all())
    }

    fn is_crowded(&self) -> bool {
        self.presence.count() > MOST_NAMED
    }

    fn all(&mut self) -> String {
        // The page keeps who is there, and this task does not.
        let all = self.presence.take_snapshot();
        let all = all.iter().map(PersonOnWire::new).collect();
        Answer::Who { room: &self.room, news: News::All(all) }.text()
    }

    fn tell_count(&mut self) -> String {
        self.presence.take_snapshot();
        let count = self.presence.count();
        self.counting = Some(Counting { told: count, next: Instant::now() + COUNT_EVERY });
        Answer::Who { room: &self.room, news: News::Count(count) }.text()
    }
}
