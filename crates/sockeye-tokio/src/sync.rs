//! What code for several threads needs: locks, atomics, and the identity of a thread. Under `cargo xtask loom` all of this
//! comes from loom. loom tries out the orders in which threads may run, and the stored values that they may see.

pub(crate) mod lock;

#[cfg(not(all(test, sockeye_loom)))]
pub(crate) use self::real::*;

#[cfg(all(test, sockeye_loom))]
pub(crate) use self::modelled::*;

#[cfg(not(all(test, sockeye_loom)))]
mod real {
    pub(crate) use std::sync::atomic;

    // Locking and releasing both halves is a tenth of the cost of a small message. The standard library's locks cost twice
    // as much: they track poisoning, which is not needed here.
    #[cfg(not(feature = "metrics"))]
    pub(crate) use parking_lot::{Mutex, MutexGuard};

    #[cfg(feature = "metrics")]
    pub(crate) use super::counted::{Mutex, MutexGuard};

    /// A number that no other living thread has.
    #[inline]
    pub(crate) fn this_thread() -> usize {
        thread_local!(static HERE: u8 = const { 0 });
        HERE.with(|here| std::ptr::from_ref(here).addr())
    }
}

#[cfg(all(test, sockeye_loom))]
mod modelled {
    pub(crate) use loom::sync::{MutexGuard, atomic};

    /// loom's `Mutex`, with the methods of parking_lot's.
    #[derive(Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("loom ends at the first panic")
        }
    }

    /// A number that no other living thread has. loom runs all its threads on one system thread.
    pub(crate) fn this_thread() -> usize {
        loom::thread_local!(static HERE: u8 = 0);
        HERE.with(|here| std::ptr::from_ref(here).addr())
    }
}

/// Locks that are counted, so that nothing is reported to the metrics while one is held.
#[cfg(all(feature = "metrics", not(all(test, sockeye_loom))))]
mod counted {
    use std::ops::{Deref, DerefMut};

    use crate::telemetry::metrics::Held;

    #[derive(Default)]
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(parking_lot::Mutex::new(value))
        }

        #[inline]
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard { guard: self.0.lock(), _held: Held::new() }
        }
    }

    /// Fields are dropped in this order: the lock is released before it is counted as released.
    pub(crate) struct MutexGuard<'a, T> {
        guard: parking_lot::MutexGuard<'a, T>,
        _held: Held,
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        #[inline]
        fn deref(&self) -> &T {
            &self.guard
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        #[inline]
        fn deref_mut(&mut self) -> &mut T {
            &mut self.guard
        }
    }
}
