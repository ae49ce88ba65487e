//! Presence over several nodes, when the broker loses messages, is away, or is broken. Time is paused.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{collections::BTreeMap, time::Duration};

use sockeye_state::{Hub, Local, Lost, Member, Person, PresenceChange, Rooms, Topic};
use support::{
    network::{Connection, Fault},
    presence_nodes::{LINGER, Node, nodes, pass},
};
use tokio::time::{Instant, timeout};

const ROOM: &str = "harbour";

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test(start_paused = true)]
async fn with_the_broker_away_the_people_of_this_node_come_and_go_as_before() {
    for fault in [Fault::Away, Fault::Silent] {
        let [a, b] = nodes().await;
        let _grace = b.join(ROOM, "grace").await;
        let mut who = a.observe(ROOM).await;
        a.connection.set(fault);
        let ada = a.join(ROOM, "ada").await;
        assert_eq!(who.next(Duration::ZERO).await.unwrap(), "+ada");
        drop(ada);
        assert_eq!(who.next(secs(3)).await.unwrap(), "-ada");
        // Another room waits for other nodes, but not for long.
        let since = Instant::now();
        assert_eq!(a.observe("pier").await.people().await, Vec::<&str>::new());
        assert!(since.elapsed() <= secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn when_the_broker_is_back_all_nodes_see_all_within_3_seconds() {
    for fault in [Fault::Away, Fault::Silent, Fault::Broken] {
        let [a, b] = nodes().await;
        let mut who = [a.observe(ROOM).await, b.observe(ROOM).await];
        a.connection.set(fault);
        b.connection.set(fault);
        let _ada = a.join(ROOM, "ada").await;
        let _grace = b.join(ROOM, "grace").await;
        pass(secs(30)).await;
        assert_eq!(who[0].people().await, ["ada"]);
        assert_eq!(who[1].people().await, ["grace"]);
        a.connection.set(Fault::Nothing);
        b.connection.set(Fault::Nothing);
        pass(secs(3)).await;
        for who in &mut who {
            assert_eq!(who.people().await, ["ada", "grace"], "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_built_while_the_broker_does_not_answer_catches_up() {
    for fault in [Fault::Away, Fault::Silent, Fault::Broken] {
        let local = Local::new();
        let a = Node::start(&local).await;
        let _ada = a.join(ROOM, "ada").await;
        let connection = Connection::to(&local);
        connection.set(fault);
        let rooms = Rooms::new().presence(|key: &String| Person::new(key.clone(), ""));
        let b = Hub::<String>::builder().broker(connection.clone()).rooms("", rooms).build().await.unwrap();
        let mut who = b.presence(ROOM).await.unwrap();
        assert_eq!(who.count(), 0);
        pass(secs(20)).await;
        connection.set(Fault::Nothing);
        // The broker may still owe the answer to an earlier question.
        let change = timeout(secs(8), who.next()).await.expect("it catches up").unwrap();
        assert_eq!(change, PresenceChange::Reset(vec![Person::new("ada", "")]), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_says_it_has_lost_is_asked_for_at_once() {
    let [a, b] = nodes().await;
    let mut who = a.observe(ROOM).await;
    let _grace = b.join(ROOM, "grace").await;
    assert_eq!(who.next(secs(3)).await.unwrap(), "+grace");
    let topics = Lost::Topics(vec![Topic::hub("sockeye", "presence")]);
    for (number, what) in [Lost::All, topics].into_iter().enumerate() {
        a.connection.set(Fault::Cut);
        let _guest = b.join(ROOM, &format!("guest {number}")).await;
        std::mem::forget(_guest);
        pass(Duration::from_millis(100)).await;
        a.connection.set(Fault::Nothing);
        a.connection.lose(what);
        assert_eq!(who.next(Duration::from_millis(500)).await.unwrap(), "reset");
        assert_eq!(who.people().await.len(), 2 + number);
    }
    // What is lost of rooms is no reason.
    let resets = a.hub.stats().heartbeats;
    a.connection.lose(Lost::Topics(vec![Topic::room("sockeye", "presence")]));
    pass(Duration::from_millis(100)).await;
    assert!(a.hub.stats().heartbeats <= resets + 1);
}

#[tokio::test(start_paused = true)]
async fn many_parts_are_answered_within_3_seconds_also_if_the_broker_is_far_away() {
    let nodes: [Node; 5] = nodes().await;
    let rooms: Vec<_> = (0..512).map(|number| format!("room {number}")).collect();
    let mut members = Vec::new();
    for room in &rooms {
        members.push(nodes[0].join(room, "ada").await);
    }
    let mut observers = Vec::new();
    for node in &nodes[1..] {
        for room in &rooms {
            observers.push(node.observe(room).await);
        }
    }
    nodes.iter().for_each(|node| node.connection.set(Fault::Cut));
    pass(secs(10)).await;
    for who in &mut observers {
        assert_eq!(who.people().await, Vec::<&str>::new());
    }
    // As with a hundred nodes and a broker at 1 ms.
    nodes.iter().for_each(|node| node.connection.set(Fault::Far(Duration::from_millis(20))));
    pass(secs(3)).await;
    for who in &mut observers {
        assert_eq!(who.people().await, ["ada"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_hears_only_the_partitions_that_it_needs() {
    let [a, b] = nodes().await;
    assert_eq!(partitions(&a), [] as [&str; 0]);
    // The room is in partition 61.
    let ada = a.join(ROOM, "ada").await;
    pass(secs(1)).await;
    assert_eq!((partitions(&a), partitions(&b)), (vec!["presence:61".to_owned()], vec![]));
    drop(ada);
    pass(secs(9)).await;
    assert_eq!(partitions(&a).len(), 1, "whoever comes back costs nothing");
    pass(secs(2)).await;
    assert_eq!(partitions(&a), [] as [&str; 0]);
    // And again.
    let _grace = b.join(ROOM, "grace").await;
    assert_eq!(a.observe(ROOM).await.people().await, ["grace"]);
}

/// The topics of partitions to which the node is subscribed, beside that for all nodes and its own.
fn partitions(node: &Node) -> Vec<String> {
    let own = format!("presence:{}", node.hub.node());
    let mut topics = node.connection.subscribed("presence");
    assert!(topics.contains(&own) && topics.contains(&"presence".to_owned()), "{topics:?}");
    topics.retain(|topic| *topic != own && topic != "presence");
    topics
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_slow_or_loses_messages_leaves_no_ghost() {
    let [a, b, c] = nodes().await;
    let mut who = a.observe(ROOM).await;
    let disturb = |is_disturbed: bool| {
        a.connection.set(if is_disturbed { Fault::Lossy(3) } else { Fault::Nothing });
        b.connection.set(if is_disturbed { Fault::Slow(Duration::from_millis(700)) } else { Fault::Nothing });
    };
    disturb(true);
    let mut members = Vec::new();
    for number in 0..200 {
        let node = if number % 2 == 0 { &b } else { &c };
        members.push(node.join(ROOM, &format!("guest {number}")).await);
        if number % 3 == 0 {
            drop(members.swap_remove(number / 7));
        }
        pass(Duration::from_millis(40)).await;
    }
    disturb(false);
    pass(secs(3) + LINGER).await;
    assert_eq!(who.people().await.len(), members.len());
    disturb(true);
    drop(members);
    pass(secs(1)).await;
    disturb(false);
    pass(secs(3) + LINGER).await;
    assert_eq!(who.people().await, Vec::<&str>::new());
}

#[test]
fn a_hub_whose_runtime_has_ended_shows_nobody_of_other_nodes() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (first, second) = (runtime(), runtime());
    let local = Local::new();
    let a = first.block_on(Node::start(&local));
    let b = second.block_on(Node::start(&local));
    let _ada = first.block_on(a.join(ROOM, "ada"));
    let _grace = second.block_on(b.join(ROOM, "grace"));
    // Each of them runs only when it is its turn.
    for _ in 0..20 {
        second.block_on(pass(Duration::from_millis(100)));
        first.block_on(pass(Duration::from_millis(100)));
    }
    let mut who = first.block_on(a.observe(ROOM));
    assert_eq!(first.block_on(who.people()), ["ada", "grace"]);
    drop(first);
    let third = runtime();
    assert_eq!(third.block_on(who.people()), ["ada"]);
    let since = std::time::Instant::now();
    assert_eq!(third.block_on(async { a.observe("pier").await.people().await.len() }), 0);
    assert!(since.elapsed() < secs(60));
}

/// What three nodes have, and what each of them should see.
struct World {
    local: Local,
    nodes: Vec<Node>,
    members: BTreeMap<u64, (usize, &'static str, String, Member<String>)>,
    count: u64,
    random: fastrand::Rng,
}

const ROOMS: [&str; 4] = ["harbour", "pier", "lighthouse", "quay"];

impl World {
    async fn step(&mut self) {
        match self.random.u32(0..100) {
            0..55 => {
                let (node, room) = (self.random.usize(0..3), self.random.choice(ROOMS).unwrap());
                let key = format!("user {}", self.random.u32(0..40));
                let member = self.nodes[node].join(room, &key).await;
                self.count += 1;
                self.members.insert(self.count, (node, room, key, member));
            }
            55..98 => {
                let keys: Vec<_> = self.members.keys().copied().collect();
                if let Some(key) = self.random.choice(keys) {
                    self.members.remove(&key);
                }
            }
            98 => pass(Duration::from_millis(self.random.u64(0..500))).await,
            // Now and then, a node is killed, and another one takes its place.
            _ if self.random.u32(0..4) == 0 => {
                let node = self.random.usize(0..3);
                self.nodes[node].connection.set(Fault::Cut);
                self.members.retain(|_, (other, ..)| *other != node);
                self.nodes[node] = Node::start(&self.local).await;
            }
            _ => {
                let node = self.random.usize(0..3);
                let faults = [Fault::Nothing, Fault::Lossy(5), Fault::Slow(Duration::from_millis(300)), Fault::Cut];
                self.nodes[node].connection.set(*self.random.choice(&faults).unwrap());
            }
        }
    }

    fn keys(&self, room: &str) -> Vec<&str> {
        let here = self.members.values().filter(|(_, other, ..)| *other == room);
        let mut keys: Vec<_> = here.map(|(_, _, key, _)| &**key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_random_joins_leaves_and_kills_over_three_nodes_end_in_equal_sets() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let local = Local::new();
    let nodes = vec![Node::start(&local).await, Node::start(&local).await, Node::start(&local).await];
    let random = fastrand::Rng::with_seed(seed);
    let mut world = World { local, nodes, members: BTreeMap::new(), count: 0, random };
    // Somebody who looks on all the time.
    let watching = Node::start(&world.local).await;
    let mut watched = Vec::new();
    for room in ROOMS {
        watched.push(watching.observe(room).await);
    }
    for number in 0..10_000 {
        world.step().await;
        if number % 1000 == 0 {
            for who in &mut watched {
                who.people().await;
            }
        }
    }
    world.nodes.iter().for_each(|node| node.connection.set(Fault::Nothing));
    pass(secs(7) + LINGER).await;
    assert!(world.members.len() > 10, "some are there");
    for (room, who) in ROOMS.into_iter().zip(&mut watched) {
        assert_eq!(who.people().await, world.keys(room), "the watching node, {room}");
        for node in &world.nodes {
            assert_eq!(node.observe(room).await.people().await, world.keys(room), "{room}");
        }
    }
}
