//! The WebSocket protocol ([RFC 6455]) as values: bytes become messages, and messages become bytes. No I/O, no async, no
//! clock.
//!
//! A connection has two halves that know nothing of each other, so a runtime can keep them behind two locks:
//!
//! * the [`Decoder`] turns received bytes into [`Message`]s. It enforces every MUST of the RFC that concerns receiving, and
//!   the limits of a [`Config`]. Its first [`Error`] is latched: from then on the decoder yields only that error, unless the
//!   caller [discards](Decoder::discard) what follows.
//! * the [`Encoder`] turns messages into a transmit queue of byte slices, ready for one vectored write. It owns the state of
//!   the [close handshake](Closing). Pings and Pongs overtake queued data, between two frames.
//!
//! What the decoder yields is answered with one call on the encoder: [`Encoder::pong`] for a Ping, [`Encoder::peer_closed`]
//! for a Close, [`Encoder::fail`] for an error.
//!
//! ```
//! use sockeye_proto::{Config, Decoder, Encoder, Message, Role};
//!
//! let mut client = Encoder::client(Box::new(|| [1, 2, 3, 4]));
//! client.encode(Message::text("hello")).unwrap();
//! let wire = client.take_bytes();
//!
//! let mut server = Decoder::new(Role::Server, Config::default());
//! let mut input = &wire[..];
//! assert_eq!(server.decode(&mut input), Ok(Some(Message::text("hello"))));
//! assert_eq!(server.decode(&mut input), Ok(None)); // nothing is left over
//! ```
//!
//! # Features
//!
//! * `deflate` (off by default): the module `deflate`, permessage-deflate ([RFC 7692]). The feature alone compresses
//!   nothing: a [`Decoder`] and an [`Encoder`] must be given the extension.
//! * `tungstenite` (off by default): conversions between [`Message`] and `tungstenite::Message`. Each release of tungstenite
//!   is a breaking change, so the conversions are not part of the default API.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455
//! [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692

mod assembler;
mod buffer;
mod close;
pub mod close_code;
mod closing;
mod config;
mod control;
mod decoder;
#[cfg(feature = "deflate")]
pub mod deflate;
mod encoder;
mod error;
mod extension;
mod extensions;
mod header;
mod input;
mod mask;
mod message;
mod outgoing;
mod pool;
mod prepared;
mod queue;
mod rsv;
mod shared_message;
mod small_message;
mod utf8;

pub use buffer::Buffer;
pub use close::CloseFrame;
pub use close_code::CloseCode;
pub use closing::{Closing, ClosingAction, ClosingEvent};
pub use config::{Config, Role};
pub use decoder::Decoder;
pub use encoder::{Encoder, MaskSource, Position};
pub use error::{Error, Limit, Violation};
pub use extension::{PayloadDecoder, PayloadEncoder, SharedKey};
pub use input::Input;
pub use message::Message;
pub use outgoing::{Data, Outgoing, Refusal, Refused};
pub use prepared::PreparedMessage;
pub use queue::{Dropped, PayloadSlice};
pub use rsv::Rsv;
pub use shared_message::SharedMessage;
pub use small_message::SmallMessage;
