//! Nodes with presence, on one `Local`.

use std::{collections::BTreeSet, time::Duration};

use sockeye_state::{Hub, Local, Member, Person, Presence, PresenceChange, Rooms};
use sockeye_tokio::Sender;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Client, connect, network::Connection};

pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// A node whose members are registered with the keys of their people.
pub(crate) struct Node {
    pub(crate) hub: Hub<String>,
    pub(crate) connection: Connection,
    /// The connection of all its members.
    sender: Sender,
    _client: Client,
}

impl Node {
    pub(crate) async fn start(local: &Local) -> Self {
        let connection = Connection::to(local);
        let rooms = Rooms::new().presence(|key: &String| Person::new(key.clone(), "")).linger(LINGER);
        let hub = Hub::builder().broker(connection.clone()).rooms("", rooms).build().await;
        let (_client, sender) = connect().await;
        Self { hub: hub.expect("the configuration is right"), connection, sender, _client }
    }

    pub(crate) async fn join(&self, room: &str, key: &str) -> Member<String> {
        let member = self.hub.register(self.sender.clone(), key.to_owned());
        member.join(room).await.expect("the name is valid");
        member
    }

    pub(crate) async fn observe(&self, room: &str) -> Observer {
        let mut who = self.hub.presence(room).await.expect("the room has presence");
        let people = who.take_snapshot().iter().map(|person| person.key().to_owned()).collect();
        Observer { who, people }
    }
}

/// Some nodes that know each other.
pub(crate) async fn nodes<const N: usize>() -> [Node; N] {
    let local = Local::new();
    let mut nodes = Vec::new();
    for _ in 0..N {
        nodes.push(Node::start(&local).await);
    }
    pass(Duration::from_secs(1)).await;
    nodes.try_into().unwrap_or_else(|_| unreachable!("there are as many"))
}

pub(crate) struct Observer {
    who: Presence,
    people: BTreeSet<String>,
}

/// A change, in short: `+` somebody has joined, `-` somebody has left.
pub(crate) type Change = String;

impl Observer {
    /// All people as the observer knows them, after all changes that are there. Each of them must be about what is known.
    pub(crate) async fn people(&mut self) -> Vec<&str> {
        self.changes(Duration::ZERO).await;
        self.people.iter().map(String::as_str).collect()
    }

    /// The changes within this time, which passes.
    pub(crate) async fn changes(&mut self, time: Duration) -> Vec<Change> {
        let end = Instant::now() + time;
        let mut changes = Vec::new();
        while let Some(change) = self.next(end - Instant::now()).await {
            changes.push(change);
        }
        changes
    }

    /// The next change, if one comes within this time.
    pub(crate) async fn next(&mut self, time: Duration) -> Option<Change> {
        let change = timeout(time, self.who.next()).await.ok()?.expect("the hub is there");
        let change = match change {
            PresenceChange::Joined(person) => {
                assert!(self.people.insert(person.key().to_owned()), "{} is there", person.key());
                format!("+{}", person.key())
            }
            PresenceChange::Left(person) => {
                assert!(self.people.remove(person.key()), "{} is not there", person.key());
                format!("-{}", person.key())
            }
            PresenceChange::Reset(all) => {
                self.people = all.iter().map(|person| person.key().to_owned()).collect();
                "reset".to_owned()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(self.who.count(), self.people.len());
        Some(change)
    }
}

/// Lets time pass, with all that happens in it.
pub(crate) async fn pass(time: Duration) {
    sleep_until(Instant::now() + time).await;
}
