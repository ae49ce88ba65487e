//! A lock without poisoning. Under `cargo xtask loom` it is loom's, which tries out the orders in which threads may run.

pub(crate) use self::which::Mutex;

#[cfg(not(all(test, sockeye_loom)))]
mod which {
    use std::sync::{MutexGuard, PoisonError};

    /// No code of others runs under a lock of this crate, so a panic under one leaves no half-made change of others behind.
    #[derive(Default)]
    pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(std::sync::Mutex::new(value))
        }

        #[inline]
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

#[cfg(all(test, sockeye_loom))]
mod which {
    use loom::sync::MutexGuard;

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
}
