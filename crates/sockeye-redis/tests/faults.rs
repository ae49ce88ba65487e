//! What a node makes of a broker that is killed, refuses, cuts or is silent.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

#[macro_use]
mod support;

use std::{collections::HashSet, sync::Arc, time::Duration};

use sockeye_redis::Redis;
use sockeye_state::{Arrival, Broker, Lost, Position, Stamp, Topic};
use sockeye_testkit::Proxy;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use self::support::{
    is_long,
    node::{Copy, Node, append},
    server::{Disk, Kind, Server},
};

/// How many handlers append at the same time.
const WRITERS: usize = 8;

on_each_server! {
    /// Killed in the middle of 10,000 appends, and restarted with all that it has answered.
    async fn line_1_with_a_disk_each_line_comes_once_in_order_on_each_node(server: Server, Disk::EachWrite) {
        let each = 10_000 / WRITERS;
        let topic = Topic::room("faults", "killed");
        let copies = [copy(&server.url(), &topic, WRITERS * each).await, copy(&server.url(), &topic, WRITERS * each).await];
        let writers: Vec<_> = (0..WRITERS).map(|writer| write(server.url(), topic.clone(), writer, each)).collect();
        let reader = Node::start(&server.url()).await;
        for length in [2_000, 6_000] {
            until_top(&reader.broker, &topic, length).await;
            server.kill();
            sleep(Duration::from_millis(300)).await;
            server.restart().await;
        }
        let mut answered = Vec::new();
        for writer in writers {
            answered.extend(writer.await.unwrap());
        }
        answered.sort_by_key(|(position, _)| position.offset);
        for copy in copies {
            let copy = timeout(Duration::from_secs(60), copy).await.expect("each line arrives").unwrap();
            assert_eq!(copy.gaps, 0, "nothing is lost");
            assert_eq!(copy.lines.len(), answered.len());
            assert!(copy.lines == answered, "each line is where its sender was told, once");
        }
        for writer in 0..WRITERS {
            let own = answered.iter().filter(|(_, line)| line.starts_with(&format!("{writer}-"))).map(|(_, line)| line.clone());
            assert!(own.eq((0..each).map(|count| format!("{writer}-{count}"))), "in the order of the writer");
        }
    }

    async fn line_1_without_a_disk_a_new_epoch_is_a_gap_and_no_answered_line_comes_again(server: Server, Disk::Nothing) {
        let each = 2_000 / WRITERS;
        let topic = Topic::room("faults", "forgotten");
        let mut node = Node::start(&server.url()).await;
        node.subscribe(&topic).await;
        let writers: Vec<_> = (0..WRITERS).map(|writer| write(server.url(), topic.clone(), writer, each)).collect();
        until_top(&node.broker, &topic, 500).await;
        let before = node.broker.tops(vec![topic.clone()]).await.unwrap()[0].unwrap();
        server.restart().await;
        let mut answered = Vec::new();
        for writer in writers {
            answered.extend(writer.await.unwrap());
        }
        let last = node.broker.tops(vec![topic.clone()]).await.unwrap()[0].unwrap();
        assert_ne!(last.epoch, before.epoch, "a history that was forgotten begins a new epoch");

        let mut copy = Copy::new(&topic);
        while copy.lines.last().is_none_or(|(position, _)| *position != last) {
            let arrival = node.next_within(Duration::from_secs(10)).await.expect("the last line arrives");
            copy.take(arrival, &node.broker).await;
        }
        assert_eq!(copy.gaps, 1, "the loss is said once");
        let positions: HashSet<String> = copy.lines.iter().map(|(position, _)| position.to_string()).collect();
        assert_eq!(positions.len(), copy.lines.len(), "no position comes twice");
        for (position, line) in &answered {
            let places: Vec<_> = copy.lines.iter().filter(|(_, other)| other == line).map(|(place, _)| *place).collect();
            // Of the old epoch, the node may have missed the end. A line that was not answered before the kill may be there twice:
            // with the history, the server has forgotten its stamp.
            assert!(places.iter().filter(|place| place.epoch == position.epoch).count() <= 1, "{line} at {places:?}");
            if position.epoch == before.epoch {
                assert!(places.iter().all(|place| place.epoch == before.epoch), "{line} was answered, and comes again");
            } else {
                assert!(places.contains(position), "{line} is of the new epoch, and missing");
            }
        }
    }

    async fn line_3_delivery_is_back_within_10_s_after_connections_were_refused(server: Server, Disk::Nothing) {
        let away = Duration::from_secs(if is_long() { 30 } else { 6 });
        let proxy = Proxy::start(server.address()).await;
        let mut here = Node::start(&format!("redis://{}", proxy.address())).await;
        let there = Node::start(&server.url()).await;
        let topic = Topic::room("faults", "refused");
        here.subscribe(&topic).await;

        proxy.set_refusing(true);
        let since = Instant::now();
        here.until_health(false, Duration::from_secs(1)).await;
        let error = here.broker.publish(topic.clone(), "lost".into()).await.unwrap_err();
        assert!(!error.is_refused(), "{error}");
        let error = here.broker.append(append(&topic, "late", Stamp::new([1; 16]))).await.unwrap_err();
        assert!(!error.is_refused() && since.elapsed() < Duration::from_secs(8), "{error} after {:?}", since.elapsed());
        let error = here.broker.publish(topic.clone(), "lost".into()).await.unwrap_err();
        assert!(error.is_unavailable(), "{error}");
        assert!(!here.broker.health().is_well());
        sleep(away.saturating_sub(since.elapsed())).await;
        assert!(!here.broker.health().is_well());

        proxy.set_refusing(false);
        let back = Instant::now();
        assert_eq!(here.next_lost(Duration::from_secs(10)).await, Lost::All);
        there.broker.publish(topic.clone(), "back".into()).await.unwrap();
        let arrival = here.next_within(Duration::from_secs(10)).await;
        assert!(matches!(&arrival, Some(Arrival::Message { envelope, .. }) if envelope == "back"), "{arrival:?}");
        here.until_health(true, Duration::from_secs(10)).await;
        println!("away for {away:?}; delivery and health are back after {:?}", back.elapsed());
        assert!(back.elapsed() < Duration::from_secs(10));
    }

    async fn line_4_an_append_whose_answer_is_cut_is_appended_once(server: Server, Disk::Nothing) {
        const TIMES: usize = 1_000;
        let proxy = Proxy::start(server.address()).await;
        let node = Node::start(&format!("redis://{}", proxy.address())).await;
        let topic = Topic::room("faults", "cut");
        let start = Instant::now();
        for line in 0..TIMES {
            let stamp = Stamp::of_node(node.id, line as u64);
            proxy.cut_answers(b"EVALSHA", 1);
            // The node tries again by itself.
            let position = node.broker.append(append(&topic, line, stamp)).await.unwrap();
            assert_eq!(proxy.cut_answers_count(), 1);
            assert_eq!(position.offset, line as u64 + 1, "nothing is appended twice or swallowed");
            let again = node.broker.append(append(&topic, line, stamp)).await.unwrap();
            assert_eq!(again, position, "a repeat has the first position");
        }
        println!("{TIMES} answers were cut in {:?}", start.elapsed());
        let page = node.broker.read(topic, None, 10 * TIMES).await.unwrap();
        assert!(page.entries.iter().map(|entry| entry.envelope.clone()).eq((0..TIMES).map(|line| line.to_string())));
    }

    async fn line_4_a_repeat_after_a_later_append_has_the_first_position(server: Server, Disk::Nothing) {
        let proxy = Proxy::start(server.address()).await;
        let builder = Redis::builder(format!("redis://{}", proxy.address()));
        let broker = builder.request_timeout(Duration::from_millis(250)).connect().await.unwrap();
        let (here, there) = (Node::start_with(broker).await, Node::start(&server.url()).await);
        let topic = Topic::room("faults", "later");
        let mut cut_after_append = 0;
        for round in 0..20 {
            let [first, later] = [2 * round, 2 * round + 1];
            proxy.cut_answers(b"EVALSHA", 1);
            let lost = here.broker.append(append(&topic, first, Stamp::of_node(here.id, first)));
            let refuse = async {
                while proxy.cut_answers_count() == 0 {
                    tokio::task::yield_now().await;
                }
                proxy.set_refusing(true);
            };
            let (lost, ()) = tokio::join!(lost, refuse);
            // The node may have come back before connections were refused.
            let uncertain = match lost {
                Ok(position) => Some(position),
                Err(error) => {
                    assert!(error.is_uncertain(), "{error}");
                    None
                }
            };
            // If the answer that was cut was one to an earlier request of a new connection, the server may not have seen this one.
            let page = there.broker.read(topic.clone(), None, 1000).await.unwrap();
            if page.entries.len() as u64 == first {
                proxy.set_refusing(false);
                repeat(&here.broker, &topic, first, Stamp::of_node(here.id, first)).await;
            } else {
                cut_after_append += 1;
            }
            let next = there.broker.append(append(&topic, later, Stamp::of_node(there.id, later))).await.unwrap();
            proxy.set_refusing(false);
            let again = repeat(&here.broker, &topic, first, Stamp::of_node(here.id, first)).await;
            assert_eq!((again.offset, next.offset), (first + 1, later + 1), "the first position, not a new one");
            assert!(uncertain.is_none_or(|position| position == again));
        }
        assert!(cut_after_append > 10, "only {cut_after_append} of 20 answers were cut after the append");
        let page = there.broker.read(topic, None, 1000).await.unwrap();
        assert!(page.entries.iter().map(|entry| entry.envelope.clone()).eq((0..40).map(|line: u64| line.to_string())));
    }

    async fn line_5_a_subscription_in_a_black_hole_is_noticed_within_10_s(server: Server, Disk::Nothing) {
        let proxy = Proxy::start(server.address()).await;
        let mut node = Node::start(&format!("redis://{}", proxy.address())).await;
        let topic = Topic::room("faults", "hole");
        node.subscribe(&topic).await;
        assert_eq!(proxy.black_hole(|sent| contains(sent, b"SUBSCRIBE")), 1);
        let since = Instant::now();
        assert_eq!(node.next_lost(Duration::from_secs(10)).await, Lost::All);
        println!("a black hole was noticed after {:?}", since.elapsed());
        node.until_health(true, Duration::from_secs(3)).await;
        node.broker.publish(topic.clone(), "back".into()).await.unwrap();
        let arrival = node.next_within(Duration::from_secs(3)).await;
        assert!(matches!(&arrival, Some(Arrival::Message { envelope, .. }) if envelope == "back"), "{arrival:?}");
    }

    async fn line_5_a_server_in_a_black_hole_is_not_well_within_10_s(server: Server, Disk::Nothing) {
        let proxy = Proxy::start(server.address()).await;
        let mut node = Node::start(&format!("redis://{}", proxy.address())).await;
        proxy.set_silent(true);
        let since = Instant::now();
        node.until_health(false, Duration::from_secs(10)).await;
        println!("a silent server was noticed after {:?}", since.elapsed());
        let error = node.broker.append(append(&Topic::room("faults", "x"), "x", Stamp::new([1; 16]))).await.unwrap_err();
        assert!(!error.is_refused(), "{error}");
        proxy.set_silent(false);
        assert_eq!(node.next_lost(Duration::from_secs(10)).await, Lost::All);
        node.until_health(true, Duration::from_secs(10)).await;
    }

    async fn a_subscription_whose_connection_is_cut_is_there_on_the_next_one(server: Server, Disk::Nothing) {
        let proxy = Proxy::start(server.address()).await;
        let mut node = Node::start(&format!("redis://{}", proxy.address())).await;
        let topic = Topic::room("faults", "late");
        proxy.set_silent(true);
        let mut subscribing = node.broker.subscribe(vec![topic.clone()]);
        assert!(timeout(Duration::from_millis(100), &mut subscribing).await.is_err(), "nobody has answered");
        proxy.cut_all();
        proxy.set_silent(false);
        subscribing.await.unwrap();
        node.broker.publish(topic.clone(), "here".into()).await.unwrap();
        assert_eq!(node.next_lost(Duration::from_secs(1)).await, Lost::All);
        let arrival = node.next_within(Duration::from_secs(5)).await;
        assert!(matches!(&arrival, Some(Arrival::Message { envelope, .. }) if envelope == "here"), "{arrival:?}");
    }

    async fn cut_connections_are_back_at_once_with_all_subscriptions(server: Server, Disk::Nothing) {
        let proxy = Proxy::start(server.address()).await;
        let mut node = Node::start(&format!("redis://{}", proxy.address())).await;
        let there = Node::start(&server.url()).await;
        let topics: Vec<Topic> = (0..300).map(|number| Topic::room("faults", format!("room {number}"))).collect();
        node.broker.subscribe(topics.clone()).await.unwrap();
        node.broker.unsubscribe(topics[200..].to_vec()).await.unwrap();
        for round in 0..20 {
            assert!(proxy.cut_all() >= 1);
            assert_eq!(node.next_lost(Duration::from_secs(5)).await, Lost::All);
            for topic in &topics {
                there.broker.publish(topic.clone(), round.to_string().into()).await.unwrap();
            }
            for topic in &topics[..200] {
                let arrival = node.next_within(Duration::from_secs(5)).await;
                let is_next = matches!(&arrival, Some(Arrival::Message { topic: of, envelope, .. })
                    if of == topic && *envelope == round.to_string());
                assert!(is_next, "{arrival:?}");
            }
        }
    }
}

