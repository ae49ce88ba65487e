//! Who reads a stream whose socket is in another task than its driver.
//!
//! The task that receives reads the stream by itself, and the driver must not: otherwise each message would wake both tasks. But
//! such a task may stop receiving without a word: it is busy, waits for something else, or never polls its `recv` again. Then
//! the driver must answer Pings and Closes. So the task has a lease, which each of its polls renews. The driver looks at each
//! tick of the thread's timer whether the lease was renewed, and reads again once it was not.

use super::{
    Receive,
    parts::{Lease, Watcher},
};

impl Receive {
    /// Called in each poll of `recv` in another task than the driver's. Returns whether the driver must be woken: to watch over
    /// the lease if it is new, or to read if there cannot be one.
    #[inline]
    pub(crate) fn renew_lease(&mut self) -> bool {
        match self.lease {
            Lease::Renewed => false,
            Lease::Expiring => {
                self.lease = Lease::Renewed;
                false
            }
            Lease::None => self.take_lease(),
        }
    }

    /// Before the first poll of a driver that will have ticks: the task that receives has the lease already. So its first `recv`
    /// need not wake a driver that has begun to read.
    pub(crate) fn lease_at_first(&mut self) {
        if !self.reads_on() {
            self.lease = Lease::Renewed;
        }
    }

    #[cold]
    fn take_lease(&mut self) -> bool {
        if self.may_be_leased() {
            self.lease = Lease::Renewed;
        }
        true
    }

    /// Without deadlines there are no ticks. A stream that must not be left unread cannot wait for a tick.
    fn may_be_leased(&self) -> bool {
        let ticks = self.time.is_some() || cfg!(all(test, sockeye_loom));
        ticks && !self.reads_on() && !self.abandoned
    }

    /// Whether the driver reads the stream for the task that receives, and wakes that task. There can be no lease, and the
    /// driver was the last to find the stream empty.
    #[inline]
    pub(crate) fn driver_watches(&self) -> bool {
        self.watcher == Watcher::Driver && !self.may_be_leased()
    }

    /// Whether another task reads the stream.
    pub(crate) fn is_leased(&self) -> bool {
        self.lease != Lease::None
    }

    /// A tick has passed since the last call: ends a lease that was not renewed since.
    pub(crate) fn age_lease(&mut self) {
        self.lease = match self.lease {
            Lease::Renewed => Lease::Expiring,
            Lease::Expiring | Lease::None => Lease::None,
        };
    }

    /// Called when the driver has read. A boxed stream is read without the lock, so another task may have taken the lease, and may
    /// have polled the stream before the driver: then the stream would wake only the driver. So that task polls once more.
    pub(crate) fn call_lessee(&mut self) {
        if self.is_leased() {
            self.wake();
        }
    }

    /// From now on, the driver reads.
    pub(crate) fn end_lease(&mut self) {
        self.lease = Lease::None;
    }
}
