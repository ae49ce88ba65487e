//! What runs as long as the hub: the tasks that talk to other nodes, that subscribe, and that answer questions.

use std::{
    future::{Future, pending},
    sync::{Arc, atomic::Ordering::AcqRel},
    task::Poll,
    time::Duration,
};

use futures_util::{FutureExt as _, StreamExt as _, future::select, poll, stream::FuturesUnordered};
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout_at},
};

use super::{
    super::{partition::Partitions, shared::Shared},
    Exchange,
    answer::Answer,
    machine::{Action, Machine, To},
    subscriber::subscribe,
    wire::{Content, ContentError},
};
use crate::{NodeId, envelope::Encoder};

/// How many messages are read before other tasks have their turn.
const BATCH: usize = 64;

/// How many pieces of answers the broker has at the same time. Each has 256 KiB at most, or one entry.
const ANSWERS: usize = 32;

/// How long it takes until a task begins anew that has panicked.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) fn start(exchange: &Arc<Exchange>) {
    keep(exchange, talk);
    keep(exchange, subscribe);
    keep(exchange, answer);
}

/// Runs a task. If code of others panics in it, such as the broker's, it begins anew.
fn keep<F>(exchange: &Arc<Exchange>, task: fn(Arc<Exchange>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let exchange = exchange.clone();
    exchange.link.runtime().clone().spawn(async move {
        while let Err(error) = tokio::spawn(task(exchange.clone())).await {
            if !error.is_panic() {
                return;
            }
            sleep(PAUSE).await;
        }
    });
}

/// Notes the end of the talk, also with its runtime or by a panic: nothing of other nodes arrives any more.
struct TalkGuard(Arc<Exchange>);

async fn talk(exchange: Arc<Exchange>) {
    let guard = TalkGuard(exchange.clone());
    if let Some(shared) = exchange.shared.upgrade() {
        // What is left of a talk that has panicked.
        shared.end_exchange();
        shared.gather();
    }
    let mut machine = Machine::new(exchange.link.node(), Instant::now());
    loop {
        let Some(shared) = exchange.shared.upgrade().filter(|_| !exchange.is_over()) else { break };
        let has_more = exchange.step(&mut machine, &shared);
        for action in machine.actions() {
            exchange.act(action);
        }
        drop(shared);
        if has_more {
            yield_now().await;
            continue;
        }
        // An error means that it is time.
        let _ = timeout_at(machine.next(), exchange.marks.wake.notified()).await;
    }
    drop(guard);
}

/// Answers those who ask for parts of this node: many at the same time, since a broker may be far away.
async fn answer(exchange: Arc<Exchange>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        let Some(shared) = exchange.shared.upgrade().filter(|_| !exchange.is_over()) else { return };
        let question = exchange.questions.lock().next();
        let Some((node, partition)) = question else {
            drop(shared);
            // Others go on while this waits for the next question.
            let _ = select(exchange.has_question.notified().boxed(), all(&mut under_way).boxed()).await;
            continue;
        };
        let pieces = Answer::new(partition, &shared);
        drop(shared);
        for piece in pieces {
            while under_way.len() >= ANSWERS {
                under_way.next().await;
            }
            let envelope = Encoder::presence(exchange.link.node(), &piece);
            let mut publishing = exchange.link.publish(exchange.topic(To::Node(node)), envelope).boxed();
            // The first poll decides about the order.
            match poll!(publishing.as_mut()) {
                Poll::Pending => under_way.push(publishing),
                Poll::Ready(Ok(())) => {}
                // The other node asks again.
                Poll::Ready(Err(_)) => break,
            }
        }
        // A broker that answers at once would keep other tasks from their turn.
        yield_now().await;
    }
}

/// Waits until all futures are ready. If there are none: forever.
async fn all<F: Future>(futures: &mut FuturesUnordered<F>) {
    while futures.next().await.is_some() {}
    pending().await
}

impl Exchange {
    /// Hands the machine what has happened. Returns whether there is more.
    fn step(&self, machine: &mut Machine, shared: &Arc<Shared>) -> bool {
        let now = Instant::now();
        let (changed, interest) = shared.marks.take();
        machine.interested(interest, shared, now);
        machine.changed(changed, now);
        let hears = *self.hears.lock();
        machine.hears(hears.is_connected, hears.partitions, now);
        if self.is_lost.swap(false, AcqRel) {
            machine.greet(now);
        }
        let has_more = self.read(machine, shared, now);
        let idle = machine.look(shared, now);
        if idle != 0 {
            // In this order: who begins to observe meanwhile either waits, or keeps what is known.
            let known = *self.known.borrow();
            self.set_known(known & !idle);
            machine.forget(idle, shared, now);
        }
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, machine.wanted()) != machine.wanted());
        self.set_known(machine.known(now));
        has_more
    }

    fn read(&self, machine: &mut Machine, shared: &Arc<Shared>, now: Instant) -> bool {
        for _ in 0..BATCH {
            let Some((node, content)) = self.inbox.pop() else { return false };
            match Content::decode(node, &content) {
                Ok(content) => machine.arrived(node, content, shared, now),
                Err(error) => self.report(node, error),
            }
        }
        true
    }

    fn act(&self, action: Action) {
        match action {
            Action::Send(to, content) => {
                self.publisher.publish(self.topic(to), Encoder::presence(self.link.node(), &content));
            }
            Action::Answer(node, partitions) => {
                self.questions.lock().add(node, partitions);
                self.has_question.notify_one();
            }
            Action::Left(node) => self.engine.events.node_left(node),
        }
    }

    /// Logs what is skipped: once for each cause, since another node may send many of them.
    fn report(&self, node: NodeId, error: ContentError) {
        if !self.reported.lock().insert(error) {
            return;
        }
        match error {
            ContentError::Unknown(_) => tracing::info!(%node, %error, "that is skipped, and so is all like it"),
            ContentError::Broken(_) => tracing::error!(%node, %error, "that is skipped, and so is all like it"),
        }
    }

    fn set_known(&self, known: Partitions) {
        self.known.send_if_modified(|before| std::mem::replace(before, known) != known);
    }
}

impl Drop for TalkGuard {
    fn drop(&mut self) {
        let Self(exchange) = self;
        // Nobody waits for what does not come any more.
        exchange.set_known(Partitions::MAX);
        // A task that has panicked would panic again.
        if std::thread::panicking() || exchange.is_over() {
            return;
        }
        if let Some(shared) = exchange.shared.upgrade() {
            shared.end_exchange();
        }
    }
}
