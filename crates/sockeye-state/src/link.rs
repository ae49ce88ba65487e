//! `Link`: this node's connection to the broker, which histories, rooms and presence have in common.

use std::{
    collections::HashSet,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::{
    runtime::Handle,
    time::{Instant, Timeout, timeout_at},
};

use crate::{Broker, BrokerError, NodeId, Topic, envelope::EnvelopeError, sync::Mutex};

/// How long the broker may take for one answer.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

pub(crate) struct Link {
    broker: Arc<dyn Broker>,
    namespace: Arc<str>,
    node: NodeId,
    runtime: Handle,
    /// Whether the hub is gone, or the runtime in which it was built.
    is_closed: AtomicBool,
    /// What is wrong with envelopes that were skipped.
    reported: Mutex<HashSet<EnvelopeError>>,
}

impl Link {
    /// The broker is not started yet.
    pub(crate) fn new(broker: Arc<dyn Broker>, namespace: Arc<str>, node: NodeId, runtime: Handle) -> Self {
        Self { broker, namespace, node, runtime, is_closed: AtomicBool::new(false), reported: Mutex::default() }
    }

    /// The broker itself, for the calls that only histories make. Each answer is waited for by [`answer`](Self::answer).
    pub(crate) fn broker(&self) -> &Arc<dyn Broker> {
        &self.broker
    }

    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    /// Where the tasks of the hub run.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Acquire)
    }

    /// From now on, the broker is asked for nothing new.
    pub(crate) fn mark_closed(&self) {
        self.is_closed.store(true, Release);
    }

    /// The hub is gone. What it has to say is said first.
    pub(crate) fn close(&self, last_words: impl Future<Output = ()> + Send + 'static) {
        self.mark_closed();
        let broker = self.broker.clone();
        self.runtime.spawn(async move {
            last_words.await;
            broker.stop().await;
        });
    }

    pub(crate) fn room_topic(&self, name: impl Into<Arc<str>>) -> Topic {
        Topic::room(self.namespace.clone(), name)
    }

    pub(crate) fn hub_topic(&self, name: impl Into<Arc<str>>) -> Topic {
        Topic::hub(self.namespace.clone(), name)
    }

    pub(crate) async fn publish(&self, topic: Topic, envelope: Bytes) -> Result<(), BrokerError> {
        self.answer(self.broker.publish(topic, envelope)).await
    }

    pub(crate) async fn subscribe(&self, topics: Vec<Topic>) -> Result<(), BrokerError> {
        self.answer(self.broker.subscribe(topics)).await
    }

    pub(crate) async fn unsubscribe(&self, topics: Vec<Topic>) -> Result<(), BrokerError> {
        self.answer(self.broker.unsubscribe(topics)).await
    }

    /// What the broker answers in time.
    pub(crate) async fn answer<R>(
        &self,
        asked: impl Future<Output = Result<R, BrokerError>>,
    ) -> Result<R, BrokerError> {
        match self.timeout_at(Instant::now() + ANSWER, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(BrokerError::uncertain(format!("no answer within {ANSWER:?}; check that the broker runs"))),
        }
    }

    /// A timeout in the caller's runtime; outside of any, in the hub's.
    pub(crate) fn timeout_at<F: Future>(&self, deadline: Instant, future: F) -> Timeout<F> {
        let _entered = Handle::try_current().is_err().then(|| self.runtime.enter());
        timeout_at(deadline, future)
    }

    /// Logs why an envelope is skipped, `of` whatever it is: once for each cause, since another node may send many of them.
    pub(crate) fn report(&self, of: impl std::fmt::Display, error: EnvelopeError) {
        if !self.reported.lock().insert(error) {
            return;
        }
        if error.is_from_newer() {
            tracing::info!(%of, %error, "a message of another node is skipped, and so are others like it");
        } else {
            tracing::error!(%of, %error, "a message of another node is skipped, and so are others like it");
        }
    }

    /// Why nothing happens any more.
    pub(crate) fn ended() -> BrokerError {
        BrokerError::unavailable(
            "the runtime in which the hub was built has ended, or the hub is gone; build another hub in a runtime that keeps running",
        )
    }
}

/// The answer of a broker, also of one that panics.
pub(crate) async fn guarded<R>(asked: impl Future<Output = Result<R, BrokerError>>) -> Result<R, BrokerError> {
    let answer = AssertUnwindSafe(asked).catch_unwind().await;
    answer.unwrap_or_else(|_| Err(BrokerError::uncertain("the broker has panicked")))
}
