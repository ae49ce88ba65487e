//! The last bytes in one direction, to which later messages may refer.

/// The newest bytes, at most a window of them. The memory grows with the bytes that the connection really carries: it is at
/// most twice as large as they are, and at most a window.
#[derive(Debug)]
pub(super) struct History {
    bytes: Vec<u8>,
    window: usize,
}

impl History {
    pub(super) fn new(window: usize) -> Self {
        Self { bytes: Vec::new(), window }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
    }

    /// Appends these bytes, and drops the oldest ones, which leave the window.
    pub(super) fn push(&mut self, newest: &[u8]) {
        let newest = &newest[newest.len().saturating_sub(self.window)..];
        let surplus = (self.bytes.len() + newest.len()).saturating_sub(self.window);
        self.bytes.drain(..surplus);
        let length = self.bytes.len() + newest.len();
        if self.bytes.capacity() < length {
            // Doubles the capacity, up to the window.
            let wanted = (self.bytes.capacity() * 2).clamp(length, self.window);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(newest);
    }
}

#[cfg(test)]
mod tests {
    use super::History;

    #[test]
    fn a_history_keeps_the_last_bytes_of_all_that_was_pushed() {
        let mut all = Vec::new();
        let mut history = History::new(100);
        for length in [0, 1, 30, 69, 1, 99, 100, 101, 250, 3] {
            let piece: Vec<u8> = (0..length).map(|i| (all.len() + i) as u8).collect();
            all.extend_from_slice(&piece);
            history.push(&piece);
            assert_eq!(history.bytes(), &all[all.len().saturating_sub(100)..]);
            assert!(history.bytes.capacity() <= 100);
        }
    }
}
