//! Pages that speak `sockeye.rooms.v1`, and what they need on the server.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json, value::RawValue};
use sockeye_state::{
    Append, BoxFuture, Broker, BrokerError, Health, Hub, Inbox, Local, NodeId, Position, Rooms, Topic,
    protocol::{Action, Authenticate, Options, Policy, Verdict},
};
use sockeye_testkit::{Frame, Peer, PipeEnd, opcode, pipe_with_capacity};
use sockeye_tokio::{Connection, Role, Shutdown, Stream, Timeouts, WebSocket};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

/// Who uses a page.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) until: Option<Instant>,
}

/// What a test allows. Everything that is not mentioned is allowed for ever.
#[derive(Debug, Default)]
pub(crate) struct Doorman {
    verdicts: Mutex<HashMap<(Action, String), Verdict>>,
    /// Who each token is for, and what a renewal with it says.
    tokens: Mutex<HashMap<String, (String, Verdict)>>,
    /// What was asked.
    asked: Mutex<VecDeque<(Action, String)>>,
    /// How long it thinks about each question.
    thinks: Mutex<Duration>,
}

/// A page: the client of a connection that speaks the protocol.
pub(crate) struct Page {
    pub(crate) peer: Peer<PipeEnd>,
}

impl User {
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), until: None }
    }
}

impl Doorman {
    pub(crate) fn says(&self, action: Action, room: &str, verdict: Verdict) {
        self.verdicts.lock().unwrap().insert((action, room.to_owned()), verdict);
    }

    pub(crate) fn knows(&self, token: &str, name: &str, renewal: Verdict) {
        self.tokens.lock().unwrap().insert(token.to_owned(), (name.to_owned(), renewal));
    }

    pub(crate) fn thinks(&self, time: Duration) {
        *self.thinks.lock().unwrap() = time;
    }

    /// What was asked since the last call.
    pub(crate) fn take_asked(&self) -> Vec<(Action, String)> {
        self.asked.lock().unwrap().drain(..).collect()
    }
}

impl Policy<User> for Doorman {
    fn key(&self, user: &User) -> String {
        user.name.clone()
    }

    async fn authorize(&self, _user: &User, action: Action, room: &str) -> Verdict {
        let about = (action, room.to_owned());
        self.asked.lock().unwrap().push_back(about.clone());
        let thinks = *self.thinks.lock().unwrap();
        if !thinks.is_zero() {
            sleep(thinks).await;
        }
        self.verdicts.lock().unwrap().get(&about).copied().unwrap_or(Verdict::Allow)
    }

    fn valid_until(&self, user: &User) -> Option<Instant> {
        user.until
    }

    async fn renew(&self, user: &User, token: &str) -> Verdict {
        let tokens = self.tokens.lock().unwrap();
        tokens.get(token).filter(|(name, _)| *name == user.name).map_or(Verdict::Deny, |(_, renewal)| *renewal)
    }

    fn compose(&self, user: &User, _room: &str, d: &RawValue) -> Result<Box<RawValue>, String> {
        if d.get() == "\"a curse\"" {
            return Err("no curses here".to_owned());
        }
        let text = format!(r#"{{"from":{},"d":{d}}}"#, serde_json::to_string(&user.name).unwrap());
        RawValue::from_string(text).map_err(|error| error.to_string())
    }
}

impl Authenticate<User> for Doorman {
    async fn authenticate(&self, token: &str) -> Option<User> {
        let (name, verdict) = self.tokens.lock().unwrap().get(token).cloned()?;
        let until = match verdict {
            Verdict::Allow => None,
            Verdict::AllowUntil(until) if until > Instant::now() => Some(until),
            _ => return None,
        };
        Some(User { name, until })
    }
}

/// A hub of the protocol whose rooms `chat:…` have a history.
pub(crate) async fn hub(broker: impl Broker) -> Hub<User> {
    let chat = Rooms::new().history(100, Duration::from_secs(3600));
    Hub::builder().broker(broker).rooms("chat:", chat).protocol().build().await.unwrap()
}

impl Page {
    /// A page whose user is known.
    pub(crate) async fn open(hub: &Hub<User>, name: &str, doorman: &Arc<Doorman>) -> Self {
        Self::open_as(hub, User::named(name), doorman).await
    }

