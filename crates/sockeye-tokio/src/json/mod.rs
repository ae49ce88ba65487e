//! Typed messages: values in JSON, each in one message. Behind the feature `json`.
//!
//! [`WebSocket::recv_json`](crate::WebSocket::recv_json) and [`send_json`](crate::WebSocket::send_json) do what most handlers
//! need. The functions here are for messages that take another way: through a [`Stream`](futures_core::Stream) of messages, to
//! many connections, or uncompressed.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use sockeye_tokio::{RecvJsonError, WebSocket};
//!
//! #[derive(Deserialize)]
//! #[serde(tag = "type", rename_all = "snake_case")]
//! enum Request {
//!     Add { a: i64, b: i64 },
//! }
//!
//! #[derive(Serialize)]
//! #[serde(tag = "type", rename_all = "snake_case")]
//! enum Answer {
//!     Sum { sum: i64 },
//!     Error { text: String },
//! }
//!
//! async fn calculator(mut socket: WebSocket) -> Result<(), sockeye_tokio::Error> {
//!     while let Some(request) = socket.recv_json::<Request>().await {
//!         let answer = match request {
//!             Ok(Request::Add { a, b }) => Answer::Sum { sum: a.saturating_add(b) },
//!             // This message was bad. The next may be good.
//!             Err(RecvJsonError::Decode(error)) => Answer::Error { text: error.to_string() },
//!             Err(RecvJsonError::Connection(error)) => return Err(error),
//!         };
//!         socket.send_json(&answer).await?;
//!     }
//!     Ok(())
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # use sockeye_tokio::{Config, Message, Role, Stream, serve};
//! # let (client, server) = tokio::io::duplex(4096);
//! # tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), async |socket| calculator(socket).await.unwrap()));
//! # serve(Stream::boxed(client), Role::Client, Config::default(), |mut socket| async move {
//! #     socket.send_json(serde_json::json!({ "type": "add", "a": 40 })).await.unwrap();
//! #     assert!(socket.recv().await.unwrap().unwrap().to_text().unwrap().contains("missing field `b`"));
//! #     socket.send_json(serde_json::json!({ "type": "add", "a": 40, "b": 2 })).await.unwrap();
//! #     assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text(r#"{"type":"sum","sum":42}"#));
//! # }).await;
//! # }
//! ```

pub(crate) mod error;
pub(crate) mod options;
mod receive;
mod send;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Deserializer, de::Read};
use sockeye_proto::{Message, PreparedMessage};

use crate::{Error, JsonError, JsonOptions};

/// A text message with a value as JSON, for every way to send: [`push_with`](crate::Sender::push_with),
/// [`send_secret`](crate::WebSocket::send_secret), a [`PushBatch`](crate::PushBatch), a `Sink`.
///
/// ```
/// use sockeye_tokio::{Overflow, Sender, json};
///
/// fn tell_price(sender: &Sender, price: u32) -> Result<(), Box<dyn std::error::Error>> {
///     sender.push_with(json::encode(&price)?, Overflow::DropOldest)?;
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// [`Error::is_invalid`] if the value has no JSON: a map whose keys are neither texts, numbers nor `bool`s, or an error of the
/// value's own `Serialize`. The [`source`](std::error::Error::source) is the `serde_json::Error`.
pub fn encode(value: impl Serialize) -> Result<Message, Error> {
    to_string(&value).map(Message::Text)
}

/// A text message with a value as JSON, which is encoded once and sent to many connections. The message
/// [says](PreparedMessage::is_json) that its text is JSON.
///
/// ```
/// use sockeye_tokio::{Sender, json};
///
/// fn tell_all(senders: &[Sender], price: u32) -> Result<(), sockeye_tokio::Error> {
///     let message = json::prepare(&price)?;
///     for sender in senders {
///         // A client that is gone must not affect the others.
///         let _ = sender.push(message.clone());
///     }
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// As for [`encode`].
pub fn prepare(value: impl Serialize) -> Result<PreparedMessage, Error> {
    to_string(&value).map(PreparedMessage::json)
}

/// The value in a message that was received in another way than by [`recv_json`](crate::WebSocket::recv_json): by
/// [`recv_ref`](crate::WebSocket::recv_ref), or from a `Stream`.
///
/// ```
/// use sockeye_tokio::{JsonOptions, Message, json};
///
/// let message = Message::text("[1, 2, 3]");
/// assert_eq!(json::decode::<Vec<u8>>(&message, JsonOptions::new()).unwrap(), [1, 2, 3]);
/// ```
///
/// # Errors
///
/// [`JsonError`] if the message is of a kind that `options` do not accept, is no JSON, or has JSON that does not fit the type.
/// JSON that is nested in more than 127 levels is refused, so that no message can overflow the stack. A bad message is read
/// twice, the second time for the path.
pub fn decode<T: DeserializeOwned>(message: &Message, options: JsonOptions) -> Result<T, JsonError> {
    match message {
        Message::Text(text) => deserialize(|| Deserializer::from_str(text)),
        Message::Binary(data) if options.accepts_binary => deserialize(|| Deserializer::from_slice(data)),
        _ => Err(JsonError::wrong_kind(message, options)),
    }
}

/// Decodes what `json` reads. The path to a fault is found by reading once more: to follow the path doubles the time.
fn deserialize<'de, T: DeserializeOwned, R: Read<'de>>(json: impl Fn() -> Deserializer<R>) -> Result<T, JsonError> {
    let mut plain = json();
    if let Ok(value) = T::deserialize(&mut plain) {
        return finish(plain, value);
    }
    let mut tracked = json();
    let value = serde_path_to_error::deserialize(&mut tracked)
        .map_err(|error| JsonError::json(&error.path().to_string(), error.inner()))?;
    // Only a `Deserialize` that does not always do the same comes here.
    finish(tracked, value)
}

/// The value, if nothing but white space comes after it.
fn finish<'de, T>(mut json: Deserializer<impl Read<'de>>, value: T) -> Result<T, JsonError> {
    json.end().map(|()| value).map_err(|error| JsonError::json("", &error))
}

fn to_string(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(Error::encode)
}
