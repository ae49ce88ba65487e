//! Hubs on one Redis, with members.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

#[macro_use]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use sockeye_redis::Redis;
use sockeye_state::{CaughtUp, Delivery, Hub, Position, Rooms};
use sockeye_testkit::Proxy;
use sockeye_tokio::Message;
use tokio::{
    sync::Barrier,
    task::JoinSet,
    time::{Instant, timeout},
};

use self::support::{
    client::{Client, connect, next_text},
    is_long,
    server::{Disk, Kind, Server},
};

/// How many members come back again and again.
const MEMBERS: usize = 10;

/// How many nodes send at full speed: each waits for the place of a message before it appends the next one to the same room.
const SENDERS: usize = 4;

/// How many messages wait in each of them.
const WAITING: usize = 64;

async fn hub(url: &str) -> Hub<usize> {
    let rooms = Rooms::new().history(1000, Duration::from_secs(3600));
    let numbered = |delivery: &Delivery<'_>| match delivery {
        Delivery::Message { at: Some(at), message: Some(_), .. } => Some(at.to_string().into()),
        Delivery::Message { message: Some(message), .. } => Some((*message).clone()),
        Delivery::Gap { .. } => Some("gap".into()),
        Delivery::Joined { .. } => Some("joined".into()),
        _ => None,
    };
    let broker = Redis::connect(url).await.unwrap();
    Hub::builder().namespace("hubs").broker(broker).rooms("kept:", rooms).frame(numbered).build().await.unwrap()
}

on_each_server! {
    async fn line_8_joins_against_a_sender_at_full_speed_have_no_hole_and_no_repeat(server: Server, Disk::Nothing) {
        let joins = if is_long() { 100_000 } else { 5_000 } / MEMBERS;
        let here = hub(&server.url()).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut senders = Vec::new();
        for _ in 0..SENDERS {
            senders.push(tokio::spawn(send(hub(&server.url()).await, is_over.clone())));
        }
        let start = Instant::now();
        let members: Vec<_> = (0..MEMBERS).map(|number| tokio::spawn(come_back(here.clone(), number, joins))).collect();
        let (mut gaps, mut messages) = (0, 0);
        for member in members {
            let (own_gaps, own_messages) = member.await.unwrap();
            gaps += own_gaps;
            messages += own_messages;
        }
        let took = start.elapsed();
        is_over.store(true, Relaxed);
        let mut sent = 0;
        for sender in senders {
            sent += sender.await.unwrap();
        }
        let (all, reads) = (MEMBERS * joins, here.stats().history_reads);
        println!("{all} joins in {took:.1?}, {sent} messages sent, {messages} received, {gaps} gaps, {reads} reads");
        assert!(messages > joins, "too few messages for a test: {messages}");
        assert!(gaps <= all / 100, "{gaps} gaps");
    }

    async fn line_9_all_come_back_at_once_to_a_node_that_knows_nothing_with_at_most_one_read_a_room(server: Server, Disk::Nothing) {
        const ROOMS: usize = 100;
        const LINES: u64 = 20;
        let all = if is_long() { 10_000 } else { 1_000 };
        let there = hub(&server.url()).await;
        let mut last_seen = Vec::new();
        for room in 0..ROOMS {
            last_seen.push(there.room(format!("kept:{room}")).append("seen").await.unwrap());
        }
        for _ in 0..LINES {
            let appending: Vec<_> = (0..ROOMS).map(|room| there.room(format!("kept:{room}")).append("missed")).collect();
            for appending in appending {
                appending.await.unwrap();
            }
        }
        let here = hub(&server.url()).await;
        let (mut coming, at_once) = (JoinSet::new(), Arc::new(Barrier::new(all)));
        for number in 0..all {
            let (here, at_once, since) = (here.clone(), at_once.clone(), last_seen[number % ROOMS]);
            let (client, sender) = connect().await;
            coming.spawn(async move {
                let (mut client, me) = (client.within(Duration::from_secs(60)), here.register(sender, number));
                at_once.wait().await;
                let start = Instant::now();
                let joined = me.join(format!("kept:{}", number % ROOMS)).since(since).await.unwrap();
                assert_ne!(joined.caught_up(), CaughtUp::Gap);
                assert_eq!(next_text(&mut client).await, "joined");
                for line in 1..=LINES {
                    let at: Position = next_text(&mut client).await.parse().unwrap();
                    assert_eq!((at.epoch, at.offset), (since.epoch, since.offset + line));
                }
                (start.elapsed(), client, me)
            });
        }
        let (mut times, mut inside) = (Vec::new(), Vec::new());
        while let Some(came) = coming.join_next().await {
            let (time, client, member) = came.unwrap();
            times.push(time);
            inside.push((client, member));
        }
        times.sort_unstable();
        let reads = here.stats().history_reads;
        println!("{all} members are back in {ROOMS} rooms, each with {LINES} lines: {reads} reads; the 99th percentile after {:.2?}", times[all * 99 / 100]);
        assert!(reads <= ROOMS as u64, "{reads} reads");
    }

    async fn a_node_receives_nothing_for_rooms_whose_members_are_elsewhere(server: Server, Disk::Nothing) {
        const BYTES: usize = 10_000;
        let proxy = Proxy::start(server.address()).await;
        let (here, there) = (hub(&format!("redis://{}", proxy.address())).await, hub(&server.url()).await);
        let subscription = |sent: &[u8]| sent.windows(9).any(|window| window == b"SUBSCRIBE");
        let (mut client, sender) = connect().await;
        let member = here.register(sender, 0);
        member.join("kept:here").await.unwrap();
        member.join("here").await.unwrap();
        let (mut clients, mut members) = (Vec::new(), Vec::new());
        for number in 0..100 {
            let (client, sender) = connect().await;
            let member = there.register(sender, number);
            member.join(format!("kept:there {number}")).await.unwrap();
            member.join(format!("there {number}")).await.unwrap();
            clients.push(client);
            members.push(member);
        }
        // A join does not wait until the node is subscribed to a room without a history.
        let mut text = String::new();
        while text != "now" {
            there.room("here").send("now");
            let next = timeout(Duration::from_millis(100), next_text(&mut client)).await;
            text = next.unwrap_or_default();
        }
        let before = proxy.received(subscription);
        for number in 0..100 {
            there.room(format!("kept:there {number}")).append("x".repeat(BYTES)).await.unwrap();
            there.room(format!("there {number}")).send("x".repeat(BYTES));
        }
        let last = there.room("kept:here").append("x").await.unwrap().to_string();
        there.room("here").send("end");
        let (mut has_live, mut has_kept) = (false, false);
        while !(has_live && has_kept) {
            let text = next_text(&mut client).await;
            has_live |= text == "end";
            has_kept |= text == last;
        }
        let received = proxy.received(subscription) - before;
        println!("200 messages of {BYTES} bytes elsewhere and two here: the node has received {received} bytes");
        assert!(received < 1000, "{received}");
        for client in &mut clients {
            // Those of its two rooms.
            let (mut length, mut messages) = (0, 0);
            while messages < 2 {
                let text = next_text(client).await;
                messages += usize::from(text != "joined" && text != "gap");
                length += text.len();
            }
            assert!(length >= BYTES, "{length}");
        }
    }
}

