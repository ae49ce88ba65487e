//! Typed messages: what is received and sent as JSON, and which errors leave the connection open.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{collections::HashMap, error::Error as _};

use common::{connect_with_capacity, poll_once, server_end, settled, start, undriven};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sockeye_testkit::{Frame, opcode};
use sockeye_tokio::{
    JsonError, JsonOptions, Message, Overflow, PushJsonError, Pushed, RecvJsonError, TrySendError, json as typed,
};
use tokio::task::yield_now;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    Joined { name: String },
    Left,
}

#[derive(Debug, Deserialize)]
struct Team {
    #[expect(dead_code, reason = "it is never decoded")]
    users: Vec<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    #[expect(dead_code, reason = "it is never decoded")]
    age: u8,
}

/// What has no JSON: a map whose keys are no texts.
fn no_json() -> HashMap<Vec<u8>, u8> {
    HashMap::from([(vec![1, 2], 3)])
}

fn decode<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, JsonError> {
    typed::decode(&Message::text(text), JsonOptions::new())
}

/// The error of a message that was bad, and not of a connection that failed.
#[track_caller]
fn bad<T: std::fmt::Debug>(received: Option<Result<T, RecvJsonError>>) -> JsonError {
    match received {
        Some(Err(RecvJsonError::Decode(error))) => error,
        other => panic!("expected a message that does not decode, got {other:?}"),
    }
}

