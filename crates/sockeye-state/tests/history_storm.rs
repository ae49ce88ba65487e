//! Many members that come back again and again, while somebody sends as fast as possible.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use sockeye_state::{CaughtUp, Delivery, Hub, Position, Rooms};
use sockeye_tokio::Message;
use support::{register, texts_until};

const MEMBERS: usize = 10;
const JOINS: usize = 100_000 / MEMBERS;

/// Two threads, so that joins, messages and drains meet in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_joins_against_a_sender_at_full_speed_have_no_hole_and_no_repeat() {
    let builder = Hub::<usize>::builder().rooms("chat:", Rooms::new().history(1000, Duration::from_secs(3600)));
    let numbered = |delivery: &Delivery<'_>| match delivery {
        Delivery::Message { at: Some(at), message: Some(_), .. } => Some(at.to_string().into()),
        Delivery::Gap { .. } => Some("gap".into()),
        Delivery::Joined { .. } => Some("joined".into()),
        _ => None,
    };
    let hub = builder.frame(numbered).build().await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let sender = tokio::spawn({
        let (room, is_over) = (hub.room("chat:1"), is_over.clone());
        async move {
            let mut sent = 0_u64;
            while !is_over.load(Relaxed) {
                for _ in 0..4 {
                    room.send("x");
                    sent += 1;
                }
                tokio::task::yield_now().await;
            }
            sent
        }
    });
    let members: Vec<_> = (0..MEMBERS).map(|number| tokio::spawn(come_back(hub.clone(), number))).collect();
    let (mut gaps, mut messages) = (0, 0);
    for member in members {
        let (own_gaps, own_messages) = member.await.unwrap();
        gaps += own_gaps;
        messages += own_messages;
    }
    is_over.store(true, Relaxed);
    let sent = sender.await.unwrap();
    println!("{sent} messages sent, {messages} received, {gaps} gaps, {:?}", hub.stats());
    assert!(messages > JOINS, "too few messages for a test: {messages}");
    assert!(gaps <= MEMBERS * JOINS / 100, "{gaps} gaps");
}

/// Leaves and joins, and checks each message. Returns the number of gaps and of messages.
async fn come_back(hub: Hub<usize>, number: usize) -> (usize, usize) {
    let (mut client, me) = register(&hub, number).await;
    let (mut gaps, mut messages) = (0, 0);
    // The first message makes the epoch.
    let mut last = hub.room("chat:1").append("x").await.unwrap();
    for join in 0..JOINS {
        let since = last;
        let caught_up = me.join("chat:1").since(since).await.unwrap().caught_up();
        if (join + number) % 3 == 0 {
            tokio::task::yield_now().await;
        }
        me.leave("chat:1").await;
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
            last = hub.room("chat:1").append("x").await.unwrap();
        }
    }
    (gaps, messages)
}
