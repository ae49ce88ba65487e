//! Pools of a thread. A connection takes memory from a pool only while it is busy, so an idle connection holds none.
//!
//! A thread local with a destructor is checked at each access, which takes as long as the access itself. So the pools have
//! no destructor: [`AT_EXIT`] has one, and empties the pools that are registered there. (Where the system destroys thread
//! locals in any order, as on Windows with GNU, the content of a pool may be leaked when its thread ends.)

use std::{
    cell::{Cell, RefCell},
    mem::ManuallyDrop,
    thread::LocalKey,
};

/// The most values in each pool of a thread. Each value has about 64 KiB. A thread runs one task at a time, so more than a
/// few values are in use only while slow clients hold theirs. Surplus values are freed.
const POOLED: usize = 8;

/// A value, or nothing. A vector without memory is nothing, so that a pool of vectors needs no `Option`, which would cost each
/// message some ten instructions.
pub(crate) trait Slot: Sized + 'static {
    const NOTHING: Self;

    fn is_nothing(&self) -> bool;
}

impl<T: 'static> Slot for Option<Box<T>> {
    const NOTHING: Self = None;

    #[inline(always)]
    fn is_nothing(&self) -> bool {
        self.is_none()
    }
}

impl Slot for Vec<u8> {
    const NOTHING: Self = Vec::new();

    #[inline(always)]
    fn is_nothing(&self) -> bool {
        self.capacity() == 0
    }
}

/// The unused values of a thread.
pub(crate) struct Pool<T> {
    /// The value that was given back last, or nothing. It is the only one if each connection gives its value back before the
    /// next one takes it.
    last: Cell<ManuallyDrop<T>>,
    others: RefCell<ManuallyDrop<Vec<T>>>,
    /// Whether the pool is registered to be emptied when the thread ends. A pool that is not open holds nothing.
    is_open: Cell<bool>,
}

impl<T: Slot> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self {
            last: Cell::new(ManuallyDrop::new(T::NOTHING)),
            others: RefCell::new(ManuallyDrop::new(Vec::new())),
            is_open: Cell::new(false),
        }
    }

    #[inline(always)]
    fn replace(&self, value: T) -> T {
        ManuallyDrop::into_inner(self.last.replace(ManuallyDrop::new(value)))
    }

    #[cold]
    fn take_other(&self) -> T {
        self.others.borrow_mut().pop().unwrap_or(T::NOTHING)
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
        drop(self.replace(T::NOTHING));
        drop(ManuallyDrop::into_inner(self.others.replace(ManuallyDrop::new(Vec::new()))));
    }
}

/// Replaces the last value of the pool.
// The closure returns nothing: the standard library packs what it returns into a `Result`, and would take the parts of a vector
// for the error, which costs four instructions to refute.
#[inline(always)]
fn exchange<T: Slot>(pool: &'static LocalKey<Pool<T>>, mut value: T) -> T {
    pool.with(|pool| value = pool.replace(std::mem::replace(&mut value, T::NOTHING)));
    value
}

/// Takes a value from the pool, or nothing if there is none.
#[inline(always)]
pub(crate) fn take<T: Slot>(pool: &'static LocalKey<Pool<T>>) -> T {
    let last = exchange(pool, T::NOTHING);
    if last.is_nothing() { pool.with(Pool::take_other) } else { last }
}

/// Gives a value to the pool. If the pool is full, drops one of its values.
#[inline(always)]
pub(crate) fn give<T: Slot>(pool: &'static LocalKey<Pool<T>>, value: T) {
    let other = swap(pool, value);
    if !other.is_nothing() {
        pool.with(|pool| pool.keep_other(other));
    }
}

/// Makes `value` the last value of the pool, and returns the one before, if any. If the pool cannot be opened, since the
/// thread is ending, returns `value` itself.
#[inline(always)]
fn swap<T: Slot>(pool: &'static LocalKey<Pool<T>>, value: T) -> T {
    if pool.with(|pool| pool.is_open.get()) || open(pool) { exchange(pool, value) } else { value }
}

