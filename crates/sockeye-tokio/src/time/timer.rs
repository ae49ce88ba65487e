//! The timer of a thread: tells all connections of the thread the time, and wakes those whose deadlines have passed.
//!
//! A tokio timer for each connection would take a tenth of an idle connection's memory, and reading the time for each
//! message would add to its cost. So one task for each thread ticks about once a second, and connections read the time of
//! the last tick. A connection that needs the exact time calls [`now`](Timer::now).

use std::{
    borrow::Borrow,
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashSet},
    future::{Future, poll_fn},
    hash::{BuildHasherDefault, Hash, Hasher},
    num::NonZeroU32,
    pin::{Pin, pin},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::Poll,
    thread::LocalKey,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    runtime,
    sync::Notify,
    time::{Instant, Sleep, sleep_until},
};

#[cfg(test)]
mod tests;

/// A point in time of a [`Timer`], in hundredths of a second. The count wraps around after 497 days, so only instants that are
/// less than half of that apart can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CoarseInstant(NonZeroU32);

const UNIT: Duration = Duration::from_millis(UNIT_MILLISECONDS);
const UNIT_MILLISECONDS: u64 = 10;

/// Identifies a connection of a timer. An id is reused only after four billion others.
pub(crate) type Id = u32;

/// Longer durations count as this one.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// The longest time between two ticks.
const TICK: Duration = Duration::from_secs(1);

impl CoarseInstant {
    /// The start of a timer.
    pub(crate) const ZERO: Self = Self(NonZeroU32::MIN);

    fn at(units: u32) -> Self {
        // 0 is not a value: once in 497 days an instant is a hundredth of a second late.
        Self(NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN))
    }

    /// This instant plus `duration` in hundredths of a second: rounded up, at least one, and at most [`LONGEST`].
    #[must_use]
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self::at(self.0.get().wrapping_add(units(duration)))
    }

    /// Whether `now` is this instant, or a later one.
    pub(crate) fn is_reached(self, now: Self) -> bool {
        now.0.get().wrapping_sub(self.0.get()) as i32 >= 0
    }

    /// The earlier of the two.
    #[must_use]
    pub(crate) fn min(self, other: Self) -> Self {
        if self.is_reached(other) { self } else { other }
    }

    /// The later of the two.
    #[must_use]
    pub(crate) fn max(self, other: Self) -> Self {
        if self.is_reached(other) { other } else { self }
    }
}

/// A duration in hundredths of a second: at least one, so that every wait takes some time.
fn units(duration: Duration) -> u32 {
    milliseconds(duration.min(LONGEST)).div_ceil(UNIT_MILLISECONDS).max(1) as u32
}

/// As `Duration::as_millis`, whose 128 bits make each division a long one.
fn milliseconds(duration: Duration) -> u64 {
    duration.as_secs() * 1_000 + u64::from(duration.subsec_millis())
}

/// The longest time between two ticks for a connection whose shortest deadline is `shortest`, in hundredths of a second.
fn tick_for(shortest: Duration) -> u32 {
    units((shortest / 16).min(TICK))
}

/// What a timer wakes when a deadline has passed.
pub(crate) trait Fire: Send + Sync + 'static {
    fn fire(&self);
}

/// The time of a timer, for code that only reads the time.
pub(crate) struct CoarseTime {
    began: Instant,
    /// The time of the last tick, or of the last call of `now`.
    now: AtomicU32,
}

impl CoarseTime {
    fn new() -> Self {
        Self { began: Instant::now(), now: AtomicU32::new(CoarseInstant::ZERO.0.get()) }
    }

    /// The time of the last tick, or of the last call of [`now`](Self::now) if that was later.
    #[inline]
    pub(crate) fn coarse_now(&self) -> CoarseInstant {
        CoarseInstant::at(self.now.load(Ordering::Relaxed))
    }

    /// The exact time, to a hundredth of a second.
    fn now(&self) -> CoarseInstant {
        let elapsed = (milliseconds(self.began.elapsed()) / UNIT_MILLISECONDS) as u32;
        let now = CoarseInstant::at(CoarseInstant::ZERO.0.get().wrapping_add(elapsed));
        self.now.store(now.0.get(), Ordering::Relaxed);
        now
    }
}

