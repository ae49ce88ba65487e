//! Broadcasts of one byte each, to more readers than the budget allows, and a thread that checks the budget all the time.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{JoinHandle, sleep, spawn},
    time::{Duration, Instant},
};

use sockeye::{Budget, Shutdown, WebSocket, state::Hub};
use tokio::{
    select,
    time::{MissedTickBehavior, interval},
};

use super::sabotage::Sabotage;
use crate::control::Budgeted;

/// What all queues of the readers may take together: less than the limit of one queue.
const LIMIT: usize = 256 << 10;

/// With the defect of a budget, it is this many times larger than reported.
const DEFECT: usize = 64;

/// What a broadcast takes on the wire.
const FRAME: usize = 3;

/// What a queue counts more when it begins another piece of memory, which is every 64 KiB.
const PIECE: usize = 64;

/// The length of the Close that each member is sent at the end.
const CLOSE: usize = 4;

/// The number of broadcasts at a time, which makes 30 kB/s: three times what a reader reads.
const BURST: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// How often the budget is checked.
const LOOK: Duration = Duration::from_micros(500);

/// The hub of the readers.
#[derive(Clone)]
pub(super) struct News {
    hub: Hub<()>,
    pub(super) budget: Budget,
    /// The reported limit.
    limit: usize,
    broadcasts: Arc<AtomicU64>,
}

impl News {
    pub(super) fn new(sabotage: Option<Sabotage>) -> Self {
        let limit = if matches!(sabotage, Some(Sabotage::Budget)) { LIMIT / DEFECT } else { LIMIT };
        Self { hub: Hub::new(), budget: Budget::new(LIMIT), limit, broadcasts: Arc::default() }
    }

    /// Broadcasts until the server shuts down.
    pub(super) async fn broadcast(self, shutdown: Shutdown) {
        let mut interval = interval(PAUSE);
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut number = 0_u8;
        loop {
            select! {
                _ = interval.tick() => {}
                () = shutdown.begun() => return,
            }
            if self.hub.is_empty() {
                continue;
            }
            for _ in 0..BURST {
                self.hub.broadcast(vec![number]);
                number = number.wrapping_add(1);
            }
            self.broadcasts.fetch_add(BURST as u64, Ordering::Relaxed);
        }
    }

    /// Sends a client all broadcasts from now on.
    pub(super) async fn tell(self, mut socket: WebSocket) {
        let _member = self.hub.register(socket.sender(), ());
        while let Some(Ok(_)) = socket.recv().await {}
    }
}

/// Checks the budget all the time, on a thread of its own: a thread of the runtime may be busy.
pub(super) struct Looks {
    news: News,
    seen: Arc<Mutex<Budgeted>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Looks {
    pub(super) fn begin(news: News) -> Self {
        let seen = Arc::new(Mutex::new(Budgeted { limit: news.limit, ..Budgeted::default() }));
        let is_over = Arc::new(AtomicBool::new(false));
        let looking = (news.clone(), seen.clone(), is_over.clone());
        let thread = spawn(move || {
            let (news, seen, is_over) = looking;
            let (start, mut passed_since) = (Instant::now(), None);
            while !is_over.load(Ordering::Relaxed) {
                look(&news, &mut lock(&seen), start, &mut passed_since);
                sleep(LOOK);
            }
        });
        Self { news, seen, is_over, thread: Some(thread) }
    }

    /// The observations so far.
    pub(super) fn seen(&self) -> Budgeted {
        let broadcasts = self.news.broadcasts.load(Ordering::Relaxed);
        Budgeted { evicted: self.news.budget.evicted(), broadcasts, ..*lock(&self.seen) }
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(news: &News, seen: &mut Budgeted, start: Instant, passed_since: &mut Option<Instant>) {
    // One more member may join between the two reads. A member that has left counts as well: what it has queued is still there.
    seen.slack = seen.slack.max((FRAME + PIECE + CLOSE) * (news.hub.len() + 1));
    let used = news.budget.used();
    seen.looks += 1;
    seen.most = seen.most.max(used);
    let excess = used.saturating_sub(seen.limit + seen.slack);
    if excess == 0 {
        *passed_since = None;
        return;
    }
    let since = *passed_since.get_or_insert_with(Instant::now);
    seen.passed += 1;
    seen.longest = seen.longest.max(since.elapsed().as_millis() as u64);
    if excess > seen.excess {
        (seen.excess, seen.when) = (excess, start.elapsed().as_millis() as u64);
    }
}

fn lock(seen: &Mutex<Budgeted>) -> MutexGuard<'_, Budgeted> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
