//! What nodes do under load, with a broker that fails, and at the end of a hub: nothing is lost in silence, and nothing stays.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::time::Duration;

use sockeye_state::Local;
use support::{broker::Mode, nodes::node, register};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn rooms_that_are_empty_are_unsubscribed_from_while_others_are_always_joined() {
    let local = Local::new();
    let (broker, hub) = node(&local).await;
    broker.set(Mode::Slow(Duration::from_millis(20)));
    let (_ada, me) = register(&hub, "Ada").await;
    let room = |number: u32| format!("room {number}");
    // Each page is there for 100 ms, and a new one comes every 5 ms.
    for number in 0..12_000 {
        assert_eq!(hub.member(me.id()).join(&room(number)).unwrap(), 1);
        if number >= 20 {
            hub.member(me.id()).leave(&room(number - 20));
        }
        sleep(Duration::from_millis(5)).await;
    }
    // Those of the last 10 s, and of a few calls.
    assert!(broker.subscribed() <= 2500, "{}", broker.subscribed());
}
