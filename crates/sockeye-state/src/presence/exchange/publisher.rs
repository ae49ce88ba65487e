//! `Publisher`: hands messages to the broker, in their order, without waiting for its answers.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
};

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::{Topic, link::Link};

/// How many messages wait for an answer at most. If the broker does not answer, the others are lost: whoever misses them asks.
const MOST: usize = 256;

pub(super) struct Publisher {
    link: Arc<Link>,
    permits: Arc<Semaphore>,
}

impl Publisher {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link, permits: Arc::new(Semaphore::new(MOST)) }
    }

    /// Publishes a message after those before. Called by one task, in a runtime.
    pub(super) fn publish(&self, topic: Topic, envelope: Bytes) {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else { return };
        let link = self.link.clone();
        let mut published: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            let _permit = permit;
            // Nothing is done about an error: the next heartbeats tell what is missing.
            drop(link.publish(topic, envelope).await);
        });
        // The first poll decides about the order. A broker is code of others, and must not end the task that tells.
        let mut context = Context::from_waker(Waker::noop());
        let first = catch_unwind(AssertUnwindSafe(|| published.as_mut().poll(&mut context)));
        if first.is_ok_and(|first| first.is_pending()) {
            tokio::spawn(published);
        }
    }
}
