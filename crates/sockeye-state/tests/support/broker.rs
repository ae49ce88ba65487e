//! A broker that a test can disturb: in front of a `Local`.

use std::{
    future::pending,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use sockeye_state::{
    Append, Arrival, BoxFuture, Broker, BrokerError, Entry, Health, Inbox, Local, Lost, NodeId, Page, Position, Topic,
    TopicKind,
};
use tokio::time::sleep;

/// How the broker answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As `Local`.
    Well,
    /// It refuses connections.
    Away,
    /// It does not answer.
    Silent,
    /// Each answer takes so long.
    Slow(Duration),
    /// It does what it is asked for, and its answers are lost.
    Cut,
    /// It panics.
    Broken,
}

/// All clones are the same broker.
#[derive(Clone)]
pub(crate) struct Disturbed(Arc<State>);

struct State {
    local: Local,
    mode: Mutex<Mode>,
    inbox: Mutex<Option<Inbox>>,
    /// Whether the messages of histories do not arrive.
    drops: AtomicBool,
    /// How many more reads return an empty page, as a replica that lags behind.
    stale_reads: AtomicUsize,
    reads: AtomicUsize,
    subscribed: AtomicUsize,
}

impl Disturbed {
    pub(crate) fn new() -> Self {
        Self::over(Local::new())
    }

    pub(crate) fn over(local: Local) -> Self {
        Self(Arc::new(State {
            local,
            mode: Mutex::new(Mode::Well),
            inbox: Mutex::default(),
            drops: AtomicBool::new(false),
            stale_reads: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
            subscribed: AtomicUsize::new(0),
        }))
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.0.mode.lock().unwrap() = mode;
    }

    /// From now on, messages of histories do not arrive, or do so again.
    pub(crate) fn drop_appended(&self, drops: bool) {
        self.0.drops.store(drops, SeqCst);
    }

    pub(crate) fn lag(&self, reads: usize) {
        self.0.stale_reads.store(reads, SeqCst);
    }

    /// Says that everything may have been lost.
    pub(crate) fn lose(&self) {
        self.inbox().lost(Lost::All);
    }

    /// Says that messages of these topics may have been lost.
    pub(crate) fn lose_topics(&self, topics: Vec<Topic>) {
        self.inbox().lost(Lost::Topics(topics));
    }

    /// Hands a message that was published to the node as the broker would.
    pub(crate) fn hand_over_message(&self, topic: Topic, envelope: impl Into<Bytes>) {
        self.inbox().message(topic, envelope.into());
    }

    /// Hands a message to the node as the broker would.
    pub(crate) fn hand_over(&self, topic: Topic, entry: Entry) {
        self.inbox().appended(topic, entry);
    }

    pub(crate) fn reads(&self) -> usize {
        self.0.reads.load(SeqCst)
    }

    /// How many rooms the node is subscribed to.
    pub(crate) fn subscribed(&self) -> usize {
        self.0.subscribed.load(SeqCst)
    }

    fn inbox(&self) -> Inbox {
        self.0.inbox.lock().unwrap().clone().expect("the broker was started")
    }

    /// Asks the local broker, or does as the mode says.
    fn ask<'a, R: Send + 'a>(
        &self,
        local: BoxFuture<'a, Result<R, BrokerError>>,
    ) -> BoxFuture<'a, Result<R, BrokerError>> {
        let mode = *self.0.mode.lock().unwrap();
        Box::pin(async move {
            match mode {
                Mode::Well => local.await,
                Mode::Away => Err(BrokerError::unavailable("the test has sent it away")),
                Mode::Silent => pending().await,
                Mode::Slow(time) => {
                    sleep(time).await;
                    local.await
                }
                Mode::Broken => panic!("the test has broken it"),
                Mode::Cut => {
                    local.await?;
                    Err(BrokerError::uncertain("the test has cut the answer off"))
                }
            }
        })
    }
}

fn rooms(topics: &[Topic]) -> usize {
    topics.iter().filter(|topic| topic.kind() == TopicKind::Room).count()
}

impl Broker for Disturbed {
    fn start(&self, node: NodeId, inbox: Inbox) -> BoxFuture<'_, Result<(), BrokerError>> {
        *self.0.inbox.lock().unwrap() = Some(inbox.clone());
        let state = Arc::downgrade(&self.0);
        let filtered = Inbox::from_fn(move |arrival| {
            let drops = state.upgrade().is_none_or(|state| state.drops.load(SeqCst));
            match arrival {
                Arrival::Appended { topic, entry, .. } if !drops => inbox.appended(topic, entry),
                Arrival::Message { topic, envelope, .. } => inbox.message(topic, envelope),
                Arrival::Lost(what) => inbox.lost(what),
                _ => {}
            }
        });
        self.0.local.start(node, filtered)
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        self.0.local.stop()
    }

    fn subscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.0.subscribed.fetch_add(rooms(&topics), SeqCst);
        self.ask(self.0.local.subscribe(topics))
    }

    fn unsubscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.0.subscribed.fetch_sub(rooms(&topics), SeqCst);
        self.ask(self.0.local.unsubscribe(topics))
    }

    fn publish(&self, topic: Topic, envelope: Bytes) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.ask(self.0.local.publish(topic, envelope))
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, BrokerError>> {
        self.ask(self.0.local.append(append))
    }

    fn read(&self, topic: Topic, after: Option<Position>, most: usize) -> BoxFuture<'_, Result<Page, BrokerError>> {
        self.0.reads.fetch_add(1, SeqCst);
        let is_stale = self.0.stale_reads.fetch_update(SeqCst, SeqCst, |reads| reads.checked_sub(1)).is_ok();
        if is_stale && after.is_some() {
            return Box::pin(async move { Ok(Page::new(Vec::new(), after, true, true)) });
        }
        self.ask(self.0.local.read(topic, after, most))
    }

    fn tops(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<Vec<Option<Position>>, BrokerError>> {
        self.ask(self.0.local.tops(topics))
    }

    fn health(&self) -> Health {
        let mode = *self.0.mode.lock().unwrap();
        match mode {
            Mode::Well | Mode::Cut | Mode::Slow(_) => Health::Well,
            Mode::Broken => panic!("the test has broken it"),
            mode => Health::unwell(format!("the test says: {mode:?}")),
        }
    }
}
