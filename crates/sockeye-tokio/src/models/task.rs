//! Tasks: a thread polls each, and waits for its waker in between.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use loom::{
    sync::{Condvar, Mutex},
    thread::{self, JoinHandle},
};

use super::stream::Far;

/// A future, and what wakes it.
pub(super) struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    bell: Arc<Bell>,
}

impl Task {
    pub(super) fn new(future: impl Future + 'static) -> Self {
        Self { future: Box::pin(async { drop(future.await) }), bell: Arc::default() }
    }

    pub(super) fn poll(&mut self) -> Poll<()> {
        self.bell.poll(self.future.as_mut())
    }

    /// Polls the task in its own thread until it is ready or `done`, and returns the task: a drop while other threads run
    /// would only add more orders to try out.
    pub(super) fn spawn(mut self, done: impl Fn() -> bool + 'static) -> JoinHandle<Self> {
        thread::spawn(move || {
            while self.poll().is_pending() && !done() {
                self.bell.wait();
            }
            self
        })
    }

    /// The same until `far` has this many frames.
    pub(super) fn spawn_until(self, far: &Far, frames: usize) -> JoinHandle<Self> {
        let far = far.clone();
        self.spawn(move || far.has(frames))
    }
}

/// Polls `future` in this thread until it is ready.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let (mut future, bell) = (Box::pin(future), Arc::<Bell>::default());
    loop {
        if let Poll::Ready(output) = bell.poll(future.as_mut()) {
            return output;
        }
        bell.wait();
    }
}

/// Polls `future` once, with a waker that does nothing.
pub(super) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The target of a waker.
#[derive(Default)]
struct Bell {
    has_rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn poll<F: Future + ?Sized>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(self.clone())))
    }

    /// Waits until the bell rings, or has rung since the last call.
    fn wait(&self) {
        let mut has_rung = self.has_rung.lock().unwrap();
        while !*has_rung {
            has_rung = self.rings.wait(has_rung).unwrap();
        }
        *has_rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.has_rung.lock().unwrap() = true;
        self.rings.notify_one();
    }
}
