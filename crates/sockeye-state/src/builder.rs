//! `Builder`: what a hub is told before it has members.

use std::{fmt, sync::Arc, time::Duration};

use sockeye_proto::{PreparedMessage, close_code};
use sockeye_tokio::Overflow;
use tokio::runtime::Handle;

use crate::{
    Broker, BuildError, Delivery, Hub, InvalidCloseCode, Keep, Limits, Local, NodeId, Person,
    arrivals::{self, Receivers},
    audience::OrdersOf,
    framing::Framing,
    history::History,
    hub::Inner,
    link::Link,
    members::KeyOf,
    name::{self, NameError},
    presence::{self, LINGER, PersonOf, Registry},
    relay::Relay,
    rules::{Rule, Rules},
};

/// Builds a [`Hub`]. From [`Hub::builder`].
///
/// ```
/// use sockeye_state::{Hub, Limits, Overflow, Rooms};
///
/// struct User {
///     id: u64,
/// }
///
/// # async fn build() -> Result<(), sockeye_state::BuildError> {
/// let hub = Hub::<User>::builder()
///     .rooms("prices:", Rooms::new().overflow(Overflow::DropOldest)) // by prefix, the longest wins
///     .limits(Limits::new().rooms_per_member(16))
///     .key(|user: &User| user.id.to_string()) // for `hub.by_key("17")`
///     .build()
///     .await?;
/// # let _ = hub;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing before `build`"]
pub struct Builder<T> {
    rooms: Vec<(String, Rooms<T>)>,
    overflow: Option<Overflow>,
    limits: Limits,
    key_of: Option<KeyOf<T>>,
    broker: Option<Arc<dyn Broker>>,
    namespace: Option<String>,
    framing: Framing,
}

/// How the rooms with a common prefix work. For [`Builder::rooms`].
///
/// ```
/// use sockeye_state::{Hub, Overflow, Rooms};
///
/// let latest_counts = Rooms::new().overflow(Overflow::DropOldest);
/// let builder = Hub::<String>::builder().rooms("prices:", latest_counts);
/// # let _ = builder;
/// ```
#[must_use]
pub struct Rooms<T> {
    overflow: Option<Overflow>,
    history: Option<Keep>,
    person_of: Option<PersonOf<T>>,
    linger: Option<Duration>,
}

