//! Tokens and permissions that expire, heartbeats, the pace of catching up, and the end of the server.
#![cfg(feature = "protocol")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use sockeye_state::{
    Hub, Local, Person, Rooms,
    protocol::{Action, Options, Verdict},
};
use sockeye_testkit::opcode;
use sockeye_tokio::Shutdown;
use support::page::{Doorman, Page, Slow, User, hub};
use tokio::time::{Instant, sleep};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The doorman lets a user be until so many seconds from now.
fn until(from_now: u64) -> Verdict {
    Verdict::AllowUntil(Instant::now() + seconds(from_now))
}

#[tokio::test(start_paused = true)]
async fn a_page_without_auth_for_10_s_is_told_so_and_closed() {
    let hub = hub(Local::new()).await;
    let start = Instant::now();
    let mut page = Page::open_unknown(&hub, &Arc::default());
    page.expect_error("err", "auth_timeout").await;
    page.peer.expect_close(3000).await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(hub.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_page_with_a_good_token_comes_in_and_with_a_bad_one_does_not() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    doorman.knows("good", "Ada", Verdict::Allow);
    let mut page = Page::open_unknown(&hub, &doorman);
    page.send(json!({"t": "auth", "token": "good"})).await;
    page.join("chat:1", None, "fresh").await;

    let mut page = Page::open_unknown(&hub, &doorman);
    page.send(json!({"t": "auth", "token": "bad"})).await;
    page.expect_error("err", "auth_failed").await;
    page.peer.expect_close(3000).await;
}

#[tokio::test(start_paused = true)]
async fn a_page_whose_first_frame_is_another_one_is_closed() {
    let hub = hub(Local::new()).await;
    let mut page = Page::open_unknown(&hub, &Arc::default());
    page.send(json!({"t": "join", "rooms": {"chat:1": null}})).await;
    page.expect_error("err", "auth_failed").await;
    page.peer.expect_close(3000).await;
    let mut page = Page::open_unknown(&hub, &Arc::default());
    page.send_text("hello").await;
    page.expect_error("err", "not_json").await;
    page.peer.expect_close(3000).await;
}

#[tokio::test(start_paused = true)]
async fn a_page_is_asked_for_a_fresh_token_ahead_and_goes_on_with_it() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    doorman.knows("first", "Ada", until(3600));
    let start = Instant::now();
    let mut page = Page::open_unknown(&hub, &doorman);
    page.send(json!({"t": "auth", "token": "first"})).await;
    page.join("chat:1", None, "fresh").await;
    page.expect(json!({"t": "renew"})).await;
    assert_eq!(start.elapsed().as_secs(), 3570);

    doorman.knows("second", "Ada", until(3600));
    page.send(json!({"t": "auth", "token": "second"})).await;
    page.expect(json!({"t": "renew"})).await;
    assert_eq!(start.elapsed().as_secs(), 3570 + 3570);
    page.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_page_that_sleeps_over_its_expiry_needs_a_fresh_token_and_never_the_old_one() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    doorman.knows("old", "Ada", until(60));
    let start = Instant::now();
    let mut page = Page::open_unknown(&hub, &doorman);
    page.send(json!({"t": "auth", "token": "old"})).await;
    page.join("chat:1", None, "fresh").await;
    page.expect(json!({"t": "renew"})).await;
    // It sleeps, and says nothing.
    page.expect_error("err", "auth_failed").await;
    page.peer.expect_close(3000).await;
    assert_eq!(start.elapsed().as_secs(), 60);
    sleep(seconds(1)).await;
    assert_eq!(hub.room("chat:1").len(), 0);

    let mut page = Page::open_unknown(&hub, &doorman);
    page.send(json!({"t": "auth", "token": "old"})).await;
    page.expect_error("err", "auth_failed").await;
    page.peer.expect_close(3000).await;
    doorman.knows("fresh", "Ada", until(60));
    let mut page = Page::open_unknown(&hub, &doorman);
    page.send(json!({"t": "auth", "token": "fresh"})).await;
    page.join("chat:1", None, "fresh").await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_not_accepted_leaves_what_was_allowed_until_it_expires() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    doorman.knows("Eve's", "Eve", Verdict::Allow);
    let user = User { name: "Ada".to_owned(), until: Some(Instant::now() + seconds(100)) };
    let start = Instant::now();
    let mut page = Page::open_as(&hub, user, &doorman).await;
    page.expect(json!({"t": "renew"})).await;
    assert_eq!(start.elapsed().as_secs(), 90);
    page.send(json!({"t": "auth", "token": "Eve's"})).await;
    page.expect_error("err", "auth_failed").await;
    page.expect_alive().await;
    page.expect_error("err", "auth_failed").await;
    page.peer.expect_close(3000).await;
    assert_eq!(start.elapsed().as_secs(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_page_whose_token_never_expires_is_not_asked_for_one() {
    let hub = hub(Local::new()).await;
    let mut page = Page::open(&hub, "Ada", &Arc::default()).await;
    page.join("chat:1", None, "fresh").await;
    sleep(seconds(2 * 3600)).await;
    page.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn the_permission_for_a_room_is_asked_about_again_when_it_expires() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    doorman.says(Action::Join, "chat:1", until(100));
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    let start = Instant::now();
    page.join("chat:1", None, "fresh").await;
    page.join("chat:2", None, "fresh").await;
    page.expect(json!({"t": "renew"})).await;
    assert_eq!(start.elapsed().as_secs(), 90);
    doorman.says(Action::Join, "chat:1", until(110));
    doorman.take_asked();
    page.expect(json!({"t": "renew"})).await;
    assert_eq!(doorman.take_asked(), [(Action::Join, "chat:1".to_owned())]);
    doorman.says(Action::Join, "chat:1", Verdict::Deny);
    let out = page.expect_error("out", "denied").await;
    assert_eq!((&out["room"], start.elapsed().as_secs()), (&json!("chat:1"), 200));
    assert_eq!((hub.room("chat:1").len(), hub.room("chat:2").len()), (0, 1));
    page.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_does_not_answer_about_an_expired_permission_refuses_it() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    doorman.says(Action::Join, "chat:1", until(100));
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    let start = Instant::now();
    page.join("chat:1", None, "fresh").await;
    doorman.thinks(seconds(3600));
    page.expect(json!({"t": "renew"})).await;
    page.expect_error("out", "denied").await;
    assert_eq!(start.elapsed().as_secs(), 110);
}

#[tokio::test(start_paused = true)]
async fn the_permission_to_see_who_is_there_expires_alone() {
    let rooms = Rooms::new().presence(|user: &User| Person::new(&*user.name, ""));
    let hub = Hub::builder().rooms("", rooms).protocol().build().await.unwrap();
    let doorman = Arc::<Doorman>::default();
    doorman.says(Action::Presence, "lobby", until(100));
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    page.join("lobby", None, "fresh").await;
    page.send(json!({"t": "who", "room": "lobby"})).await;
    page.expect(json!({"t": "who", "room": "lobby", "all": [{"key": "Ada", "info": ""}]})).await;
    page.expect(json!({"t": "renew"})).await;
    doorman.says(Action::Presence, "lobby", Verdict::Deny);
    assert_eq!(page.expect_error("no", "denied").await["room"], "lobby");
    page.expect_alive().await;
    assert_eq!((hub.stats().observers, hub.room("lobby").len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_makes_all_permissions_that_expire_be_asked_about_at_once() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    doorman.says(Action::Join, "chat:1", until(100));
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    page.join("chat:1", None, "fresh").await;
    page.join("chat:2", None, "fresh").await;
    doorman.take_asked();
    doorman.knows("fresh", "Ada", Verdict::Allow);
    doorman.says(Action::Join, "chat:1", Verdict::Allow);
    page.send(json!({"t": "auth", "token": "fresh"})).await;
    page.expect_alive().await;
    assert_eq!(doorman.take_asked(), [(Action::Join, "chat:1".to_owned())]);
    sleep(seconds(3600)).await;
    page.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn each_message_is_asked_about_and_a_permission_of_the_past_is_none() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    doorman.says(Action::Say, "lobby", until(5));
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    page.join("lobby", None, "fresh").await;
    page.send(json!({"t": "say", "room": "lobby", "id": "p-1", "d": 1, "others": true})).await;
    page.expect(json!({"t": "ok", "id": "p-1"})).await;
    sleep(seconds(5)).await;
    page.send(json!({"t": "say", "room": "lobby", "id": "p-2", "d": 1, "others": true})).await;
    assert_eq!(page.expect_error("no", "denied").await["id"], "p-2");
}

#[tokio::test(start_paused = true)]
async fn a_page_hears_a_heartbeat_every_25_s() {
    let hub = hub(Local::new()).await;
    let start = Instant::now();
    let mut page = Page::open(&hub, "Ada", &Arc::default()).await;
    for n in 1..=3 {
        page.peer.expect_text(r#"{"t":"hb"}"#).await;
        assert_eq!(start.elapsed().as_secs(), 25 * n);
    }
}

#[tokio::test(start_paused = true)]
async fn ten_rooms_catch_up_at_once_and_further_ones_ten_a_second() {
    let hub = hub(Local::new()).await;
    let mut page = Page::open(&hub, "Ada", &Arc::default()).await;
    let rooms: serde_json::Map<_, _> = (0..25).map(|n| (format!("chat:{n}"), json!("k3x9.1"))).collect();
    let start = Instant::now();
    page.send(json!({"t": "join", "rooms": rooms})).await;
    let mut times = Vec::new();
    for _ in 0..25 {
        assert_eq!(page.next().await["caught"], "gap");
        times.push(start.elapsed().as_millis() / 100);
    }
    assert_eq!(times[..10], [0; 10]);
    assert_eq!(times[10..], (1..=15).collect::<Vec<_>>());
    // Without a position, nothing is read, and nobody waits.
    let fresh: serde_json::Map<_, _> = (100..120).map(|n| (format!("chat:{n}"), Value::Null)).collect();
    let start = Instant::now();
    page.send(json!({"t": "join", "rooms": fresh})).await;
    for _ in 0..20 {
        assert_eq!(page.next().await["caught"], "fresh");
    }
    assert_eq!(start.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_does_not_wait_to_catch_up() {
    let hub = hub(Local::new()).await;
    let mut page = Page::open(&hub, "Ada", &Arc::default()).await;
    let rooms: serde_json::Map<_, _> = (0..60).map(|n| (format!("chat:{n:02}"), json!("k3x9.1"))).collect();
    let start = Instant::now();
    page.send(json!({"t": "join", "rooms": rooms})).await;
    page.send(json!({"t": "leave", "room": "chat:59"})).await;
    while page.next().await != json!({"t": "out", "room": "chat:59"}) {}
    assert_eq!(start.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn at_a_shutdown_a_page_is_told_when_to_come_back_and_gets_its_answers() {
    let (broker, gate) = Slow::new();
    let hub = hub(broker).await;
    let shutdown = Shutdown::new();
    let (its_hub, doorman) = (hub.clone(), Arc::<Doorman>::default());
    let mut page = Page::connect(&shutdown, |socket| {
        Options::new().come_back(seconds(1)..=seconds(3)).serve(socket, its_hub, User::named("Ada"), doorman)
    });
    page.join("chat:1", None, "fresh").await;
    page.send(json!({"t": "say", "room": "chat:1", "id": "p-1", "d": 1, "others": true})).await;
    page.peer.expect_silence(seconds(1)).await;

    shutdown.begin();
    page.expect(json!({"t": "later", "ms": [1000, 3000]})).await;
    gate.add_permits(1);
    let mut frames = [page.next().await, page.next().await];
    frames.sort_by_key(|frame| frame["t"] == "m");
    assert_eq!((&frames[0]["t"], &frames[0]["id"]), (&json!("ok"), &json!("p-1")));
    page.peer.expect_close(1001).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_long_for_answers() {
    let (broker, _gate) = Slow::new();
    let hub = hub(broker).await;
    let shutdown = Shutdown::new();
    let (its_hub, doorman) = (hub.clone(), Arc::<Doorman>::default());
    let mut page =
        Page::connect(&shutdown, |socket| Options::new().serve(socket, its_hub, User::named("Ada"), doorman));
    page.join("chat:1", None, "fresh").await;
    page.send(json!({"t": "say", "room": "chat:1", "id": "p-1", "d": 1})).await;
    page.peer.expect_silence(seconds(1)).await;
    let start = Instant::now();
    shutdown.begin();
    page.expect(json!({"t": "later", "ms": [500, 8000]})).await;
    page.peer.expect_close(1001).await;
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_reads_its_room_too_slowly_is_closed_with_1013() {
    let hub = hub(Local::new()).await;
    let mut page = Page::open(&hub, "Ada", &Arc::default()).await;
    page.join("chat:1", None, "fresh").await;
    let room = hub.room("chat:1");
    let line = "x".repeat(64 << 10);
    while !room.is_empty() {
        room.append(line.as_str()).await.unwrap();
    }
    loop {
        let frame = page.peer.expect_frame().await;
        if frame.opcode == opcode::CLOSE {
            assert_eq!(frame.payload[..2], 1013_u16.to_be_bytes());
            break;
        }
    }
}
