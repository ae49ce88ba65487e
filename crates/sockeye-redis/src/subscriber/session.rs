//! One connection for subscriptions, from its first request to its end.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::try_join_all, poll, stream::FuturesUnordered};
use redis::{
    Msg, RedisResult,
    aio::{PubSub, PubSubSink, PubSubStream},
};
use sockeye_state::BrokerError;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Order, Reply, Stopped, Task};
use crate::{
    channel::{self, Payload},
    commands::Commands,
    failure::{Failure, FailureKind},
    metrics::{Connected, Link},
    probe::{Probe, Step},
    server::Server,
};

/// Until a message by which the node checks itself is sent again, if it could not be sent.
const RESEND: Duration = Duration::from_millis(250);

/// A request that the server has not answered yet.
type Unanswered = Pin<Box<dyn Future<Output = (Asked, RedisResult<()>)> + Send>>;

pub(super) struct Session {
    sink: PubSubSink,
    stream: PubSubStream,
    server: Arc<Server>,
    unanswered: FuturesUnordered<Unanswered>,
    /// Those who wait for the answers to requests, by the number of the request.
    replies: HashMap<u64, Reply>,
    /// The same, for those who wait for the end of a subscription.
    leaving: HashMap<u64, Reply>,
    /// How many orders were carried out.
    orders: u64,
    probe: Probe,
    /// The message by which the node checks itself, while that is sent.
    sending: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Once anything has arrived.
    alive: Option<Connected>,
}

pub(super) enum SessionEnd {
    Stopped(Stopped),
    Lost(Failure),
}

/// What a request was for.
enum Asked {
    /// All channels, at the start.
    All,
    /// The channels of an order, with the number of the request.
    Subscribe(Vec<String>, u64),
    /// The number of the request.
    Unsubscribe(u64),
}

impl Session {
    pub(super) fn new(pubsub: PubSub, server: Arc<Server>) -> Self {
        let (sink, stream) = pubsub.split();
        let probe = Probe::new(server.times.silence, Instant::now());
        let unanswered = FuturesUnordered::new();
        Self {
            sink,
            stream,
            server,
            unanswered,
            replies: HashMap::new(),
            leaving: HashMap::new(),
            orders: 0,
            probe,
            sending: None,
            alive: None,
        }
    }

    /// Those who still wait to be subscribed. Nothing more arrives for those who wait for the end of a subscription.
    pub(super) fn into_replies(self) -> impl Iterator<Item = Reply> {
        for left in self.leaving.into_values() {
            let _ = left.send(Ok(()));
        }
        self.replies.into_values()
    }

    pub(super) fn was_alive(&self) -> bool {
        self.alive.is_some()
    }

    /// Subscribes to channels. The request is sent at once, so that requests are carried out in the order of these calls.
    async fn subscribe(&mut self, channels: Vec<String>, asked: Asked) {
        let sink = self.sink.clone();
        let limit = self.server.times.response;
        self.send(async move {
            // The crate takes the first answer of several for the answer to all, so each channel has a request of its own.
            let each = channels.into_iter().map(|channel| {
                let mut sink = sink.clone();
                async move { sink.subscribe(channel).await }
            });
            (asked, in_time(limit, try_join_all(each).map(|all| all.map(drop))).await)
        })
        .await;
    }

    async fn unsubscribe(&mut self, channels: Vec<String>, number: u64) {
        let sink = self.sink.clone();
        let limit = self.server.times.response;
        self.send(async move {
            let each = channels.into_iter().map(|channel| {
                let mut sink = sink.clone();
                async move { sink.unsubscribe(channel).await }
            });
            (Asked::Unsubscribe(number), in_time(limit, try_join_all(each).map(|all| all.map(drop))).await)
        })
        .await;
    }

    async fn send(&mut self, request: impl Future<Output = (Asked, RedisResult<()>)> + Send + 'static) {
        let mut request: Unanswered = Box::pin(request);
        let answer = poll!(&mut request);
        self.unanswered.push(match answer {
            std::task::Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
            std::task::Poll::Pending => request,
        });
    }

    fn reply(&mut self, number: u64, outcome: Result<(), BrokerError>) {
        if let Some(reply) = self.replies.remove(&number) {
            let _ = reply.send(outcome);
        }
    }

    /// Begins to send the node a message, until that has succeeded.
    fn check(&mut self, commands: Arc<Commands>, to: Arc<str>) {
        self.sending = Some(Box::pin(async move {
            while commands.publish(&to, channel::NOTHING).await.is_err() {
                sleep(RESEND).await;
            }
        }));
    }
}

