//! Several nodes on one `Local`, between which a test can cut, delay and lose messages.

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use sockeye_state::{
    Append, Arrival, BoxFuture, Broker, BrokerError, Health, Inbox, Local, Lost, NodeId, Page, Position, Topic,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

/// The connection of one node to the broker. Clones are the same connection.
#[derive(Clone)]
pub(crate) struct Connection(Arc<State>);

struct State {
    local: Local,
    fault: watch::Sender<Fault>,
    inbox: Mutex<Option<Inbox>>,
    subscribed: Mutex<Vec<Topic>>,
    /// The length of the largest envelope.
    largest: Mutex<usize>,
}

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    #[default]
    Nothing,
    /// What the node sends, and what is for it, is lost, and nobody says so. A node that was killed is cut off for ever.
    Cut,
    /// Nothing arrives, and nothing is sent, until the fault ends.
    Stopped,
    /// Each message to the node takes so long.
    Slow(Duration),
    /// Each answer of the broker takes so long.
    Far(Duration),
    /// One message to the node of so many is lost, by chance.
    Lossy(u32),
    /// The broker refuses connections.
    Away,
    /// The broker does not answer.
    Silent,
    /// The broker panics.
    Broken,
}

impl Connection {
    pub(crate) fn to(local: &Local) -> Self {
        Self(Arc::new(State {
            local: local.clone(),
            fault: watch::Sender::new(Fault::Nothing),
            inbox: Mutex::default(),
            subscribed: Mutex::default(),
            largest: Mutex::default(),
        }))
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.0.fault.send_replace(fault);
    }

    /// Says that messages may have been lost.
    pub(crate) fn lose(&self, what: Lost) {
        let inbox = self.0.inbox.lock().unwrap().clone();
        inbox.expect("the broker was started").lost(what);
    }

    /// The names that begin with `prefix` of the topics to which the node is subscribed.
    pub(crate) fn subscribed(&self, prefix: &str) -> Vec<String> {
        let topics = self.0.subscribed.lock().unwrap();
        let mut names: Vec<_> = topics.iter().map(|topic| topic.name().to_owned()).collect();
        names.retain(|name| name.starts_with(prefix));
        names.sort_unstable();
        names
    }

    pub(crate) fn largest(&self) -> usize {
        *self.0.largest.lock().unwrap()
    }

    fn fault(&self) -> Fault {
        *self.0.fault.borrow()
    }

    /// Asks the broker, or does what the fault says.
    fn ask<'a, R: Send + 'a>(
        &'a self,
        local: BoxFuture<'a, Result<R, BrokerError>>,
        nothing: impl FnOnce() -> R + Send + 'a,
    ) -> BoxFuture<'a, Result<R, BrokerError>> {
        Box::pin(async move {
            let mut fault = self.0.fault.subscribe();
            let fault = *fault.wait_for(|fault| *fault != Fault::Stopped).await.expect("the sender is there");
            match fault {
                Fault::Cut => Ok(nothing()),
                Fault::Away => Err(BrokerError::unavailable("the test has sent it away")),
                Fault::Silent => pending().await,
                Fault::Far(time) => {
                    let answer = local.await;
                    sleep(time).await;
                    answer
                }
                Fault::Broken => panic!("the test has broken it"),
                _ => local.await,
            }
        })
    }
}

/// Hands over what arrives, in its order.
async fn deliver(
    mut arrivals: mpsc::UnboundedReceiver<(Instant, Arrival)>,
    mut fault: watch::Receiver<Fault>,
    inbox: Inbox,
) {
    let mut random = fastrand::Rng::with_seed(1);
    while let Some((at, arrival)) = arrivals.recv().await {
        sleep_until(at).await;
        let Ok(fault) = fault.wait_for(|fault| *fault != Fault::Stopped).await.map(|fault| *fault) else { return };
        match (fault, arrival) {
            (Fault::Cut, _) => {}
            (Fault::Lossy(of), _) if random.u32(0..of) == 0 => {}
            (_, Arrival::Message { topic, envelope, .. }) => inbox.message(topic, envelope),
            (_, Arrival::Appended { topic, entry, .. }) => inbox.appended(topic, entry),
            (_, Arrival::Lost(what)) => inbox.lost(what),
            _ => {}
        }
    }
}

impl Broker for Connection {
    fn start(&self, node: NodeId, inbox: Inbox) -> BoxFuture<'_, Result<(), BrokerError>> {
        *self.0.inbox.lock().unwrap() = Some(inbox.clone());
        let (sender, arrivals) = mpsc::unbounded_channel();
        tokio::spawn(deliver(arrivals, self.0.fault.subscribe(), inbox));
        let fault = self.0.fault.subscribe();
        let inbox = Inbox::from_fn(move |arrival| {
            let delay = if let Fault::Slow(delay) = *fault.borrow() { delay } else { Duration::ZERO };
            let _ = sender.send((Instant::now() + delay, arrival));
        });
        self.0.local.start(node, inbox)
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        *self.0.inbox.lock().unwrap() = None;
        self.0.local.stop()
    }

    fn subscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        let new = topics.clone();
        let local = self.0.local.subscribe(topics);
        self.ask(
            Box::pin(async move {
                local.await?;
                self.0.subscribed.lock().unwrap().extend(new);
                Ok(())
            }),
            || (),
        )
    }

    fn unsubscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.0.subscribed.lock().unwrap().retain(|topic| !topics.contains(topic));
        self.ask(self.0.local.unsubscribe(topics), || ())
    }

    fn publish(&self, topic: Topic, envelope: Bytes) -> BoxFuture<'_, Result<(), BrokerError>> {
        let mut largest = self.0.largest.lock().unwrap();
        *largest = envelope.len().max(*largest);
        drop(largest);
        self.ask(self.0.local.publish(topic, envelope), || ())
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, BrokerError>> {
        self.0.local.append(append)
    }

    fn read(&self, topic: Topic, after: Option<Position>, most: usize) -> BoxFuture<'_, Result<Page, BrokerError>> {
        self.0.local.read(topic, after, most)
    }

    fn tops(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<Vec<Option<Position>>, BrokerError>> {
        self.0.local.tops(topics)
    }

    fn health(&self) -> Health {
        match self.fault() {
            Fault::Away | Fault::Silent => Health::unwell("the test says so"),
            _ => Health::Well,
        }
    }
}