impl<T: Send + Sync + 'static> Builder<T> {
    pub(crate) fn new() -> Self {
        Self {
            rooms: Vec::new(),
            overflow: None,
            limits: Limits::new(),
            key_of: None,
            broker: None,
            namespace: None,
            framing: Framing::default(),
        }
    }

    /// Says how the rooms work whose names begin with `prefix`. Of several prefixes of a name, the longest counts. An empty
    /// prefix means all rooms.
    pub fn rooms(mut self, prefix: impl Into<String>, rooms: Rooms<T>) -> Self {
        self.rooms.push((prefix.into(), rooms));
        self
    }

    /// What happens to members that read too slowly, in all rooms for which [`Rooms::overflow`] says nothing else, and for
    /// messages to single members or to all. Default: what each connection's own [`Overflow`] says, which is by default to
    /// disconnect the member with 1013.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }

    /// How much the hub accepts. Default: [`Limits::new`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Gives each member a key of the application, such as the number of the user, so that [`Hub::by_key`] finds all
    /// connections of one user. `key` is called once for each member, when it is registered. Default: members have no key.
    pub fn key<K: Into<String>>(mut self, key: impl Fn(&T) -> K + Send + Sync + 'static) -> Self {
        self.key_of = Some(Box::new(move |value| key(value).into()));
        self
    }

    /// What connects this hub to those of other nodes, and keeps the histories of rooms. Hubs with the same broker and
    /// [`namespace`](Self::namespace) have the same rooms, with the same histories. Default: a [`Local`] of this hub's own, which
    /// keeps histories in memory, and connects nobody.
    ///
    /// | over all nodes | on this node alone |
    /// |---|---|
    /// | messages to rooms: [`Room::send`](crate::Room::send), [`Hub::to`] | [`Hub::all`], [`Hub::broadcast`] |
    /// | [`Room::close_members`](crate::Room::close_members) | [`Hub::by_key`], [`Hub::members_of`], all numbers of members |
    /// | [`Hub::member`]: messages, Closes, joins and leaves | [`Hub::stats`], [`Hub::events`] |
    ///
    /// [`Hub::presence`] is about the people of all nodes.
    ///
    /// The node listens to the rooms that have members here, and for 10 s longer, so that a page that is loaded again costs nothing.
    /// [`Room::send`](crate::Room::send) says what a room without a history promises, and [`Rooms::history`] what a room with one does.
    ///
    /// ```
    /// use sockeye_state::{BuildError, Hub, Local, Rooms};
    /// use std::time::Duration;
    ///
    /// /// A hub whose histories outlive it, in this process.
    /// async fn hub(broker: &Local) -> Result<Hub<String>, BuildError> {
    ///     let chats = Rooms::new().history(200, Duration::from_secs(3600));
    ///     Hub::builder().broker(broker.clone()).rooms("chat:", chats).build().await
    /// }
    /// ```
    pub fn broker(mut self, broker: impl Broker) -> Self {
        self.broker = Some(Arc::new(broker));
        self
    }

    /// Keeps apart what several applications, or staging and production, have in one broker: hubs with the same namespace share
    /// their rooms. 1 to 200 bytes without control characters. Default: `sockeye`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Puts what members get of rooms into frames of the application, for example with the position of each message. `frame` is called
    /// once for each message and node, not for each member, and for what else members have to know: see [`Delivery`]. What it
    /// returns is sent; for `None`, nothing is. Messages to single members or to all are sent as they are. Default: each
    /// message as it is, and nothing else.
    ///
    /// The closure must be quick, since all members wait for it, and must not panic: members then hear of a gap.
    ///
    /// ```
    /// use sockeye_state::{Delivery, Hub};
    ///
    /// let builder = Hub::<String>::builder().frame(|delivery: &Delivery<'_>| match delivery {
    ///     Delivery::Message { at: Some(at), message: Some(message), .. } => {
    ///         Some(format!("{at} {}", String::from_utf8_lossy(message.payload())).into())
    ///     }
    ///     Delivery::Message { message, .. } => message.cloned(),
    ///     Delivery::Gap { .. } => Some("load the page again".into()),
    ///     _ => None,
    /// });
    /// # let _ = builder;
    /// ```
    pub fn frame(mut self, frame: impl Fn(&Delivery<'_>) -> Option<PreparedMessage> + Send + Sync + 'static) -> Self {
        self.framing = Framing(Some(Box::new(frame)));
        self
    }

    /// Builds the hub. With a broker or with histories, the hub has tasks in the Tokio runtime that this is called in, whose timers
    /// must be enabled. With a broker, other nodes can reach the members of this one when the future is ready; if the broker is slow,
    /// that is so a little later.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] that names what is configured wrongly.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, there is no hub.
    pub async fn build(mut self) -> Result<Hub<T>, BuildError> {
        let broker = self.broker.take();
        let namespace = self.namespace.take().unwrap_or_else(|| "sockeye".to_owned());
        if let Err(source) = name::check(&namespace) {
            return Err(BuildError::Namespace { namespace, source });
        }
        let mut inner = self.inner()?;
        if broker.is_none() && !inner.engine.rules.has_history() {
            return Ok(Hub::make(inner));
        }
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let has_others = broker.is_some();
        let broker = broker.unwrap_or_else(|| Arc::new(Local::new()));
        let link = Arc::new(Link::new(broker, namespace.into(), inner.node, runtime));
        let history = History::new(link.clone(), inner.engine.clone(), inner.members.clone());
        let relay = has_others.then(|| Relay::new(link.clone(), inner.engine.clone(), inner.members.clone()));
        inner.link = Some(link.clone());
        inner.history = Some(history.clone());
        inner.relay = relay.clone();
        inner.exchange = has_others.then(|| inner.presence.exchange(&link, &inner.engine)).flatten();
        let exchange = inner.exchange.clone();
        let hub = Hub::make(inner);
        if let Some(relay) = &relay {
            relay.set_orders(Box::new(OrdersOf(hub.downgrade())));
        }
        let receivers = Receivers {
            history: Arc::downgrade(&history),
            relay: relay.as_ref().map(Arc::downgrade).unwrap_or_default(),
            exchange: exchange.as_ref().map(Arc::downgrade).unwrap_or_default(),
        };
        arrivals::start(&link, receivers).await.map_err(BuildError::Broker)?;
        history.start();
        if let Some(relay) = &relay {
            relay.start().await;
        }
        if let Some(exchange) = exchange {
            exchange.start();
        }
        Ok(hub)
    }

    /// A hub of the defaults, which needs no broker.
    pub(crate) fn build_now(self) -> Result<Hub<T>, BuildError> {
        Ok(Hub::make(self.inner()?))
    }

    fn inner(self) -> Result<Inner<T>, BuildError> {
        let Self { rooms, overflow, limits, key_of, framing, .. } = self;
        let counts = [
            ("rooms_per_member", limits.rooms_per_member),
            ("pending_messages", limits.pending_messages),
            ("pending_bytes", limits.pending_bytes),
        ];
        if let Some((limit, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(BuildError::ZeroLimit { limit });
        }
        check(overflow)?;
        let mut prefixes = Vec::with_capacity(rooms.len());
        let mut presence = Vec::with_capacity(rooms.len());
        for (prefix, rooms) in rooms {
            match name::check(&prefix) {
                Ok(()) | Err(NameError::Empty) => {}
                Err(source) => return Err(BuildError::Prefix { prefix, source }),
            }
            if prefixes.iter().any(|(other, _)| *other == prefix) {
                return Err(BuildError::PrefixTwice { prefix });
            }
            check(rooms.overflow)?;
            check_history(&prefix, &rooms)?;
            prefixes.push((prefix.clone(), Rule { overflow: rooms.overflow, history: rooms.history }));
            presence.push(rooms.presence_rule(prefix)?);
        }
        let rules = Rules::new(limits, overflow, prefixes);
        let node = NodeId::random()?;
        Ok(Inner::new(node, rules, key_of, framing, Registry::new(node, presence)))
    }
}

impl<T> Rooms<T> {
    /// Rooms as they are without any configuration.
    pub fn new() -> Self {
        Self { overflow: None, history: None, person_of: None, linger: None }
    }

    /// What happens to members of these rooms that read too slowly. Default: what [`Builder::overflow`] says. For states, of
    /// which only the latest counts, such as prices, [`Overflow::DropOldest`] is right.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }

    /// The broker keeps the last messages of each of these rooms, at most so many, and forgets all of them `age` after the last
    /// one. Members that come back [with a position](crate::Join::since) get what they have missed. All members, on all nodes, get the
    /// messages in one order. Default: no history.
    ///
    /// Members of such rooms that read too slowly are closed with 1013, whatever [`Builder::overflow`] says: dropping a message
    /// would be a hole that nobody notices.
    pub fn history(mut self, messages: usize, age: Duration) -> Self {
        self.history = Some(Keep::new(messages, age));
        self
    }

    /// Lets [`Hub::presence`] tell who is in these rooms. `person` says who a member is, by its value: connections with the same
    /// key are one person, on whatever node. If they have different infos, the latest one counts, from whatever connection. A
    /// prefix that has presence on one node must have it on all.
    ///
    /// `person` is called once for each join, also for one that changes nothing since the member is in the room already. It runs
    /// in the task that joins, under no lock, and may use the hub. If it panics, so does the join, and the member has not joined.
    /// Default: no presence, which costs nothing.
    ///
    /// ```
    /// use sockeye_state::{BuildError, Hub, Person, Rooms};
    ///
    /// struct User {
    ///     id: u64,
    ///     name: String,
    /// }
    ///
    /// # async fn build() -> Result<(), BuildError> {
    /// let chats = Rooms::new().presence(|user: &User| Person::new(user.id.to_string(), user.name.clone()));
    /// let hub = Hub::builder().rooms("chat:", chats).build().await?;
    /// # let _: Hub<User> = hub;
    /// # Ok(())
    /// # }
    /// ```
    pub fn presence(mut self, person: impl Fn(&T) -> Person + Send + Sync + 'static) -> Self {
        self.person_of = Some(Box::new(person));
        self
    }

    /// How long somebody whose last connection has left these rooms is still shown as there. Whoever comes back in this time, to
    /// whatever node, has not left. The members of a node that was killed do not linger: others notice that after 6 s. Default: 2 s, so that nobody leaves by loading a page again. Zero: nobody lingers.
    ///
    /// A task of the hub ends the lingering. It belongs to the Tokio runtime in which somebody has left: leave in a runtime that keeps
    /// running. If the runtime shuts down, or if there is none, the first observer that looks starts the task in its own.
    ///
    /// A linger without [`presence`](Self::presence) is an error of [`Builder::build`].
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = Some(linger);
        self
    }

    fn presence_rule(self, prefix: String) -> Result<(String, Option<presence::Rule<T>>), BuildError> {
        match (self.person_of, self.linger) {
            (None, Some(_)) => Err(BuildError::LingerWithoutPresence { prefix }),
            (None, None) => Ok((prefix, None)),
            (Some(person_of), linger) => {
                Ok((prefix, Some(presence::Rule { person_of, linger: linger.unwrap_or(LINGER) })))
            }
        }
    }
}

impl<T> Default for Rooms<T> {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

/// Checks the close code of an [`Overflow::Disconnect`].
fn check(overflow: Option<Overflow>) -> Result<(), BuildError> {
    if let Some(Overflow::Disconnect(code)) = overflow {
        InvalidCloseCode::check(code)?;
    }
    Ok(())
}

fn check_history<T>(prefix: &str, rooms: &Rooms<T>) -> Result<(), BuildError> {
    let Some(Keep { messages, age, .. }) = rooms.history else { return Ok(()) };
    if messages == 0 || age.is_zero() {
        return Err(BuildError::EmptyHistory { prefix: prefix.into(), messages, age });
    }
    match rooms.overflow {
        None | Some(Overflow::Disconnect(close_code::AGAIN)) => Ok(()),
        Some(overflow) => Err(BuildError::HistoryOverflow { prefix: prefix.into(), overflow }),
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("rooms", &self.rooms)
            .field("overflow", &self.overflow)
            .field("limits", &self.limits)
            .field("namespace", &self.namespace)
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Rooms<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms")
            .field("overflow", &self.overflow)
            .field("history", &self.history)
            .field("has_presence", &self.person_of.is_some())
            .field("linger", &self.linger)
            .finish()
    }
}
