//! The shared payloads in the queue. The memory of a payload can belong to an object of the application, whose destructor is the
//! application's code: it must not run under the lock.

use std::{collections::VecDeque, sync::Arc};

use sockeye_proto::SharedMessage;

/// A second reference to each shared message that is queued, in the order of the queue. While such a reference exists, the queue
/// never drops the last one. Nobody else has a reference to these messages, so the second one is alone once the queue has let
/// the message go.
#[derive(Default)]
pub(super) struct Payloads {
    /// Apart from the others, since nearly always there is only one, which then needs no allocation.
    first: Option<Arc<SharedMessage>>,
    /// Empty while there is no first.
    others: VecDeque<Arc<SharedMessage>>,
}

impl Payloads {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn push(&mut self, message: Arc<SharedMessage>) {
        match self.first {
            None => self.first = Some(message),
            Some(_) => self.others.push_back(message),
        }
    }

    /// Takes the first message if it has been written.
    pub(super) fn pop_written(&mut self) -> Option<Arc<SharedMessage>> {
        let written = self.first.take_if(|first| is_alone(first))?;
        self.first = self.others.pop_front();
        if self.others.is_empty() {
            // An idle connection keeps no memory for a burst.
            self.others = VecDeque::new();
        }
        Some(written)
    }

    /// Takes all messages that the queue has let go, wherever they were in it.
    pub(super) fn take_gone(&mut self) -> VecDeque<Arc<SharedMessage>> {
        let all = std::mem::take(self);
        let (gone, mut kept): (VecDeque<_>, VecDeque<_>) = all.first.into_iter().chain(all.others).partition(is_alone);
        self.first = kept.pop_front();
        self.others = kept;
        gone
    }
}

fn is_alone(message: &Arc<SharedMessage>) -> bool {
    Arc::strong_count(message) == 1
}
