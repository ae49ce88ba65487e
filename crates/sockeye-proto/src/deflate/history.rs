//! The last bytes in one direction, to which later messages may refer.

/// The newest bytes, at most a window of them. The memory grows with the bytes that the connection really carries: it is at
/// most twice as large as they are, and at most a window.
#[derive(Debug)]
pub(super) struct History {
    /// The newest byte overwrites the oldest one once there is a window of them, so no message moves the bytes that stay.
    bytes: Vec<u8>,
    /// The index of the oldest byte: 0 until there is a window of them.
    oldest: usize,
    window: usize,
}

impl History {
    pub(super) fn new(window: usize) -> Self {
        Self { bytes: Vec::new(), oldest: 0, window }
    }

    /// All bytes, from the oldest to the newest, in at most two parts. No part is empty.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let (newer, older) = self.bytes.split_at(self.oldest);
        [older, newer].into_iter().filter(|part| !part.is_empty())
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.window);
    }

    /// Appends these bytes, and drops the oldest ones, which leave the window.
    pub(super) fn push(&mut self, newest: &[u8]) {
        let newest = &newest[newest.len().saturating_sub(self.window)..];
        let (appended, overwriting) = newest.split_at(newest.len().min(self.window - self.bytes.len()));
        self.append(appended);
        let (to_end, from_start) = overwriting.split_at(overwriting.len().min(self.window - self.oldest));
        self.bytes[self.oldest..][..to_end.len()].copy_from_slice(to_end);
        self.bytes[..from_start.len()].copy_from_slice(from_start);
        self.oldest = (self.oldest + overwriting.len()) % self.window;
    }

    fn append(&mut self, newest: &[u8]) {
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
        for length in [0, 1, 30, 68, 2, 98, 0, 3, 99, 100, 101, 250, 3, 97, 5, 100, 1] {
            let piece: Vec<u8> = (0..length).map(|i| (all.len() + i) as u8).collect();
            all.extend_from_slice(&piece);
            history.push(&piece);
            let parts: Vec<&[u8]> = history.parts().collect();
            assert_eq!(parts.concat(), &all[all.len().saturating_sub(100)..]);
            assert!(parts.iter().all(|part| !part.is_empty()));
            assert!(history.bytes.capacity() <= 100);
        }
    }
}
