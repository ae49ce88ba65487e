//! `Hub`: the connections of an application on this node, and its rooms.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use sockeye_proto::PreparedMessage;
use sockeye_tokio::Sender;

use crate::{
    Audience, Builder, Events, Everyone, Member, MemberId, NodeId, Presence, PresenceError, Present, RemoteMember,
    Room, Stats,
    engine::{self, Engine, Except},
    framing::Framing,
    history::History,
    link::Link,
    members::{KeyOf, Members},
    presence::{Exchange, Registry},
    relay::Relay,
    rules::Rules,
};

/// The connections of an application on this node, each with a value that the application chooses, and its rooms. Cheap to
/// clone; all clones are the same hub.
///
/// A handler [registers](Self::register) its connection and gets a [`Member`], which leaves the hub and all rooms when it is
/// dropped. Members [join](Member::join) rooms by name. A room exists as long as it has members.
///
/// No method here waits for a slow receiver. What happens to one is said by its [`Overflow`](crate::Overflow): by default it is
/// disconnected.
///
/// ```
/// use sockeye_state::Hub;
/// use sockeye_tokio::{Message, WebSocket};
///
/// struct User {
///     name: String,
/// }
///
/// async fn chat(mut socket: WebSocket, hub: Hub<User>, room: String, user: User) {
///     let me = hub.register(socket.sender(), user);
///     let Ok(room) = me.join(room).await else { return };
///     while let Some(Ok(message)) = socket.recv().await {
///         let Message::Text(line) = message else { continue };
///         room.send(format!("{}: {line}", me.value().name));
///     }
/// } // here the user leaves
/// ```
#[doc(alias = "rooms")]
pub struct Hub<T> {
    inner: Arc<Inner<T>>,
}

pub(crate) struct Inner<T> {
    pub(crate) node: NodeId,
    pub(crate) engine: Arc<Engine<Sender>>,
    pub(crate) members: Arc<Members<T>>,
    /// Present if rooms have a history, or if there is a broker.
    pub(crate) link: Option<Arc<Link>>,
    /// Present if there is a link.
    pub(crate) history: Option<Arc<History>>,
    /// Present if there is a broker that other nodes may have too.
    pub(crate) relay: Option<Arc<Relay>>,
    pub(crate) presence: Arc<Registry<T>>,
    /// Present if [`Builder::broker`](crate::Builder::broker) was given, and rooms have presence.
    pub(crate) exchange: Option<Arc<Exchange>>,
}

