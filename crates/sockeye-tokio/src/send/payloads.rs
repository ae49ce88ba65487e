//! The shared payloads in the queue. The memory of a [`Bytes`] can belong to an object of the application, whose destructor is
//! the application's code: it must not run under the lock.

use std::collections::VecDeque;

use bytes::Bytes;

/// A second reference to each shared payload that is queued, in order, with the number of data bytes up to its end. While such a
/// reference exists, the queue never drops the last one.
#[derive(Default)]
pub(super) struct Payloads(VecDeque<(u64, Bytes)>);

impl Payloads {
    pub(super) fn push(&mut self, end: u64, payload: Bytes) {
        self.0.push_back((end, payload));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes the payloads for whose end `is_gone` returns `true`. The caller drops them without any lock.
    pub(super) fn take(&mut self, is_gone: impl Fn(u64) -> bool) -> Vec<Bytes> {
        let mut gone = Vec::new();
        self.0.retain(|(end, payload)| {
            let is_gone = is_gone(*end);
            if is_gone {
                gone.push(payload.clone());
            }
            !is_gone
        });
        gone
    }
}
