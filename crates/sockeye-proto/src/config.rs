//! `Config`: the limits and buffer sizes of one connection.

use std::sync::{Arc, OnceLock};

/// Which end of the connection this is. The roles differ in which end masks its frames ([RFC 6455 §5.1]) and which end
/// closes the stream first.
///
/// [RFC 6455 §5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that accepted the connection: it receives masked frames and sends unmasked ones.
    Server,
    /// The end that opened the connection: it sends masked frames and receives unmasked ones.
    Client,
}

/// The limits and buffer sizes of one connection, all in bytes unless said otherwise.
///
/// ```
/// use sockeye_proto::Config;
///
/// let mut config = Config::default();
/// config.max_message_size = 64 * 1024;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The largest payload of one received frame. Default 16 MiB, as in axum. The limit is checked as soon as the header has
    /// arrived, before anything is allocated. A larger frame ends the connection with 1009.
    pub max_frame_size: usize,
    /// The largest received message, with all of its fragments. Default 64 MiB, as in axum. The limit is checked with each
    /// header, before anything is allocated; for a compressed message, it is checked against the inflated bytes while they
    /// grow. A larger message ends the connection with 1009.
    #[doc(alias("max message size", "message size"))]
    pub max_message_size: usize,
    /// The largest number of frames in one received message. Default 131,072: a message of the largest size can arrive in
    /// fragments of 512 bytes, but a peer cannot send empty fragments for ever. More frames end the connection with 1009.
    pub max_fragments: usize,
    /// The most bytes that one read takes from the stream. Default 64 KiB, which is also the maximum: a pool of the thread
    /// lends the buffer for the time of a read, so a smaller buffer saves no memory on an idle connection.
    pub read_buffer_size: usize,
    /// Sending waits while this many bytes are queued. Default 128 KiB, as in axum: enough to keep a fast link busy, and
    /// little memory for a slow client. 0 means that sending waits until the kernel has taken everything.
    /// [`Encoder::held`](crate::Encoder::held) counts the queued bytes.
    pub write_buffer_size: usize,
    /// `try_send` refuses a message that would make the queue longer than this, in bytes. An empty queue takes any message.
    /// Default 1 MiB: space for a burst while one client is slow. A value below `write_buffer_size` is raised to it.
    pub max_write_buffer_size: usize,
    /// Whether a server accepts frames without a mask, against RFC 6455 §5.1. Default `false`. Masked frames are accepted in
    /// any case.
    pub accept_unmasked_frames: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_frame_size: 16 << 20,
            max_message_size: 64 << 20,
            max_fragments: 128 << 10,
            read_buffer_size: 64 << 10,
            write_buffer_size: 128 << 10,
            max_write_buffer_size: 1 << 20,
            accept_unmasked_frames: false,
        }
    }
}

impl Config {
    /// The defaults, in one shared `Arc`: all connections that change nothing hold the same copy.
    pub fn shared() -> Arc<Self> {
        static SHARED: OnceLock<Arc<Config>> = OnceLock::new();
        SHARED.get_or_init(Arc::default).clone()
    }
}

impl From<&Config> for Arc<Config> {
    fn from(config: &Config) -> Self {
        Self::new(config.clone())
    }
}
