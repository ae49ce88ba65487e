//! People for the tests of presence.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use sockeye_state::{Hub, Person, Presence, PresenceChange, Rooms};
use tokio::time::timeout;

/// What members are registered with: the key and the info of their person.
pub(crate) type Value = (&'static str, &'static str);

/// A hub with presence in the rooms whose names begin with `chat:`.
pub(crate) async fn hub() -> Hub<Value> {
    let chats = Rooms::new().presence(|value: &Value| person(*value));
    Hub::builder().rooms("chat:", chats).build().await.expect("the configuration is right")
}

pub(crate) fn person((key, info): Value) -> Person {
    Person::new(key, info)
}

pub(crate) fn joined(value: Value) -> PresenceChange {
    PresenceChange::Joined(person(value))
}

pub(crate) fn updated(value: Value) -> PresenceChange {
    PresenceChange::Updated(person(value))
}

pub(crate) fn left(value: Value) -> PresenceChange {
    PresenceChange::Left(person(value))
}

/// The infos of these people by their keys, each of which is there once.
pub(crate) fn state(people: &[Person]) -> BTreeMap<String, Bytes> {
    let state: BTreeMap<_, _> = people.iter().map(|person| (person.key().to_owned(), person.info().clone())).collect();
    assert_eq!(state.len(), people.len(), "{people:?}");
    state
}

/// Applies a change. It must be about what is known.
pub(crate) fn apply(state: &mut BTreeMap<String, Bytes>, change: PresenceChange) {
    match change {
        PresenceChange::Joined(person) => {
            let before = state.insert(person.key().to_owned(), person.info().clone());
            assert_eq!(before, None, "{person:?} joined twice");
        }
        PresenceChange::Updated(person) => {
            let before = state.insert(person.key().to_owned(), person.info().clone());
            assert!(before.is_some_and(|before| before != *person.info()), "{person:?} is no update");
        }
        PresenceChange::Left(person) => {
            let before = state.remove(person.key());
            assert_eq!(before.as_ref(), Some(person.info()), "{person:?} left");
        }
        PresenceChange::Reset(all) => *state = self::state(&all),
        _ => panic!("{change:?} is new"),
    }
}

/// The next change, which must be there already.
pub(crate) async fn soon(who: &mut Presence) -> PresenceChange {
    let change = timeout(Duration::ZERO, who.next()).await.expect("a change is there");
    change.expect("the hub is there")
}

/// The next change, as soon as the paused clock is there.
pub(crate) async fn later(who: &mut Presence) -> PresenceChange {
    let change = timeout(Duration::from_secs(3600), who.next()).await.expect("a change comes");
    change.expect("the hub is there")
}

/// Nothing changes for so long. The paused clock goes on meanwhile.
pub(crate) async fn no_change(who: &mut Presence, time: Duration) {
    let change = timeout(time, who.next()).await;
    assert!(change.is_err(), "{change:?}");
}
