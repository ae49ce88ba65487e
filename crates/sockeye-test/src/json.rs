//! Messages in JSON, each in a text message.

use std::{future::Future, panic::Location};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sockeye_tokio::Message;

use crate::{Client, show};

impl Client {
    /// Sends a value as JSON, in a text message; see [`send`](Self::send).
    ///
    /// ```
    /// # use serde_json::json;
    /// # use sockeye_test::{Client, Message, connect_to};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let mut client = connect_to(async |mut socket| {
    /// #     let _ = socket.recv().await;
    /// #     let _ = socket.send(Message::text(r#"{ "people": ["Ada"], "type": "welcome" }"#)).await;
    /// # });
    /// client.send_json(json!({ "type": "join", "name": "Ada" })).await;
    /// client.assert_json(json!({ "type": "welcome", "people": ["Ada"] })).await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// As for [`send`](Self::send), and if the value has no JSON.
    #[track_caller]
    pub fn send_json(&mut self, value: impl Serialize) -> impl Future<Output = ()> {
        match serde_json::to_string(&value) {
            Ok(text) => self.send(Message::Text(text)),
            Err(error) => panic!("the value has no JSON: {error}"),
        }
    }

    /// Receives the next message, which must be a text with JSON for this type.
    ///
    /// # Panics
    ///
    /// If something else comes, or nothing in time.
    #[track_caller]
    pub fn recv_json<T: DeserializeOwned>(&mut self) -> impl Future<Output = T> {
        let at = Location::caller();
        async move {
            let wanted = format!("JSON for `{}`", std::any::type_name::<T>());
            let text = self.text(at, &wanted).await;
            match serde_json::from_str(&text) {
                Ok(value) => {
                    self.transcript.received(&Message::Text(text));
                    value
                }
                Err(error) => {
                    self.fail(at, &format!("expected {wanted}, got the text {}: {error}", show::quoted(&text)))
                }
            }
        }
    }

    /// Receives the next message, which must be a text with this value as JSON. The order of fields and the white space do not
    /// matter.
    ///
    /// # Panics
    ///
    /// If something else comes, or nothing in time, and if the expected value has no JSON.
    #[track_caller]
    pub fn assert_json(&mut self, expected: impl Serialize) -> impl Future<Output = ()> {
        let at = Location::caller();
        let expected = match serde_json::to_value(expected) {
            Ok(expected) => expected,
            Err(error) => panic!("the expected value has no JSON: {error}"),
        };
        async move {
            let wanted = format!("the JSON {expected}");
            let text = self.text(at, &wanted).await;
            let what = match serde_json::from_str::<Value>(&text) {
                Ok(value) if value == expected => {
                    self.transcript.received(&Message::Text(text));
                    return;
                }
                Ok(value) => format!("expected {wanted}, got the JSON {value}; {}", difference(&expected, &value, "")),
                Err(error) => format!("expected {wanted}, got the text {}, no JSON: {error}", show::quoted(&text)),
            };
            self.fail(at, &what)
        }
    }
}

/// The first place at which two values differ, as a JSON pointer (RFC 6901), and the values there.
fn difference(expected: &Value, received: &Value, at: &str) -> String {
    let deeper = match (expected, received) {
        (Value::Object(expected), Value::Object(received)) => expected
            .keys()
            .chain(received.keys())
            .find(|key| expected.get(*key) != received.get(*key))
            .map(|key| (key.replace('~', "~0").replace('/', "~1"), expected.get(key), received.get(key))),
        (Value::Array(expected), Value::Array(received)) => (0..expected.len().max(received.len()))
            .find(|&index| expected.get(index) != received.get(index))
            .map(|index| (index.to_string(), expected.get(index), received.get(index))),
        _ => None,
    };
    match deeper {
        None => format!("at `{at}`, {expected} was expected and {received} came"),
        Some((step, Some(expected), Some(received))) => difference(expected, received, &format!("{at}/{step}")),
        Some((step, Some(expected), None)) => format!("at `{at}/{step}`, {expected} was expected and nothing came"),
        Some((step, _, received)) => {
            let received = received.unwrap_or(&Value::Null);
            format!("at `{at}/{step}`, nothing was expected and {received} came")
        }
    }
}
