//! The shared payloads in the queue. The memory of a payload can belong to an object of the application, whose destructor is the
//! application's code: it must not run under the lock.

use std::{collections::VecDeque, sync::Arc};

use sockeye_proto::SharedMessage;

/// A second reference to each shared message that is queued, in the order of the queue. While such a reference exists, the queue
/// never drops the last one. Nobody else has a reference to these messages, so the second one is alone once the queue has let
/// the message go.
#[derive(Default)]
pub(super) struct Payloads(VecDeque<Arc<SharedMessage>>);

impl Payloads {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, message: Arc<SharedMessage>) {
        self.0.push_back(message);
    }

    /// Takes the first message if it has been written.
    pub(super) fn pop_written(&mut self) -> Option<Arc<SharedMessage>> {
        let written = if self.0.front().is_some_and(is_alone) { self.0.pop_front() } else { None };
        if self.0.is_empty() {
            // An idle connection keeps no memory for a burst.
            self.0 = VecDeque::new();
        }
        written
    }

    /// Takes all messages that the queue has let go, wherever they were in it.
    pub(super) fn take_gone(&mut self) -> VecDeque<Arc<SharedMessage>> {
        let (gone, kept) = std::mem::take(&mut self.0).into_iter().partition(is_alone);
        self.0 = kept;
        gone
    }
}

fn is_alone(message: &Arc<SharedMessage>) -> bool {
    Arc::strong_count(message) == 1
}
