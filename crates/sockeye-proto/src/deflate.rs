//! permessage-deflate ([RFC 7692]): what is agreed, and the two ends of the compression.
//!
//! [`Compression`] is what an application wants, [`Parameters`] what both ends have agreed on in the opening handshake. From
//! the two come what an [`Encoder`](crate::Encoder) and a [`Decoder`](crate::Decoder) are given:
//!
//! ```
//! use sockeye_proto::deflate::{Compression, Parameters};
//! use sockeye_proto::{Config, Decoder, Encoder, Message, Role};
//!
//! let (compression, agreed) = (Compression::new(), Parameters::default());
//! let mut server = Encoder::server().with_extension(agreed.encoder(Role::Server, &compression));
//! let mut client = Decoder::new(Role::Client, Config::default())
//!     .with_extension(agreed.decoder(Role::Client, &compression));
//!
//! let text = "the tide is coming in, ".repeat(100);
//! server.encode(Message::text(&text))?;
//! let wire = server.take_bytes();
//! assert!(wire.len() < 100);
//! assert_eq!(client.decode(&mut &wire[..])?, Some(Message::text(text)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Memory
//!
//! No connection holds a compressor (some 300 KiB) or a decompressor (some 50 KiB) between two messages: the thread lends
//! them. With context takeover a connection keeps the end of what was sent and received, at most a window in each
//! direction, and a compressor that is lent is told of it. A thread remembers which connections its compressors were lent
//! to last, so that one which sends a lot need not be told.
//!
//! # Bombs
//!
//! `max_message_size` holds for the message as it grows, and inflating stops at the byte that is one too many. What is
//! inflated is kept in pieces until all of it is there, so that a message over the limit takes no more memory than the limit
//! and 1 MiB. Two more rules end a message that is only made to cost: see [`Violation::CompressionRatio`] and
//! [`Violation::CompressionWork`].
//!
//! [RFC 7692]: https://www.rfc-editor.org/rfc/rfc7692
//! [`Violation::CompressionRatio`]: crate::Violation::CompressionRatio
//! [`Violation::CompressionWork`]: crate::Violation::CompressionWork

mod compression;
mod compressors;
mod deflater;
mod guard;
mod history;
mod inflater;
mod output;
mod parameters;

pub use compression::{Compression, Memory};
pub use parameters::{Parameters, WindowBits};

/// RFC 7692 §7.2.1: what a flush ends with, the length of an empty block without compression. A sender MUST "Remove 4 octets
/// (that are 0x00 0x00 0xff 0xff) from the tail end"; a receiver MUST "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end
/// of the payload of the message" (§7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
