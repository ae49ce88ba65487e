//! Pages on one of several nodes. Time is paused.
#![cfg(feature = "protocol")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{sync::Arc, time::Duration};

use serde_json::json;
use sockeye_state::protocol::{Action, Verdict};
use support::{
    broker::{Disturbed, Mode},
    page::{Doorman, Page, hub},
};
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn whoever_is_made_to_leave_while_the_join_waits_for_the_broker_is_not_in_the_room() {
    let broker = Disturbed::new();
    let hub = hub(broker.clone()).await;
    let doorman = Arc::<Doorman>::default();
    doorman.says(Action::Join, "lobby", Verdict::AllowUntil(Instant::now() + Duration::from_secs(10)));
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    broker.set(Mode::Silent);
    page.join("lobby", None, "fresh").await;
    assert_eq!(hub.member(hub.members()[0].id()).leave("lobby"), 1);
    page.expect(json!({"t": "out", "room": "lobby"})).await;
    sleep(Duration::from_secs(60)).await;
    // The permission for a stay that has ended is not renewed.
    assert_eq!(doorman.take_asked(), [(Action::Join, "lobby".to_owned())]);
    page.expect_alive().await;
}
