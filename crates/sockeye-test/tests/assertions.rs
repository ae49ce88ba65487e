//! Each assertion passes for what it expects, and panics for anything else, with what came instead and what came before.

mod common;

use std::{sync::Arc, time::Duration};

use common::{echo, panics, says};
use sockeye_test::{Client, CloseFrame, Message, Settings, WebSocket, close_code, connect_to, connect_with};
use sockeye_tokio::Timeouts;

/// A client to whom a server says "hello", then `message`, and then closes with 1000.
async fn told(message: Message) -> Client {
    let mut client = connect_to(says([Message::text("hello"), message]));
    client.assert_text("hello").await;
    client
}

async fn closes(mut socket: WebSocket) {
    let _ = socket.close_with(close_code::POLICY, "no such room").await;
}

#[tokio::test]
async fn an_expected_message_passes() {
    let mut client = connect_to(echo);
    client.send_text("one").await;
    client.assert_text("one").await;
    client.send_text(String::from("two")).await;
    client.assert_text(String::from("two")).await;
    client.send_text("one, two, three").await;
    assert_eq!(client.assert_text_contains("two").await, "one, two, three");
    client.send_text("four").await;
    assert_eq!(client.recv_text().await, "four");
    client.send_binary([1, 2, 3]).await;
    client.assert_binary([1, 2, 3]).await;
    client.send_binary("four").await;
    assert_eq!(client.recv_binary().await, b"four");
    client.send(Message::text("five")).await;
    assert_eq!(client.recv().await, Some(Message::text("five")));
    client.ping("are you there?").await;
    client.assert_pong("are you there?").await;
    client.close(4001, "enough").await;
    assert_eq!(client.recv().await, Some(Message::Close(Some(CloseFrame::new(4001, "enough")))));
    assert_eq!(client.recv().await, None);
}

#[tokio::test]
async fn another_text_is_shown_with_what_came_before_and_where() {
    let mut client = connect_to(echo);
    client.send_text("hello").await;
    client.assert_text("hello").await;
    client.send_text("hi\n").await;
    let line = line!() + 1;
    let text = panics(client.assert_text("bye")).await;
    let expected = format!(
        "expected the text \"bye\", got the text \"hi\\n\"\n  at {}:{line}:{}\n  before:\n    sent the text \"hello\"\n    \
         received the text \"hello\"\n    sent the text \"hi\\n\"",
        file!(),
        "    let text = panics(client.".len() + 1,
    );
    assert_eq!(text, expected);
}

#[tokio::test]
async fn the_first_message_has_nothing_before() {
    let mut client = connect_to(says([Message::text("hi")]));
    assert!(panics(client.assert_text("bye")).await.ends_with("\n  before: nothing"));
}

#[tokio::test]
async fn only_the_last_messages_are_shown() {
    let mut client = connect_to(echo);
    for number in 0..10 {
        client.send_text(number.to_string()).await;
        client.assert_text(number.to_string()).await;
    }
    client.send_binary([0xFF; 100]).await;
    let text = panics(client.assert_text("x")).await;
    assert!(
        text.contains("before:\n    13 earlier messages\n    received the text \"6\"\n    sent the text \"7\""),
        "{text}"
    );
    assert!(
        text.ends_with(&format!("sent the binary message [{}…] (100 bytes)", "ff ".repeat(32).trim_end())),
        "{text}"
    );
}

#[tokio::test]
async fn a_long_text_is_cut_and_the_first_difference_is_named() {
    let long = "é".repeat(1000);
    let text = panics(told(Message::text(format!("{long}a"))).await.assert_text(format!("{long}b"))).await;
    assert!(text.contains("é\"… (2001 bytes); the first difference is at byte 2000\n"), "{text}");
    let text = panics(told(Message::binary([0; 50])).await.assert_binary([[0; 40], [1; 40]].concat())).await;
    assert!(text.contains("(50 bytes); the first difference is at byte 40\n"), "{text}");
}

