//! Who is in a room, and who comes and goes. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sockeye_state::{BuildError, Hub, Person, Rooms};
use support::{
    join,
    presence::{Value, hub, joined, later, left, no_change, person, soon, state, updated},
    register,
};
use tokio::time::{Instant, advance, timeout};

const LINGER: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn a_person_joins_with_the_first_connection_and_leaves_with_the_last() {
    let hub = hub().await;
    let mut who = hub.presence("chat:42").await.unwrap();
    assert_eq!((who.room(), who.snapshot(), who.count()), ("chat:42", &[][..], 0));

    let (_phone_client, phone, _) = join(&hub, "chat:42", ("ada", "Ada")).await;
    assert_eq!((soon(&mut who).await, who.count()), (joined(("ada", "Ada")), 1));
    let (_tab_client, tab, _) = join(&hub, "chat:42", ("ada", "Ada")).await;
    drop(phone);
    no_change(&mut who, 3 * LINGER).await;
    assert_eq!(hub.presence("chat:42").await.unwrap().snapshot(), [person(("ada", "Ada"))]);

    drop(tab);
    let since = Instant::now();
    assert_eq!((later(&mut who).await, who.count()), (left(("ada", "Ada")), 0));
    let took = since.elapsed();
    assert!((LINGER..=LINGER + Duration::from_millis(200)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_while_lingering_has_not_left() {
    let hub = hub().await;
    let mut who = hub.presence("chat:42").await.unwrap();
    let (_client, ada, room) = join(&hub, "chat:42", ("ada", "Ada")).await;
    assert_eq!(soon(&mut who).await, joined(("ada", "Ada")));
    for _ in 0..3 {
        room.clone().leave().await;
        advance(LINGER - Duration::from_millis(1)).await;
        ada.join("chat:42").await.unwrap();
    }
    // A page that is loaded again is another connection.
    drop(ada);
    advance(LINGER / 2).await;
    let (_client, _ada, _) = join(&hub, "chat:42", ("ada", "Ada, on the phone")).await;
    assert_eq!(soon(&mut who).await, updated(("ada", "Ada, on the phone")));
    no_change(&mut who, 3 * LINGER).await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_again_lingers_from_then_on() {
    let hub = hub().await;
    let mut who = hub.presence("chat:42").await.unwrap();
    let (_ada_client, ada, _) = join(&hub, "chat:42", ("ada", "")).await;
    let (_eve_client, eve, _) = join(&hub, "chat:42", ("eve", "")).await;
    assert_eq!((soon(&mut who).await, soon(&mut who).await), (joined(("ada", "")), joined(("eve", ""))));
    ada.leave("chat:42").await;
    advance(LINGER * 3 / 4).await;
    ada.join("chat:42").await.unwrap();
    drop(eve);
    advance(LINGER / 8).await;
    drop(ada);
    let since = Instant::now();
    assert_eq!(later(&mut who).await, left(("eve", "")));
    assert!(since.elapsed() < LINGER);
    assert_eq!(later(&mut who).await, left(("ada", "")));
    assert!((LINGER..LINGER + Duration::from_millis(200)).contains(&since.elapsed()));
}

#[tokio::test(start_paused = true)]
async fn each_prefix_has_its_own_people_and_its_own_linger() {
    let hub = Hub::<Value>::builder()
        .rooms("", Rooms::new().presence(|value: &Value| person(*value)))
        .rooms("at-once:", Rooms::new().presence(|(key, _): &Value| Person::new(*key, "")).linger(Duration::ZERO))
        .rooms("forever:", Rooms::new().presence(|(_, info): &Value| Person::new(*info, "")).linger(Duration::MAX))
        .rooms("none:", Rooms::new())
        .build()
        .await
        .unwrap();
    let mut seen = Vec::new();
    for room in ["any", "at-once:1", "forever:1"] {
        seen.push(hub.presence(room).await.unwrap());
    }
    let (_client, ada) = register(&hub, ("ada", "Ada")).await;
    for room in ["any", "at-once:1", "forever:1", "none:1"] {
        ada.join(room).await.unwrap();
    }
    for (who, value) in seen.iter_mut().zip([("ada", "Ada"), ("ada", ""), ("Ada", "")]) {
        assert_eq!(soon(who).await, joined(value));
    }
    assert_eq!(hub.stats().people, 3);
    // Who leaves later may have to be gone earlier.
    ada.leave("forever:1").await;
    no_change(&mut seen[2], LINGER).await;
    drop(ada);
    assert_eq!(soon(&mut seen[1]).await, left(("ada", "")));
    no_change(&mut seen[0], LINGER - Duration::from_millis(1)).await;
    assert_eq!(later(&mut seen[0]).await, left(("ada", "Ada")));
    no_change(&mut seen[2], Duration::from_secs(1_000_000)).await;
    assert_eq!((hub.stats().people, seen[2].count()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_update_reaches_all_rooms_with_presence() {
    let hub = hub().await;
    let (_client, ada) = register(&hub, ("ada", "Ada")).await;
    assert_eq!(ada.update_presence("early"), 0);
    for room in ["chat:1", "chat:2", "news"] {
        ada.join(room).await.unwrap();
    }
    let mut first = hub.presence("chat:1").await.unwrap();
    let mut second = hub.presence("chat:2").await.unwrap();
    assert_eq!(first.snapshot(), [person(("ada", "early"))]);

    assert_eq!(ada.update_presence("away"), 2);
    for who in [&mut first, &mut second] {
        assert_eq!(soon(who).await, updated(("ada", "away")));
    }
    // What is the same is no change, and what was told counts in other rooms too.
    assert_eq!(ada.update_presence("away"), 2);
    ada.join("chat:3").await.unwrap();
    assert_eq!(hub.presence("chat:3").await.unwrap().snapshot(), [person(("ada", "away"))]);
    ada.leave("chat:1").await;
    assert_eq!(ada.update_presence("back"), 2);
    no_change(&mut first, LINGER / 2).await;
    assert_eq!(soon(&mut second).await, updated(("ada", "back")));
    assert_eq!(later(&mut first).await, left(("ada", "away")));
}

#[tokio::test(start_paused = true)]
async fn of_several_connections_the_latest_info_counts() {
    let hub = hub().await;
    let mut who = hub.presence("chat:42").await.unwrap();
    let (_phone_client, phone, _) = join(&hub, "chat:42", ("ada", "phone")).await;
    assert_eq!(soon(&mut who).await, joined(("ada", "phone")));
    let (_tab_client, tab, _) = join(&hub, "chat:42", ("ada", "tab")).await;
    assert_eq!(soon(&mut who).await, updated(("ada", "tab")));
    // Joining again changes nothing.
    phone.join("chat:42").await.unwrap();
    no_change(&mut who, Duration::ZERO).await;
    phone.update_presence("phone, away");
    assert_eq!(soon(&mut who).await, updated(("ada", "phone, away")));
    drop(phone);
    assert_eq!(soon(&mut who).await, updated(("ada", "tab")));
    drop(tab);
    assert_eq!(later(&mut who).await, left(("ada", "tab")));
}

#[tokio::test]
async fn what_has_no_presence_says_how_to_get_one() {
    let error = Hub::<Value>::new().presence("chat:42").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "the room \"chat:42\" has no presence; no rooms with a prefix of this name are configured: build the hub with \
         `.rooms(prefix, Rooms::new().presence(…))`"
    );
    let rooms = || Rooms::new().presence(|value: &Value| person(*value));
    let hub = Hub::builder().rooms("chat:", rooms()).rooms("chat:secret:", Rooms::new()).build().await.unwrap();
    let error = hub.presence("chat:secret:1").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "the room \"chat:secret:1\" has no presence; the rooms with the prefix \"chat:secret:\" are configured without it: add \
         `.presence(…)` to their `Rooms`"
    );
    assert!(hub.presence("chat:open").await.is_ok());
    let error = hub.presence("chat:\n").await.unwrap_err().to_string();
    assert_eq!(error, "the name of the room has the control character U+000A at byte 5; expected none");

    let built = Hub::<Value>::builder().rooms("chat:", Rooms::new().linger(LINGER)).build().await;
    assert!(matches!(&built, Err(BuildError::LingerWithoutPresence { prefix }) if prefix == "chat:"), "{built:?}");
    let error = built.unwrap_err().to_string();
    assert_eq!(
        error,
        "the rooms with the prefix \"chat:\" have a linger, but no presence; expected `Rooms::presence` too"
    );
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_comes_later_sees_who_is_there_now() {
    let hub = hub().await;
    let (_ada_client, ada, _) = join(&hub, "chat:42", ("ada", "")).await;
    let (_eve_client, _eve, _) = join(&hub, "chat:42", ("eve", "")).await;
    // Nobody observes the room, so nobody has to be spared a reload.
    drop(ada);
    let mut first = hub.presence("chat:42").await.unwrap();
    assert_eq!(state(first.snapshot()), state(&[person(("eve", ""))]));
    let (_ada_client, ada, _) = join(&hub, "chat:42", ("ada", "")).await;
    drop(ada);
    // For the first observer she lingers, and so for all.
    let mut second = hub.presence("chat:42").await.unwrap();
    assert_eq!((first.count(), second.count()), (1, 2));
    assert_eq!((soon(&mut first).await, first.count()), (joined(("ada", "")), 2));
    for who in [&mut first, &mut second] {
        assert_eq!((later(who).await, who.count()), (left(("ada", "")), 1));
    }
    // The snapshot is that of the beginning, until it is given away.
    assert_eq!(second.snapshot().len(), 2);
    assert_eq!((second.take_snapshot().len(), second.snapshot(), second.count()), (2, &[][..], 1));
}

#[tokio::test(start_paused = true)]
async fn observers_end_with_the_hub() {
    let hub = hub().await;
    let (_client, ada, _) = join(&hub, "chat:42", ("ada", "")).await;
    let mut who = hub.presence("chat:42").await.unwrap();
    let observer = tokio::spawn(async move {
        let change = who.next().await;
        (change, who.next().await, who.count())
    });
    drop(ada);
    tokio::time::sleep(LINGER + Duration::from_millis(200)).await;
    assert_eq!(hub.stats().observers, 1);
    drop(hub);
    let seen = timeout(Duration::from_secs(60), observer).await.unwrap().unwrap();
    assert_eq!(seen, (Some(left(("ada", ""))), None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_next_loses_no_change() {
    let hub = hub().await;
    let mut who = hub.presence("chat:42").await.unwrap();
    no_change(&mut who, Duration::from_millis(1)).await;
    let (_client, ada, _) = join(&hub, "chat:42", ("ada", "")).await;
    drop(who.next());
    assert_eq!(soon(&mut who).await, joined(("ada", "")));
    drop(ada);
    no_change(&mut who, LINGER / 2).await;
    no_change(&mut who, LINGER / 4).await;
    assert_eq!(later(&mut who).await, left(("ada", "")));
}

#[tokio::test(start_paused = true)]
async fn figures_of_presence() {
    let hub = hub().await;
    let first = hub.presence("chat:1").await.unwrap();
    let (_client, ada, _) = join(&hub, "chat:1", ("ada", "")).await;
    let (_other_client, other, _) = join(&hub, "chat:1", ("ada", "")).await;
    ada.join("chat:2").await.unwrap();
    let stats = hub.stats();
    assert_eq!((stats.people, stats.observers, stats.resets), (2, 1, 0));
    drop((ada, other));
    assert_eq!(hub.stats().people, 1, "she lingers where somebody looks");
    drop(first);
    tokio::time::sleep(LINGER + Duration::from_millis(200)).await;
    let stats = hub.stats();
    assert_eq!((stats.people, stats.observers), (0, 0));
}

#[tokio::test]
async fn the_application_is_asked_once_for_each_join() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let rooms = Rooms::new().presence(move |value: &Value| {
        count.fetch_add(1, Ordering::Relaxed);
        person(*value)
    });
    let hub = Hub::builder().rooms("chat:", rooms).build().await.unwrap();
    let (_client, ada) = register(&hub, ("ada", "")).await;
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    for (room, expected) in [("chat:1", 1), ("news", 1), ("chat:2", 2), ("chat:2", 3)] {
        ada.join(room).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), expected, "{room}");
    }
    ada.update_presence("away");
    assert!(ada.leave("chat:1").await);
    drop((hub.presence("chat:2").await.unwrap(), ada));
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_panic_of_the_application_leaves_nothing_behind() {
    let rooms = Rooms::new().presence(|(key, info): &Value| match *key {
        "eve" => panic!("who is that?"),
        key => Person::new(key, *info),
    });
    let hub = Hub::<Value>::builder().rooms("chat:", rooms).build().await.unwrap();
    let mut who = hub.presence("chat:42").await.unwrap();
    let (_client, eve) = register(&hub, ("eve", "")).await;
    let eve = Arc::new(eve);
    let again = eve.clone();
    assert!(tokio::spawn(async move { again.join("chat:42").await.map(drop) }).await.unwrap_err().is_panic());
    assert_eq!((hub.room("chat:42").len(), hub.stats().people, eve.rooms().len()), (0, 0, 0));
    eve.join("news").await.unwrap();
    let (_client, _ada, _) = join(&hub, "chat:42", ("ada", "")).await;
    assert_eq!(soon(&mut who).await, joined(("ada", "")));
}
