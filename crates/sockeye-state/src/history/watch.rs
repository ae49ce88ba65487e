//! What is done from time to time: logs that nobody needs are closed, rooms that are quiet are compared with the broker, and the
//! health of the broker is watched.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use sockeye_tokio::Sender;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use super::{History, log::Log, pump::Pump};

/// How often the health is looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long a room waits for a new pump after its pump was lost.
const PAUSE: Duration = Duration::from_millis(100);

/// After how many ticks the logs are looked at.
const COMPARE: u32 = 10;

/// How long a log is kept for a member that comes back.
const LINGER: Duration = Duration::from_secs(10);

/// How many rooms are compared at once.
const TOPICS: usize = 256;

/// Watches the histories until the hub is gone. If code of others panics, such as the broker's, the watch begins anew.
pub(super) async fn watch(end: End, lost_pump: Arc<Notify>) {
    while let Err(error) = tokio::spawn(keep_watch(end.0.clone(), lost_pump.clone())).await {
        if !error.is_panic() {
            return;
        }
        sleep(TICK).await;
    }
}

/// Dropped with the hub, or with the runtime, also with one that ends at once: then nothing is appended any more.
pub(super) struct End(pub(super) Weak<History>);

impl Drop for End {
    fn drop(&mut self) {
        if let Some(history) = self.0.upgrade() {
            history.link.mark_closed();
        }
    }
}

async fn keep_watch(history: Weak<History>, lost_pump: Arc<Notify>) {
    let mut count = 0;
    let mut was_well = true;
    let mut next = Instant::now();
    loop {
        let has_lost_pump = timeout_at(next, lost_pump.notified()).await.is_ok();
        if has_lost_pump {
            // What was lost may be lost again and again.
            sleep(PAUSE).await;
        }
        let Some(history) = history.upgrade().filter(|history| !history.link.is_closed()) else { return };
        if has_lost_pump {
            history.start_lost_pumps();
            continue;
        }
        next = Instant::now() + TICK;
        history.watch_health(&mut was_well);
        history.spare_memory();
        count += 1;
        if count % COMPARE == 0 {
            history.close_idle_logs();
            history.compare().await;
        }
    }
}

impl History {
    fn watch_health(&self, was_well: &mut bool) {
        let health = self.link.broker().health();
        let is_well = health.is_well();
        if std::mem::replace(was_well, is_well) == is_well {
            return;
        }
        if is_well {
            tracing::info!("the broker is back");
            self.engine.events.broker_back();
        } else {
            tracing::warn!(%health, "the broker is lost; messages to rooms with a history wait");
            self.engine.events.broker_lost();
        }
    }

    /// If the logs have more memory than they may, all give some back.
    fn spare_memory(&self) {
        if self.memory.is_used_up() {
            self.logs.all().iter().take_while(|_| self.memory.is_used_up()).for_each(|log| log.give_back());
        }
    }

    fn start_lost_pumps(self: &Arc<Self>) {
        for log in self.logs.all() {
            if log.needs_pump() {
                Pump::start(self, log);
            }
        }
    }

    fn close_idle_logs(self: &Arc<Self>) {
        let Some(since) = Instant::now().checked_sub(LINGER) else { return };
        for log in self.logs.all() {
            log.forget_expired();
            if log.close_if_idle(since) {
                Pump::start(self, log);
            }
        }
    }

    /// Asks the broker for the ends of all histories, and reads what has not arrived.
    async fn compare(self: &Arc<Self>) {
        let logs: Vec<_> = self.logs.all().into_iter().filter(|log| log.is_quiet()).collect();
        for logs in logs.chunks(TOPICS) {
            let heads: Vec<_> = logs.iter().map(|log| log.head()).collect();
            let topics = logs.iter().map(|log| log.topic.clone()).collect();
            let Ok(tops) = self.link.answer(self.link.broker().tops(topics)).await else { return };
            for ((log, head), top) in logs.iter().zip(heads).zip(tops) {
                if top.is_some() && top != head && log.head() == head {
                    self.ask(log);
                }
            }
        }
    }

    /// Asks the broker what comes after the head of a log. Returns the number of the look that will know.
    pub(super) fn ask(self: &Arc<Self>, log: &Arc<Log<Sender>>) -> u64 {
        let (look, starts) = log.ask();
        if starts {
            Pump::start(self, log.clone());
        }
        look
    }
}