#[tokio::test]
async fn anything_but_the_expected_message_is_refused() {
    for (message, shown) in [
        (Message::binary([0xAB, 0x0C]), "the binary message [ab 0c] (2 bytes)"),
        (Message::Close(Some(CloseFrame::new(1008, "no such room"))), "the Close 1008 (no such room)"),
        (Message::Close(None), "a Close without a code"),
    ] {
        for expected in ["a", "b"] {
            let text = panics(told(message.clone()).await.assert_text(expected)).await;
            assert!(text.starts_with(&format!("expected the text \"{expected}\", got {shown}\n")), "{text}");
        }
        let text = panics(told(message.clone()).await.assert_text_contains("a")).await;
        assert!(text.starts_with(&format!("expected a text with \"a\", got {shown}\n")), "{text}");
        let text = panics(told(message).await.recv_text()).await;
        assert!(text.starts_with(&format!("expected a text, got {shown}\n")), "{text}");
    }
    let text = panics(told(Message::text("hi")).await.assert_text_contains("bye")).await;
    assert!(text.starts_with("expected a text with \"bye\", got the text \"hi\"\n"), "{text}");
    let text = panics(told(Message::text("hi")).await.assert_binary([1])).await;
    assert!(text.starts_with("expected the binary message [01] (1 bytes), got the text \"hi\"\n"), "{text}");
    let text = panics(told(Message::binary([2])).await.assert_binary([1])).await;
    assert!(text.contains("[01] (1 bytes), got the binary message [02] (1 bytes)\n"), "{text}");
    let text = panics(told(Message::text("hi")).await.recv_binary()).await;
    assert!(text.starts_with("expected a binary message, got the text \"hi\"\n"), "{text}");
}

#[tokio::test]
async fn a_close_is_compared_by_its_code_and_returns_its_reason() {
    let mut client = connect_to(closes);
    assert_eq!(client.assert_close(close_code::POLICY).await, "no such room");
    // As often as a test likes.
    assert_eq!(client.assert_close(close_code::POLICY).await, "no such room");
    let text = panics(client.assert_text("more")).await;
    assert!(
        text.starts_with("expected the text \"more\", got nothing more after the Close 1008 (no such room)\n"),
        "{text}"
    );

    let text = panics(connect_to(closes).assert_close(1000)).await;
    assert!(text.starts_with("expected a Close with 1000, got the Close 1008 (no such room)\n"), "{text}");
    let text = panics(told(Message::text("wait")).await.assert_close(1000)).await;
    assert!(text.starts_with("expected a Close with 1000, got the text \"wait\"\n"), "{text}");
    told(Message::Close(None)).await.assert_close(close_code::STATUS).await;
    let text = panics(connect_to(closes).assert_close(close_code::STATUS)).await;
    assert!(text.starts_with("expected a Close without a code (1005), got the Close 1008"), "{text}");
}

