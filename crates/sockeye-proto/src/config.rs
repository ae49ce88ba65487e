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

/// The limits and buffer sizes of one connection.
///
/// ```
/// use sockeye_proto::Config;
///
/// let config = Config::new().max_message_size(64 * 1024).write_buffer_size(16 * 1024);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Config {
    // The limit in force, whether it was set or follows `max_message_size`: the decoder compares each header with it.
    pub(crate) max_frame_size: usize,
    pub(crate) max_message_size: usize,
    pub(crate) max_fragments: usize,
    pub(crate) read_buffer_size: usize,
    pub(crate) write_buffer_size: usize,
    pub(crate) max_write_buffer_size: usize,
    pub(crate) accept_unmasked_frames: bool,
    is_max_frame_size_set: bool,
}

const MAX_FRAME_SIZE: usize = 16 << 20;
const MAX_MESSAGE_SIZE: usize = 64 << 20;

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// Creates the default config, as stated at each setter.
    pub const fn new() -> Self {
        Self {
            max_frame_size: MAX_FRAME_SIZE,
            max_message_size: MAX_MESSAGE_SIZE,
            max_fragments: 128 << 10,
            read_buffer_size: 64 << 10,
            write_buffer_size: 128 << 10,
            max_write_buffer_size: 1 << 20,
            accept_unmasked_frames: false,
            is_max_frame_size_set: false,
        }
    }

    /// The defaults, in one shared `Arc`: all connections that change nothing hold the same copy.
    pub fn shared() -> Arc<Self> {
        static SHARED: OnceLock<Arc<Config>> = OnceLock::new();
        SHARED.get_or_init(Arc::default).clone()
    }

    /// Sets the largest received message, in bytes: the payloads of all of its frames together. A larger message ends the
    /// connection with 1009. The limit is checked with each header, before anything is allocated. For a compressed message, it is
    /// checked against the inflated bytes while they grow.
    ///
    /// Default 64 MiB, as in axum. If it is set, it also raises [`max_frame_size`](Self::max_frame_size) to the same value, unless
    /// that is set too.
    #[doc(alias("max message size", "message size"))]
    pub const fn max_message_size(mut self, max: usize) -> Self {
        self.max_message_size = max;
        if !self.is_max_frame_size_set {
            self.max_frame_size = if max > MAX_FRAME_SIZE { max } else { MAX_FRAME_SIZE };
        }
        self
    }

    /// Sets the largest payload of one received frame, in bytes. A larger frame ends the connection with 1009. The limit is
    /// checked as soon as the header has arrived, before anything is allocated.
    ///
    /// Default 16 MiB, as in axum. If [`max_message_size`](Self::max_message_size) is set to more, the default is the same, since
    /// many clients send each message as one frame.
    pub const fn max_frame_size(mut self, max: usize) -> Self {
        self.max_frame_size = max;
        self.is_max_frame_size_set = true;
        self
    }

    /// Sets the largest number of frames in one received message. More frames end the connection with 1009.
    ///
    /// Default 131,072: a message of the default size can arrive in fragments of 512 bytes, but a peer cannot send empty
    /// fragments for ever.
    pub const fn max_fragments(mut self, max: usize) -> Self {
        self.max_fragments = max;
        self
    }

    /// Sets the most bytes that one read takes from the stream.
    ///
    /// Default 64 KiB, which is also the maximum: a pool of the thread lends the buffer for the time of a read, so a smaller
    /// buffer saves no memory on an idle connection.
    pub const fn read_buffer_size(mut self, size: usize) -> Self {
        self.read_buffer_size = size;
        self
    }

    /// Sets how many bytes may be queued before sending waits. 0 means that sending waits until the kernel has taken everything.
    /// [`Encoder::held`](crate::Encoder::held) counts the queued bytes.
    ///
    /// Default 128 KiB, as in axum: enough to keep a fast link busy, and little memory for a slow client.
    pub const fn write_buffer_size(mut self, size: usize) -> Self {
        self.write_buffer_size = size;
        self
    }

    /// Sets how long the queue may become, in bytes: `try_send` refuses a message that would make it longer. An empty queue takes
    /// any message. A value below [`write_buffer_size`](Self::write_buffer_size) is raised to it.
    ///
    /// Default 1 MiB: space for a burst while one client is slow.
    pub const fn max_write_buffer_size(mut self, max: usize) -> Self {
        self.max_write_buffer_size = max;
        self
    }

    /// Sets whether a server accepts frames without a mask, against [RFC 6455 §5.1]. Masked frames are accepted in any case.
    ///
    /// Default `false`.
    ///
    /// [RFC 6455 §5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.1
    pub const fn accept_unmasked_frames(mut self, accept: bool) -> Self {
        self.accept_unmasked_frames = accept;
        self
    }

    /// The largest received message, in bytes.
    pub const fn get_max_message_size(&self) -> usize {
        self.max_message_size
    }

    /// The largest payload of one received frame, in bytes: what was set, or what follows from
    /// [`max_message_size`](Self::max_message_size).
    pub const fn get_max_frame_size(&self) -> usize {
        self.max_frame_size
    }

    /// The largest number of frames in one received message.
    pub const fn get_max_fragments(&self) -> usize {
        self.max_fragments
    }

    /// The most bytes that one read takes from the stream.
    pub const fn get_read_buffer_size(&self) -> usize {
        self.read_buffer_size
    }

    /// How many bytes may be queued before sending waits.
    pub const fn get_write_buffer_size(&self) -> usize {
        self.write_buffer_size
    }

    /// How long the queue may become, in bytes, as it was set: a value below
    /// [`get_write_buffer_size`](Self::get_write_buffer_size) counts as that.
    pub const fn get_max_write_buffer_size(&self) -> usize {
        self.max_write_buffer_size
    }

    /// Whether a server accepts frames without a mask.
    pub const fn get_accept_unmasked_frames(&self) -> bool {
        self.accept_unmasked_frames
    }
}

impl From<&Config> for Arc<Config> {
    fn from(config: &Config) -> Self {
        Self::new(*config)
    }
}
