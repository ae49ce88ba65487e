//! What a page may send wrongly: each mistake gets a frame that says what was wrong, and the connection goes on.
#![cfg(feature = "protocol")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use sockeye_state::{
    Local,
    protocol::{Action, Verdict},
};
use sockeye_testkit::Frame;
use support::page::{Doorman, Page, Slow, hub};

/// A page that is in no room, and the hub.
async fn page() -> Page {
    let hub = hub(Local::new()).await;
    Page::open(&hub, "Ada", &Arc::default()).await
}

/// Sends a text, and expects an error of the connection.
async fn refused(text: impl Into<Vec<u8>>, code: &str) -> Value {
    let mut page = page().await;
    page.send_text(text).await;
    let error = page.expect_error("err", code).await;
    page.expect_alive().await;
    error
}

#[tokio::test(start_paused = true)]
async fn what_is_no_json_is_refused() {
    for text in ["hello", "", "{\"t\":\"join\"", "{\"t\":\"leave\",}", "[{\"t\":\"join\"}]", "{\"t\":\"auth\"} {}"] {
        refused(text, "not_json").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_megabyte_of_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = |depth: usize| {
            format!(r#"{{"t":"later","room":"a","id":"1","d":{}1{}}}"#, open.repeat(depth), close.repeat(depth))
        };
        refused(deep((1 << 20) / open.len()), "too_deep").await;
        refused(deep(100), "too_deep").await;
        refused("{\"a\":".repeat(1 << 18), "too_deep").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_of_more_than_64_kibibytes_is_refused() {
    let error = refused(format!(r#"{{"t":"auth","token":"{}"}}"#, "a".repeat(64 << 10)), "too_large").await;
    assert!(error["why"].as_str().unwrap().contains("at most 65536"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_binary_message_is_refused() {
    let mut page = page().await;
    page.peer.send(Frame::binary([1, 2, 3])).await;
    page.expect_error("err", "binary").await;
    page.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_type_is_refused() {
    let error = refused(r#"{"t":"subscribe\n","room":"a"}"#, "unknown_type").await;
    assert!(error["why"].as_str().unwrap().contains("\"subscribe\\n\""), "{error}");
    refused(r#"{"room":"a"}"#, "unknown_type").await;
    refused(r#"{"t":7}"#, "unknown_type").await;
}

#[tokio::test(start_paused = true)]
async fn a_field_of_the_wrong_type_is_refused() {
    for frame in [
        json!({"t": "join"}),
        json!({"t": "join", "rooms": ["a"]}),
        json!({"t": "leave"}),
        json!({"t": "leave", "room": 7}),
        json!({"t": "who", "room": null}),
        json!({"t": "auth", "token": {}}),
        json!({"t": "say", "room": "a", "d": 1, "volatile": "yes"}),
    ] {
        refused(frame.to_string(), "bad_frame").await;
    }
    refused(r#"{"t":"leave","room":"a","room":"b"}"#, "bad_frame").await;
}

#[tokio::test(start_paused = true)]
async fn a_say_that_lacks_something_is_refused_by_its_id() {
    let mut page = page().await;
    page.send(json!({"t": "say", "room": "a", "id": "p-1"})).await;
    assert_eq!(page.expect_error("no", "bad_frame").await["id"], "p-1");
    page.send(json!({"t": "say", "id": "p-2", "d": 1})).await;
    assert_eq!(page.expect_error("no", "bad_frame").await["id"], "p-2");
    page.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn unknown_fields_are_ignored() {
    let mut page = page().await;
    page.send(json!({"t": "leave", "room": "a", "later": {"version": 2}})).await;
    page.expect(json!({"t": "out", "room": "a"})).await;
}

#[tokio::test(start_paused = true)]
async fn names_of_0_and_201_bytes_and_with_control_characters_are_refused() {
    let mut page = page().await;
    let long = "ä".repeat(100) + "x";
    for name in ["", &long, "a\nb", "a\u{85}b"] {
        page.send(json!({"t": "join", "rooms": {name: null}})).await;
        assert_eq!(page.expect_error("no", "bad_name").await["room"], name);
        page.send(json!({"t": "leave", "room": name})).await;
        assert_eq!(page.expect_error("no", "bad_name").await["room"], name);
        page.send(json!({"t": "who", "room": name})).await;
        assert_eq!(page.expect_error("no", "bad_name").await["room"], name);
        page.send(json!({"t": "say", "room": name, "id": "p-1", "d": 1})).await;
        assert_eq!(page.expect_error("no", "bad_name").await["id"], "p-1");
    }
    page.join(&"ä".repeat(100), None, "fresh").await;
}

#[tokio::test(start_paused = true)]
async fn the_129th_room_is_refused() {
    let mut page = page().await;
    let rooms: serde_json::Map<_, _> = (0..129).map(|n| (format!("room:{n:03}"), Value::Null)).collect();
    page.send(json!({"t": "join", "rooms": rooms})).await;
    let mut joined = 0;
    for _ in 0..129 {
        let frame = page.next().await;
        match frame["t"].as_str() {
            Some("in") => joined += 1,
            _ => assert_eq!((&frame["room"], &frame["code"]), (&json!("room:128"), &json!("too_many_rooms"))),
        }
    }
    assert_eq!(joined, 128);
    page.send(json!({"t": "leave", "room": "room:007"})).await;
    page.expect(json!({"t": "out", "room": "room:007"})).await;
    page.join("room:128", None, "fresh").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_position_is_refused() {
    let mut page = page().await;
    for position in ["", "41", "k3x9.", "K3X9.41", "k3x9.-1", "k3x9.99999999999999999999"] {
        page.send(json!({"t": "join", "rooms": {"chat:1": position}})).await;
        assert_eq!(page.expect_error("no", "bad_position").await["room"], "chat:1");
    }
    page.send(json!({"t": "join", "rooms": {"chat:1": 41}})).await;
    page.expect_error("no", "bad_position").await;
    page.join("chat:1", None, "fresh").await;
}

#[tokio::test(start_paused = true)]
async fn a_position_of_another_epoch_or_beyond_the_top_is_a_gap_and_no_error() {
    let mut page = page().await;
    page.join("chat:1", None, "fresh").await;
    page.send(json!({"t": "say", "room": "chat:1", "id": "p-1", "d": "hello", "others": true})).await;
    let (message, answer) = (page.next().await, page.next().await);
    let at = [&message, &answer].iter().find(|frame| frame["t"] == "ok").unwrap()["at"].as_str().unwrap().to_owned();
    let (epoch, offset) = at.split_once('.').unwrap();
    let beyond = format!("{epoch}.{}", offset.parse::<u64>().unwrap() + 1);
    for position in ["other.1", &beyond, "0.18446744073709551615"] {
        assert_eq!(page.join("chat:1", Some(position), "gap").await, at, "{position}");
    }
    assert_eq!(page.join("chat:1", Some(&at), "whole").await, at);
}

#[tokio::test(start_paused = true)]
async fn a_say_into_a_room_that_was_not_joined_is_refused() {
    let mut page = page().await;
    page.send(json!({"t": "say", "room": "chat:1", "id": "p-1", "d": 1})).await;
    assert_eq!(page.expect_error("no", "not_joined").await["id"], "p-1");
    page.send(json!({"t": "say", "room": "chat:1", "volatile": true, "d": 1})).await;
    page.expect_error("err", "not_joined").await;
    page.send(json!({"t": "who", "room": "chat:1"})).await;
    assert_eq!(page.expect_error("no", "not_joined").await["room"], "chat:1");
    page.join("chat:1", None, "fresh").await;
    page.send(json!({"t": "leave", "room": "chat:1"})).await;
    page.send(json!({"t": "say", "room": "chat:1", "id": "p-2", "d": 1})).await;
    page.expect(json!({"t": "out", "room": "chat:1"})).await;
    assert_eq!(page.expect_error("no", "not_joined").await["id"], "p-2");
}

#[tokio::test(start_paused = true)]
async fn ids_of_other_characters_and_lengths_are_refused() {
    let mut page = page().await;
    page.join("chat:1", None, "fresh").await;
    let long = "x".repeat(65);
    for id in [json!(""), json!(long), json!("p 1"), json!("p\u{0}"), json!("ä"), json!(1), Value::Null] {
        page.send(json!({"t": "say", "room": "chat:1", "id": id, "d": 1})).await;
        page.expect_error("err", "bad_id").await;
    }
    page.send(json!({"t": "say", "room": "chat:1", "d": 1})).await;
    page.expect_error("err", "bad_id").await;
    page.send(json!({"t": "say", "room": "chat:1", "id": "x".repeat(64), "d": 1, "others": true})).await;
    let frames = [page.next().await, page.next().await];
    assert!(frames.iter().any(|frame| frame["t"] == "ok"), "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn with_16_unanswered_says_nothing_more_is_read() {
    let (broker, gate) = Slow::new();
    let hub = hub(broker).await;
    let doorman = Arc::<Doorman>::default();
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    page.join("chat:1", None, "fresh").await;
    doorman.take_asked();
    for n in 1..=17 {
        page.send(json!({"t": "say", "room": "chat:1", "id": format!("p-{n}"), "d": n, "others": true})).await;
    }
    page.peer.expect_silence(Duration::from_secs(1)).await;
    assert_eq!(doorman.take_asked().len(), 16);

    gate.add_permits(1);
    let frames = [page.next().await, page.next().await];
    assert!(frames.iter().any(|frame| frame["t"] == "ok" && frame["id"] == "p-1"), "{frames:?}");
    page.peer.expect_silence(Duration::from_secs(1)).await;
    assert_eq!(doorman.take_asked().len(), 1);
    gate.add_permits(16);
    let mut answered = Vec::new();
    while answered.len() < 16 {
        let frame = page.next().await;
        if frame["t"] == "ok" {
            answered.push(frame["id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(answered, (2..=17).map(|n| format!("p-{n}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_refuses_is_refused() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    doorman.says(Action::Join, "chat:secret", Verdict::Deny);
    doorman.says(Action::Say, "chat:news", Verdict::Deny);
    doorman.says(Action::Presence, "chat:news", Verdict::Deny);
    let mut page = Page::open(&hub, "Ada", &doorman).await;
    page.send(json!({"t": "join", "rooms": {"chat:secret": null}})).await;
    assert_eq!(page.expect_error("no", "denied").await["room"], "chat:secret");
    page.join("chat:news", None, "fresh").await;
    page.send(json!({"t": "say", "room": "chat:news", "id": "p-1", "d": 1})).await;
    assert_eq!(page.expect_error("no", "denied").await["id"], "p-1");
    page.send(json!({"t": "say", "room": "chat:news", "volatile": true, "d": 1})).await;
    page.expect_error("err", "denied").await;
    page.send(json!({"t": "who", "room": "chat:news"})).await;
    assert_eq!(page.expect_error("no", "denied").await["room"], "chat:news");
    page.join("chat:1", None, "fresh").await;
    page.send(json!({"t": "say", "room": "chat:1", "id": "p-2", "d": "a curse"})).await;
    page.expect(json!({"t": "no", "id": "p-2", "code": "denied", "why": "no curses here"})).await;
    assert_eq!(hub.stats().protocol_errors, 5);
}

#[tokio::test(start_paused = true)]
async fn a_room_without_presence_says_so() {
    let mut page = page().await;
    page.join("chat:1", None, "fresh").await;
    page.send(json!({"t": "who", "room": "chat:1"})).await;
    assert_eq!(page.expect_error("no", "no_presence").await["room"], "chat:1");
    page.expect_alive().await;
}