#[tokio::test]
async fn a_handler_that_panics_closes_with_1011() {
    let mut client = connect_to(async |_socket| panic!("on purpose"));
    client.assert_close(close_code::ERROR).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_a_panic_after_the_timeout() {
    let start = tokio::time::Instant::now();
    // Without a keep-alive, whose Pings would come.
    let mut settings = Settings::new();
    settings.timeouts = Arc::new(Timeouts::none());
    let mut client = connect_with(settings, echo);
    let text = panics(client.assert_text("hi")).await;
    assert!(text.starts_with("expected the text \"hi\", and nothing came within 5s\n"), "{text}");
    assert_eq!(start.elapsed().as_secs(), 5);
    client.set_timeout(Duration::from_secs(60));
    let text = panics(client.recv()).await;
    assert!(text.starts_with("expected a message, and nothing came within 60s\n"), "{text}");
    let text = panics(client.assert_ping()).await;
    assert!(text.starts_with("expected a Ping, and none came within 60s\n"), "{text}");
    let text = panics(client.assert_pong("x")).await;
    assert!(text.starts_with("expected a Pong with [78] (1 bytes), and none came within 60s\n"), "{text}");
    assert_eq!(start.elapsed().as_secs(), 185);
}

#[tokio::test(start_paused = true)]
async fn assert_nothing_passes_if_nothing_comes_and_panics_otherwise() {
    let mut client = connect_to(async |mut socket| {
        let _ = socket.send(Message::Ping(Vec::new())).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        let _ = socket.send(Message::text("late")).await;
    });
    client.assert_nothing(Duration::from_secs(9)).await;
    let text = panics(client.assert_nothing(Duration::from_secs(2))).await;
    assert!(text.starts_with("expected nothing within 2s, got the text \"late\"\n"), "{text}");
    let text = panics(client.assert_nothing(Duration::from_secs(2))).await;
    assert!(text.starts_with("expected nothing within 2s, got the Close 1000\n"), "{text}");
}

#[tokio::test]
async fn pings_and_pongs_are_found_past_other_messages_and_hinder_none() {
    let mut client = connect_to(async |mut socket| {
        let _ = socket.send(Message::text("one")).await;
        let _ = socket.send(Message::Ping(b"1".to_vec())).await;
        // The answer of the client to the Ping.
        let pong = socket.recv().await;
        assert!(matches!(pong, Some(Ok(Message::Pong(payload))) if payload == b"1"));
        let _ = socket.send(Message::Pong(b"2".to_vec())).await;
        let _ = socket.send(Message::text("two")).await;
    });
    client.assert_pong("2").await;
    assert_eq!(client.assert_ping().await, b"1");
    client.assert_text("one").await;
    client.assert_text("two").await;
    let text = panics(client.assert_ping()).await;
    assert!(text.starts_with("expected a Ping, got nothing more after the Close 1000\n"), "{text}");
    client.assert_close(close_code::NORMAL).await;
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_is_a_panic_and_one_after_the_end_is_lost() {
    let mut client = connect_to(closes);
    let text = panics(client.ping([0; 126])).await;
    assert!(text.starts_with("a Ping with [00 ") && text.contains("cannot be sent"), "{text}");
    let text = panics(client.close(1006, "")).await;
    assert!(text.starts_with("the Close 1006 cannot be sent"), "{text}");
    client.assert_close(close_code::POLICY).await;
    client.send_text("too late").await;
    client.close(1000, "too late").await;
}

#[cfg(feature = "json")]
mod json {
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn json_passes_in_any_order_and_form() {
        let mut client = connect_to(says([
            Message::text("{ \"b\": [1, 2],\n \"a\": null }"),
            Message::text("[\"x\", 1]"),
            Message::text("{\"a\":1}"),
        ]));
        client.assert_json(json!({ "a": null, "b": [1, 2] })).await;
        client.assert_json(("x", 1)).await;
        assert_eq!(client.recv_json::<Value>().await["a"], 1);

        let mut client = connect_to(echo);
        client.send_json(json!({ "a": 1 })).await;
        client.assert_text(r#"{"a":1}"#).await;
    }

    #[tokio::test]
    async fn other_json_is_shown_with_the_first_difference() {
        for (received, expected, difference) in [
            (r#"{"a":{"b/c":[1,2]}}"#, json!({ "a": { "b/c": [1, 3] } }), "at `/a/b~1c/1`, 3 was expected and 2 came"),
            (r#"{"a":1}"#, json!({ "a": 1, "b": 2 }), "at `/b`, 2 was expected and nothing came"),
            (r#"{"a":1,"b":2}"#, json!({ "a": 1 }), "at `/b`, nothing was expected and 2 came"),
            ("[1]", json!([]), "at `/0`, nothing was expected and 1 came"),
            ("1", json!(2), "at ``, 2 was expected and 1 came"),
        ] {
            let text = panics(told(Message::text(received)).await.assert_json(&expected)).await;
            let start = format!("expected the JSON {expected}, got the JSON {received}; {difference}\n");
            assert!(text.starts_with(&start), "{text}");
        }
        let text = panics(told(Message::text("hi")).await.assert_json(json!(1))).await;
        assert!(text.starts_with("expected the JSON 1, got the text \"hi\", no JSON: expected value"), "{text}");
        let text = panics(told(Message::binary([])).await.assert_json(json!(1))).await;
        assert!(text.starts_with("expected the JSON 1, got the binary message [] (0 bytes)\n"), "{text}");
        let text = panics(told(Message::text("hi")).await.recv_json::<u8>()).await;
        assert!(text.starts_with("expected JSON for `u8`, got the text \"hi\": expected value"), "{text}");
    }
}
