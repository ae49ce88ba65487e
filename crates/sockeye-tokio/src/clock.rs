//! The clock of a thread: tells its connections, all of them, what time it is and when their deadlines have come.
//!
//! A timer of tokio for each connection would be a tenth of what an idle one takes, and reading the time for each message
//! a part of what that costs. So one task for each thread ticks, once a second or so; in between the time stands still,
//! unless somebody asks for it [exactly](Clock::look).

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    num::NonZeroU32,
    pin::{Pin, pin},
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    runtime,
    sync::Notify,
    time::{Instant, Sleep, sleep_until},
};

use crate::{
    places::{Place, Places},
    shared::Shared,
};

/// A moment of a [`Clock`], in hundredths of a second, which begin anew after 497 days. Two that are compared are never half
/// of that apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(NonZeroU32);

const UNIT: Duration = Duration::from_millis(10);

/// The longest duration that counts.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// How often a clock ticks at least.
const TICK: Duration = Duration::from_secs(1);

impl Moment {
    /// The beginning of a clock.
    pub(crate) const ZERO: Self = Self(NonZeroU32::MIN);

    fn at(units: u32) -> Self {
        // Once in 497 days something comes a hundredth of a second too late.
        Self(NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN))
    }

    /// The moment that follows after `duration`, or up to a hundredth of a second later.
    #[must_use]
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self::at(self.0.get().wrapping_add(units(duration)))
    }

    /// Whether it is this moment, or later.
    pub(crate) fn is_reached(self, now: Self) -> bool {
        now.0.get().wrapping_sub(self.0.get()).cast_signed() >= 0
    }

    /// The earlier of both.
    #[must_use]
    pub(crate) fn min(self, other: Self) -> Self {
        if self.is_reached(other) { self } else { other }
    }
}

/// At least one, so that nothing comes at once that was meant to be waited for.
fn units(duration: Duration) -> u32 {
    duration.min(LONGEST).as_millis().div_ceil(UNIT.as_millis()).max(1) as u32
}

/// The clock of a thread and a runtime.
pub(crate) struct Clock {
    began: Instant,
    /// As of the last tick, or of the last look.
    now: AtomicU32,
    /// How far apart the ticks are, in the units of a moment.
    tick: AtomicU32,
    state: Mutex<State>,
    /// Something is due before the next tick.
    earlier: Notify,
}

#[derive(Default)]
struct State {
    connections: Places<Weak<Shared>>,
    /// For each place the moment at which its connection is to be woken, if any. Apart from who that is, since it is all
    /// that a tick looks at.
    due: Vec<Option<Moment>>,
    /// The next tick, if there is a task that ticks.
    next: Option<Moment>,
}

thread_local!(static HERE: RefCell<Option<(runtime::Id, Arc<Clock>)>> = const { RefCell::new(None) });

