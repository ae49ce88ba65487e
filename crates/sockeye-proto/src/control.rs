//! The unwritten control frames, apart from the data frames that they overtake.

/// Beyond this many unsent bytes, only the latest Pong is kept. 16 KiB are some hundred Pongs to a peer that reads. A peer
/// that does not read cannot make us hold more.
const FULL: usize = 16 << 10;

/// Pings and Pongs, which begin only where a data frame ends. A connection without them has no such value.
#[derive(Debug, Default)]
pub(crate) struct Control {
    bytes: Vec<u8>,
    /// How much of `bytes` has been written.
    written: usize,
    /// The Pong that waits while `bytes` is full.
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

    /// Appends what `write` appends: whole frames. Returns the number of these bytes.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.bytes.len() - before
    }

    /// Keeps the payload of a Pong in place of the one before.
    pub(crate) fn defer(&mut self, payload: &[u8]) {
        self.latest_pong = Some(payload.to_vec());
    }

    /// The deferred Pong, if there is one.
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
