//! Eviction: what a connection drops when the budget has picked it.

use super::Shared;
use crate::{
    close_reason::CloseReason,
    limits::budget::Evict,
    send::CORK,
    sync::lock::{LogEvent, Wakes},
    telemetry::ended::EndedBy,
};

impl Evict for Shared {
    fn evict(&self) {
        let drops_stream = self.make_way();
        self.signals.evict(drops_stream);
        self.wake_driver();
    }
}

impl Shared {
    /// If the connection is still picked, drops its unread data if that is larger than its queue, and otherwise the queue.
    /// Queues a Close, unless sending has already ended. Returns whether the stream must be dropped too.
    fn make_way(&self) -> bool {
        let mut receive = self.lock_receive();
        let mut send = self.lock_send();
        if !send.is_picked() {
            return false;
        }
        let (held, unread) = (send.encoder.held(), send.unread());
        send.log(LogEvent::Evicted(held + unread));
        if unread > held {
            let wakeups = send.take_wakeups();
            drop(send);
            receive.take_over_wakeups(wakeups);
            if receive.has_unread() {
                if let Some(event) = receive.give_up_unread() {
                    self.apply(&mut receive, event, false);
                }
                self.report_unread(&mut receive);
                return false;
            }
            send = self.lock_send();
        }
        // If the connection is already closing, `drop_data` makes its Close next. If the Close was next already, only the
        // stream is left to drop.
        let is_smaller =
            self.disconnect(&mut send, CloseReason::TRY_AGAIN, EndedBy::Budget).is_ok() || send.drop_data();
        // A partly written large frame would have to be finished, but the peer does not take it.
        let has_to_go = !is_smaller || send.encoder.buffered() > CORK;
        let wakeups = send.take_wakeups();
        drop(send);
        receive.take_over_wakeups(wakeups);
        has_to_go
    }
}
