//! Pages that want more than they may: longer than they may, and more memory or work than the server has for them.
#![cfg(feature = "protocol")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use sockeye_state::{
    Hub, Local, Person, Rooms,
    protocol::{Action, Options, Verdict},
};
use sockeye_testkit::Frame;
use sockeye_tokio::Shutdown;
use support::page::{Doorman, Page, User, hub};
use tokio::time::{Instant, sleep, timeout};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A hub whose rooms have presence.
async fn hub_with_presence() -> Hub<User> {
    let rooms = Rooms::new().presence(|user: &User| Person::new(&*user.name, "null"));
    Hub::builder().rooms("", rooms).protocol().build().await.unwrap()
}

/// A page that is in the lobby, and has nearly no room for what it does not read.
async fn page_without_room(hub: &Hub<User>, doorman: &Arc<Doorman>) -> Page {
    let (hub, doorman) = (hub.clone(), doorman.clone());
    let mut page = Page::connect_over(16 << 10, &Shutdown::new(), |socket| {
        Options::new().serve(socket, hub, User::named("Ada"), doorman)
    });
    page.join("lobby", None, "fresh").await;
    page
}

#[tokio::test(start_paused = true)]
async fn a_page_that_runs_through_rooms_gets_into_128_at_once_and_into_20_a_second() {
    let hub = hub(Local::new()).await;
    let mut page = Page::open(&hub, "Ada", &Arc::default()).await;
    let start = Instant::now();
    for number in 0..228 {
        let room = format!("chat:{number}");
        page.join(&room, None, "fresh").await;
        page.send(json!({"t": "leave", "room": room})).await;
        page.expect(json!({"t": "out", "room": room})).await;
        if number == 127 {
            assert_eq!(start.elapsed().as_millis(), 0);
        }
    }
    assert_eq!(start.elapsed().as_millis(), 5000);
}

