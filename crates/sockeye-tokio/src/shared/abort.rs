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
        let mut send = self.lock_send();
        send.record_end(Ended::abrupt(EndedBy::Local));
        let error = send.stream_failed(Error::abrupt());
        let write = send.detach_stream();
        send.notify_writer();
        drop(send);
        let mut receive = self.lock_receive();
        let read = receive.detach_stream(Some(error));
        self.report_unread(&mut receive);
        drop(receive);
        // A stream in a box is the application's: its destructor runs without any lock.
        drop((read, write));
    }
}
