//! The end of a connection without a Close, at the wish of the application.

use super::Shared;
use crate::{
    Error,
    telemetry::ended::{Ended, EndedBy},
};

impl Shared {
    /// Drops the queue and the stream. Everybody who waits gets [`Error::abrupt`], unless the connection has ended before. May be
    /// called from any task: nothing is written. The driver is woken, and ends.
    pub(crate) fn abandon_stream(&self) {
        // In one step: a driver that runs between the two halves would wait on a stream that is about to be dropped.
        let mut receive = self.lock_receive();
        let (error, write) = self.answer(&mut receive, false, |send| {
            send.record_end(Ended::abrupt(EndedBy::Local));
            (send.stream_failed(Error::abrupt()), send.detach_stream())
        });
        let read = receive.detach_stream(Some(error));
        self.report_unread(&mut receive);
        drop(receive);
        // A stream in a box is the application's: its destructor runs without any lock.
        drop((read, write));
    }
}
