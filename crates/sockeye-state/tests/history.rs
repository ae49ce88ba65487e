//! Rooms with a history: who gets what, and in which order.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::time::Duration;

use sockeye_state::{AppendError, AppendOptions, BuildError, CaughtUp, Hub, Local, Overflow, Position, Rooms, Stamp};
use support::{join, register, texts_by_now};

const HOUR: Duration = Duration::from_secs(3600);

/// A hub whose rooms "chat:…" keep this many messages.
async fn hub(messages: usize) -> Hub<&'static str> {
    Hub::builder().rooms("chat:", Rooms::new().history(messages, HOUR)).build().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_message_reaches_all_members_and_has_a_position() {
    let hub = hub(10).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    let (mut bob, other, _) = join(&hub, "chat:1", "Bob").await;
    assert_eq!(room.send("1"), 2);
    let second = room.append("2").await.unwrap();
    let third = hub.room("chat:1").append("3").await.unwrap();
    assert_eq!(second.epoch, third.epoch);
    assert!(second.offset < third.offset);
    assert_eq!(texts_by_now(&mut ada, &me).await, ["1", "2", "3"]);
    assert_eq!(texts_by_now(&mut bob, &other).await, ["1", "2", "3"]);
    assert_eq!(hub.stats().appended, 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_gets_what_was_missed() {
    let hub = hub(10).await;
    let (_ada, ada_member, room) = join(&hub, "chat:1", "Ada").await;
    let seen = room.append("seen").await.unwrap();
    drop(ada_member);
    let others = hub.room("chat:1");
    for missed in ["1", "2", "3"] {
        others.append(missed).await.unwrap();
    }
    let (mut ada, me) = register(&hub, "Ada").await;
    let room = me.join("chat:1").since(seen).await.unwrap();
    assert_eq!(room.caught_up(), CaughtUp::Whole(3));
    let at = room.position().unwrap();
    assert_eq!(room.append("4").await.unwrap().offset, at.offset + 1);
    assert_eq!(texts_by_now(&mut ada, &me).await, ["1", "2", "3", "4"]);
    assert_eq!(hub.stats().caught_up, 1);
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_not_kept_is_a_gap() {
    let hub = hub(2).await;
    let room = hub.room("chat:1");
    let mut positions = Vec::new();
    for text in ["1", "2", "3", "4", "5"] {
        positions.push(room.append(text).await.unwrap());
    }
    let last = positions[4];
    let cases = [
        (positions[4], CaughtUp::Whole(0)),
        (positions[3], CaughtUp::Whole(1)),
        // The message at this position is gone, and the next one proves that nothing is missing.
        (positions[2], CaughtUp::Whole(2)),
        (positions[1], CaughtUp::Gap),
        (Position::new(last.epoch, last.offset + 1), CaughtUp::Gap),
        (Position::new(sockeye_state::Epoch::random(), last.offset), CaughtUp::Gap),
    ];
    for (since, expected) in cases {
        let (mut client, me) = register(&hub, "somebody").await;
        let room = me.join("chat:1").since(since).await.unwrap();
        assert_eq!(room.caught_up(), expected, "{since}");
        assert_eq!(room.position(), Some(last));
        let got = texts_by_now(&mut client, &me).await;
        let missed = if let CaughtUp::Whole(missed) = expected { missed } else { 0 };
        assert_eq!(got, ["4", "5"][2 - missed..], "{since}");
    }
    let (mut client, me) = register(&hub, "somebody").await;
    let room = me.join("chat:1").since(None).await.unwrap();
    assert_eq!((room.caught_up(), room.position()), (CaughtUp::Fresh, Some(last)));
    assert_eq!(texts_by_now(&mut client, &me).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn several_hubs_of_one_broker_agree_on_the_order() {
    let broker = Local::new();
    let build = || {
        let rooms = Rooms::new().history(100, HOUR);
        Hub::<&str>::builder().broker(broker.clone()).rooms("", rooms).build()
    };
    let (left, right) = (build().await.unwrap(), build().await.unwrap());
    let (mut ada, me, in_left) = join(&left, "harbour", "Ada").await;
    let (mut bob, other, in_right) = join(&right, "harbour", "Bob").await;
    for count in 0..20 {
        in_left.send(format!("left {count}"));
        in_right.send(format!("right {count}"));
    }
    let in_order = texts_by_now(&mut ada, &me).await;
    assert_eq!(in_order.len(), 40);
    assert_eq!(texts_by_now(&mut bob, &other).await, in_order);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_a_later_success_changes_nothing() {
    let hub = hub(10).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    let stamped = || AppendOptions::new().stamp(Stamp::new([7; 16]));
    let first = room.append_with("once", stamped()).await.unwrap();
    room.append("later").await.unwrap();
    assert_eq!(room.append_with("once", stamped()).await.unwrap(), first);
    assert_eq!(texts_by_now(&mut ada, &me).await, ["once", "later"]);
}

#[tokio::test(start_paused = true)]
async fn an_excluded_member_catches_up_with_the_message() {
    let hub = hub(10).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    let (mut bob, other, _) = join(&hub, "chat:1", "Bob").await;
    let before = room.append("before").await.unwrap();
    assert_eq!(room.to_others().send("not for Ada"), 1);
    room.append("after").await.unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, ["before", "after"]);
    assert_eq!(texts_by_now(&mut bob, &other).await, ["before", "not for Ada", "after"]);

    let again = me.join("chat:1").since(before).await.unwrap();
    assert_eq!(again.caught_up(), CaughtUp::Whole(2));
    assert_eq!(texts_by_now(&mut ada, &me).await, ["not for Ada", "after"]);
}

#[tokio::test(start_paused = true)]
async fn volatile_messages_are_not_kept() {
    let hub = hub(10).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    let start = room.append("start").await.unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, ["start"]);
    assert_eq!(room.volatile("typing"), 1);
    assert_eq!(hub.to(["chat:1", "chat:2"]).volatile("typing, too"), 1);
    assert_eq!(texts_by_now(&mut ada, &me).await, ["typing", "typing, too"]);
    let again = me.join("chat:1").since(start).await.unwrap();
    assert_eq!(again.caught_up(), CaughtUp::Whole(0));
    assert_eq!(texts_by_now(&mut ada, &me).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn to_several_rooms_with_a_history_is_refused() {
    let hub = hub(10).await;
    let (mut ada, me, _) = join(&hub, "chat:1", "Ada").await;
    assert_eq!(hub.to(["chat:1", "lobby"]).send("for both"), 0);
    assert_eq!(texts_by_now(&mut ada, &me).await, [""; 0]);
    assert_eq!(hub.stats().refused, 1);
}

#[tokio::test]
async fn a_room_without_a_history_has_no_positions() {
    let hub = hub(10).await;
    let (_ada, _ada_member, lobby) = join(&hub, "lobby", "Ada").await;
    assert!(matches!(lobby.append("hello").await, Err(AppendError::NoHistory { .. })));
    assert_eq!((lobby.position(), lobby.caught_up()), (None, CaughtUp::Fresh));
    let plain: Hub<&str> = Hub::new();
    assert!(matches!(plain.room("chat:1").append("hello").await, Err(AppendError::NoHistory { .. })));
    assert!(matches!(hub.room("").append("hello").await, Err(AppendError::Name(_))));
}

#[tokio::test]
async fn what_cannot_work_is_an_error_of_the_builder() {
    let build = |rooms| Hub::<&str>::builder().rooms("chat:", rooms).build();
    let dropping = Rooms::new().history(10, HOUR).overflow(Overflow::DropOldest);
    assert!(matches!(build(dropping).await, Err(BuildError::HistoryOverflow { .. })));
    assert!(build(Rooms::new().history(10, HOUR).overflow(Overflow::Disconnect(1013))).await.is_ok());
    assert!(matches!(build(Rooms::new().history(0, HOUR)).await, Err(BuildError::EmptyHistory { .. })));
    assert!(matches!(build(Rooms::new().history(10, Duration::ZERO)).await, Err(BuildError::EmptyHistory { .. })));
    let named = Hub::<&str>::builder().namespace("").build().await;
    assert!(matches!(named, Err(BuildError::Namespace { .. })));
}