    pub(crate) async fn open_as(hub: &Hub<User>, user: User, doorman: &Arc<Doorman>) -> Self {
        let (hub, doorman) = (hub.clone(), doorman.clone());
        Self::connect(&Shutdown::new(), |socket| Options::new().serve(socket, hub, user, doorman))
    }

    /// A page that has to send a token.
    pub(crate) fn open_unknown(hub: &Hub<User>, doorman: &Arc<Doorman>) -> Self {
        let (hub, doorman) = (hub.clone(), doorman.clone());
        Self::connect(&Shutdown::new(), |socket| Options::new().serve_with_auth(socket, hub, doorman))
    }

    pub(crate) fn connect<F>(shutdown: &Shutdown, handler: impl FnOnce(WebSocket) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::connect_over(4 << 20, shutdown, handler)
    }

    /// A page whose connection takes so many bytes that nobody reads.
    pub(crate) fn connect_over<F>(
        capacity: usize,
        shutdown: &Shutdown,
        handler: impl FnOnce(WebSocket) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (client, server) = pipe_with_capacity(capacity);
        // Pings would only be in the way of a test that lets an hour pass.
        let connection = Connection::new(Stream::boxed(server), Role::Server).timeouts(Timeouts::none());
        tokio::spawn(connection.shutdown(shutdown).serve(handler));
        Self { peer: Peer::client(client).within(Duration::from_secs(24 * 3600)) }
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: impl Into<Vec<u8>>) {
        self.peer.send(Frame::text(text)).await;
    }

    /// The next frame, apart from heartbeats.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let frame = self.peer.expect_frame().await;
            assert_eq!(frame.opcode, opcode::TEXT, "{frame:?}");
            let value: Value = serde_json::from_slice(&frame.payload).unwrap();
            if value["t"] != "hb" {
                return value;
            }
        }
    }

    pub(crate) async fn expect(&mut self, frame: Value) {
        assert_eq!(self.next().await, frame);
    }

    /// The next frame is an error with this code, which says why. Returns it.
    pub(crate) async fn expect_error(&mut self, t: &str, code: &str) -> Value {
        let frame = self.next().await;
        assert_eq!((&frame["t"], &frame["code"]), (&json!(t), &json!(code)), "{frame}");
        assert!(frame["why"].as_str().is_some_and(|why| why.len() > 10), "{frame}");
        frame
    }

    /// Joins one room. Returns its position.
    pub(crate) async fn join(&mut self, room: &str, since: Option<&str>, caught: &str) -> Value {
        self.send(json!({"t": "join", "rooms": {room: since}})).await;
        let frame = self.next().await;
        assert_eq!(
            (&frame["t"], &frame["room"], &frame["caught"]),
            (&json!("in"), &json!(room), &json!(caught)),
            "{frame}"
        );
        frame["at"].clone()
    }

    /// The connection still works.
    pub(crate) async fn expect_alive(&mut self) {
        self.send(json!({"t": "leave", "room": "nowhere"})).await;
        self.expect(json!({"t": "out", "room": "nowhere"})).await;
    }
}

/// A broker whose appends wait until the test lets them through.
pub(crate) struct Slow {
    pub(crate) local: Local,
    pub(crate) gate: Arc<Semaphore>,
}

impl Slow {
    pub(crate) fn new() -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        (Self { local: Local::new(), gate: gate.clone() }, gate)
    }
}

impl Broker for Slow {
    fn start(&self, node: NodeId, inbox: Inbox) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.local.start(node, inbox)
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        self.local.stop()
    }

    fn subscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.local.subscribe(topics)
    }

    fn unsubscribe(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.local.unsubscribe(topics)
    }

    fn publish(&self, topic: Topic, envelope: bytes::Bytes) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.local.publish(topic, envelope)
    }

    fn append(&self, append: Append) -> BoxFuture<'_, Result<Position, BrokerError>> {
        Box::pin(async move {
            if let Ok(permit) = self.gate.acquire().await {
                permit.forget();
            }
            self.local.append(append).await
        })
    }

    fn read(
        &self,
        topic: Topic,
        after: Option<Position>,
        most: usize,
    ) -> BoxFuture<'_, Result<sockeye_state::Page, BrokerError>> {
        self.local.read(topic, after, most)
    }

    fn tops(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<Vec<Option<Position>>, BrokerError>> {
        self.local.tops(topics)
    }

    fn health(&self) -> Health {
        self.local.health()
    }
}
