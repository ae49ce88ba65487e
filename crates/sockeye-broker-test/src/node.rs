//! `Node`: a node of a check, with its inbox.

use std::{
    future::{Future, poll_fn},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use sockeye_state::{Append, Arrival, Broker, BrokerError, Entry, Inbox, Keep, NodeId, Page, Position, Stamp, Topic};
use tokio::{sync::mpsc, time::timeout};

/// How long a node waits for what must arrive.
const WAIT: Duration = Duration::from_secs(10);

/// Enough for all checks that are not about retention.
pub(crate) const KEEP: Keep = Keep::new(10_000, Duration::from_secs(3600));

/// A node, and what has arrived for it.
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) broker: Arc<dyn Broker>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    stamps: AtomicU64,
}

impl Node {
    pub(crate) async fn start(broker: Arc<dyn Broker>) -> Self {
        let id = NodeId::from_u64(RandomState::new().build_hasher().finish());
        let (sender, arrivals) = mpsc::unbounded_channel();
        let inbox = Inbox::from_fn(move |arrival| {
            // After the end of a check nobody reads.
            let _ = sender.send(arrival);
        });
        broker.start(id, inbox).await.expect("a broker starts once its system runs");
        Self { id, broker, arrivals, stamps: AtomicU64::new(0) }
    }

    /// A stamp that no other append has.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp::of_node(self.id, self.stamps.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) async fn subscribe(&self, topic: &Topic) {
        self.subscribe_all([topic.clone()]).await;
    }

    pub(crate) async fn subscribe_all(&self, topics: impl IntoIterator<Item = Topic>) {
        self.broker.subscribe(topics.into_iter().collect()).await.expect("a started broker subscribes");
    }

    pub(crate) async fn unsubscribe(&self, topic: &Topic) {
        self.broker.unsubscribe(vec![topic.clone()]).await.expect("a started broker unsubscribes");
    }

    pub(crate) async fn publish(&self, topic: &Topic, envelope: impl Into<Bytes>) {
        self.broker.publish(topic.clone(), envelope.into()).await.expect("a started broker publishes");
    }

    pub(crate) async fn append(&self, topic: &Topic, envelope: impl Into<Bytes>) -> Position {
        self.append_keeping(topic, envelope, KEEP).await
    }

    pub(crate) async fn append_keeping(&self, topic: &Topic, envelope: impl Into<Bytes>, keep: Keep) -> Position {
        let append = Append::new(topic.clone(), envelope.into(), self.stamp(), keep);
        self.try_append(append).await.expect("a started broker appends")
    }

    pub(crate) async fn append_stamped(&self, topic: &Topic, envelope: impl Into<Bytes>, stamp: Stamp) -> Position {
        let append = Append::new(topic.clone(), envelope.into(), stamp, KEEP);
        self.try_append(append).await.expect("a started broker appends")
    }

    pub(crate) async fn try_append(&self, append: Append) -> Result<Position, BrokerError> {
        self.broker.append(append).await
    }

    /// Appends messages with the payloads "0", "1" and so on.
    pub(crate) async fn append_numbers(&self, topic: &Topic, count: usize, keep: Keep) -> Vec<Position> {
        let mut positions = Vec::with_capacity(count);
        for number in 0..count {
            positions.push(self.append_keeping(topic, number.to_string(), keep).await);
        }
        positions
    }

    pub(crate) async fn read(&self, topic: &Topic, after: impl Into<Option<Position>>, most: usize) -> Page {
        let after = after.into();
        let page = self.broker.read(topic.clone(), after, most).await.expect("a started broker reads");
        let length = page.entries.len();
        assert!(length <= most, "a page of {topic} has {length} messages; at most {most} were asked for");
        if most > 0 && length == 0 {
            assert!(page.is_last, "an empty page of {topic} is not the last, so a reader would never come to the end");
        }
        page
    }

    /// All that is kept.
    pub(crate) async fn read_all(&self, topic: &Topic) -> Page {
        self.read(topic, None, KEEP.messages).await
    }

    pub(crate) async fn top(&self, topic: &Topic) -> Option<Position> {
        let tops = self.broker.tops(vec![topic.clone()]).await.expect("a started broker knows the tops");
        assert_eq!(tops.len(), 1, "the tops of one topic");
        tops[0]
    }

    /// What arrives next.
    pub(crate) async fn next(&mut self) -> Arrival {
        let next = timeout(WAIT, self.arrivals.recv()).await;
        let next = next.unwrap_or_else(|_| panic!("nothing has arrived at a node in {WAIT:?}, and something must"));
        let next = next.expect("the inbox was dropped, and the node was not stopped");
        assert!(!matches!(next, Arrival::Lost(_)), "the broker says {next:?}, and nothing has happened to it");
        next
    }

    /// What arrives next, which must be a published message of this topic.
    pub(crate) async fn next_message(&mut self, of: &Topic) -> Bytes {
        match self.next().await {
            Arrival::Message { topic, envelope, .. } if topic == *of => envelope,
            other => panic!("expected a message that was published to {of}; this came: {}", show(&other)),
        }
    }

    /// What arrives next, which must be an appended message of this topic.
    pub(crate) async fn next_entry(&mut self, of: &Topic) -> Entry {
        match self.next().await {
            Arrival::Appended { topic, entry, .. } if topic == *of => entry,
            other => panic!("expected a message that was appended to {of}; this came: {}", show(&other)),
        }
    }

    /// Waits until the broker has dropped the inbox, and returns how many arrivals there were before.
    pub(crate) async fn ended(&mut self) -> usize {
        let mut arrivals = 0;
        loop {
            let next = timeout(WAIT, self.arrivals.recv()).await;
            match next.unwrap_or_else(|_| panic!("the broker still has the inbox {WAIT:?} after `stop`")) {
                Some(_) => arrivals += 1,
                None => return arrivals,
            }
        }
    }
}

/// An arrival without a long payload.
fn show(arrival: &Arrival) -> String {
    let text = format!("{arrival:?}");
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Polls all futures for the first time in their order, and then until all are ready.
pub(crate) async fn join_in_order<F: Future + Unpin>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (future, None)).collect();
    poll_fn(|context| {
        for (future, output) in &mut futures {
            if output.is_none() {
                if let Poll::Ready(ready) = Pin::new(future).poll(context) {
                    *output = Some(ready);
                }
            }
        }
        if futures.iter().all(|(_, output)| output.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

/// Polls a future once, and drops it.
pub(crate) async fn poll_once<F: Future + Unpin>(mut future: F) {
    poll_fn(|context| {
        let _ = Pin::new(&mut future).poll(context);
        Poll::Ready(())
    })
    .await;
}