#[tokio::test]
async fn values_are_received_and_sent_in_text_messages() {
    let (mut client, task) = start(async |mut socket| {
        while let Some(event) = socket.recv_json::<Event>().await {
            let event = event.unwrap();
            socket.send_json(&event).await.unwrap();
            socket.sender().send_json(&event).await.unwrap();
            assert_eq!(socket.sender().push_json(event).unwrap(), Pushed::Queued);
        }
    });
    for text in [r#"{"type":"joined","name":"Ada"}"#, r#"{"type":"left"}"#] {
        client.send(Frame::text(text)).await;
        for _ in 0..3 {
            client.expect_text(text).await;
        }
    }
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_split_socket_receives_and_sends_values() {
    let (mut client, task) = start(async |socket| {
        let (sending, mut receiving) = socket.into_split();
        assert_eq!(receiving.recv_json::<Event>().await.unwrap().unwrap(), Event::Left);
        let options = JsonOptions::new().accept_binary();
        assert_eq!(receiving.recv_json_with::<Event>(options).await.unwrap().unwrap(), Event::Left);
        sending.send_json(&1).await.unwrap();
        sending.push_json(2).unwrap();
        sending.push_json_with(3, Overflow::DropNewest).unwrap();
    });
    client.send(Frame::text(r#"{"type":"left"}"#)).await;
    client.send(Frame::binary(r#"{"type":"left"}"#)).await;
    for text in ["1", "2", "3"] {
        client.expect_text(text).await;
    }
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn after_a_message_that_does_not_decode_the_next_one_is_received() {
    let (mut client, mut socket) = undriven();
    for text in ["no JSON", r#"{"type":"left"}"#, r#"{"type":"moved"}"#, "{", r#"{"type":"left"}"#] {
        client.send(Frame::text(text)).await;
    }
    client.send(Frame::close(1000, "")).await;
    assert!(bad(socket.recv_json::<Event>().await).is_syntax());
    assert_eq!(socket.recv_json::<Event>().await.unwrap().unwrap(), Event::Left);
    let unknown = bad(socket.recv_json::<Event>().await);
    assert!(unknown.is_data() && unknown.to_string().contains("unknown variant `moved`, expected `joined` or `left`"));
    assert!(bad(socket.recv_json::<Event>().await).is_syntax());
    assert_eq!(socket.recv_json::<Event>().await.unwrap().unwrap(), Event::Left);
    assert!(socket.recv_json::<Event>().await.is_none());
}

#[test]
fn an_error_says_where_in_the_message_and_what_was_expected() {
    let error = decode::<Team>(r#"{"users":[{"age":1},{"age":2},{"age":3},{"age":"x"}]}"#).unwrap_err();
    assert_eq!(error.to_string(), r#"users[3].age: invalid type: string "x", expected u8 at line 1 column 50"#);
    assert_eq!((error.path(), error.position()), (Some("users[3].age"), Some((1, 50))));
    assert!(error.is_data() && !error.is_syntax() && !error.is_wrong_kind());

    let error = decode::<Team>("{\"users\": [\n  {\"age\": 1\n}").unwrap_err();
    assert_eq!(error.to_string(), "users: EOF while parsing a list at line 3 column 1");
    assert!(error.is_syntax() && !error.is_data());

    let error = decode::<u8>("[]").unwrap_err();
    assert_eq!(error.to_string(), "invalid type: sequence, expected u8 at line 1 column 0");
    assert_eq!(error.path(), None);

    let error = decode::<u8>("1 2").unwrap_err();
    assert_eq!(error.to_string(), "trailing characters at line 1 column 3");
}

#[test]
fn the_path_leads_into_an_enum_with_a_tag_and_content() {
    #[derive(Debug, Deserialize)]
    #[serde(tag = "type", content = "data", rename_all = "snake_case")]
    enum Request {
        Enrol(#[expect(dead_code, reason = "it is never decoded")] Team),
    }
    let error = decode::<Request>(r#"{"type":"enrol","data":{"users":[{"age":300}]}}"#).unwrap_err();
    assert_eq!(error.path(), Some("data.users[0].age"));
    assert!(error.to_string().contains("invalid value: integer `300`, expected u8"), "{error}");
}

#[test]
fn the_path_ends_at_an_enum_with_a_tag_alone() {
    let error = decode::<Vec<Event>>(r#"[{"type":"joined","name":"Ada"},{"type":"joined","name":1}]"#).unwrap_err();
    assert_eq!(error.path(), Some("[1]"));
    assert!(error.to_string().contains("invalid type: integer `1`, expected a string"), "{error}");
    let error = decode::<Event>(r#"{"type":"joined","name":1}"#).unwrap_err();
    assert!(error.is_data() && error.path().is_none());
    assert!(error.to_string().starts_with("invalid type: integer `1`, expected a string"), "{error}");
}

#[tokio::test]
async fn pings_and_pongs_are_passed_over_and_pings_are_answered() {
    let (mut client, mut socket) = undriven();
    client.send(Frame::ping("one")).await;
    client.send(Frame::text("1").fin(false)).await;
    client.send(Frame::ping("two")).await;
    client.send(Frame::pong("three")).await;
    client.send(Frame::continuation("2")).await;
    client.send(Frame::ping("four")).await;
    client.send(Frame::close(1000, "bye")).await;
    assert_eq!(socket.recv_json::<u8>().await.unwrap().unwrap(), 12);
    assert!(socket.recv_json::<u8>().await.is_none());
    assert!(socket.recv_json::<u8>().await.is_none());
    for payload in ["one", "two", "four"] {
        client.expect_pong(payload).await;
    }
    client.expect_close(1000).await;
}

#[tokio::test]
async fn a_binary_message_is_refused_unless_it_is_accepted() {
    let (mut client, mut socket) = undriven();
    for _ in 0..2 {
        client.send(Frame::binary("[7]")).await;
    }
    client.send(Frame::binary(b"\"\xff\"")).await;
    let error = bad(socket.recv_json::<[u8; 1]>().await);
    assert!(error.is_wrong_kind() && !error.is_data() && !error.is_syntax());
    assert!(error.to_string().starts_with("expected a text message, got binary of 3 bytes: send the JSON as text"));
    assert_eq!((error.path(), error.position()), (None, None));

    let options = JsonOptions::new().accept_binary();
    assert_eq!(socket.recv_json_with::<[u8; 1]>(options).await.unwrap().unwrap(), [7]);
    let error = bad(socket.recv_json_with::<String>(options).await);
    assert!(error.is_syntax() && error.to_string().starts_with("invalid unicode code point"), "{error}");
}

#[test]
fn a_control_frame_does_not_decode() {
    let options = JsonOptions::new().accept_binary();
    let error = typed::decode::<u8>(&Message::Ping(b"1".to_vec()), options).unwrap_err();
    assert_eq!(error.to_string(), "expected a text or binary message, got a Ping of 1 bytes");
}

#[tokio::test]
async fn a_stream_that_ends_without_a_close_is_an_error_and_then_the_end() {
    let (mut client, mut socket) = undriven();
    client.send(Frame::text("1")).await;
    client.send_bytes(&Frame::text("2").bytes()[..3]).await;
    drop(client);
    assert_eq!(socket.recv_json::<u8>().await.unwrap().unwrap(), 1);
    match socket.recv_json::<u8>().await {
        Some(Err(RecvJsonError::Connection(error))) => assert!(error.is_abrupt(), "{error}"),
        other => panic!("expected an abrupt end, got {other:?}"),
    }
    assert!(socket.recv_json::<u8>().await.is_none());
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_an_error_of_the_connection() {
    let (mut client, mut socket) = undriven();
    client.send(Frame::text(b"\xff")).await;
    let error = socket.recv_json::<String>().await.unwrap().unwrap_err();
    assert!(!error.is_decode() && error.to_string().starts_with("the peer broke the protocol"), "{error}");
    assert!(socket.recv_json::<String>().await.is_none());
    client.expect_close(1007).await;
}

#[tokio::test]
async fn a_question_mark_takes_both_errors() {
    async fn sum(mut socket: sockeye_tokio::WebSocket) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
        let mut sum = 0;
        while let Some(number) = socket.recv_json::<u32>().await {
            sum += number?;
            socket.send_json(sum).await?;
        }
        Ok(sum)
    }
    let (mut client, socket) = undriven();
    client.send(Frame::text("1")).await;
    client.send(Frame::text("-1")).await;
    let error = sum(socket).await.unwrap_err();
    assert!(error.downcast::<RecvJsonError>().unwrap().is_decode());
}

#[test]
fn json_in_too_many_levels_is_an_error() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let levels = (1 << 20) / open.len();
        let text = open.repeat(levels) + "1" + &close.repeat(levels);
        let error = decode::<serde_json::Value>(&text).unwrap_err();
        assert!(error.is_syntax() && error.to_string().contains("recursion limit exceeded"), "{error}");
        assert!(error.to_string().len() < 400, "{error}");
        let levels = 127;
        decode::<serde_json::Value>(&(open.repeat(levels) + "1" + &close.repeat(levels))).unwrap();
    }
}

#[test]
fn an_error_holds_no_more_than_the_beginning_of_a_value_of_the_message() {
    let long = "€, expected \\u001b[31m\\n".repeat(100_000);
    let errors = [
        decode::<u8>(&format!("\"{long}\"")).unwrap_err(),
        decode::<Event>(&format!(r#"{{"type":"{long}"}}"#)).unwrap_err(),
        decode::<HashMap<String, u8>>(&format!(r#"{{"{long}":"{long}"}}"#)).unwrap_err(),
    ];
    for error in errors {
        for text in [error.to_string(), format!("{error:?}"), RecvJsonError::from(error).to_string()] {
            assert!(text.len() < 900, "{} bytes", text.len());
            assert!(!text.contains(char::is_control), "{text:?}");
            assert!(text.contains('…') && text.contains('€'), "{text}");
        }
    }
    let error = decode::<u8>(&format!("\"{}\"", "x".repeat(100_000))).unwrap_err().to_string();
    assert!(error.ends_with("x…, expected u8 at line 1 column 100002"), "{error}");
}

#[tokio::test]
async fn a_value_without_json_sends_nothing_and_leaves_the_connection_open() {
    let (mut client, task) = start(async |mut socket| {
        let sender = socket.sender();
        for error in [socket.send_json(no_json()).await, sender.send_json(no_json()).await] {
            let error = error.unwrap_err();
            assert!(error.is_invalid() && !error.is_closed());
            assert_eq!(error.to_string(), "the value cannot be sent as JSON: key must be a string");
            assert!(error.source().unwrap().is::<serde_json::Error>());
        }
        assert!(matches!(sender.push_json(no_json()), Err(PushJsonError::Encode(error)) if error.is_invalid()));
        assert!(typed::prepare(no_json()).unwrap_err().is_invalid());
        socket.send_json("still here").await.unwrap();
    });
    client.expect_text(r#""still here""#).await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_value_that_cannot_move_to_another_task_is_sent_from_one() {
    let (mut client, task) = start(async |socket| {
        let sender = socket.sender();
        // The cell cannot be shared by threads, and the future does not hold it.
        let sent = tokio::spawn(async move { sender.send_json(std::cell::RefCell::new("sent")).await });
        sent.await.unwrap().unwrap();
    });
    client.expect_text(r#""sent""#).await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_prepared_value_is_encoded_once_for_many_connections() {
    let message = typed::prepare(json!({ "tide": "in" })).unwrap();
    for _ in 0..2 {
        let message = message.clone();
        let (mut client, task) = start(async |mut socket| socket.send_prepared(message).await.unwrap());
        client.expect_text(r#"{"tide":"in"}"#).await;
        client.expect_close(1000).await;
        drop(client);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_value_pushed_to_a_slow_peer_meets_the_overflow() {
    let (mut client, connection) = connect_with_capacity(1024);
    let connection = connection.overflow(Overflow::Wait);
    let task = tokio::spawn(connection.serve(async |mut socket| {
        let long = "x".repeat(3 << 20);
        let sender = socket.sender();
        sender.push_json(&long).unwrap();
        let full = sender.push_json(&long).unwrap_err();
        assert!(matches!(full, PushJsonError::Push(TrySendError::Full(_))), "{full}");
        assert_eq!(sender.push_json_with(&long, Overflow::DropNewest).unwrap(), Pushed::Dropped);
        assert_eq!(sender.push_json_with(1, Overflow::DropOldest).unwrap(), Pushed::Displaced(1));
        while let Some(Ok(_)) = socket.recv().await {}
        let closed = sender.push_json(2).unwrap_err();
        assert!(
            matches!(&closed, PushJsonError::Push(TrySendError::Closed(_, error)) if error.is_closed()),
            "{closed}"
        );
    }));
    client.expect_text("1").await;
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_recv_json_that_is_dropped_at_any_byte_loses_nothing() {
    for chunk in [1, 3] {
        let (mut client, connection) = connect_with_capacity(64 * 1024);
        server_end(&client).set_read_chunk(chunk);
        let task = tokio::spawn(connection.serve(async |mut socket| {
            let mut received: Vec<Result<u32, bool>> = Vec::new();
            loop {
                // Each future is dropped after one poll.
                match poll_once(socket.recv_json::<u32>()).await {
                    Some(Some(value)) => received.push(value.map_err(|error| error.is_decode())),
                    Some(None) => break,
                    None => yield_now().await,
                }
            }
            assert_eq!(received, [Ok(1), Err(true), Ok(23), Ok(4)]);
        }));
        client.send(Frame::text("1")).await;
        client.send(Frame::text("true")).await;
        client.send(Frame::ping("?")).await;
        for frame in Frame::fragments(opcode::TEXT, &[b"2", b"3"]) {
            client.send(frame).await;
        }
        client.send(Frame::text("4")).await;
        client.send(Frame::close(1000, "")).await;
        client.expect_pong("?").await;
        client.expect_close(1000).await;
        drop(client);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_send_json_that_is_dropped_while_it_waits_has_sent_nothing() {
    let (mut client, connection) = connect_with_capacity(1024);
    let task = tokio::spawn(connection.serve(async |mut socket| {
        socket.send_json("x".repeat(1 << 20)).await.unwrap();
        settled().await;
        assert!(poll_once(socket.send_json("lost")).await.is_none());
        assert!(poll_once(socket.sender().send_json("lost")).await.is_none());
        socket.send_json("kept").await.unwrap();
    }));
    settled().await;
    assert_eq!(client.expect_frame().await.payload.len(), (1 << 20) + 2);
    client.expect_text(r#""kept""#).await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}
