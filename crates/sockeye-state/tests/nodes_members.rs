//! Single members, from whatever node.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use sockeye_proto::PreparedMessage;
use sockeye_state::{Delivery, Hub, Local, Rooms};
use sockeye_testkit::opcode;
use std::time::Duration;
use support::{join, nodes::nodes, register, texts_by_now};

#[tokio::test(start_paused = true)]
async fn a_message_to_a_member_reaches_it_on_its_node() {
    let [one, two, three] = nodes().await;
    let (mut ada, ada_member) = register(&one, "Ada").await;
    let (mut bob, bob_member) = register(&one, "Bob").await;
    // Nothing says whether the member is still there.
    assert_eq!(two.member(ada_member.id()).send("hello"), 0);
    assert_eq!(three.member(ada_member.id()).send(PreparedMessage::text("hello again")), 0);
    assert_eq!(one.member(ada_member.id()).send("and again"), 1);
    assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["and again", "hello", "hello again"]);
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, [""; 0]);
    assert_eq!((one.stats().arrived, two.stats().arrived), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_member_is_closed_from_another_node() {
    let [one, two] = nodes().await;
    let (mut ada, me) = register(&one, "Ada").await;
    assert_eq!(two.member(me.id()).close_with(4001, "signed out").unwrap(), 0);
    assert!(two.member(me.id()).close_with(1005, "").is_err());
    let close = ada.expect_frame().await;
    assert_eq!((close.opcode, &close.payload[2..]), (opcode::CLOSE, &b"signed out"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_member_joins_and_leaves_rooms_by_the_word_of_another_node() {
    let [one, two] = nodes().await;
    let (mut ada, me) = register(&one, "Ada").await;
    assert_eq!(two.member(me.id()).join("table:4").unwrap(), 0);
    assert!(two.member(me.id()).join("").is_err());
    assert_eq!(texts_by_now(&mut ada, &me).await, [""; 0]);
    two.room("table:4").send("your move");
    assert_eq!(texts_by_now(&mut ada, &me).await, ["your move"]);

    assert_eq!(two.member(me.id()).leave("table:4"), 0);
    assert_eq!(two.member(me.id()).leave(""), 0);
    assert_eq!(texts_by_now(&mut ada, &me).await, [""; 0]);
    two.room("table:4").send("not for Ada");
    assert_eq!((texts_by_now(&mut ada, &me).await, me.rooms().len()), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn quick_joins_and_leaves_end_in_the_state_of_the_last() {
    let [one, two] = nodes().await;
    let (_ada, me) = register(&one, "Ada").await;
    let remote = two.member(me.id());
    for _ in 0..20 {
        remote.join("here").unwrap();
        remote.leave("here");
        remote.join("here").unwrap();
        remote.join("there").unwrap();
        remote.leave("there");
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rooms: Vec<_> = me.rooms().iter().map(|room| room.name().to_owned()).collect();
    assert_eq!(rooms, ["here"]);
}

#[tokio::test(start_paused = true)]
async fn a_member_joins_a_room_with_a_history_by_the_word_of_another_node() {
    let broker = Local::new();
    let hub = || {
        let rooms = Rooms::new().history(10, Duration::from_secs(3600));
        Hub::<&str>::builder().broker(broker.clone()).rooms("chat:", rooms).build()
    };
    let (one, two) = (hub().await.unwrap(), hub().await.unwrap());
    let (mut ada, me) = register(&one, "Ada").await;
    two.member(me.id()).join("chat:1").unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, [""; 0]);
    two.room("chat:1").append("hello").await.unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_has_left_gets_nothing_and_nor_does_its_successor() {
    let [one, two] = nodes().await;
    let (_ada, me) = register(&one, "Ada").await;
    let gone = me.id();
    drop(me);
    let (mut bob, bob_member, _) = join(&one, "lobby", "Bob").await;
    two.member(gone).send("for Ada");
    two.member(gone).join("harbour").unwrap();
    two.member(gone).close_with(4001, "").unwrap();
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, [""; 0]);
    assert_eq!(one.members_of("harbour").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_closure_that_panics_for_a_join_from_elsewhere_harms_nobody() {
    let broker = Local::new();
    let frame = |delivery: &Delivery<'_>| match delivery {
        Delivery::Joined { room: "cursed", .. } => panic!("the closure of a test"),
        Delivery::Message { message, .. } => message.cloned(),
        _ => None,
    };
    let one = Hub::builder().broker(broker.clone()).frame(frame).build().await.unwrap();
    let two = Hub::<&str>::builder().broker(broker).build().await.unwrap();
    let (mut ada, me) = register(&one, "Ada").await;
    two.member(me.id()).join("cursed").unwrap();
    two.member(me.id()).join("blessed").unwrap();
    two.member(me.id()).send("hello");
    assert_eq!(texts_by_now(&mut ada, &me).await, ["hello"]);
    two.room("blessed").send("welcome");
    assert_eq!(texts_by_now(&mut ada, &me).await, ["welcome"]);
}
