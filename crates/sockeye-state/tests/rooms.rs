//! Who gets what: rooms, single members, all members.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use sockeye_state::{Hub, JoinError, Limits, NameError};
use sockeye_testkit::Frame;
use support::{join, register, texts_until};
use tokio::task::yield_now;

#[tokio::test]
async fn a_message_to_a_room_reaches_its_members_alone() {
    let hub = Hub::new();
    let (mut ada, _ada, harbour) = join(&hub, "harbour", "Ada").await;
    let (mut bob, _bob, _) = join(&hub, "harbour", "Bob").await;
    let (mut eve, _eve, _) = join(&hub, "lighthouse", "Eve").await;

    assert_eq!(harbour.send("high tide"), 2);
    ada.expect_text("high tide").await;
    bob.expect_text("high tide").await;
    hub.broadcast("end");
    assert_eq!(texts_until(&mut eve, "end").await, [""; 0]);
}

#[tokio::test]
async fn a_room_can_be_sent_to_from_anywhere() {
    let hub = Hub::new();
    let early = hub.room("harbour");
    assert_eq!(early.send("nobody is here"), 0);

    let (mut ada, _ada, _) = join(&hub, "harbour", "Ada").await;
    assert_eq!(early.send("from a value that is older than the room"), 1);
    assert_eq!(hub.room("harbour").send("from a new one"), 1);
    ada.expect_text("from a value that is older than the room").await;
    ada.expect_text("from a new one").await;
}

#[tokio::test]
async fn a_message_to_others_does_not_come_back() {
    let hub = Hub::new();
    let (mut ada, me, room) = join(&hub, "harbour", "Ada").await;
    let (mut bob, other, _) = join(&hub, "harbour", "Bob").await;
    let (mut eve, _eve, _) = join(&hub, "harbour", "Eve").await;

    assert_eq!(room.to_others().send("1"), 2);
    assert_eq!(room.except(me.id()).except(other.id()).send("2"), 1);
    assert_eq!(room.except(me.id()).except(me.id()).volatile("3"), 2);
    room.send("end");
    assert_eq!(texts_until(&mut ada, "end").await, [""; 0]);
    assert_eq!(texts_until(&mut bob, "end").await, ["1", "3"]);
    assert_eq!(texts_until(&mut eve, "end").await, ["1", "2", "3"]);
}

#[tokio::test]
async fn whoever_is_excepted_and_gone_excepts_nobody() {
    let hub = Hub::new();
    let (_, gone, room) = join(&hub, "harbour", "Ada").await;
    let old = gone.id();
    drop(gone);
    let (mut bob, new, _) = join(&hub, "harbour", "Bob").await;
    assert_ne!(old, new.id());
    assert_eq!(room.except(old).send("hello"), 1);
    bob.expect_text("hello").await;
}

