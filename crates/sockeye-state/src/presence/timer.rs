//! `Timer`: ends the lingering of people when it is time.
//!
//! A task does it that runs as long as anybody lingers. It belongs to the runtime in which somebody has left. If there is none, or
//! if it shuts down, observers are woken, and the first of them starts the task again, in its runtime. Outside of all runtimes,
//! lingering ends when somebody looks.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    task::yield_now,
    time::{Instant, timeout_at},
};

use super::{partition::Effects, shared::Shared};
use crate::sync::Mutex;

/// How many people stop lingering under one lock.
const MOST: usize = 128;

#[derive(Default)]
pub(super) struct Timer {
    state: Mutex<State>,
    /// Whether somebody lingers, and no task runs.
    is_orphaned: AtomicBool,
    /// Tells the task that it has to look again.
    earlier: Notify,
}

#[derive(Default)]
struct State {
    /// When the next lingering ends, or earlier.
    at: Option<Instant>,
    is_running: bool,
}

/// What is to be done for a new deadline.
enum Next {
    Nothing,
    TellTask,
    Start { is_earlier: bool },
}

/// Notes the end of the task, however it ends.
struct TaskGuard {
    shared: Weak<Shared>,
    timer: Arc<Timer>,
    /// Whether nobody lingers any more.
    is_done: bool,
}

impl Shared {
    /// Ends lingering at this time. Called without any lock.
    pub(super) fn wake_at(self: &Arc<Self>, at: Instant) {
        match self.timer.note(at) {
            Next::Nothing => {}
            Next::TellTask => self.timer.earlier.notify_one(),
            Next::Start { is_earlier } => {
                // After the first time, observers know.
                if !self.start() && is_earlier {
                    self.wake_observers();
                }
            }
        }
    }

    /// Starts the task if somebody needs it, and the one that did has ended with its runtime, or never ran. Called by observers,
    /// who may have a runtime.
    pub(super) fn adopt_timer(self: &Arc<Self>) {
        if self.timer.is_orphaned.load(Ordering::Acquire) {
            self.start();
        }
    }

    /// Ends the lingering of all in the partition of this room for whom it is time.
    pub(super) fn expire(self: &Arc<Self>, room: &str) {
        loop {
            let mut effects = Effects::default();
            let mut partition = self.partition(room).lock();
            // Most partitions have nobody who lingers, and need no look at the clock.
            let may_have_more = partition.deadline().is_some() && partition.expire(Instant::now(), MOST, &mut effects);
            drop(partition);
            self.finish(effects);
            if !may_have_more {
                return;
            }
        }
    }

    /// Returns whether a task runs.
    fn start(self: &Arc<Self>) -> bool {
        let Ok(runtime) = Handle::try_current() else { return false };
        if self.timer.begin() {
            let guard = TaskGuard { shared: Arc::downgrade(self), timer: self.timer.clone(), is_done: false };
            // Without a lock: a runtime that shuts down drops the task at once.
            runtime.spawn(run(guard));
        }
        true
    }

    async fn expire_all(self: Arc<Self>) {
        let mut next: Option<Instant> = None;
        for partition in self.partitions() {
            loop {
                let mut effects = Effects::default();
                let (may_have_more, deadline) = {
                    let mut partition = partition.lock();
                    (partition.expire(Instant::now(), MOST, &mut effects), partition.deadline())
                };
                self.finish(effects);
                if !may_have_more {
                    next = [next, deadline].into_iter().flatten().min();
                    break;
                }
                yield_now().await;
            }
        }
        if let Some(at) = next {
            self.timer.note(at);
        }
    }
}

impl Timer {
    /// Tells the task that there is no hub any more.
    pub(super) fn end(&self) {
        self.earlier.notify_one();
    }

    fn note(&self, at: Instant) -> Next {
        let mut state = self.state.lock();
        let is_earlier = state.at.is_none_or(|other| at < other);
        if is_earlier {
            state.at = Some(at);
        }
        if !state.is_running {
            self.is_orphaned.store(true, Ordering::Release);
            return Next::Start { is_earlier };
        }
        if is_earlier { Next::TellTask } else { Next::Nothing }
    }

    /// Returns whether the caller has to run the task.
    fn begin(&self) -> bool {
        let mut state = self.state.lock();
        self.is_orphaned.store(false, Ordering::Release);
        !std::mem::replace(&mut state.is_running, true)
    }

    /// When the task has to look. `None` if nobody lingers: the task is over then.
    fn next(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        state.is_running = state.at.is_some();
        state.at
    }

    /// The task looks now.
    fn look(&self) {
        self.state.lock().at = None;
    }

    /// The task has ended before its time.
    fn abandon(&self) {
        let mut state = self.state.lock();
        state.is_running = false;
        // It may have been in the middle of a look.
        state.at = Some(state.at.unwrap_or_else(Instant::now));
        self.is_orphaned.store(true, Ordering::Release);
    }
}

async fn run(mut guard: TaskGuard) {
    while let Some(at) = guard.timer.next() {
        let is_time = timeout_at(at, guard.timer.earlier.notified()).await.is_err();
        // The hub is gone.
        let Some(shared) = guard.shared.upgrade() else { break };
        if is_time {
            guard.timer.look();
            shared.expire_all().await;
        }
    }
    guard.is_done = true;
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        self.timer.abandon();
        // A task that has panicked, for example since the runtime has no timer, would panic again.
        if !std::thread::panicking() {
            if let Some(shared) = self.shared.upgrade() {
                shared.wake_observers();
            }
        }
    }
}
