//! The subscriptions of a node: one task, on a connection of its own.

mod session;

use std::{collections::HashMap, mem, sync::Arc};

use sockeye_state::{BrokerError, Inbox, Lost, Topic};
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::sleep,
};

use self::session::{Session, SessionEnd};
use crate::{
    backoff::Backoff, commands::Commands, failure::Failure, health::HealthRecord, keys, metrics, server::Server,
};

/// Who waits for the outcome of an order.
type Reply = oneshot::Sender<Result<(), BrokerError>>;

/// Hands orders to the task. Dropping it ends the task.
pub(crate) struct Subscriber {
    orders: mpsc::UnboundedSender<Order>,
    task: AbortHandle,
}

/// What the task is told.
enum Order {
    Subscribe(Vec<Topic>, Reply),
    Unsubscribe(Vec<Topic>, Reply),
    Stop(oneshot::Sender<()>),
}

/// What the task needs to know of the node.
pub(crate) struct Node {
    pub(crate) server: Arc<Server>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) health: Arc<HealthRecord>,
    pub(crate) inbox: Inbox,
    /// The channel by which the node checks its subscription.
    pub(crate) probe_channel: Arc<str>,
}

impl Subscriber {
    /// Opens the connection. Ready when the server has handed a message of this node to this node.
    pub(crate) async fn start(node: Node) -> Result<Self, BrokerError> {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (reply, started) = oneshot::channel();
        let task = Task { node, channels: HashMap::new(), orders: inbox, waiting: Vec::new(), starting: Some(reply) };
        let subscriber = Self { orders, task: tokio::spawn(task.run()).abort_handle() };
        started.await.unwrap_or_else(|_| Err(ended()))?;
        Ok(subscriber)
    }

    /// Subscribes to topics, on this connection or on a later one.
    pub(crate) async fn subscribe(&self, topics: Vec<Topic>) -> Result<(), BrokerError> {
        self.order(|reply| Order::Subscribe(topics, reply)).await
    }

    /// Once the future is ready, nothing more of these topics reaches the inbox.
    pub(crate) async fn unsubscribe(&self, topics: Vec<Topic>) -> Result<(), BrokerError> {
        self.order(|reply| Order::Unsubscribe(topics, reply)).await
    }

    /// Once the future is ready, nothing more reaches the inbox, which is dropped.
    pub(crate) async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.orders.send(Order::Stop(reply)).is_ok() {
            let _ = stopped.await;
        }
    }

    async fn order(&self, order: impl FnOnce(Reply) -> Order) -> Result<(), BrokerError> {
        let (reply, outcome) = oneshot::channel();
        self.orders.send(order(reply)).map_err(|_| ended())?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ended() -> BrokerError {
    BrokerError::refused("the broker was stopped; connect a new one")
}

/// The task.
struct Task {
    node: Node,
    /// What the node is subscribed to, or will be once there is a connection.
    channels: HashMap<String, Topic>,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Those who subscribed and wait for a connection.
    waiting: Vec<Reply>,
    /// Who waits for the first connection, until there is one.
    starting: Option<Reply>,
}

/// Somebody has stopped the broker, or waits no more for its start.
struct Stopped(Option<oneshot::Sender<()>>);

impl Task {
    async fn run(mut self) {
        let Stopped(reply) = self.until_stopped().await;
        drop(self);
        if let Some(reply) = reply {
            let _ = reply.send(());
        }
    }

    async fn until_stopped(&mut self) -> Stopped {
        let mut backoff = Backoff::new(self.node.server.times.max_backoff);
        loop {
            let failure = match self.connect().await {
                Ok(Ok(mut session)) => match self.drive(&mut session).await {
                    SessionEnd::Stopped(stopped) => return stopped,
                    SessionEnd::Lost(failure) => {
                        if session.was_alive() {
                            backoff.reset();
                            tracing::warn!(reason = failure.message, "the subscription of the node is lost");
                            self.check_commands();
                        }
                        // The next connection is subscribed to what they wait for.
                        self.waiting.extend(session.into_replies());
                        failure
                    }
                },
                Ok(Err(failure)) => failure,
                Err(stopped) => return stopped,
            };
            self.node.health.set_subscription(Some(failure.message.as_str().into()));
            if let Some(starting) = self.starting.take() {
                let _ = starting.send(Err(failure.into_error(false)));
                return Stopped(None);
            }
            if let Err(stopped) = self.wait(backoff.wait()).await {
                return stopped;
            }
        }
    }

    /// A cut of one connection is often a cut of both, and the other one says so only when it is used.
    fn check_commands(&self) {
        let commands = Arc::clone(&self.node.commands);
        tokio::spawn(async move { commands.check().await });
    }

    /// Opens a connection, and takes orders meanwhile.
    async fn connect(&mut self) -> Result<Result<Session, Failure>, Stopped> {
        let server = Arc::clone(&self.node.server);
        let mut opening = std::pin::pin!(server.open_subscription());
        loop {
            tokio::select! {
                opened = &mut opening => {
                    let server = Arc::clone(&self.node.server);
                    return Ok(opened.map(|pubsub| Session::new(pubsub, server)));
                }
                order = self.orders.recv() => self.take_down(order)?,
            }
        }
    }

    /// Waits, and takes orders meanwhile.
    async fn wait(&mut self, time: std::time::Duration) -> Result<(), Stopped> {
        let mut waited = std::pin::pin!(sleep(time));
        loop {
            tokio::select! {
                () = &mut waited => return Ok(()),
                order = self.orders.recv() => self.take_down(order)?,
            }
        }
    }

    /// Notes an order for the next connection.
    fn take_down(&mut self, order: Option<Order>) -> Result<(), Stopped> {
        match order {
            None => return Err(Stopped(None)),
            Some(Order::Stop(reply)) => return Err(Stopped(Some(reply))),
            Some(Order::Subscribe(topics, reply)) => {
                self.insert(topics);
                // A caller that waits no more is forgotten.
                self.waiting.retain(|waiting| !waiting.is_closed());
                self.waiting.push(reply);
            }
            Some(Order::Unsubscribe(topics, reply)) => {
                self.remove(topics);
                let _ = reply.send(Ok(()));
            }
        }
        Ok(())
    }

    /// Notes topics, and returns their channels.
    fn insert(&mut self, topics: Vec<Topic>) -> Vec<String> {
        let database = self.node.server.database;
        let channels: Vec<String> = topics.iter().map(|topic| keys::channel(topic, database)).collect();
        self.channels.extend(channels.iter().cloned().zip(topics));
        channels
    }

    /// Forgets topics, and returns the channels of those that were there.
    fn remove(&mut self, topics: Vec<Topic>) -> Vec<String> {
        let database = self.node.server.database;
        let mut channels: Vec<String> = topics.iter().map(|topic| keys::channel(topic, database)).collect();
        channels.retain(|channel| self.channels.remove(channel).is_some());
        channels
    }

    /// The node is subscribed to all channels, on a connection that is new.
    fn subscribed(&mut self) {
        if self.starting.is_none() {
            metrics::lost();
            self.node.inbox.lost(Lost::All);
        }
        for waiting in mem::take(&mut self.waiting) {
            let _ = waiting.send(Ok(()));
        }
    }

    /// The server has handed a message to the node.
    fn alive(&mut self) {
        self.node.health.set_subscription(None);
        if let Some(starting) = self.starting.take() {
            let _ = starting.send(Ok(()));
        }
    }
}