impl Clock {
    /// The clock of this thread, in the runtime that it runs.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn here() -> Arc<Self> {
        let id = runtime::Handle::current().id();
        HERE.with_borrow_mut(|here| match here {
            Some((of, clock)) if *of == id => clock.clone(),
            _ => here.insert((id, Arc::new(Self::new()))).1.clone(),
        })
    }

    fn new() -> Self {
        Self {
            began: Instant::now(),
            now: AtomicU32::new(Moment::ZERO.0.get()),
            tick: AtomicU32::new(units(TICK)),
            state: Mutex::default(),
            earlier: Notify::new(),
        }
    }

    /// What time it was at the last tick.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        Moment::at(self.now.load(Ordering::Relaxed))
    }

    /// What time it is.
    pub(crate) fn look(&self) -> Moment {
        let elapsed = (self.began.elapsed().as_millis() / UNIT.as_millis()) as u32;
        let now = Moment::at(Moment::ZERO.0.get().wrapping_add(elapsed));
        self.now.store(now.0.get(), Ordering::Relaxed);
        now
    }

    /// How much later than [`now`](Self::now) it may be.
    pub(crate) fn tick(&self) -> Duration {
        UNIT * self.tick.load(Ordering::Relaxed)
    }

    /// Gives a place to a connection, the shortest of whose deadlines is `shortest`.
    ///
    /// # Panics
    ///
    /// In a runtime without timers.
    pub(crate) fn register(self: &Arc<Self>, shared: &Arc<Shared>, shortest: Duration) -> Place {
        let tick = (shortest / 16).clamp(UNIT, TICK);
        let mut state = self.state.lock();
        if state.next.is_none() {
            self.tick.store(units(tick), Ordering::Relaxed);
            let next = self.look().after(tick);
            state.next = Some(next);
            tokio::spawn(
                Ticking { clock: self.clone(), is_over: false }.run(Box::pin(sleep_until(self.instant(next)))),
            );
        } else if tick < self.tick() {
            self.tick.store(units(tick), Ordering::Relaxed);
            self.earlier.notify_one();
        }
        let place = state.connections.add(Arc::downgrade(shared));
        if state.due.len() <= place as usize {
            state.due.push(None);
        }
        place
    }

    /// Has the connection at `place` woken at `due`, and no more at the moment that was set before.
    pub(crate) fn set(&self, place: Place, due: Moment) {
        let mut state = self.state.lock();
        state.due[place as usize] = Some(due);
        if state.next.is_some_and(|next| !next.is_reached(due)) {
            self.earlier.notify_one();
        }
    }

    /// Takes a place back.
    pub(crate) fn release(&self, place: Place) {
        let mut state = self.state.lock();
        state.due[place as usize] = None;
        state.connections.take(place);
        if state.connections.is_empty() {
            // Nobody is left to tick for: the task ends now, and not a second later.
            self.earlier.notify_one();
        }
    }

    fn instant(&self, moment: Moment) -> Instant {
        let now = self.now();
        let elapsed = now.0.get().wrapping_sub(Moment::ZERO.0.get());
        self.began + UNIT * elapsed + UNIT * moment.0.get().wrapping_sub(now.0.get())
    }

    /// Wakes whose moment has come. Returns the next tick, unless there is nobody left to tick for.
    fn strike(&self) -> Option<Instant> {
        let mut woken = Vec::new();
        let mut state = self.state.lock();
        let now = self.look();
        if state.connections.is_empty() {
            *state = State::default();
            return None;
        }
        let State { connections, due, next } = &mut *state;
        let mut first = now.after(self.tick());
        for (place, due) in (0..).zip(due.iter_mut()) {
            match *due {
                Some(moment) if moment.is_reached(now) => {
                    *due = None;
                    woken.extend(connections.get(place).and_then(Weak::upgrade));
                }
                Some(moment) => first = first.min(moment),
                None => {}
            }
        }
        *next = Some(first);
        drop(state);
        for connection in woken {
            connection.wake_driver();
        }
        Some(self.instant(first))
    }
}

/// The task that ticks, as long as there are connections.
struct Ticking {
    clock: Arc<Clock>,
    is_over: bool,
}

impl Ticking {
    async fn run(mut self, mut sleep: Pin<Box<Sleep>>) {
        while let Some(next) = self.tick(sleep.as_mut()).await {
            sleep.as_mut().reset(next);
        }
        self.is_over = true;
    }

    async fn tick(&self, mut sleep: Pin<&mut Sleep>) -> Option<Instant> {
        let mut earlier = pin!(self.clock.earlier.notified());
        poll_fn(|cx| {
            if earlier.as_mut().poll(cx).is_ready() || sleep.as_mut().poll(cx).is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        self.clock.strike()
    }
}

impl Drop for Ticking {
    /// Its runtime has ended. If some connection goes on elsewhere, the next that registers has the clock tick again.
    fn drop(&mut self) {
        if !self.is_over {
            self.clock.state.lock().next = None;
        }
    }
}
