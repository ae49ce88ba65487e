//! Rooms without a history on several nodes, while Redis cannot be reached.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

#[macro_use]
mod support;

use std::time::Duration;

use sockeye_redis::Redis;
use sockeye_state::{Delivery, Event, Hub};
use sockeye_testkit::Proxy;
use tokio::time::{Instant, sleep, timeout};

use self::support::{
    client::{connect, next_text},
    is_long,
    server::{Disk, Kind, Server},
};

on_each_server! {
    async fn line_3_rooms_without_a_history_go_on_and_what_may_be_missing_is_a_gap(server: Server, Disk::Nothing) {
        let proxy = Proxy::start(server.address()).await;
        let here = hub(&format!("redis://{}", proxy.address())).await;
        let there = hub(&server.url()).await;
        let mut events = here.events();
        let (mut ada, ada_sender) = connect().await;
        let (mut bob, bob_sender) = connect().await;
        let ada_member = here.register(ada_sender, ());
        let bob_member = there.register(bob_sender, ());
        let room = ada_member.join("harbour").await.unwrap();
        bob_member.join("harbour").await.unwrap();
        room.send("before");
        assert_eq!([next_text(&mut ada).await, next_text(&mut bob).await], ["before", "before"]);

        proxy.set_refusing(true);
        proxy.cut_all();
        sleep(Duration::from_millis(300)).await;
        room.send("meanwhile");
        there.room("harbour").send("elsewhere");
        assert_eq!([next_text(&mut ada).await, next_text(&mut bob).await], ["meanwhile", "elsewhere"]);
        let start = Instant::now();
        ada_member.join("lighthouse").await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "a join waited for {:?}", start.elapsed());
        sleep(if is_long() { Duration::from_secs(30) } else { Duration::from_secs(3) }).await;

        proxy.set_refusing(false);
        let start = Instant::now();
        assert_eq!(next_text(&mut bob).await, "gap");
        // One for each room.
        assert_eq!([next_text(&mut ada).await, next_text(&mut ada).await], ["gap", "gap"]);
        println!("all have heard of their gaps after {:?}", start.elapsed());
        there.room("harbour").send("back");
        there.room("lighthouse").send("and here");
        // Where no order is promised, and where a second gap does no harm.
        let mut texts = Vec::new();
        while texts.len() < 2 {
            texts.extend(Some(next_text(&mut ada).await).filter(|text| text != "gap"));
        }
        texts.sort();
        assert_eq!(texts, ["and here", "back"]);
        room.send("back");
        assert_eq!([next_text(&mut bob).await, next_text(&mut bob).await], ["back", "back"]);
        assert!(start.elapsed() < Duration::from_secs(10));
        let mut failed = 0;
        while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
            failed += usize::from(event == Event::PublishFailed { room: "harbour".into() });
        }
        assert_eq!(failed, 1);
    }

    async fn line_5_members_hear_of_a_gap_when_the_subscription_was_in_a_black_hole(server: Server, Disk::Nothing) {
        let proxy = Proxy::start(server.address()).await;
        let here = hub(&format!("redis://{}", proxy.address())).await;
        let there = hub(&server.url()).await;
        let (ada, ada_sender) = connect().await;
        let mut ada = ada.within(Duration::from_secs(11));
        let ada_member = here.register(ada_sender, ());
        ada_member.join("harbour").await.unwrap();
        let is_subscription = |sent: &[u8]| sent.windows(9).any(|bytes| bytes.eq_ignore_ascii_case(b"SUBSCRIBE"));
        assert_eq!(proxy.black_hole(is_subscription), 1);
        there.room("harbour").send("lost");
        assert_eq!(next_text(&mut ada).await, "gap");
        there.room("harbour").send("back");
        assert_eq!(next_text(&mut ada).await, "back");
    }
}

async fn hub(url: &str) -> Hub<()> {
    let frame = |delivery: &Delivery<'_>| match delivery {
        Delivery::Message { message, .. } => message.cloned(),
        Delivery::Gap { .. } => Some("gap".into()),
        _ => None,
    };
    let broker = Redis::connect(url).await.unwrap();
    Hub::builder().namespace("rooms").broker(broker).frame(frame).build().await.unwrap()
}
