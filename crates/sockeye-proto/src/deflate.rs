//! permessage-deflate ([RFC 7692]): the parameters that are negotiated, and both ends of the compression.
//!
//! [`Compression`] is what an application wants. [`Parameters`] are what both ends have agreed on in the opening handshake.
//! From the two come the extensions for an [`Encoder`](crate::Encoder) and a [`Decoder`](crate::Decoder):
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
//! Between two messages, no connection holds a compressor (some 300 KiB) or a decompressor (some 50 KiB): the thread lends
//! them. With context takeover, a connection keeps the last bytes in each direction, at most one window. They become the
//! dictionary of the compressor or decompressor that the thread lends for the next message. A thread remembers which
//! connections last used its compressors, so a busy connection usually continues without setting a dictionary.
//!
//! # Bombs
//!
//! `max_message_size` limits the message while it grows, and inflating stops at the first byte too many. Inflated bytes are
//! kept in pieces until the message is complete, so a message over the limit takes at most 1 MiB more memory than the limit.
//! Two more rules end a message that is made only to be costly: see [`Violation::CompressionRatio`] and
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
mod window_bits;

pub use compression::{Compression, Memory};
pub use parameters::Parameters;
pub use window_bits::WindowBits;

use crate::Rsv;

/// RFC 7692 §6: the "Per-Message Compressed" bit is RSV1.
const COMPRESSED: Rsv = Rsv::RSV1;

/// RFC 7692 §7.2.1: the last bytes of a flush, which are the length of an empty uncompressed block. A sender MUST "Remove 4
/// octets (that are 0x00 0x00 0xff 0xff) from the tail end"; a receiver MUST "Append 4 octets of 0x00 0x00 0xff 0xff to the
/// tail end of the payload of the message" (§7.2.2).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
