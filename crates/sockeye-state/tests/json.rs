//! Values that are sent as JSON.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::collections::BTreeMap;

use sockeye_state::Hub;
use support::{join, texts_until};

#[tokio::test]
async fn a_value_is_sent_as_json_to_whomever_a_text_can_be_sent() {
    let hub = Hub::new();
    let (mut ada, me, room) = join(&hub, "harbour", "Ada").await;
    let (mut bob, _bob, _) = join(&hub, "harbour", "Bob").await;

    let value = BTreeMap::from([("tide", "high")]);
    assert_eq!(room.send_json(&value).unwrap(), 2);
    assert_eq!(room.to_others().send_json(1).unwrap(), 1);
    // Messages to one member have no order with those to a room.
    tokio::task::yield_now().await;
    assert_eq!(hub.all().filter(|name| *name == "Bob").send_json([2]).unwrap(), 1);
    assert_eq!(hub.member(me.id()).send_json("three").unwrap(), 1);
    room.send("end");
    assert_eq!(texts_until(&mut ada, "end").await, [r#"{"tide":"high"}"#, r#""three""#]);
    assert_eq!(texts_until(&mut bob, "end").await, [r#"{"tide":"high"}"#, "1", "[2]"]);
}

#[tokio::test]
async fn a_value_without_json_reaches_nobody_and_closes_nothing() {
    let hub = Hub::new();
    let (mut ada, me, room) = join(&hub, "harbour", "Ada").await;

    let no_json = BTreeMap::from([(vec![1, 2], 3)]);
    assert!(room.send_json(&no_json).unwrap_err().is_invalid());
    assert!(room.to_others().send_json(&no_json).unwrap_err().is_invalid());
    assert!(hub.all().send_json(&no_json).unwrap_err().is_invalid());
    assert!(hub.member(me.id()).send_json(&no_json).unwrap_err().is_invalid());
    room.send("end");
    assert_eq!(texts_until(&mut ada, "end").await, [""; 0]);
}