/// The timer of a thread in a runtime.
pub(crate) struct Timer<T> {
    time: Arc<CoarseTime>,
    /// The time between two ticks, in hundredths of a second.
    tick: AtomicU32,
    /// The runtime has ended, so the timer no longer ticks.
    has_stopped: AtomicBool,
    state: Mutex<State<T>>,
    /// Notified when the task of the timer must run before the next tick.
    earlier: Notify,
    /// How often the timer has walked all its connections.
    #[cfg(test)]
    fired: AtomicU32,
}

struct State<T> {
    /// A set, since a map would need twice the memory: padding follows both its keys and its values.
    connections: HashSet<Entry<T>, BuildHasherDefault<IdHasher>>,
    /// The number of connections by the time between two ticks that they need, in hundredths of a second. The shortest time
    /// counts.
    ticks: BTreeMap<u32, u32>,
    /// The next tick, if the task of the timer runs.
    next: Option<CoarseInstant>,
    last_id: Id,
}

/// A connection, found by its id.
struct Entry<T> {
    connection: Weak<T>,
    id: Id,
    /// When to wake the connection, if at all.
    due: Cell<Option<CoarseInstant>>,
}

impl<T> Borrow<Id> for Entry<T> {
    fn borrow(&self) -> &Id {
        &self.id
    }
}

impl<T> Hash for Entry<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// A hash for ids. A peer does not choose its id, so the hash needs no key, and one multiplication spreads ids that are counted up.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, id: u32) {
        // The fraction of the golden ratio. It is odd, so that ids which differ in their lower bits have hashes that do.
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for Entry<T> {}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self { connections: HashSet::default(), ticks: BTreeMap::new(), next: None, last_id: 0 }
    }
}

impl<T> State<T> {
    /// The shortest time between two ticks that any connection needs.
    fn fastest(&self) -> u32 {
        self.ticks.keys().next().copied().unwrap_or_else(|| units(TICK))
    }

    fn add(&mut self, connection: Weak<T>, tick: u32) -> Id {
        while self.connections.contains(&self.last_id) {
            self.last_id = self.last_id.wrapping_add(1);
        }
        let id = self.last_id;
        // The next id is most likely free, so no search is needed.
        self.last_id = id.wrapping_add(1);
        self.connections.insert(Entry { connection, id, due: Cell::new(None) });
        *self.ticks.entry(tick).or_default() += 1;
        id
    }

    fn take(&mut self, id: Id, tick: u32) {
        if !self.connections.remove(&id) {
            return;
        }
        if self.connections.len() < self.connections.capacity() / 8 {
            self.connections.shrink_to(self.connections.len() * 2);
        }
        if let Some(count) = self.ticks.get_mut(&tick) {
            *count -= 1;
            if *count == 0 {
                self.ticks.remove(&tick);
            }
        }
    }
}

/// The timer that a thread has used last, and its runtime.
pub(crate) type ThreadTimer<T> = RefCell<Option<(runtime::Id, Arc<Timer<T>>)>>;