#[tokio::test(start_paused = true)]
async fn joining_again_while_the_policy_is_asked_does_not_keep_who_is_there() {
    let hub = hub_with_presence().await;
    let doorman = Arc::<Doorman>::default();
    doorman.says(Action::Presence, "lobby", Verdict::AllowUntil(Instant::now() + seconds(100)));
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    page.join("lobby", None, "fresh").await;
    page.send(json!({"t": "who", "room": "lobby"})).await;
    assert_eq!(page.next().await["t"], "who");
    page.expect(json!({"t": "renew"})).await;
    doorman.says(Action::Presence, "lobby", Verdict::Deny);
    doorman.thinks(seconds(5));
    sleep(seconds(11)).await;
    doorman.thinks(Duration::ZERO);
    page.join("lobby", None, "fresh").await;
    assert_eq!(page.expect_error("no", "denied").await["room"], "lobby");
    page.expect_alive().await;
    assert_eq!(hub.stats().observers, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_made_to_leave_meanwhile_is_not_told_who_is_there() {
    let hub = hub_with_presence().await;
    let doorman = Arc::<Doorman>::default();
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    page.join("lobby", None, "fresh").await;
    doorman.thinks(seconds(5));
    page.send(json!({"t": "who", "room": "lobby"})).await;
    sleep(seconds(1)).await;
    let id = hub.members_of("lobby")[0].id();
    assert_eq!(hub.member(id).leave("lobby"), 1);
    page.expect(json!({"t": "out", "room": "lobby"})).await;
    assert_eq!(page.expect_error("no", "not_joined").await["room"], "lobby");
    page.expect_alive().await;
    assert_eq!(hub.stats().observers, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_made_to_leave_meanwhile_is_not_heard() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut other = Page::open(&hub, "Grace", &doorman).await;
    other.join("lobby", None, "fresh").await;
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    page.join("lobby", None, "fresh").await;
    doorman.thinks(seconds(5));
    page.send(json!({"t": "say", "room": "lobby", "id": "c-1", "d": "let me in"})).await;
    page.send(json!({"t": "say", "room": "lobby", "d": "I am typing", "volatile": true})).await;
    sleep(seconds(1)).await;
    let ada = hub.members_of("lobby").into_iter().find(|member| member.value().name == "Ada").unwrap();
    assert_eq!(hub.member(ada.id()).leave("lobby"), 1);
    page.expect(json!({"t": "out", "room": "lobby"})).await;
    assert_eq!(page.expect_error("no", "not_joined").await["id"], "c-1");
    sleep(seconds(10)).await;
    other.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_page_has_asked_for_does_not_delay_the_end_of_its_permission() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let start = Instant::now();
    doorman.says(Action::Join, "chat:1", Verdict::AllowUntil(start + seconds(100)));
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    page.join("chat:1", None, "fresh").await;
    page.expect(json!({"t": "renew"})).await;
    doorman.says(Action::Join, "chat:1", Verdict::Deny);
    sleep(seconds(9)).await;
    // Enough that joining once more has to wait, and with it what is behind.
    let others: serde_json::Map<_, _> = (100..200).map(|n| (format!("chat:{n}"), json!("k3x9.1"))).collect();
    page.send(json!({"t": "join", "rooms": others})).await;
    page.send(json!({"t": "join", "rooms": {"chat:1": "k3x9.1"}})).await;
    while !hub.room("chat:1").is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(start.elapsed().as_secs(), 100);
    while page.next().await["t"] != "out" {}
}

#[tokio::test(start_paused = true)]
async fn volatile_messages_that_wait_for_the_policy_are_few() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut page = page_without_room(&hub, &doorman).await;
    doorman.thinks(seconds(3600));
    let say = json!({"t": "say", "room": "lobby", "d": "x".repeat(60 << 10), "volatile": true}).to_string();
    let mut sent = 0;
    while timeout(seconds(1), page.peer.send(Frame::text(say.clone()))).await.is_ok() {
        sent += 1;
        assert!(sent < 30, "they wait in memory");
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_that_a_join_names_several_times_is_joined_once() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    let rooms = vec![r#""chat:1":"k3x9.1""#; 1000].join(",") + r#","chat:1":null"#;
    page.send_text(format!(r#"{{"t":"join","rooms":{{{rooms}}}}}"#)).await;
    page.expect(json!({"t": "in", "room": "chat:1", "at": null, "caught": "fresh"})).await;
    page.expect_alive().await;
    assert_eq!(doorman.take_asked(), [(Action::Join, "chat:1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn a_join_of_thousands_of_rooms_is_refused_with_one_frame() {
    let hub = hub(Local::new()).await;
    let mut page = Page::open(&hub, "Ada", &Arc::default()).await;
    let rooms: Vec<String> = (0..5000).map(|n| format!(r#""{n}":0"#)).collect();
    page.send_text(format!(r#"{{"t":"join","rooms":{{{}}}}}"#, rooms.join(","))).await;
    page.expect_error("err", "too_many_rooms").await;
    page.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn lists_of_who_is_there_do_not_wait_in_memory_for_a_page_that_does_not_read() {
    let hub = hub_with_presence().await;
    let mut crowd = Vec::new();
    for n in 0..200 {
        let (client, member) = support::register(&hub, User::named(&format!("{n:0100}"))).await;
        member.join("lobby").await.unwrap();
        crowd.push((client, member));
    }
    let doorman = Arc::<Doorman>::default();
    let mut page = page_without_room(&hub, &doorman).await;
    doorman.thinks(seconds(1));
    for _ in 0..200 {
        page.send(json!({"t": "who", "room": "lobby"})).await;
        doorman.thinks(Duration::ZERO);
    }
    sleep(seconds(5)).await;
    page.send(json!({"t": "leave", "room": "nowhere"})).await;
    let mut lists = 0;
    while page.next().await["t"] == "who" {
        lists += 1;
    }
    assert!(lists < 50, "{lists} lists");
}

#[tokio::test(start_paused = true)]
async fn a_say_that_is_too_large_or_too_deep_is_refused_by_its_id() {
    let hub = hub(Local::new()).await;
    let mut page = Page::open(&hub, "Ada", &Arc::default()).await;
    page.join("chat:1", None, "fresh").await;
    page.send(json!({"t": "say", "room": "chat:1", "id": "p-1", "d": "x".repeat(70_000)})).await;
    assert_eq!(page.expect_error("no", "too_large").await["id"], "p-1");
    let deep = "[".repeat(200) + &"]".repeat(200);
    page.send_text(format!(r#"{{"t":"say","room":"chat:1","id":"p-2","d":{deep}}}"#)).await;
    assert_eq!(page.expect_error("no", "too_deep").await["id"], "p-2");
    let say: Value = json!({"t": "say", "room": "chat:1", "id": "p-3", "d": 1, "volatile": "no"});
    page.send(say).await;
    assert_eq!(page.expect_error("no", "bad_frame").await["id"], "p-3");
    page.expect_alive().await;
}
