//! `Redis`: the broker.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use sockeye_state::{Append, BoxFuture, Broker, BrokerError, Health, Inbox, NodeId, Page, Position, Topic};
use tokio::time::timeout;

use crate::{
    Builder, channel,
    commands::Commands,
    health::HealthRecord,
    history, keys,
    metrics::{Kind, Request},
    server::Server,
    subscriber::{Node, Subscriber},
};

/// A broker on Redis or Valkey, for one hub. [The crate's page](crate) says what it needs and what it promises.
///
/// Two connections are open: one for commands, and one for subscriptions, which is drained without waiting for anything. Both
/// are made anew when they break, with waits of at most a second, and [`health`](Broker::health) says why they do not work.
///
/// An append, a read or a subscription while the server is away waits for its return, for
/// [`request_timeout`](Builder::request_timeout) at most. A message without a history fails at once.
pub struct Redis {
    server: Arc<Server>,
    commands: Arc<Commands>,
    health: Arc<HealthRecord>,
    /// From `start` to `stop`.
    subscriber: Mutex<Option<Arc<Subscriber>>>,
    /// The namespaces and kinds of topics in which the user may use channels.
    permitted: Mutex<HashSet<String>>,
}

impl Redis {
    /// Connects to the server at this URL: `redis://[user:password@]host[:port][/database]`, `rediss://` for TLS (feature `tls`,
    /// on by default), or `redis+unix:///path`. A host name is looked up again for each connection. For a cluster, the URL
    /// names one of its nodes.
    ///
    /// With TLS, a process without a provider for rustls has ring as its default from then on.
    ///
    /// # Errors
    ///
    /// As [`Builder::connect`].
    ///
    /// # Panics
    ///
    /// As [`Builder::connect`].
    ///
    /// # Cancel safety
    ///
    /// As [`Builder::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self, BrokerError> {
        Self::builder(url).connect().await
    }

    /// Settings for a connection to the server at this URL.
    pub fn builder(url: impl Into<String>) -> Builder {
        Builder::new(url.into())
    }

    pub(crate) fn new(server: Arc<Server>, commands: Arc<Commands>, health: Arc<HealthRecord>) -> Self {
        Self { server, commands, health, subscriber: Mutex::default(), permitted: Mutex::default() }
    }

    async fn start_node(&self, node: NodeId, inbox: Inbox) -> Result<(), BrokerError> {
        self.health.start()?;
        let guard = NotStarted(&self.health);
        let node = Node {
            server: Arc::clone(&self.server),
            commands: Arc::clone(&self.commands),
            health: Arc::clone(&self.health),
            inbox,
            probe_channel: keys::probe(node).into(),
        };
        let subscriber = Subscriber::start(node).await?;
        std::mem::forget(guard);
        *self.subscriber.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(subscriber));
        Ok(())
    }

    fn subscriber(&self) -> Result<Arc<Subscriber>, BrokerError> {
        self.health.check()?;
        let subscriber = self.subscriber.lock().unwrap_or_else(PoisonError::into_inner).clone();
        subscriber.ok_or_else(|| BrokerError::refused("the broker is about to start; wait for `start`"))
    }

    /// An error if the user may not use the channels of such topics. The crate `redis` takes such an error of the server for a
    /// subscription, and a node that hears nothing would not know why. Who may publish in a channel may subscribe to it.
    async fn check_permission(&self, topic: &Topic) -> Result<(), BrokerError> {
        let permitted = || self.permitted.lock().unwrap_or_else(PoisonError::into_inner);
        let topics = format!("{}:{}", topic.kind().as_str(), topic.namespace());
        if permitted().contains(&topics) {
            return Ok(());
        }
        match self.commands.publish(&keys::channel(topic, self.server.database), channel::NOTHING).await {
            Ok(()) => {
                permitted().insert(topics);
                Ok(())
            }
            Err(error) if error.is_refused() => Err(error),
            // Is found out by a later subscription.
            Err(_) => Ok(()),
        }
    }

    /// A subscription that the server does not answer in time.
    fn late(&self, what: &str) -> BrokerError {
        let (name, limit) = (&self.server.name, self.server.times.request);
        BrokerError::unavailable(format!("Redis at {name} has not answered {what} within {limit:?}"))
    }
}

/// A start that fails, or is given up, can be tried again.
struct NotStarted<'a>(&'a HealthRecord);

impl Drop for NotStarted<'_> {
    fn drop(&mut self) {
        self.0.not_started();
    }
}

impl Broker for Redis {
    fn start(&self, node: NodeId, inbox: Inbox) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(self.start_node(node, inbox))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.health.stop();
            let subscriber = self.subscriber.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(subscriber) = subscriber {
                subscriber.stop().await;
            }
            self.commands.close();
        })
    }

    fn subscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async move {
            let subscriber = self.subscriber()?;
            let Some(first) = topics.first().cloned() else { return Ok(()) };
            let request = Request::new(Kind::Subscribe);
            let subscribed = async {
                self.check_permission(&first).await?;
                subscriber.subscribe(topics).await
            };
            let subscribed = timeout(self.server.times.request, subscribed).await;
            request.end(subscribed.unwrap_or_else(|_| Err(self.late("a subscription"))))
        })
    }

    fn unsubscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async move {
            let subscriber = self.subscriber()?;
            if topics.is_empty() {
                return Ok(());
            }
            let left = timeout(self.server.times.request, subscriber.unsubscribe(topics)).await;
            left.unwrap_or_else(|_| Err(self.late("the end of a subscription")))
        })
    }

    fn publish(&self, topic: Topic, envelope: Bytes) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async move {
            self.health.check()?;
            history::check_len(&envelope)?;
            let channel = keys::channel(&topic, self.server.database);
            let request = Request::new(Kind::Publish);
            request.end(self.commands.publish(&channel, &channel::message(&envelope)).await)
        })
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, BrokerError>> {
        Box::pin(async move {
            self.health.check()?;
            let script = history::append(&append, self.server.database)?;
            let request = Request::new(Kind::Append);
            request.end(self.commands.send(&script, true).await.and_then(history::appended))
        })
    }

    fn read(&self, topic: Topic, after: Option<Position>, most: usize) -> BoxFuture<'_, Result<Page, BrokerError>> {
        Box::pin(async move {
            self.health.check()?;
            let request = Request::new(Kind::Read);
            let answers = self.commands.send(&history::read(&topic, after, most), false).await;
            request.end(answers.and_then(|answers| history::page(answers, after)))
        })
    }

    fn tops(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<Vec<Option<Position>>, BrokerError>> {
        Box::pin(async move {
            self.health.check()?;
            if topics.is_empty() {
                return Ok(Vec::new());
            }
            let request = Request::new(Kind::Tops);
            request.end(self.commands.send(&history::tops(&topics), false).await.and_then(history::positions))
        })
    }

    fn health(&self) -> Health {
        self.health.health()
    }
}

impl fmt::Debug for Redis {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("server", &self.server.name)
            .field("database", &self.server.database)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}
