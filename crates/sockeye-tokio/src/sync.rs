//! What threads share: locks, atomics, and how one thread is told from another. Under `cargo xtask loom` they are loom's, which
//! tries out in which order threads may come, and which of the values that were stored they may see.

#[cfg(not(all(test, sockeye_loom)))]
pub(crate) use self::real::*;

#[cfg(all(test, sockeye_loom))]
pub(crate) use self::modelled::*;

#[cfg(not(all(test, sockeye_loom)))]
mod real {
    pub(crate) use std::sync::atomic;

    // Two pairs of lock and release are a tenth of what a small message costs, and those of the standard library twice as
    // much: they look after poison, of which nothing here has any use.
    pub(crate) use parking_lot::{Mutex, MutexGuard};

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

    /// loom's, with the methods of parking_lot's.
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

    /// A number that no other living thread has. loom runs all its threads on one of the system.
    pub(crate) fn this_thread() -> usize {
        loom::thread_local!(static HERE: u8 = 0);
        HERE.with(|here| std::ptr::from_ref(here).addr())
    }
}
