//! Messages that do not fit into their room.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::thread;

use sockeye_state::{Event, Hub, Joined, Limits, Member};
use support::{Client, join};
use tokio::task::yield_now;

type Members = Vec<(Client, Member<()>, Joined<()>)>;

async fn room_of(hub: &Hub<()>, members: usize) -> Members {
    let mut all = Vec::new();
    for _ in 0..members {
        all.push(join(hub, "harbour", ()).await);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_full_room_whose_runtime_has_ended_is_served_again() {
    let hub = Hub::builder().limits(Limits::new().pending_messages(2)).build().await.unwrap();
    let mut members = room_of(&hub, 40).await;
    let room = hub.room("harbour");
    let sender = room.clone();
    let other = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { assert_eq!((sender.send("1"), sender.send("2"), sender.send("3")), (40, 40, 0)) });
    });
    other.join().unwrap();

    // Whether this one fits or not, the room is not full for ever.
    room.send("4");
    yield_now().await;
    assert_eq!(room.send("5"), 40);
    for (client, ..) in &mut members {
        client.expect_text("1").await;
        client.expect_text("2").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_reported_once_until_the_room_has_caught_up() {
    for limit in [10, 100] {
        let hub = Hub::builder().limits(Limits::new().pending_messages(limit)).build().await.unwrap();
        let mut events = hub.events();
        let mut members = room_of(&hub, 40).await;
        let room = hub.room("harbour");
        let mut sent = 0;
        // The room is served all the time, and never catches up.
        for _ in 0..50 {
            sent += (0..200).filter(|_| room.send("x") > 0).count();
            yield_now().await;
        }
        assert!(sent > limit, "some messages found the place of those that were on their way");
        for (client, ..) in &mut members {
            for _ in 0..sent {
                client.expect_text("x").await;
            }
        }
        assert_eq!((0..200).filter(|_| room.send("y") > 0).count(), limit);
        drop((room, members, hub));
        let mut reported = Vec::new();
        while let Some(event) = events.next().await {
            reported.push(event);
        }
        let gap = Event::Gap { room: "harbour".into() };
        assert_eq!(reported, [gap.clone(), gap], "once for each time that the room was behind");
    }
}
