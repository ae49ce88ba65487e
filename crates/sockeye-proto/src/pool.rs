//! Values that a pool of the thread lends, so that what a connection needs only while it is busy is no part of one that
//! waits.
//!
//! A thread local that has to be dropped is asked at each access whether it is still there, which takes as long as the rest
//! of it. The pools are not dropped: [`AT_EXIT`] is, which empties those that have asked for it. (Where thread locals are keys
//! of the system, which destroys them in any order, as on Windows with GNU, what is in a pool may be lost with its thread.)

use std::{
    cell::{Cell, RefCell},
    mem::ManuallyDrop,
    thread::LocalKey,
};

/// At most this many wait in each pool of a thread, with 64 KiB each: a thread runs one task at a time, so more than a few
/// are in use only while slow clients hold theirs, and those are let go.
const POOLED: usize = 8;

/// The values of a thread that nobody uses.
pub(crate) struct Pool<T> {
    /// The one that was given back last: where connections take turns, there is no other.
    last: Cell<ManuallyDrop<Option<T>>>,
    others: RefCell<ManuallyDrop<Vec<T>>>,
    /// Whether it will be emptied when the thread ends. Else it holds nothing.
    is_open: Cell<bool>,
}

impl<T: 'static> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self {
            last: Cell::new(ManuallyDrop::new(None)),
            others: RefCell::new(ManuallyDrop::new(Vec::new())),
            is_open: Cell::new(false),
        }
    }

    #[inline(always)]
    fn replace(&self, value: Option<T>) -> Option<T> {
        ManuallyDrop::into_inner(self.last.replace(ManuallyDrop::new(value)))
    }

    #[cold]
    fn take_other(&self) -> Option<T> {
        self.others.borrow_mut().pop()
    }

    #[cold]
    fn keep_other(&self, other: T) {
        let mut others = self.others.borrow_mut();
        if self.is_open.get() && others.len() < POOLED - 1 {
            others.push(other);
        }
    }

    fn close(&self) {
        self.is_open.set(false);
        drop(self.replace(None));
        drop(ManuallyDrop::into_inner(self.others.replace(ManuallyDrop::new(Vec::new()))));
    }
}

/// Takes a value from the pool, if there is one.
#[inline(always)]
pub(crate) fn take<T>(pool: &'static LocalKey<Pool<T>>) -> Option<T> {
    pool.with(|pool| pool.replace(None).or_else(|| pool.take_other()))
}

/// Gives a value to the pool, or drops it if there are enough.
#[inline(always)]
pub(crate) fn give<T>(pool: &'static LocalKey<Pool<T>>, value: T) {
    if let Some(other) = swap(pool, value) {
        pool.with(|pool| pool.keep_other(other));
    }
}

/// Gives a value to the pool in place of the one that was given last. Returns that one, or the value where the pool is closed.
#[inline(always)]
fn swap<T>(pool: &'static LocalKey<Pool<T>>, value: T) -> Option<T> {
    if pool.with(|pool| pool.is_open.get()) || open(pool) {
        pool.with(|pool| pool.replace(Some(value)))
    } else {
        Some(value)
    }
}

/// Whether the thread goes on, and will empty the pool at its end.
#[cold]
fn open<T>(pool: &'static LocalKey<Pool<T>>) -> bool {
    let asked = AT_EXIT.try_with(|at_exit| at_exit.0.borrow_mut().push(Box::new(|| pool.with(Pool::close))));
    pool.with(|pool| pool.is_open.set(asked.is_ok()));
    asked.is_ok()
}

thread_local!(static AT_EXIT: AtExit = const { AtExit(RefCell::new(Vec::new())) });

/// What is done when a thread ends.
struct AtExit(RefCell<Vec<Box<dyn Fn()>>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        // What is dropped may go to a pool that was emptied before, where nothing is kept any more.
        self.0.take().iter().for_each(|close| close());
    }
}

thread_local! {
    /// The payload that was copied last, for the message that is received next. Most are answers to one another: in the
    /// steady state of a server that answers, no message costs an allocation.
    static PAYLOAD: Pool<Vec<u8>> = const { Pool::new() };
}

/// The largest payload that is kept, and how much more room than it needs a message may have.
const KEPT: usize = 4 << 10;
const SURPLUS: usize = 64;

/// An empty vector with room for a payload of this length, and for little more.
#[inline(always)]
pub(crate) fn payload(length: usize) -> Vec<u8> {
    let kept = PAYLOAD.with(|pool| pool.replace(None)).unwrap_or_default();
    if (length..=length + SURPLUS).contains(&kept.capacity()) { kept } else { Vec::with_capacity(length) }
}

/// The same for a payload that is given back soon, so that what it has too much does not matter: one for all that are small.
pub(crate) fn lent_payload(length: usize) -> Vec<u8> {
    let kept = PAYLOAD.with(|pool| pool.replace(None)).unwrap_or_default();
    if kept.capacity() >= length { kept } else { Vec::with_capacity(if length < KEPT { KEPT } else { length }) }
}

/// Keeps the room of a payload that is not needed any more, in the place of the one before.
#[inline]
pub(crate) fn keep(mut payload: Vec<u8>) {
    if payload.capacity() <= KEPT {
        payload.clear();
        drop(swap(&PAYLOAD, payload));
    }
}

/// What is lent in a box.
pub(crate) trait Lendable: Default + 'static {
    /// Where it waits.
    const POOL: &'static LocalKey<Pool<Box<Self>>>;

    /// Makes it as good as new. Returns whether it has a buffer that is worth keeping.
    fn reset(&mut self) -> bool;
}

/// Nothing, or a value that goes to the pool of its thread when it is dropped.
#[derive(Debug)]
pub(crate) struct Lent<T: Lendable>(Option<Box<T>>);

impl<T: Lendable> Lent<T> {
    pub(crate) const NONE: Self = Self(None);

    /// The value, or one from the pool, or a new one.
    #[inline(always)]
    pub(crate) fn get_or_lend(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| take(T::POOL).unwrap_or_default())
    }

    /// What its drop does, in place where that counts.
    #[inline(always)]
    pub(crate) fn give_back(&mut self) {
        if let Some(value) = self.0.take() {
            give_back(value);
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// The value; one without a buffer, if there was none.
    #[inline]
    pub(crate) fn get_or_default(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Lendable> Drop for Lent<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            give_back_apart(value);
        }
    }
}

// So that where there is mostly nothing to be given back it takes no more than a look.
#[inline(never)]
fn give_back_apart<T: Lendable>(value: Box<T>) {
    give_back(value);
}

#[inline(always)]
fn give_back<T: Lendable>(mut value: Box<T>) {
    if value.reset() {
        give(T::POOL, value);
    }
}
