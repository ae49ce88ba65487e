//! How long the ending of a connection may take.

use std::time::Duration;

use super::view::{Ask, Closes, Intake, NextCheck, View};
use crate::time::timer::CoarseInstant;

/// The longest silence in an ending after a failure: the peer only needs time to read the Close.
const SILENT: Duration = Duration::from_secs(2);

/// The longest ending after a failure: the peer may be in the middle of a frame of 16 MiB, at 280 kB/s.
const FAILED: Duration = Duration::from_secs(60);

/// An ending and its progress.
#[derive(PartialEq, Eq)]
pub(super) struct Ending {
    began: CoarseInstant,
    intake: Option<Intake>,
    /// When bytes last arrived, as coarse time.
    last_received: CoarseInstant,
    /// Since when no bytes have arrived.
    silent: CoarseInstant,
}

impl Ending {
    pub(super) fn new(now: CoarseInstant, last_received: CoarseInstant) -> Self {
        Self { began: now, intake: None, last_received, silent: now }
    }

    pub(super) fn check(&mut self, mut view: View<'_>, why: Closes, ask: &mut impl Ask) -> NextCheck {
        let View { timeouts, snapshot, now, .. } = view;
        let (close, total) = match why {
            Closes::Wanted | Closes::Answered => (timeouts.close, timeouts.close_total),
            Closes::Failed => {
                let at_most = |limit: Duration| move |set: Duration| set.min(limit);
                (timeouts.close.map(at_most(SILENT)), timeouts.close_total.map(at_most(FAILED)))
            }
        };
        if let Some(total) = total {
            if view.has_come(self.began.after(total)) {
                return view.drop_stream("the connection did not end", total);
            }
        }
        if let Some(within) = close {
            // The peer may have to finish a message before its Close. RFC 6455 §5.5.1: after its Close it "MUST NOT send any
            // more data frames".
            if std::mem::replace(&mut self.last_received, snapshot.last_received) != snapshot.last_received
                && why != Closes::Answered
            {
                self.silent = now;
            }
            let taken = Intake::check(&mut self.intake, &mut view, within, ask);
            if view.has_come(taken.max(self.silent).after(within)) {
                return view.drop_stream("the other end of the close handshake did not come", within);
            }
        }
        view.done(None)
    }
}