#[tokio::test]
async fn whoever_is_excepted_and_leaves_later_excepts_nobody() {
    let hub = Hub::new();
    let (_bob, _bob_member, room) = join(&hub, "harbour", "Bob").await;
    let (_ada, ada, _) = join(&hub, "harbour", "Ada").await;
    let others = room.except(ada.id());
    let several = hub.to(["harbour", "lighthouse"]).except(ada.id());
    drop(ada);
    // One of many gets the number that Ada had.
    let mut many = Vec::new();
    for _ in 0..64 {
        many.push(join(&hub, "harbour", "many").await);
    }
    assert_eq!((others.send("hello"), several.send("hello again")), (65, 65));
    assert_eq!(others.close_members(1001, ""), Ok(65));
    for (client, ..) in &mut many {
        client.expect_text("hello").await;
        client.expect_text("hello again").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_to_several_rooms_reaches_whoever_leaves_one_of_them() {
    let hub = Hub::new();
    let (mut ada, me, _) = join(&hub, "a", "Ada").await;
    me.join("b").await.unwrap();
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(join(&hub, "a", "others").await);
    }
    assert_eq!(hub.to(["a", "b"]).send("once"), 21);
    me.leave("a").await;
    ada.expect_text("once").await;
    hub.broadcast("end");
    assert_eq!(texts_until(&mut ada, "end").await, [""; 0]);
}

#[tokio::test]
async fn a_message_to_several_rooms_comes_once() {
    let hub = Hub::new();
    let (mut ada, me, _) = join(&hub, "a", "Ada").await;
    me.join("b").await.unwrap();
    let (mut bob, _bob, _) = join(&hub, "b", "Bob").await;

    assert_eq!(hub.to(["a", "b", "nobody's", "a"]).send("once"), 2);
    assert_eq!(hub.to(["a", "b"]).except(me.id()).send("Bob's"), 1);
    yield_now().await;
    hub.broadcast("end");
    assert_eq!(texts_until(&mut ada, "end").await, ["once"]);
    assert_eq!(texts_until(&mut bob, "end").await, ["once", "Bob's"]);
    assert_eq!(hub.stats().queued, 5);
}

#[tokio::test]
async fn joining_twice_is_joining_once() {
    let hub = Hub::new();
    let (mut ada, me, _) = join(&hub, "harbour", "Ada").await;
    let again = me.join("harbour").await.unwrap();
    assert_eq!(again.send("hello"), 1);
    yield_now().await;
    hub.broadcast("end");
    assert_eq!(texts_until(&mut ada, "end").await, ["hello"]);
    again.leave().await;
    assert!(hub.room("harbour").is_empty());
}

#[tokio::test]
async fn dropping_a_joined_room_leaves_nothing_and_dropping_the_member_leaves_all() {
    let hub = Hub::new();
    let (_ada, me, harbour) = join(&hub, "harbour", "Ada").await;
    me.join("lighthouse").await.unwrap();
    drop(harbour);
    assert_eq!(hub.room("harbour").len(), 1);
    assert_eq!(me.rooms().iter().map(|room| room.name().to_owned()).collect::<Vec<_>>(), ["harbour", "lighthouse"]);

    drop(me);
    assert_eq!((hub.len(), hub.stats().rooms), (0, 0));
    assert_eq!(hub.room("harbour").send("anybody?"), 0);
}

#[tokio::test]
async fn the_last_of_join_and_leave_counts() {
    let hub = Hub::new();
    let (mut ada, me, room) = join(&hub, "harbour", "Ada").await;
    assert!(me.leave("harbour").await);
    room.send("missed");
    assert!(!me.leave("harbour").await);
    let room = me.join("harbour").await.unwrap();
    me.leave("lighthouse").await;
    room.send("end");
    assert_eq!(texts_until(&mut ada, "end").await, [""; 0]);
}

#[tokio::test]
async fn a_room_can_be_left_and_made_again() {
    let hub = Hub::new();
    let (_ada, first, old) = join(&hub, "harbour", "Ada").await;
    drop(first);
    let (mut bob, _bob, _) = join(&hub, "harbour", "Bob").await;
    assert_eq!(old.send("by the old value"), 1);
    assert_eq!(old.len(), 1);
    bob.expect_text("by the old value").await;
}

#[tokio::test]
async fn it_is_known_who_is_in_a_room() {
    let hub = Hub::new();
    let (_ada, ada, _) = join(&hub, "harbour", "Ada").await;
    let (_bob, _bob_member, _) = join(&hub, "harbour", "Bob").await;
    let (_eve, _eve_member) = register(&hub, "Eve").await;
    let mut names: Vec<_> = hub.members_of("harbour").iter().map(|member| *member.value()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Ada", "Bob"]);
    assert_eq!((hub.len(), hub.members().len()), (3, 3));
    assert!(hub.members_of("harbour").iter().any(|member| member.id() == ada.id()));
    assert!(hub.members_of("nobody's").is_empty());
}

#[tokio::test]
async fn a_member_can_be_reached_by_its_identity() {
    let hub = Hub::new();
    let (mut ada, me) = register(&hub, "Ada").await;
    let id = me.id();
    assert_eq!(hub.member(id).send("for you"), 1);
    assert_eq!(hub.member(id).join("harbour").unwrap(), 1);
    assert_eq!(hub.room("harbour").send("in the harbour"), 1);
    yield_now().await;
    assert_eq!((hub.member(id).leave("harbour"), hub.member(id).leave("harbour")), (1, 0));
    assert_eq!(hub.member(id).close_with(4001, "signed out"), Ok(1));
    ada.expect_text("for you").await;
    ada.expect_text("in the harbour").await;
    assert_eq!(ada.expect_close(4001).await, "signed out");

    drop(me);
    assert_eq!((hub.member(id).send("too late"), hub.member(id).join("harbour").unwrap()), (0, 0));
    assert_eq!((hub.member(id).leave("harbour"), hub.member(id).close_with(4001, "")), (0, Ok(0)));
    assert!(hub.room("harbour").is_empty());
}

#[tokio::test]
async fn members_are_found_by_a_key_of_the_application() {
    let hub = Hub::<(u32, &str)>::builder().key(|(user, _)| user.to_string()).build().await.unwrap();
    let (_client, phone) = register(&hub, (7, "phone")).await;
    let (_client, _laptop) = register(&hub, (7, "laptop")).await;
    let (_client, _other) = register(&hub, (8, "phone")).await;
    assert_eq!(hub.by_key("7").len(), 2);
    drop(phone);
    assert_eq!(hub.by_key("7").iter().map(|member| member.value().1).collect::<Vec<_>>(), ["laptop"]);
    assert!(hub.by_key("9").is_empty());
}

#[tokio::test]
async fn all_members_can_be_filtered_by_their_value() {
    let hub = Hub::new();
    let (mut ada, _ada) = register(&hub, 1).await;
    let (mut bob, _bob) = register(&hub, 2).await;
    assert_eq!(hub.all().filter(|value| *value > 1).send("for 2"), 1);
    assert_eq!(hub.all().filter(|value| *value > 0).filter(|value| hub.len() == 2 && *value < 2).send("for 1"), 1);
    assert_eq!(hub.broadcast("end"), 2);
    assert_eq!(texts_until(&mut ada, "end").await, ["for 1"]);
    assert_eq!(texts_until(&mut bob, "end").await, ["for 2"]);
}

#[tokio::test]
async fn closing_a_room_comes_after_what_was_sent_to_it() {
    let hub = Hub::new();
    let mut members = Vec::new();
    for name in 0..40 {
        members.push(join(&hub, "harbour", name).await);
    }
    let (mut late, late_member) = register(&hub, 40).await;
    let room = hub.room("harbour");
    assert_eq!(room.send("last words"), 40);
    assert_eq!(room.close_members(1001, "the harbour closes"), Ok(40));
    late_member.join("harbour").await.unwrap();
    assert_eq!(room.send("for whoever came later, too"), 41);
    for (client, ..) in &mut members {
        client.expect_text("last words").await;
        assert_eq!(client.expect_close(1001).await, "the harbour closes");
    }
    late.expect_text("for whoever came later, too").await;
    assert_eq!(room.close_members(1006, "").unwrap_err().code, 1006);
    assert_eq!(hub.member(late_member.id()).close_with(999, "").unwrap_err().code, 999);
}

#[tokio::test(start_paused = true)]
async fn closing_a_large_room_lets_other_tasks_run() {
    let hub = Hub::new();
    let mut members = Vec::new();
    for name in 0..200 {
        members.push(join(&hub, "harbour", name).await);
    }
    assert_eq!(hub.room("harbour").close_members(1001, ""), Ok(200));
    for closed in [0, 64, 128, 192, 200] {
        let are_closed = members.iter().filter(|(_, member, _)| member.sender().is_closed()).count();
        assert_eq!(are_closed, closed);
        yield_now().await;
    }
}

#[tokio::test]
async fn a_member_leaves_when_its_client_vanishes() {
    let hub: Hub<&str> = Hub::new();
    let (client, server) = sockeye_testkit::pipe();
    let connection = sockeye_tokio::Connection::new(sockeye_tokio::Stream::boxed(server), sockeye_tokio::Role::Server);
    let handler_hub = hub.clone();
    let handler = tokio::spawn(connection.serve(move |mut socket| async move {
        let me = handler_hub.register(socket.sender(), "Ada");
        let room = me.join("harbour").await.unwrap();
        while let Some(Ok(message)) = socket.recv().await {
            room.send(message.to_text().unwrap());
        }
    }));
    let mut client = sockeye_testkit::Peer::client(client);
    client.send(Frame::text("hello")).await;
    client.expect_text("hello").await;
    drop(client);
    handler.await.unwrap();
    assert_eq!((hub.len(), hub.room("harbour").len()), (0, 0));
}

#[tokio::test]
async fn a_name_that_no_room_can_have_is_an_error() {
    let hub = Hub::new();
    let (_ada, me) = register(&hub, "Ada").await;
    let refused = |name: String| {
        let me = &me;
        async move { me.join(name).await.unwrap_err() }
    };
    assert!(matches!(refused(String::new()).await, JoinError::Name(NameError::Empty)));
    assert!(matches!(refused("x".repeat(201)).await, JoinError::Name(NameError::TooLong { len: 201 })));
    let error = refused("tide\n".to_owned()).await;
    assert_eq!(error.to_string(), "the name of the room has the control character U+000A at byte 4; expected none");
    assert!(me.join("x".repeat(200)).await.is_ok());
    assert_eq!(hub.room("").send("for nobody"), 0);
}

#[tokio::test]
async fn a_member_is_in_at_most_so_many_rooms() {
    let hub = Hub::builder().limits(Limits::new().rooms_per_member(2)).build().await.unwrap();
    let (_ada, me) = register(&hub, "Ada").await;
    me.join("a").await.unwrap();
    me.join("b").await.unwrap();
    assert!(matches!(me.join("c").await.unwrap_err(), JoinError::TooManyRooms { max: 2 }));
    assert!(me.join("a").await.is_ok(), "the member is in this one already");
    assert_eq!(hub.stats().rooms, 2);
    me.leave("a").await;
    assert!(me.join("c").await.is_ok());
}
