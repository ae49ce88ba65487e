//! Locks that collect wakers and events. After the release, the wakers are woken and the events are reported.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    task::Waker,
};

use sockeye_proto::{CloseFrame, SharedMessage};

use crate::{
    stream::WriteHalf,
    sync::{Mutex, MutexGuard},
};

/// A held lock. After its release, the wakers collected under it are woken, and the events reported: a waker or a `tracing`
/// subscriber may run any code, even code that takes the same lock.
pub(crate) struct Locked<'a, T: Wakes> {
    // Dropped in this order: first the lock is released, then the tasks are woken.
    guard: MutexGuard<'a, T>,
    wakeups: WokenOnDrop,
}

/// A state behind a lock that collects what to do once the lock is released.
pub(crate) trait Wakes {
    /// Whether there is anything to do.
    fn has_wakeups(&self) -> bool;

    /// Takes the work to do.
    fn take_wakeups(&mut self) -> Wakeups;
}

/// All that was collected under one lock. Nearly always that is at most one waker, which needs no allocation.
#[derive(Default)]
pub(crate) struct Wakeups {
    pub(crate) first: Option<Waker>,
    pub(crate) others: List,
}

impl Wakeups {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.others.is_empty()
    }
}

/// A piece of work for the time after the release of the lock.
pub(crate) enum Later {
    Wake(Waker),
    Log(LogEvent),
    /// Drops a waker. The last waker of a task may drop the task, and all that the task holds.
    Forget(Waker),
    /// Drops a stream that has failed.
    Close(WriteHalf),
    /// Drops a message, whose memory may belong to the application.
    Drop(Arc<SharedMessage>),
}

/// Pieces of work for the time after the release, in order. Nearly always empty, so this is only a pointer.
#[derive(Default)]
#[allow(
    clippy::box_collection,
    reason = "every connection has two of these, nearly always empty: 16 bytes are saved in each"
)]
pub(crate) struct List(Option<Box<Vec<Later>>>);

impl List {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn push(&mut self, waker: Waker) {
        self.0.get_or_insert_default().push(Later::Wake(waker));
    }

    pub(crate) fn add_one(&mut self, later: Later) {
        self.0.get_or_insert_default().push(later);
    }

    /// Does all the work. Must be called without any lock.
    pub(crate) fn run(self) {
        // Dropped last: the destructor of a payload may be slow, or panic. Nearly always there is only one.
        let mut message = None;
        let mut messages = Vec::new();
        for later in self.0.map(|list| *list).into_iter().flatten() {
            match later {
                Later::Wake(waker) => waker.wake(),
                Later::Log(event) => event.log(),
                Later::Forget(waker) => drop(waker),
                Later::Close(stream) => drop(stream),
                Later::Drop(next) => messages.extend(message.replace(next)),
            }
        }
    }

    /// Adds the wakeups that were collected under another lock.
    pub(crate) fn add(&mut self, wakeups: Wakeups) {
        self.extend(wakeups.first);
        if let Some(others) = wakeups.others.0 {
            self.0.get_or_insert_default().extend(*others);
        }
    }
}

/// An event of a connection for its log.
pub(crate) enum LogEvent {
    /// The peer has broken a rule or exceeded a limit.
    Failed(sockeye_proto::Error),
    /// The reason of a Close was too long: its length in bytes.
    ReasonCut(usize),
    /// The budget has picked this connection, which held this many queued and unread bytes.
    Evicted(usize),
}

impl LogEvent {
    fn log(self) {
        match self {
            Self::Failed(error) => tracing::debug!(%error, "the peer is answered with a Close"),
            Self::ReasonCut(length) => tracing::warn!(
                length,
                "the reason of a Close is cut: a control frame has room for {} bytes of it",
                CloseFrame::MAX_REASON
            ),
            Self::Evicted(buffered) => tracing::warn!(buffered, "the largest queue of the budget is dropped"),
        }
    }
}

impl Extend<Waker> for List {
    fn extend<I: IntoIterator<Item = Waker>>(&mut self, wakers: I) {
        wakers.into_iter().for_each(|waker| self.push(waker));
    }
}

impl<'a, T: Wakes> Locked<'a, T> {
    #[inline]
    pub(crate) fn new(mutex: &'a Mutex<T>) -> Self {
        Self { guard: mutex.lock(), wakeups: WokenOnDrop(Wakeups::default()) }
    }
}

impl<T: Wakes> Deref for Locked<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: Wakes> DerefMut for Locked<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: Wakes> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.guard.has_wakeups() {
            self.wakeups.0 = self.guard.take_wakeups();
        }
    }
}

struct WokenOnDrop(Wakeups);

impl Drop for WokenOnDrop {
    #[inline]
    fn drop(&mut self) {
        if !self.0.is_empty() {
            wake(std::mem::take(&mut self.0));
        }
    }
}

/// A lock that is held until [`release`]. A release does the same as the drop of [`Locked`], but is inlined for speed. If a
/// panic drops a guard without `release`, the collected work is done when the lock is released the next time.
pub(crate) struct Guard<'a, T: Wakes>(MutexGuard<'a, T>);

#[inline(always)]
pub(crate) fn lock<T: Wakes>(mutex: &Mutex<T>) -> Guard<'_, T> {
    Guard(mutex.lock())
}

impl<T: Wakes> Deref for Guard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Wakes> DerefMut for Guard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[cfg(debug_assertions)]
impl<T: Wakes> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        assert!(
            std::thread::panicking() || !self.0.has_wakeups(),
            "a lock was dropped with wake-ups, and not released"
        );
    }
}

/// Releases the lock, then wakes the collected wakers and does the other collected work.
#[inline(always)]
pub(crate) fn release<T: Wakes>(guard: Guard<'_, T>) {
    if guard.has_wakeups() {
        release_waking(guard);
    }
}

// Not inlined, so that a release without wakeups is short.
#[cold]
#[inline(never)]
fn release_waking<T: Wakes>(mut guard: Guard<'_, T>) {
    let wakeups = guard.take_wakeups();
    drop(guard);
    wake(wakeups);
}

#[cold]
#[inline(never)]
fn wake(wakeups: Wakeups) {
    wakeups.first.into_iter().for_each(Waker::wake);
    wakeups.others.run();
}