/// Registers the pool to be emptied when the thread ends, and opens it. Returns `false`, and leaves the pool closed, if the
/// thread is ending already.
#[cold]
fn open<T: Slot>(pool: &'static LocalKey<Pool<T>>) -> bool {
    let asked = AT_EXIT.try_with(|at_exit| at_exit.0.borrow_mut().push(Box::new(|| pool.with(Pool::close))));
    pool.with(|pool| pool.is_open.set(asked.is_ok()));
    asked.is_ok()
}

thread_local!(static AT_EXIT: AtExit = const { AtExit(RefCell::new(Vec::new())) });

/// Empties the registered pools when the thread ends.
struct AtExit(RefCell<Vec<Box<dyn Fn()>>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        // A value that is dropped here may be given to a pool that was emptied before. That pool is closed, and keeps
        // nothing.
        self.0.take().iter().for_each(|close| close());
    }
}

thread_local! {
    /// The memory of the payload that was recycled last, for the next received message. In the steady state of a server that
    /// answers each message with one message, no message costs an allocation.
    static PAYLOAD: Pool<Vec<u8>> = const { Pool::new() };
}

/// The largest capacity of a payload that the pool keeps, in bytes.
const KEPT: usize = 4 << 10;

/// The most spare capacity that a message gets from the pool, in bytes.
pub(crate) const SURPLUS: u32 = 64;

/// Of a payload that is given back soon, the spare capacity does not matter: one vector of [`KEPT`] bytes serves all small
/// payloads.
pub(crate) const REUSED: u32 = KEPT as u32;

/// An empty vector with capacity for a payload of this length, and for at most `surplus` more bytes: [`SURPLUS`] or [`REUSED`].
#[inline(always)]
pub(crate) fn payload(length: usize, surplus: u32) -> Vec<u8> {
    let mut payload = exchange(&PAYLOAD, Vec::NOTHING);
    // One comparison: where the capacity is too small, the difference is larger than any surplus.
    if payload.capacity().wrapping_sub(length) > surplus as usize {
        payload = Vec::with_capacity(if surplus == REUSED { length.max(KEPT) } else { length });
    }
    // It is empty already, which the compiler does not know.
    payload.clear();
    payload
}

/// Keeps the memory of a payload that is not needed any more, in place of the one before. If its capacity exceeds [`KEPT`],
/// the memory is freed.
#[inline(always)]
pub(crate) fn recycle(mut payload: Vec<u8>) {
    if payload.capacity() <= KEPT {
        payload.clear();
        drop(swap(&PAYLOAD, payload));
    }
}

/// A value that a pool keeps in a box.
pub(crate) trait Poolable: Default + 'static {
    /// The pool that keeps unused values of this type.
    const POOL: &'static LocalKey<Pool<Option<Box<Self>>>>;

    /// Resets the value to its initial state. Returns whether the value is worth keeping; if not, it is freed.
    fn reset(&mut self) -> bool;
}

/// Nothing, or a value that is given to the pool of its thread when it is dropped.
#[derive(Debug)]
pub(crate) struct Pooled<T: Poolable>(Option<Box<T>>);

impl<T: Poolable> Pooled<T> {
    pub(crate) const NONE: Self = Self(None);

    /// The value. If there is none yet, takes one from the pool, or makes a new one.
    #[inline(always)]
    pub(crate) fn get_or_take(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| take(T::POOL).unwrap_or_default())
    }

    /// Gives the value back, as `drop` does, but inlined where speed counts.
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

    /// The value. If there is none yet, makes a new one, without a buffer.
    #[inline]
    pub(crate) fn get_or_default(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Poolable> Drop for Pooled<T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            give_back_apart(value);
        }
    }
}

// A separate function, so that a drop is only one check where there is usually nothing to give back.
#[inline(never)]
fn give_back_apart<T: Poolable>(value: Box<T>) {
    give_back(value);
}

#[inline(always)]
fn give_back<T: Poolable>(mut value: Box<T>) {
    if value.reset() {
        give(T::POOL, Some(value));
    }
}
