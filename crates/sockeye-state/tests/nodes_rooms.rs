//! Rooms without a history whose members are on several nodes.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use sockeye_proto::PreparedMessage;
use sockeye_state::{Delivery, Hub, Local, Rooms};
use sockeye_testkit::opcode;
use support::{broker::Disturbed, join, nodes::nodes, register, texts_by_now};
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_message_reaches_the_members_of_all_nodes_once_and_in_order() {
    let [one, two, three] = nodes().await;
    let (mut ada, ada_member, room) = join(&one, "harbour", "Ada").await;
    let (mut bob, bob_member, _) = join(&two, "harbour", "Bob").await;
    let (mut cyd, cyd_member, _) = join(&three, "harbour", "Cyd").await;
    let expected: Vec<_> = (0..100).map(|count| count.to_string()).collect();
    for text in &expected {
        // The members of this node alone are counted.
        assert_eq!(room.send(text.as_str()), 1);
    }
    assert_eq!(texts_by_now(&mut ada, &ada_member).await, expected);
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, expected);
    assert_eq!(texts_by_now(&mut cyd, &cyd_member).await, expected);
    let stats = [one.stats(), two.stats(), three.stats()];
    assert_eq!(
        stats.map(|stats| (stats.sent, stats.published, stats.arrived)),
        [(100, 100, 0), (0, 0, 100), (0, 0, 100)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_misses_nothing_once_its_join_has_returned() {
    let [one, two] = nodes().await;
    let (mut ada, me) = register(&one, "Ada").await;
    for count in 0..50 {
        let name = format!("room {count}");
        me.join(name.clone()).await.unwrap();
        two.room(&name).send(name.clone());
    }
    let expected: Vec<_> = (0..50).map(|count| format!("room {count}")).collect();
    assert_eq!(texts_by_now(&mut ada, &me).await, expected);
    assert_eq!(one.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_room_can_be_sent_to_from_a_node_without_members() {
    let [one, two] = nodes().await;
    let (mut ada, me, _) = join(&one, "harbour", "Ada").await;
    assert_eq!(two.room("harbour").send("from elsewhere"), 0);
    assert_eq!(two.room("harbour").volatile("typing"), 0);
    assert_eq!(two.room("a\nb").send("no room can have this name"), 0);
    assert_eq!(texts_by_now(&mut ada, &me).await, ["from elsewhere", "typing"]);
    assert_eq!(two.stats().published, 2);
}

#[tokio::test(start_paused = true)]
async fn excepted_members_are_excepted_on_their_own_node() {
    let [one, two] = nodes().await;
    let (mut ada, ada_member, room) = join(&one, "harbour", "Ada").await;
    let (mut bob, bob_member, _) = join(&two, "harbour", "Bob").await;
    let (mut cyd, cyd_member, _) = join(&two, "harbour", "Cyd").await;
    room.to_others().send("for Bob and Cyd");
    room.except(bob_member.id()).send("for Ada and Cyd");
    one.room("harbour").except(bob_member.id()).except(cyd_member.id()).send("for Ada");
    assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["for Ada and Cyd", "for Ada"]);
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, ["for Bob and Cyd"]);
    assert_eq!(texts_by_now(&mut cyd, &cyd_member).await, ["for Bob and Cyd", "for Ada and Cyd"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_to_several_rooms_reaches_nobody_twice_on_any_node() {
    let [one, two] = nodes().await;
    let (mut ada, ada_member, _) = join(&one, "a", "Ada").await;
    let (mut bob, bob_member, _) = join(&two, "a", "Bob").await;
    bob_member.join("b").await.unwrap();
    let (mut cyd, cyd_member, _) = join(&two, "b", "Cyd").await;
    one.to(["a", "b", "a", ""]).send("1");
    one.to(["b", "a"]).except(cyd_member.id()).send("2");
    one.to(["b", "c"]).volatile("3");
    assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["1", "2"]);
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, ["1", "2", "3"]);
    assert_eq!(texts_by_now(&mut cyd, &cyd_member).await, ["1", "3"]);
    two.to(["a", "b"]).send("4");
    for (client, member) in [(&mut ada, &ada_member), (&mut bob, &bob_member), (&mut cyd, &cyd_member)] {
        assert_eq!(texts_by_now(client, member).await, ["4"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_to_very_many_rooms_reaches_nobody_twice_on_any_node() {
    let [one, two] = nodes().await;
    let rooms: Vec<_> = (0..500).map(|count| format!("room {count}")).collect();
    let (mut ada, me) = register(&one, "Ada").await;
    for room in rooms.iter().take(100) {
        me.join(room.clone()).await.unwrap();
    }
    two.to(&rooms).send("the harbour closes");
    two.to(&rooms[100..]).send("for nobody");
    assert_eq!(texts_by_now(&mut ada, &me).await, ["the harbour closes"]);
    assert_eq!(two.stats().published, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_volatile_reaches_members_of_other_nodes_also_in_rooms_with_a_history() {
    let broker = Local::new();
    let hub = || Hub::builder().broker(broker.clone()).rooms("chat:", Rooms::new().history(10, HOUR)).build();
    let (one, two) = (hub().await.unwrap(), hub().await.unwrap());
    let (mut ada, me, room) = join(&one, "chat:1", "Ada").await;
    two.room("chat:1").append("kept").await.unwrap();
    two.room("chat:1").volatile("typing");
    two.to(["chat:1", "lobby"]).volatile("typing everywhere");
    assert_eq!(texts_by_now(&mut ada, &me).await, ["kept", "typing", "typing everywhere"]);
    assert_eq!(room.history(10).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_node_without_the_history_of_a_room_gets_its_messages_all_the_same() {
    // As while a version of an application is deployed that gives the room a history.
    let broker = Local::new();
    let old = Hub::builder().broker(broker.clone()).build().await.unwrap();
    let rooms = Rooms::new().history(10, HOUR);
    let new = Hub::builder().broker(broker.clone()).rooms("chat:", rooms).build().await.unwrap();
    let (mut ada, ada_member, old_room) = join(&old, "chat:1", "Ada").await;
    let (mut bob, bob_member, new_room) = join(&new, "chat:1", "Bob").await;
    new_room.append("from the new node").await.unwrap();
    old_room.send("from the old node");
    assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["from the new node", "from the old node"]);
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, ["from the new node", "from the old node"]);
}

#[tokio::test(start_paused = true)]
async fn members_of_all_nodes_are_closed_after_what_was_sent_before() {
    let [one, two] = nodes().await;
    let (mut ada, _ada_member, room) = join(&one, "auction", "Ada").await;
    let (mut bob, _bob_member, _) = join(&two, "auction", "Bob").await;
    let (mut cyd, cyd_member, _) = join(&two, "auction", "Cyd").await;
    room.send("sold");
    assert_eq!(room.except(cyd_member.id()).close_members(4001, "the auction is over").unwrap(), 1);
    for client in [&mut ada, &mut bob] {
        assert_eq!(client.expect_frame().await.payload, b"sold");
        let close = client.expect_frame().await;
        assert_eq!((close.opcode, &close.payload[2..]), (opcode::CLOSE, &b"the auction is over"[..]));
    }
    assert_eq!(texts_by_now(&mut cyd, &cyd_member).await, ["sold"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_gets_nothing_of_rooms_without_members_here() {
    let local = Local::new();
    let broker = Disturbed::over(local.clone());
    let one = Hub::<&str>::builder().broker(broker.clone()).build().await.unwrap();
    let two = Hub::<&str>::builder().broker(local).build().await.unwrap();
    two.room("harbour").send("before anybody is here");
    let (mut ada, me, _) = join(&one, "harbour", "Ada").await;
    let (_bob, bob_member, _) = join(&one, "harbour", "Bob").await;
    assert_eq!(broker.subscribed(), 1);
    drop(bob_member);
    two.room("harbour").send("while Ada is here");
    assert_eq!(texts_by_now(&mut ada, &me).await, ["while Ada is here"]);
    me.leave("harbour").await;
    sleep(Duration::from_secs(12)).await;
    two.room("harbour").send("after Ada has left");
    sleep(Duration::from_secs(1)).await;
    assert_eq!((broker.subscribed(), one.stats().arrived), (0, 1));

    me.join("harbour").await.unwrap();
    two.room("harbour").send("Ada is back");
    assert_eq!(texts_by_now(&mut ada, &me).await, ["Ada is back"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_loaded_again_does_not_make_the_node_subscribe_again() {
    let local = Local::new();
    let broker = Disturbed::over(local.clone());
    let one = Hub::<&str>::builder().broker(broker.clone()).build().await.unwrap();
    let two = Hub::<&str>::builder().broker(local).build().await.unwrap();
    for _ in 0..20 {
        let (mut ada, me, _) = join(&one, "harbour", "Ada").await;
        two.room("harbour").send("hello");
        assert_eq!(texts_by_now(&mut ada, &me).await, ["hello"]);
        drop(me);
        sleep(Duration::from_secs(8)).await;
        assert_eq!(broker.subscribed(), 1);
    }
    sleep(Duration::from_secs(12)).await;
    assert_eq!((broker.subscribed(), one.stats().gaps), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn each_node_makes_one_frame_of_a_message() {
    let broker = Local::new();
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let mut hubs = Vec::new();
    for count in counts.clone() {
        let frame = move |delivery: &Delivery<'_>| match delivery {
            Delivery::Message { room, message: Some(message), .. } => {
                count.fetch_add(1, SeqCst);
                Some(format!("{room}: {}", String::from_utf8_lossy(message.payload())).into())
            }
            _ => None,
        };
        hubs.push(Hub::builder().broker(broker.clone()).frame(frame).build().await.unwrap());
    }
    let (mut ada, ada_member, room) = join(&hubs[0], "harbour", "Ada").await;
    let (mut bob, bob_member, _) = join(&hubs[1], "harbour", "Bob").await;
    let (_cyd, _cyd_member, _) = join(&hubs[1], "harbour", "Cyd").await;
    room.send("high tide");
    assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["harbour: high tide"]);
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, ["harbour: high tide"]);
    assert_eq!(counts.map(|count| count.load(SeqCst)), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_the_same_on_all_nodes() {
    let broker = Local::new();
    let one = Hub::<&str>::builder().broker(broker.clone()).build().await.unwrap();
    let seen = |delivery: &Delivery<'_>| match delivery {
        Delivery::Message { message: Some(message), .. } => {
            Some(format!("{} {} {}", message.is_text(), message.is_json(), message.is_secret()).into())
        }
        _ => None,
    };
    let two = Hub::builder().broker(broker).frame(seen).build().await.unwrap();
    let (mut ada, me, _) = join(&two, "harbour", "Ada").await;
    let room = one.room("harbour");
    room.send("text");
    room.send(PreparedMessage::binary([0, 0xff]));
    room.send(PreparedMessage::json("{}").secret());
    assert_eq!(texts_by_now(&mut ada, &me).await, ["true false false", "false false false", "true true true"]);
}

#[tokio::test(start_paused = true)]
async fn namespaces_do_not_hear_each_other() {
    let broker = Local::new();
    let hub = |namespace: &str| Hub::<&str>::builder().broker(broker.clone()).namespace(namespace).build();
    let (shop, staging) = (hub("shop").await.unwrap(), hub("staging").await.unwrap());
    let (mut ada, me, _) = join(&shop, "harbour", "Ada").await;
    staging.room("harbour").send("from staging");
    staging.to(["harbour", "lobby"]).send("from staging");
    assert_eq!(texts_by_now(&mut ada, &me).await, [""; 0]);
}
