//! `Unread`: a limit on what is read on while a handler does not receive.

/// How many bytes are read on while the handler does not receive, and what happens beyond that. For streams that share a
/// connection with others, as in HTTP/2. A TCP stream needs no `Unread`.
///
/// Over TCP, a handler that does not receive makes the peer wait: nothing is read, and the kernel's window closes. The
/// window of an HTTP/2 stream closes too, but h2 counts unread DATA frames of less than 256 bytes against the whole
/// connection. If there are too many (some 2,300 messages of 20 bytes), h2 ends the connection, with all its WebSockets. So
/// over HTTP/2 the bytes are read on and kept, and the handler receives them later.
///
/// Default: [`disconnect_beyond`](Self::disconnect_beyond) 256 KiB, some 10,000 messages of 20 bytes. No handler should ever
/// be so far behind, and hyper's HTTP/2 would hold more of a stream by default, 1 MiB. The kept bytes take about their size
/// in memory, count against the [`Budget`](crate::Budget), and are freed once received.
///
/// ```
/// use sockeye_tokio::{Connection, Role, Stream, Unread};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let (http2_stream, _peer) = tokio::io::duplex(1024);
/// let stream = Stream::boxed(http2_stream);
/// let connection = Connection::new(stream, Role::Server).unread(Unread::disconnect_beyond(1 << 20));
/// # tokio::spawn(connection.serve(|_socket| async {}));
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    max: usize,
    pub(crate) disconnects: bool,
}

impl Unread {
    /// Reads on up to `max` bytes. A peer that then sends more small messages is disconnected with 1013, "try again later".
    /// The other WebSockets on the HTTP/2 connection live on. The Close does not wait for the handler. The handler receives
    /// what was accepted before, then an error with [`is_limit`](crate::Error::is_limit).
    ///
    /// A peer that sends large messages, with only a few parts below 256 bytes, waits for the window of its stream instead.
    /// That harms no other stream, and an upload may well be faster than its handler.
    pub const fn disconnect_beyond(max: usize) -> Self {
        Self { max, disconnects: true }
    }

    /// Reads on up to `max` bytes, then makes the peer wait, whatever it sends, as over TCP. With 0, nothing is read on. Use
    /// this on a server whose HTTP/2 does not count small frames, or whose peers are known to wait for answers.
    pub const fn wait_beyond(max: usize) -> Self {
        Self { max, disconnects: false }
    }

    /// The most bytes that are read on.
    pub const fn max(&self) -> usize {
        self.max
    }
}

impl Default for Unread {
    /// [`disconnect_beyond`](Self::disconnect_beyond) 256 KiB.
    fn default() -> Self {
        Self::disconnect_beyond(256 << 10)
    }
}
