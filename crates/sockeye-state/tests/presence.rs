//! Who is in a room, and who comes and goes. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use sockeye_state::{Hub, Person, Presence, PresenceChange, Rooms};
use support::join;
use tokio::time::{Instant, advance, timeout};

/// What members are registered with: the key and the info of their person.
type Value = (&'static str, &'static str);

const LINGER: Duration = Duration::from_secs(2);

async fn hub() -> Hub<Value> {
    let chats = Rooms::new().presence(|(key, info): &Value| Person::new(*key, *info));
    Hub::builder().rooms("chat:", chats).build().await.unwrap()
}

fn person((key, info): Value) -> Person {
    Person::new(key, info)
}

fn joined(value: Value) -> PresenceChange {
    PresenceChange::Joined(person(value))
}

fn updated(value: Value) -> PresenceChange {
    PresenceChange::Updated(person(value))
}

fn left(value: Value) -> PresenceChange {
    PresenceChange::Left(person(value))
}

fn state(people: &[Person]) -> BTreeMap<String, Bytes> {
    people.iter().map(|person| (person.key().to_owned(), person.info().clone())).collect()
}

/// Waits for the next change at most so long. The paused clock goes on meanwhile.
async fn within(limit: Duration, who: &mut Presence) -> Option<PresenceChange> {
    timeout(limit, who.next()).await.ok().map(|change| change.expect("the hub is there"))
}

#[tokio::test(start_paused = true)]
async fn a_person_joins_with_the_first_connection_and_leaves_with_the_last() {
    let hub = hub().await;
    let mut who = hub.presence("chat:42").await.unwrap();
    assert_eq!((who.snapshot(), who.count()), (&[][..], 0));

    let (_phone_client, phone, _) = join(&hub, "chat:42", ("ada", "Ada")).await;
    assert_eq!(within(Duration::ZERO, &mut who).await, Some(joined(("ada", "Ada"))));
    let (_tab_client, tab, _) = join(&hub, "chat:42", ("ada", "Ada")).await;
    drop(phone);
    assert_eq!(within(3 * LINGER, &mut who).await, None);
    assert_eq!(hub.presence("chat:42").await.unwrap().snapshot(), [person(("ada", "Ada"))]);

    drop(tab);
    let since = Instant::now();
    assert_eq!(who.next().await, Some(left(("ada", "Ada"))));
    let took = since.elapsed();
    assert!((LINGER..=LINGER + Duration::from_millis(200)).contains(&took), "{took:?}");
    assert_eq!(who.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_while_lingering_has_not_left() {
    let hub = hub().await;
    let mut who = hub.presence("chat:42").await.unwrap();
    let (_client, ada, room) = join(&hub, "chat:42", ("ada", "Ada")).await;
    assert_eq!(who.next().await, Some(joined(("ada", "Ada"))));
    for _ in 0..3 {
        // By leaving the room, and by leaving the hub.
        room.clone().leave().await;
        advance(LINGER - Duration::from_millis(1)).await;
        ada.join("chat:42").await.unwrap();
    }
    drop(ada);
    advance(LINGER / 2).await;
    let (_client, _ada, _) = join(&hub, "chat:42", ("ada", "Ada, on the phone")).await;
    assert_eq!(within(Duration::ZERO, &mut who).await, Some(updated(("ada", "Ada, on the phone"))));
    assert_eq!(within(3 * LINGER, &mut who).await, None);
    assert_eq!(state(hub.presence("chat:42").await.unwrap().snapshot()).len(), 1);
}
