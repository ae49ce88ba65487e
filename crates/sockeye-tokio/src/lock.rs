//! Locks whose release wakes whoever was meant to be woken under them.

use std::{
    ops::{Deref, DerefMut},
    task::Waker,
};

use crate::sync::{Mutex, MutexGuard};

/// A lock that is held. When it is released, the wakers that were collected under it are woken: a waker may run
/// anything, even something that takes the same lock.
pub(crate) struct Locked<'a, T: Wakes> {
    // Dropped in this order: the lock is released, then they are woken.
    guard: MutexGuard<'a, T>,
    due: WokenOnDrop,
}

/// What collects wakers.
pub(crate) trait Wakes {
    /// Whether somebody is to be woken.
    fn is_due(&self) -> bool;

    /// Those that are to be woken, which are none from now on.
    fn take_due(&mut self) -> Due;
}

/// Those that are to be woken.
#[derive(Default)]
pub(crate) struct Due {
    pub(crate) first: Option<Waker>,
    pub(crate) others: List,
}

/// Wakers, of which there are mostly none: then it is a pointer.
#[derive(Default)]
#[allow(
    clippy::box_collection,
    reason = "every connection has two of these, nearly always empty: 16 bytes are saved in each"
)]
pub(crate) struct List(Option<Box<Vec<Waker>>>);

impl List {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn push(&mut self, waker: Waker) {
        self.0.get_or_insert_default().push(waker);
    }

    /// Takes over what is due elsewhere, where it cannot be woken yet.
    pub(crate) fn add(&mut self, due: Due) {
        self.extend(due.first);
        self.extend(due.others);
    }
}

impl IntoIterator for List {
    type Item = Waker;
    type IntoIter = std::vec::IntoIter<Waker>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map(|list| *list).unwrap_or_default().into_iter()
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
        Self { guard: mutex.lock(), due: WokenOnDrop(Due::default()) }
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
        if self.guard.is_due() {
            self.due.0 = self.guard.take_due();
        }
    }
}

struct WokenOnDrop(Due);

impl Drop for WokenOnDrop {
    #[inline]
    fn drop(&mut self) {
        if self.0.first.is_some() || !self.0.others.is_empty() {
            wake(std::mem::take(&mut self.0));
        }
    }
}

/// Releases the lock, and wakes whoever is to be woken: what the drop of [`Locked`] does, in place where that counts. A guard
/// that is dropped without it, as by a panic, leaves that to whoever takes the lock next.
#[inline(always)]
pub(crate) fn release<T: Wakes>(guard: MutexGuard<'_, T>) {
    if guard.is_due() {
        release_waking(guard);
    }
}

// Apart, so that the release of a lock is short where nobody is to be woken.
#[cold]
#[inline(never)]
fn release_waking<T: Wakes>(mut guard: MutexGuard<'_, T>) {
    let due = guard.take_due();
    drop(guard);
    wake(due);
}

#[cold]
#[inline(never)]
fn wake(due: Due) {
    due.first.into_iter().chain(due.others).for_each(Waker::wake);
}