/// Appends lines, one after another, each until it has an answer.
fn write(url: String, topic: Topic, writer: usize, lines: usize) -> JoinHandle<Vec<(Position, String)>> {
    tokio::spawn(async move {
        let node = Node::start(&url).await;
        let mut answered = Vec::with_capacity(lines);
        for count in 0..lines {
            let line = format!("{writer}-{count}");
            let position = repeat(&node.broker, &topic, &line, Stamp::of_node(node.id, count as u64)).await;
            answered.push((position, line));
        }
        answered
    })
}

/// Appends a line, again and again with the same stamp until there is an answer.
async fn repeat(broker: &Redis, topic: &Topic, line: impl ToString, stamp: Stamp) -> Position {
    loop {
        match broker.append(append(topic, line.to_string(), stamp)).await {
            Ok(position) => return position,
            Err(error) if error.is_refused() => panic!("{error}"),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A node that copies a history until it has `lines` lines.
async fn copy(url: &str, topic: &Topic, lines: usize) -> JoinHandle<Copy> {
    let (mut node, mut copy) = (Node::start(url).await, Copy::new(topic));
    node.subscribe(topic).await;
    tokio::spawn(async move {
        while copy.lines.len() < lines {
            let arrival = node.arrivals.recv().await.expect("the broker has the inbox");
            copy.take(arrival, &node.broker).await;
        }
        copy
    })
}

async fn until_top(broker: &Arc<Redis>, topic: &Topic, offset: u64) {
    while broker.tops(vec![topic.clone()]).await.is_ok_and(|tops| tops[0].is_none_or(|top| top.offset < offset)) {
        sleep(Duration::from_millis(5)).await;
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
