//! Rooms whose messages have frames of the application.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use sockeye_state::{CaughtUp, Delivery, Event, Hub, Position, Rooms};
use support::{join, register, texts_by_now};

/// A hub whose frames say all that there is to say, and the number of frames that it has made.
async fn hub() -> (Hub<&'static str>, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let builder = Hub::builder().rooms("chat:", Rooms::new().history(3, Duration::from_secs(3600)));
    let frame = move |delivery: &Delivery<'_>| {
        counted.fetch_add(1, SeqCst);
        Some(line(delivery).into())
    };
    (builder.frame(frame).build().await.unwrap(), count)
}

fn line(delivery: &Delivery<'_>) -> String {
    let offset = |at: &Option<Position>| at.map_or("-".to_owned(), |at| at.offset.to_string());
    match delivery {
        Delivery::Message { room, at, message: Some(message), .. } => {
            format!("{room} {} {}", offset(at), std::str::from_utf8(message.payload()).unwrap())
        }
        Delivery::Message { room, at, message: None, .. } => format!("{room} {} is not for you", offset(at)),
        Delivery::Joined { room, at, caught_up, .. } => format!("{room} {} joined {caught_up:?}", offset(at)),
        Delivery::Gap { room, .. } => format!("{room} gap"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn joined_comes_first_then_the_missed_messages_then_the_live_ones() {
    let (hub, _) = hub().await;
    let first = hub.room("chat:1").append("a").await.unwrap();
    hub.room("chat:1").append("b").await.unwrap();
    let (mut client, me) = register(&hub, "Ada").await;
    let room = me.join("chat:1").since(first).await.unwrap();
    room.append("c").await.unwrap();
    assert_eq!(texts_by_now(&mut client, &me).await, ["chat:1 2 joined Whole(1)", "chat:1 2 b", "chat:1 3 c"]);

    me.leave("chat:1").await;
    me.join("chat:1").await.unwrap();
    me.join("lobby").await.unwrap();
    hub.room("lobby").send("hello");
    let got = texts_by_now(&mut client, &me).await;
    assert_eq!(got, ["chat:1 3 joined Fresh", "lobby - joined Fresh", "lobby - hello"]);
}

#[tokio::test(start_paused = true)]
async fn an_excluded_member_gets_the_position_alone() {
    let (hub, _) = hub().await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    let (mut bob, other, _) = join(&hub, "chat:1", "Bob").await;
    assert_eq!(room.to_others().send("a"), 1);
    assert_eq!(room.except(me.id()).except(other.id()).send("b"), 0);
    let got = texts_by_now(&mut ada, &me).await;
    assert_eq!(got, ["chat:1 - joined Fresh", "chat:1 1 is not for you", "chat:1 2 is not for you"]);
    let got = texts_by_now(&mut bob, &other).await;
    assert_eq!(got, ["chat:1 - joined Fresh", "chat:1 1 a", "chat:1 2 is not for you"]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_is_made_once_for_all_members() {
    let (hub, count) = hub().await;
    let mut members = Vec::new();
    for _ in 0..40 {
        members.push(join(&hub, "chat:1", "many").await);
    }
    let before = count.load(SeqCst);
    let position = hub.room("chat:1").append("a").await.unwrap();
    for (client, member, _) in &mut members {
        assert_eq!(texts_by_now(client, member).await.last().unwrap(), "chat:1 1 a");
    }
    assert_eq!(count.load(SeqCst), before + 1);

    // Nor for those who come back.
    for (client, member, _) in &mut members {
        let since = Position::new(position.epoch, 0);
        let room = member.join("chat:1").since(since).await.unwrap();
        assert_eq!(room.caught_up(), CaughtUp::Whole(1));
        assert_eq!(texts_by_now(client, member).await, ["chat:1 1 joined Whole(1)", "chat:1 1 a"]);
    }
    assert_eq!(count.load(SeqCst), before + 1 + members.len());
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_panics_is_a_gap_and_the_room_goes_on() {
    let builder = Hub::<&str>::builder().rooms("chat:", Rooms::new().history(3, Duration::from_secs(3600)));
    let hub = builder.frame(|delivery: &Delivery<'_>| {
        let line = line(delivery);
        assert!(!line.contains("bad"), "a bug of the application");
        Some(line.into())
    });
    let hub = hub.build().await.unwrap();
    let mut events = hub.events();
    let (mut client, me, room) = join(&hub, "chat:1", "Ada").await;
    for text in ["good", "bad", "good again"] {
        room.append(text).await.unwrap();
    }
    let got = texts_by_now(&mut client, &me).await;
    assert_eq!(got, ["chat:1 - joined Fresh", "chat:1 1 good", "chat:1 gap", "chat:1 3 good again"]);
    assert_eq!(events.next().await, Some(Event::Gap { room: "chat:1".into() }));
}

#[tokio::test(start_paused = true)]
async fn members_of_a_room_without_a_history_hear_of_what_was_refused() {
    let limits = sockeye_state::Limits::new().pending_messages(2);
    let hub =
        Hub::<&str>::builder().limits(limits).frame(|delivery| Some(line(delivery).into())).build().await.unwrap();
    let (mut client, me, room) = join(&hub, "lobby", "Ada").await;
    assert_eq!(["a", "b", "c", "d"].map(|text| room.send(text)), [1, 1, 0, 0]);
    let got = texts_by_now(&mut client, &me).await;
    assert_eq!(got, ["lobby - joined Fresh", "lobby - a", "lobby - b", "lobby gap"]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_panics_in_the_middle_of_many_messages_is_a_gap_there() {
    let builder = Hub::<&str>::builder().rooms("chat:", Rooms::new().history(5000, Duration::from_secs(3600)));
    let hub = builder.frame(|delivery: &Delivery<'_>| match delivery {
        Delivery::Message { at: Some(at), .. } => {
            assert!(at.offset % 150 != 0, "a bug of the application");
            Some(at.offset.to_string().into())
        }
        Delivery::Gap { .. } => Some("gap".into()),
        _ => None,
    });
    let hub = hub.build().await.unwrap();
    let (mut client, me, room) = join(&hub, "chat:1", "Ada").await;
    // So many at once that they do not fit into the inbox, and are read.
    for _ in 0..2000 {
        room.send("x");
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let got = texts_by_now(&mut client, &me).await;
    let expected: Vec<_> = (1..=2000).map(|at| if at % 150 == 0 { "gap".to_owned() } else { at.to_string() }).collect();
    assert_eq!(got, expected);
}
