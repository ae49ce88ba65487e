//! The unwritten Pings and Pongs, apart from the data frames that they overtake.

/// From this many unsent bytes on, only the latest Pong is kept. 16 KiB have space for at least 125 Pongs, enough for a peer
/// that reads. A peer that does not read cannot make us hold more.
const FULL: usize = 16 << 10;

/// The queue of Pings and Pongs, which go out only between two data frames. A connection without unwritten Pings and Pongs
/// has no such queue.
#[derive(Debug, Default)]
pub(crate) struct Control {
    bytes: Vec<u8>,
    /// How many of the `bytes` have been written.
    written: usize,
    /// The payload of the Pong that waits while `bytes` is full.
    latest_pong: Option<Vec<u8>>,
}

impl Control {
    /// The unwritten bytes.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(crate) fn is_full(&self) -> bool {
        self.unsent().len() >= FULL
    }

    /// Lets `write` append whole frames. Returns the number of appended bytes.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.bytes.len() - before
    }

    /// Keeps the payload of a Pong in place of the one that was deferred before.
    pub(crate) fn defer(&mut self, payload: &[u8]) {
        self.latest_pong = Some(payload.to_vec());
    }

    /// Takes the payload of the deferred Pong, if there is one.
    pub(crate) fn take_deferred(&mut self) -> Option<Vec<u8>> {
        self.latest_pong.take()
    }

    /// The first `n` unsent bytes have been written.
    pub(crate) fn advance(&mut self, n: usize) {
        self.written += n;
        if self.written >= FULL {
            // A peer that reads slowly, and never everything, must not make the written part grow for ever.
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }
}