impl Task {
    /// Serves the connection until its end. Nothing here waits but for the next event, so that the connection is always drained.
    pub(super) async fn drive(&mut self, session: &mut Session) -> SessionEnd {
        let mut channels: Vec<String> = self.channels.keys().cloned().collect();
        channels.push(self.node.probe_channel.to_string());
        session.subscribe(channels, Asked::All).await;
        // Is set again only when it has fired, and not for each message.
        let mut timer = std::pin::pin!(sleep_until(session.probe.next()));
        loop {
            tokio::select! {
                message = session.stream.next() => match message {
                    Some(message) => {
                        self.arrived(session, &message);
                        // What has arrived together is handed over together.
                        while let Some(Some(message)) = session.stream.next().now_or_never() {
                            self.arrived(session, &message);
                        }
                    }
                    None => {
                        let message = format!("Redis at {} has closed the subscription", self.node.server.name);
                        return SessionEnd::Lost(Failure::new(FailureKind::NotHere, message));
                    }
                },
                order = self.orders.recv() => {
                    if let Err(stopped) = self.carry_out(session, order).await {
                        return SessionEnd::Stopped(stopped);
                    }
                }
                Some((asked, answer)) = session.unanswered.next() => {
                    if let Err(failure) = self.answered(session, asked, answer) {
                        return SessionEnd::Lost(failure);
                    }
                }
                () = &mut timer => {
                    match session.probe.advance(Instant::now()) {
                        Step::Wait => {}
                        Step::Send => session.check(Arc::clone(&self.node.commands), Arc::clone(&self.node.probe_channel)),
                        Step::GiveUp => return SessionEnd::Lost(self.gives_up()),
                    }
                    timer.as_mut().reset(session.probe.next());
                }
                () = sent(&mut session.sending) => session.sending = None,
            }
        }
    }

    fn gives_up(&self) -> Failure {
        let name = &self.node.server.name;
        let message = format!("a message of this node to itself does not come back from Redis at {name}");
        Failure::new(FailureKind::NotHere, message)
    }

    fn arrived(&mut self, session: &mut Session, message: &Msg) {
        session.alive.get_or_insert_with(|| Connected::new(Link::Subscription));
        if session.probe.arrived(Instant::now()) {
            session.sending = None;
            self.alive();
        }
        // A topic that the node has left is not there.
        let Some(topic) = self.channels.get(message.get_channel_name()) else { return };
        match channel::parse(message.get_payload_bytes()) {
            Some(Payload::Message(envelope)) => self.node.inbox.message(topic.clone(), envelope),
            Some(Payload::Appended(entry)) => self.node.inbox.appended(topic.clone(), entry),
            Some(Payload::Nothing) => {}
            None => {
                tracing::warn!(%topic, "another program publishes in the channel of a topic; its message is ignored")
            }
        }
    }

    async fn carry_out(&mut self, session: &mut Session, order: Option<Order>) -> Result<(), Stopped> {
        match order {
            Some(Order::Subscribe(topics, reply)) => {
                let channels = self.insert(topics);
                session.orders += 1;
                let number = session.orders;
                session.replies.insert(number, reply);
                session.subscribe(channels.clone(), Asked::Subscribe(channels, number)).await;
                Ok(())
            }
            Some(Order::Unsubscribe(topics, reply)) => {
                let channels = self.remove(topics);
                session.orders += 1;
                let number = session.orders;
                // A message may be on its way, and must not pass for one of a later subscription.
                session.leaving.insert(number, reply);
                session.unsubscribe(channels, number).await;
                Ok(())
            }
            other => self.take_down(other),
        }
    }

    fn answered(&mut self, session: &mut Session, asked: Asked, answer: RedisResult<()>) -> Result<(), Failure> {
        let failure = answer.err().map(|error| self.node.server.failure(error));
        match (asked, failure) {
            (Asked::All, None) => {
                self.subscribed();
                session.probe = Probe::new(self.node.server.times.silence, Instant::now());
                session.check(Arc::clone(&self.node.commands), Arc::clone(&self.node.probe_channel));
                Ok(())
            }
            (Asked::Subscribe(_, number), None) => {
                session.reply(number, Ok(()));
                Ok(())
            }
            (Asked::Subscribe(channels, number), Some(failure)) if failure.kind == FailureKind::Refused => {
                for channel in channels {
                    self.channels.remove(&channel);
                }
                session.reply(number, Err(failure.into_error(false)));
                Ok(())
            }
            (Asked::Unsubscribe(number), None) => {
                // What was sent before the answer is here, and is of topics that the node has left.
                while let Some(Some(message)) = session.stream.next().now_or_never() {
                    self.arrived(session, &message);
                }
                if let Some(left) = session.leaving.remove(&number) {
                    let _ = left.send(Ok(()));
                }
                Ok(())
            }
            (_, Some(failure)) => Err(failure),
        }
    }
}

async fn in_time(limit: Duration, answers: impl Future<Output = RedisResult<()>>) -> RedisResult<()> {
    timeout(limit, answers).await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

async fn sent(sending: &mut Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    match sending {
        Some(sending) => sending.await,
        None => std::future::pending().await,
    }
}
