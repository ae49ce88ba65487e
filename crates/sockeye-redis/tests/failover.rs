//! Replicas that are promoted, and slots that move.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

#[macro_use]
mod support;

use std::{sync::Arc, time::Duration};

use sockeye_redis::Redis;
use sockeye_state::{Broker, Lost, Stamp, Topic};
use sockeye_testkit::Proxy;
use tokio::time::{Instant, sleep, timeout};

use self::support::{
    cluster::{Cluster, slot},
    node::{Copy, Node, append},
    server::{Disk, Kind, Server},
};

async fn line_2_on(kind: Kind) {
    let Some(mut master) = Server::start(kind, Disk::Nothing).await else { return };
    let link = Proxy::start(master.address()).await;
    let port = link.address().port().to_string();
    let Some(replica) = Server::start_with(kind, Disk::Nothing, &["--replicaof", "127.0.0.1", &port]).await else {
        return;
    };
    let name = Proxy::start(master.address()).await;
    let url = format!("redis://{}", name.address());
    let mut node = Node::start(&url).await;
    let topic = Topic::room("failover", "room");
    let mut copy = Copy::new(&topic);
    node.subscribe(&topic).await;

    let mut last = None;
    for line in 0..10 {
        last = Some(node.broker.append(append(&topic, line, Stamp::of_node(node.id, line))).await.unwrap());
    }
    until(&replica, "HGET {failover:room:room}:top top", "$2\r\n10").await;
    link.set_silent(true);
    for line in 10..15 {
        last = Some(node.broker.append(append(&topic, line, Stamp::of_node(node.id, line))).await.unwrap());
    }
    while copy.lines.len() < 15 {
        let arrival = node.next_within(Duration::from_secs(5)).await.expect("all 15 arrive");
        copy.take(arrival, &node.broker).await;
    }

    // Before the replica is promoted, the name already leads to it.
    master.kill();
    // Somebody else may get the port of the master, and must not become the master of the replica.
    link.set_refusing(true);
    name.set_server(replica.address());
    name.cut_all();
    sleep(Duration::from_millis(500)).await;
    assert!(!node.broker.health().is_well(), "a replica cannot append");
    let since = Instant::now();
    assert!(replica.command(&["REPLICAOF", "NO", "ONE"]).await.starts_with("+OK"));
    assert_eq!(node.next_lost(Duration::from_secs(10)).await, Lost::All);
    node.until_health(true, Duration::from_secs(10)).await;
    println!("well again {:?} after the promotion", since.elapsed());

    // The replica lacks five messages of the same epoch.
    let top = node.broker.tops(vec![topic.clone()]).await.unwrap()[0].unwrap();
    assert_eq!((top.epoch, top.offset), (last.unwrap().epoch, 10));
    copy.mend(&node.broker).await;
    assert_eq!(copy.gaps, 1, "the loss is said");
    let position = node.broker.append(append(&topic, 15, Stamp::of_node(node.id, 15)).known(last)).await.unwrap();
    assert_ne!(position.epoch, top.epoch, "the history begins a new epoch");
    let arrival = node.next_within(Duration::from_secs(5)).await.unwrap();
    copy.take(arrival, &node.broker).await;
    let lines: Vec<String> = copy.lines.iter().map(|(_, line)| line.clone()).collect();
    assert_eq!(lines.last().map(String::as_str), Some("15"));
    assert_eq!(copy.gaps, 2, "an epoch that ends is a gap");
}

#[tokio::test(flavor = "multi_thread")]
async fn line_2_a_failover_that_loses_answered_messages_is_a_gap_on_redis() {
    line_2_on(Kind::Redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_2_a_failover_that_loses_answered_messages_is_a_gap_on_valkey() {
    line_2_on(Kind::Valkey).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn line_6_a_slot_that_moves_under_64_rooms_loses_nothing() {
    const ROOMS: usize = 64;
    const LINES: usize = 60;
    let Some(cluster) = Cluster::start(Kind::Redis).await else { return };
    let wanted = slot("cluster:room:0");
    let names = (0..).map(|number| number.to_string()).filter(|name| slot(&format!("cluster:room:{name}")) == wanted);
    let topics: Vec<Topic> = names.take(ROOMS).map(|name| Topic::room("cluster", name)).collect();
    let from = usize::from(wanted / (16_384 / 3)).min(2);

    let mut copies = Vec::new();
    for server in &cluster.nodes {
        let mut node = Node::start(&server.url()).await;
        node.broker.subscribe(topics.clone()).await.unwrap();
        let topics = topics.clone();
        copies.push(tokio::spawn(async move {
            let mut copies: Vec<Copy> = topics.iter().map(Copy::new).collect();
            while copies.iter().any(|copy| copy.lines.len() < LINES) {
                let arrival = node.arrivals.recv().await.expect("the broker has the inbox");
                let sockeye_state::Arrival::Appended { topic, .. } = &arrival else { panic!("{arrival:?}") };
                let room = topics.iter().position(|other| other == topic).unwrap();
                copies[room].take(arrival, &node.broker).await;
            }
            copies
        }));
    }
    let writer = Node::start(&cluster.nodes[0].url()).await;
    let writers: Vec<_> = (0..ROOMS)
        .map(|room| {
            let (broker, topic, id): (Arc<Redis>, _, _) = (Arc::clone(&writer.broker), topics[room].clone(), writer.id);
            tokio::spawn(async move {
                for line in 0..LINES {
                    let stamp = Stamp::of_node(id, line as u64);
                    while let Err(error) = broker.append(append(&topic, line, stamp)).await {
                        assert!(!error.is_refused(), "{error}");
                    }
                }
            })
        })
        .collect();
    sleep(Duration::from_millis(100)).await;
    let since = Instant::now();
    cluster.move_slot(wanted, from, (from + 1) % 3).await;
    println!("the slot was moved in {:?}", since.elapsed());
    let unfinished = writers.iter().filter(|writer| !writer.is_finished()).count();
    println!("{unfinished} of {ROOMS} writers were under way after the move");
    for writer in writers {
        timeout(Duration::from_secs(60), writer).await.expect("all lines are appended").unwrap();
    }
    for copies in copies {
        for copy in timeout(Duration::from_secs(30), copies).await.expect("all lines arrive").unwrap() {
            let lines = copy.lines.iter().map(|(_, line)| line.clone());
            assert!(lines.eq((0..LINES).map(|line| line.to_string())), "each line once, in order");
            assert_eq!(copy.gaps, 0);
        }
    }
}

async fn until(server: &Server, command: &str, answer: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let words: Vec<&str> = command.split(' ').collect();
    while !server.command(&words).await.starts_with(answer) {
        assert!(Instant::now() < deadline, "{command} is never answered with {answer}");
        sleep(Duration::from_millis(20)).await;
    }
}