impl<T: Send + Sync + 'static> Hub<T> {
    /// A hub with the default [`Limits`](crate::Limits), without members.
    ///
    /// # Panics
    ///
    /// If the system has no random numbers, which the identity of the node needs. [`Builder::build`] returns an error instead.
    pub fn new() -> Self {
        Self::builder().build_now().expect("the defaults are right, and a system has random numbers")
    }

    /// Configures a hub.
    pub fn builder() -> Builder<T> {
        Builder::new()
    }

    /// Adds the connection of `sender` to the hub. The connection stays in the hub until the returned member is dropped.
    ///
    /// ```
    /// # use sockeye_state::Hub;
    /// # use sockeye_tokio::WebSocket;
    /// # async fn handler(socket: WebSocket, hub: Hub<String>) {
    /// let me = hub.register(socket.sender(), "Ada".to_owned());
    /// # }
    /// ```
    pub fn register(&self, sender: Sender, value: T) -> Member<T> {
        Member::new(self.clone(), self.inner.members.add(sender, value))
    }

    /// The room with this name, from anywhere. If nobody is in it, or if no room can have this name, messages to it are for
    /// nobody.
    pub fn room(&self, name: impl AsRef<str>) -> Room<T> {
        Room::named(self.clone(), name.as_ref())
    }

    /// The members of all these rooms, and nobody twice. Whoever is in several of the rooms gets a message from the first that
    /// comes to it, with the [`Overflow`](crate::Overflow) of that room, maybe ahead of what was sent to another one before.
    ///
    /// ```
    /// # use sockeye_state::Hub;
    /// # let hub: Hub<String> = Hub::new();
    /// hub.to(["harbour", "lighthouse"]).send("the tide is coming in");
    /// ```
    pub fn to<I>(&self, rooms: I) -> Audience<T>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        Audience::new(rooms.into_iter().map(|name| self.room(name)).collect())
    }

    /// A member, from anywhere and on whatever node, by its identity. [`RemoteMember`] has an example.
    pub fn member(&self, id: MemberId) -> RemoteMember<T> {
        RemoteMember::new(self.clone(), id)
    }

    /// All members of this node.
    pub fn all(&self) -> Everyone<'_, T> {
        Everyone::new(self)
    }

    /// Sends a message to all members of this node. Short for [`all`](Self::all)`().`[`send`](Everyone::send).
    pub fn broadcast(&self, message: impl Into<PreparedMessage>) -> usize {
        self.all().send(message)
    }

    /// The members of this node with this key, which [`Builder::key`] gives to each member: for example all connections of one
    /// user. Nobody, if the hub was built without keys.
    ///
    /// ```
    /// # use sockeye_state::{BuildError, Hub};
    /// # async fn build() -> Result<(), BuildError> {
    /// struct User {
    ///     id: u64,
    /// }
    ///
    /// let hub = Hub::<User>::builder().key(|user: &User| user.id.to_string()).build().await?;
    /// println!("user 17 has {} connections", hub.by_key("17").len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn by_key(&self, key: impl AsRef<str>) -> Vec<Present<T>> {
        self.inner.members.by_key(key.as_ref()).into_iter().map(Present::new).collect()
    }

    /// The members of this node that are in this room, in no order.
    ///
    /// Members of other nodes are not among them: a question to all nodes is as slow as the slowest of them.
    pub fn members_of(&self, room: impl AsRef<str>) -> Vec<Present<T>> {
        self.room(room).members()
    }

    /// Who is in a room, and from the same moment on who comes and goes. The room needs [`Rooms::presence`](crate::Rooms::presence).
    /// [`Presence`] has an example.
    ///
    /// It does not matter whether anybody is in the room. The snapshot costs little, also of a large room.
    ///
    /// With a [broker](Builder::broker), the people are those of all nodes with the same namespace. The future is then ready once
    /// this node knows what the others say. That is at once while this node has members or observers in the room; otherwise the others
    /// are asked first. The future waits for at most a second, as when the broker is away: what comes later is a
    /// [`PresenceChange::Reset`](crate::PresenceChange::Reset).
    ///
    /// # Errors
    ///
    /// A [`PresenceError`], if no room can have this name, or if the room has no presence.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nothing is observed.
    pub async fn presence(&self, room: impl AsRef<str>) -> Result<Presence, PresenceError> {
        let room = room.as_ref();
        let mut who = self.inner.presence.observe(room)?;
        if let Some(exchange) = &self.inner.exchange {
            exchange.known(room).await;
            who.begin_anew();
        }
        Ok(who)
    }

    /// All members of this node, in no order.
    pub fn members(&self) -> Vec<Present<T>> {
        let mut members = Vec::with_capacity(self.len());
        self.inner.members.for_each(|member| members.push(Present::new(member)));
        members
    }

    /// How many members this node has.
    pub fn len(&self) -> usize {
        self.inner.members.len()
    }

    /// Whether this node has no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the hub reports from now on.
    pub fn events(&self) -> Events {
        self.inner.engine.events.subscribe()
    }

    /// What the hub has and has done so far.
    pub fn stats(&self) -> Stats {
        let mut stats = self.inner.engine.counters.read(self.len(), self.inner.engine.rooms());
        self.inner.presence.read(&mut stats);
        stats
    }

    /// The identity of this node: a random number for each hub.
    pub fn node(&self) -> NodeId {
        self.inner.node
    }
}

impl<T> Hub<T> {
    pub(crate) fn make(inner: Inner<T>) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// The members of this node that are excepted from a message. Somebody who has left is not among them, and gets nothing anyway.
    pub(crate) fn excepted(&self, ids: &[MemberId]) -> Except {
        let members = &self.inner.members;
        ids.iter().filter(|id| members.get(**id).is_some()).map(|id| id.key).collect()
    }

    pub(crate) fn inner(&self) -> &Inner<T> {
        &self.inner
    }

    /// The same hub, without keeping it.
    pub(crate) fn downgrade(&self) -> Weak<Inner<T>> {
        Arc::downgrade(&self.inner)
    }

    pub(crate) fn upgrade(inner: &Weak<Inner<T>>) -> Option<Self> {
        inner.upgrade().map(|inner| Self { inner })
    }
}

impl<T> Inner<T> {
    pub(crate) fn new(
        node: NodeId,
        rules: Rules,
        key_of: Option<KeyOf<T>>,
        framing: Framing,
        presence: Registry<T>,
    ) -> Self {
        Self {
            node,
            engine: Arc::new(Engine::new(rules, framing)),
            members: Arc::new(Members::new(node, key_of)),
            link: None,
            history: None,
            relay: None,
            presence: Arc::new(presence),
            exchange: None,
        }
    }
}

impl<T> Inner<T> {
    /// A member has left a room, in which maybe nobody is now. Called without a lock.
    pub(crate) fn has_left(&self, room: &engine::Room<Sender>, is_empty: bool) {
        match (&self.history, &self.relay) {
            (Some(history), _) if room.has_history => history.leave(&room.name),
            (_, Some(relay)) if is_empty => relay.left(room),
            _ => {}
        }
    }
}

impl<T> Drop for Inner<T> {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            let relay = self.relay.take();
            let bye = self.exchange.as_ref().map(|exchange| exchange.close());
            link.close(async move {
                if let Some(bye) = bye {
                    bye.await;
                }
                if let Some(relay) = relay {
                    relay.finish().await;
                }
            });
        }
    }
}

impl<T> Clone for Hub<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T: Send + Sync + 'static> Default for Hub<T> {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("node", &self.inner.node).field("members", &self.inner.members.len()).finish()
    }
}
