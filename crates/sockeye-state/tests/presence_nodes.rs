//! Who is in a room, over several nodes: what is promised about when that is seen. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::time::Duration;

use sockeye_state::{Event, Hub, Local, Person, Rooms};
use support::{
    network::Fault,
    presence_nodes::{LINGER, Node, nodes, pass},
};
use tokio::time::Instant;

const ROOM: &str = "harbour";

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test(start_paused = true)]
async fn a_join_is_seen_on_another_node_within_200_milliseconds() {
    let [a, b] = nodes().await;
    let mut who = a.observe(ROOM).await;
    let _grace = b.join(ROOM, "grace").await;
    assert_eq!(who.next(millis(200)).await.unwrap(), "+grace");
    assert_eq!((a.hub.members_of(ROOM).len(), a.hub.stats().people), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_leave_is_seen_on_another_node_within_the_linger_and_200_milliseconds() {
    let [a, b] = nodes().await;
    let mut who = a.observe(ROOM).await;
    let grace = b.join(ROOM, "grace").await;
    assert_eq!(who.next(secs(1)).await.unwrap(), "+grace");
    drop(grace);
    let since = Instant::now();
    assert_eq!(who.next(secs(60)).await.unwrap(), "-grace");
    let took = since.elapsed();
    assert!((LINGER..=LINGER + millis(200)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_loaded_again_from_another_node_has_not_left() {
    let [a, b, c] = nodes().await;
    let mut who = c.observe(ROOM).await;
    let grace = a.join(ROOM, "grace").await;
    assert_eq!(who.next(secs(1)).await.unwrap(), "+grace");
    drop(grace);
    pass(LINGER - millis(500)).await;
    let _grace = b.join(ROOM, "grace").await;
    assert_eq!(who.changes(secs(60)).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_first_sees_the_members_of_all_nodes() {
    let [a, b, c] = nodes().await;
    let _ada = a.join(ROOM, "ada").await;
    let _grace = b.join(ROOM, "grace").await;
    pass(secs(10)).await;
    assert_eq!(c.observe(ROOM).await.people().await, ["ada", "grace"]);
    let stats = c.hub.stats();
    assert_eq!((stats.nodes, stats.snapshots, stats.resets), (2, 2, 0));
    assert!(stats.heartbeats >= 10, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_just_come_sees_the_members_of_all_nodes() {
    let local = Local::new();
    let a = Node::start(&local).await;
    let _ada = a.join(ROOM, "ada").await;
    pass(secs(10)).await;
    let since = Instant::now();
    let b = Node::start(&local).await;
    assert_eq!(b.observe(ROOM).await.people().await, ["ada"]);
    assert!(since.elapsed() <= secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_members_of_a_killed_node_leave_within_7_seconds_and_do_not_linger() {
    // Whatever time has passed since its last heartbeat.
    for late in 0..20 {
        let [a, b] = nodes().await;
        let mut who = a.observe(ROOM).await;
        let mut events = a.hub.events();
        let _members = [b.join(ROOM, "grace").await, b.join(ROOM, "eve").await];
        assert_eq!(who.changes(secs(5) + millis(100 * late)).await, ["+eve", "+grace"]);
        b.connection.set(Fault::Cut);
        let since = Instant::now();
        let mut left = [who.next(secs(60)).await.unwrap(), who.next(Duration::ZERO).await.unwrap()];
        left.sort();
        assert_eq!(left, ["-eve", "-grace"]);
        let took = since.elapsed();
        assert!((secs(4)..=secs(7)).contains(&took), "{took:?}");
        assert_eq!(events.next().await, Some(Event::NodeLeft { node: b.hub.node() }));
        assert_eq!(a.hub.stats().nodes, 0);
        // Once each.
        assert_eq!(who.changes(secs(60)).await, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_has_left_whose_key_has_come_back_on_another_node() {
    let [a, b, c] = nodes().await;
    let mut who = a.observe(ROOM).await;
    let _members = [b.join(ROOM, "grace").await, b.join(ROOM, "eve").await];
    assert_eq!(who.changes(secs(3)).await.len(), 2);
    b.connection.set(Fault::Cut);
    pass(secs(3)).await;
    let _grace = c.join(ROOM, "grace").await;
    assert_eq!(who.changes(secs(60)).await, ["-eve"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_partition_reset_comes_within_3_seconds() {
    // Whatever time has passed since the last heartbeats.
    for late in 0..20 {
        let [a, b, c] = nodes().await;
        let _members = [a.join(ROOM, "ada").await, b.join(ROOM, "grace").await, c.join(ROOM, "eve").await];
        let mut who = [a.observe(ROOM).await, c.observe(ROOM).await];
        c.connection.set(Fault::Cut);
        pass(secs(20) + millis(100 * late)).await;
        assert_eq!(who[0].people().await, ["ada", "grace"]);
        assert_eq!(who[1].people().await, ["eve"]);

        c.connection.set(Fault::Nothing);
        let since = Instant::now();
        for who in &mut who {
            assert_eq!(who.next(secs(3) - since.elapsed()).await.unwrap(), "reset");
        }
        pass(secs(3) - since.elapsed()).await;
        for who in &mut who {
            assert_eq!(who.people().await, ["ada", "eve", "grace"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_stopped_for_10_seconds_is_back_within_3_and_leaves_no_ghost_after_60() {
    let [a, b] = nodes().await;
    let mut who = a.observe(ROOM).await;
    let grace = b.join(ROOM, "grace").await;
    let _eve = b.join(ROOM, "eve").await;
    assert_eq!(who.changes(secs(3)).await.len(), 2);
    b.connection.set(Fault::Stopped);
    assert_eq!(who.changes(secs(10)).await.len(), 2);
    assert_eq!(who.people().await, Vec::<&str>::new());
    // Somebody leaves while nothing gets through.
    drop(grace);
    b.connection.set(Fault::Nothing);
    assert!(who.changes(secs(3)).await.contains(&"reset".to_owned()));
    assert_eq!(who.people().await, ["eve"]);
    pass(secs(60)).await;
    assert_eq!(who.people().await, ["eve"]);
}

#[tokio::test(start_paused = true)]
async fn presence_waits_at_most_a_second_for_other_nodes_then_returns_and_reset_follows() {
    let [a, b] = nodes().await;
    let _grace = b.join(ROOM, "grace").await;
    let _ada = a.join("pier", "ada").await;
    pass(secs(3)).await;
    // It is there, and does not answer in time.
    b.connection.set(Fault::Slow(millis(1500)));
    let since = Instant::now();
    let mut who = a.observe(ROOM).await;
    assert_eq!((since.elapsed(), who.people().await), (secs(1), vec![]));
    assert_eq!(who.next(secs(1)).await.unwrap(), "reset");
    assert_eq!(who.people().await, ["grace"]);
    // What is known makes nobody wait.
    let since = Instant::now();
    assert_eq!(a.observe(ROOM).await.people().await, ["grace"]);
    assert_eq!(since.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_ends_says_bye_and_its_members_linger_as_after_any_leave() {
    let [a, b] = nodes().await;
    let mut who = a.observe(ROOM).await;
    let mut events = a.hub.events();
    let grace = b.join(ROOM, "grace").await;
    assert_eq!(who.next(secs(3)).await.unwrap(), "+grace");
    let (node, since) = (b.hub.node(), Instant::now());
    drop((grace, b));
    assert_eq!(events.next().await, Some(Event::NodeLeft { node }));
    assert!(since.elapsed() < millis(200));
    assert_eq!(who.next(secs(60)).await.unwrap(), "-grace");
    assert!((LINGER..=LINGER + millis(200)).contains(&since.elapsed()));
    assert_eq!(who.changes(secs(60)).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_latest_info_of_a_person_counts_from_whatever_node() {
    let [a, b] = nodes().await;
    let phone = a.join(ROOM, "ada").await;
    pass(secs(1)).await;
    let tab = b.join(ROOM, "ada").await;
    let mut who = a.hub.presence(ROOM).await.unwrap();
    let mut info = async || {
        pass(secs(1)).await;
        let person = who.next().await.unwrap();
        let sockeye_state::PresenceChange::Updated(person) = person else { panic!("{person:?}") };
        String::from_utf8(person.info().to_vec()).unwrap()
    };
    tab.update_presence("away");
    assert_eq!(info().await, "away");
    phone.update_presence("back");
    assert_eq!(info().await, "back");
    tab.update_presence("typing");
    assert_eq!(info().await, "typing");
    drop(tab);
    assert_eq!(info().await, "back");
}

#[tokio::test(start_paused = true)]
async fn five_thousand_people_of_one_room_come_in_envelopes_of_256_kib() {
    let [a, b] = nodes().await;
    let mut members = Vec::new();
    for number in 0..5000 {
        members.push(b.join(ROOM, &format!("{number:0200}")).await);
    }
    pass(secs(1)).await;
    assert_eq!(a.observe(ROOM).await.people().await.len(), 5000);
    let largest = b.connection.largest();
    assert!((200 << 10..257 << 10).contains(&largest), "{largest} bytes");
    // More changes than are kept: observers are told the state.
    let mut who = a.observe(ROOM).await;
    drop(members);
    assert!(who.changes(LINGER + millis(200)).await.contains(&"reset".to_owned()));
    assert_eq!(who.people().await, Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn hubs_of_other_namespaces_see_nobody() {
    let local = Local::new();
    let hub = async |namespace: &str| {
        let rooms = Rooms::new().presence(|key: &String| Person::new(key.clone(), ""));
        let builder = Hub::<String>::builder().broker(local.clone()).namespace(namespace).rooms("", rooms);
        builder.build().await.unwrap()
    };
    let (shop, staging) = (hub("shop").await, hub("staging").await);
    let (_client, sender) = support::connect().await;
    let ada = shop.register(sender, "ada".to_owned());
    ada.join(ROOM).await.unwrap();
    pass(secs(3)).await;
    assert_eq!(staging.presence(ROOM).await.unwrap().count(), 0);
    assert_eq!(staging.stats().nodes, 0);
    assert_eq!(hub("shop").await.presence(ROOM).await.unwrap().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hub_without_rooms_with_presence_tells_nothing() {
    let local = Local::new();
    let node = Node::start(&local).await;
    let quiet = Hub::<String>::builder().broker(local.clone()).build().await.unwrap();
    pass(secs(10)).await;
    assert_eq!((node.hub.stats().nodes, quiet.stats().nodes), (0, 0));
}
