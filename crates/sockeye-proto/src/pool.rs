//! Values that a pool of the thread lends, so that what a connection needs only while it is busy is no part of one that
//! waits.

use std::{
    cell::{Cell, RefCell},
    thread::LocalKey,
};

/// At most this many wait in each pool of a thread, with 64 KiB each: a thread runs one task at a time, so more than a few
/// are in use only while slow clients hold theirs, and those are let go.
const POOLED: usize = 8;

/// The values of a thread that nobody uses.
pub(crate) struct Pool<T> {
    /// The one that was given back last: where connections take turns, there is no other.
    last: Cell<Option<T>>,
    others: RefCell<Vec<T>>,
}

impl<T> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self { last: Cell::new(None), others: RefCell::new(Vec::new()) }
    }
}

/// Takes a value from the pool, if there is one.
#[inline]
pub(crate) fn take<T>(pool: &'static LocalKey<Pool<T>>) -> Option<T> {
    // At the end of a thread the pool may be gone.
    pool.try_with(|pool| pool.last.take().or_else(|| pool.others.borrow_mut().pop())).ok().flatten()
}

/// Gives a value to the pool, or drops it if there are enough.
#[inline]
pub(crate) fn give<T>(pool: &'static LocalKey<Pool<T>>, value: T) {
    let _ = pool.try_with(|pool| {
        if let Some(other) = pool.last.replace(Some(value)) {
            let mut others = pool.others.borrow_mut();
            if others.len() < POOLED - 1 {
                others.push(other);
            }
        }
    });
}

thread_local! {
    /// The payload that was copied last, for the message that is received next. Most are answers to one another: in the
    /// steady state of a server that answers, no message costs an allocation.
    static PAYLOAD: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The largest payload that is kept, and how much more room than it needs a message may have.
const KEPT: usize = 4 << 10;
const SURPLUS: usize = 64;

/// An empty vector with room for a payload of this length, and for little more.
#[inline]
pub(crate) fn payload(length: usize) -> Vec<u8> {
    let kept = PAYLOAD.try_with(Cell::take).unwrap_or_default();
    if (length..=length + SURPLUS).contains(&kept.capacity()) { kept } else { Vec::with_capacity(length) }
}

/// The same for a payload that is given back soon, so that what it has too much does not matter: one for all that are small.
pub(crate) fn lent_payload(length: usize) -> Vec<u8> {
    let kept = PAYLOAD.try_with(Cell::take).unwrap_or_default();
    if kept.capacity() >= length { kept } else { Vec::with_capacity(if length < KEPT { KEPT } else { length }) }
}

/// Keeps the room of a payload that is not needed any more, in the place of the one before.
#[inline]
pub(crate) fn keep(mut payload: Vec<u8>) {
    if payload.capacity() <= KEPT {
        payload.clear();
        let _ = PAYLOAD.try_with(|kept| kept.set(payload));
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
    #[inline]
    pub(crate) fn get_or_lend(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| take(T::POOL).unwrap_or_default())
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
            give_back(value);
        }
    }
}

// Apart, so that where there is mostly nothing to be given back it takes no more than a look.
#[inline(never)]
fn give_back<T: Lendable>(mut value: Box<T>) {
    if value.reset() {
        give(T::POOL, value);
    }
}