impl<T: Fire> Timer<T> {
    /// The timer of this thread, in the current runtime.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn of_thread(here: &'static LocalKey<ThreadTimer<T>>) -> Arc<Self> {
        let id = runtime::Handle::current().id();
        here.with_borrow_mut(|here| match here {
            Some((of, timer)) if *of == id => timer.clone(),
            _ => here.insert((id, Arc::new(Self::new()))).1.clone(),
        })
    }

    fn new() -> Self {
        Self {
            time: Arc::new(CoarseTime::new()),
            tick: AtomicU32::new(units(TICK)),
            has_stopped: AtomicBool::new(false),
            state: Mutex::default(),
            earlier: Notify::new(),
            #[cfg(test)]
            fired: AtomicU32::new(0),
        }
    }

    /// The time of this timer.
    pub(crate) fn time(&self) -> &Arc<CoarseTime> {
        &self.time
    }

    /// The time of the last tick, or of the last call of [`now`](Self::now) if that was later.
    #[inline]
    pub(crate) fn coarse_now(&self) -> CoarseInstant {
        self.time.coarse_now()
    }

    /// The exact time, to a hundredth of a second.
    pub(crate) fn now(&self) -> CoarseInstant {
        self.time.now()
    }

    /// The longest time between two ticks: [`coarse_now`](Self::coarse_now) is late by at most as much.
    pub(crate) fn tick(&self) -> Duration {
        UNIT * self.tick.load(Ordering::Relaxed)
    }

    /// Whether the runtime of the timer has ended, so that the timer no longer ticks.
    #[inline]
    pub(crate) fn has_stopped(&self) -> bool {
        self.has_stopped.load(Ordering::Relaxed)
    }

    /// Adds a connection whose shortest deadline is `shortest`. The cost does not depend on the other connections.
    ///
    /// # Panics
    ///
    /// In a runtime without timers.
    pub(crate) fn register(self: &Arc<Self>, connection: &Arc<T>, shortest: Duration) -> Id {
        let (id, first) = {
            let mut state = self.state.lock();
            let id = state.add(Arc::downgrade(connection), tick_for(shortest));
            let fastest = state.fastest();
            let before = self.tick.swap(fastest, Ordering::Relaxed);
            if state.next.is_none() {
                let next = self.now().after(UNIT * fastest);
                state.next = Some(next);
                self.has_stopped.store(false, Ordering::Relaxed);
                (id, Some(next))
            } else {
                if fastest < before {
                    self.earlier.notify_one();
                }
                (id, None)
            }
        };
        if let Some(next) = first {
            // Not under the lock: a runtime that shuts down drops the task at once, which takes the lock.
            let ticking = Ticking { timer: self.clone(), is_over: false };
            tokio::spawn(ticking.run(Box::pin(sleep_until(self.instant(next)))));
        }
        id
    }

    /// Sets the time at which the connection is woken, instead of the time that was set before.
    pub(crate) fn set(&self, id: Id, due: CoarseInstant) {
        let state = self.state.lock();
        let Some(entry) = state.connections.get(&id) else { return };
        entry.due.set(Some(due));
        if state.next.is_some_and(|next| !next.is_reached(due)) {
            self.earlier.notify_one();
        }
    }

    /// Removes a connection that was registered with `shortest`. From now on, the timer ticks no faster than the other
    /// connections need.
    pub(crate) fn release(&self, id: Id, shortest: Duration) {
        let mut state = self.state.lock();
        state.take(id, tick_for(shortest));
        self.tick.store(state.fastest(), Ordering::Relaxed);
        if state.connections.is_empty() {
            // No connection is left, so the task ends now instead of at the next tick.
            self.earlier.notify_one();
        }
    }

    /// `coarse` as a tokio `Instant`. Must be less than 248 days away.
    fn instant(&self, coarse: CoarseInstant) -> Instant {
        let now = self.now();
        // Relative to now, not to the beginning, since the count wraps around after 497 days.
        match coarse.0.get().wrapping_sub(now.0.get()) as i32 {
            ahead @ 1.. => Instant::now() + UNIT * ahead as u32,
            _ => Instant::now(),
        }
    }

    /// Wakes every connection whose deadline has passed. Returns the next tick, or `None` if no connection is left.
    fn fire(&self) -> Option<Instant> {
        #[cfg(test)]
        self.fired.fetch_add(1, Ordering::Relaxed);
        let mut woken = Vec::new();
        let mut state = self.state.lock();
        let now = self.now();
        if state.connections.is_empty() {
            *state = State { last_id: state.last_id, ..State::default() };
            return None;
        }
        let mut first = now.after(self.tick());
        for Entry { connection, due, .. } in &state.connections {
            match due.get() {
                Some(at) if at.is_reached(now) => {
                    due.set(None);
                    woken.extend(connection.upgrade());
                }
                Some(at) => first = first.min(at),
                None => {}
            }
        }
        state.next = Some(first);
        drop(state);
        for connection in woken {
            connection.fire();
        }
        Some(self.instant(first))
    }
}

/// The task of a timer, which runs as long as there are connections.
struct Ticking<T: Fire> {
    timer: Arc<Timer<T>>,
    is_over: bool,
}

impl<T: Fire> Ticking<T> {
    async fn run(mut self, mut sleep: Pin<Box<Sleep>>) {
        while let Some(next) = self.tick(sleep.as_mut()).await {
            sleep.as_mut().reset(next);
        }
        self.is_over = true;
    }

    async fn tick(&self, mut sleep: Pin<&mut Sleep>) -> Option<Instant> {
        let mut earlier = pin!(self.timer.earlier.notified());
        poll_fn(|cx| {
            if earlier.as_mut().poll(cx).is_ready() || sleep.as_mut().poll(cx).is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        self.timer.fire()
    }
}

impl<T: Fire> Drop for Ticking<T> {
    /// Marks the timer as stopped, if its runtime has ended. A connection that is polled in another runtime takes the timer
    /// of that runtime.
    fn drop(&mut self) {
        if !self.is_over {
            self.timer.state.lock().next = None;
            self.timer.has_stopped.store(true, Ordering::Relaxed);
        }
    }
}