/// Sends at full speed. Returns how many messages were appended.
async fn send(hub: Hub<usize>, is_over: Arc<AtomicBool>) -> usize {
    let room = hub.room("kept:1");
    let appends = stream::iter(0_u64..).take_while(|_| std::future::ready(!is_over.load(Relaxed)));
    let appends = appends.map(|_| room.append("x")).buffered(WAITING);
    appends.fold(0, async |sent, at| sent + usize::from(at.is_ok())).await
}

/// Leaves and joins, and checks each message. Returns the number of gaps and of messages.
async fn come_back(hub: Hub<usize>, number: usize, joins: usize) -> (usize, usize) {
    let (client, sender) = connect().await;
    let mut client = client.within(Duration::from_secs(60));
    let me = hub.register(sender, number);
    let (mut gaps, mut messages) = (0, 0);
    let mut last = hub.room("kept:1").append("x").await.unwrap();
    for join in 0..joins {
        let since = last;
        let caught_up = me.join("kept:1").since(since).await.unwrap().caught_up();
        if (join + number) % 3 == 0 {
            tokio::task::yield_now().await;
        }
        me.leave("kept:1").await;
        me.sender().push(Message::text("left")).unwrap();
        let mut has_gap = false;
        for text in texts_until(&mut client, "left").await {
            match &*text {
                "gap" => has_gap = true,
                // What came before this was on its way when the member left last. A page knows it by its position.
                "joined" => (last, has_gap) = (since, caught_up == CaughtUp::Gap),
                at => {
                    let at: Position = at.parse().unwrap();
                    if has_gap {
                        assert!(at.offset > last.offset, "{at} after {last} and a gap");
                        (has_gap, gaps) = (false, gaps + 1);
                    } else {
                        assert_eq!(at.offset, last.offset + 1, "{at} after {last}");
                    }
                    (last, messages) = (at, messages + 1);
                }
            }
        }
        if has_gap {
            // Nothing came after it.
            gaps += 1;
            last = hub.room("kept:1").append("x").await.unwrap();
        }
    }
    (gaps, messages)
}

/// All texts that come until `last` comes, without it.
async fn texts_until(client: &mut Client, last: &str) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let text = next_text(client).await;
        if text == last {
            return texts;
        }
        texts.push(text);
    }
}
