//! What a `Shutdown` or a `Budget` has ordered a connection to do, in one byte.

use crate::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// The orders of one connection. Its driver looks at them before everything else; whoever gives one wakes it.
#[derive(Default)]
pub(crate) struct Orders(AtomicU8);

/// To close when its turn in the window has come. Stays until it has.
const LEAVE: u8 = 1;
/// When its turn comes has been decided, or changed, since the driver has looked.
const NEWS: u8 = 1 << 1;
/// To end at once.
const CUT: u8 = 1 << 2;
/// No order, but an answer to one: the handler wants to say goodbye before.
const ASKED: u8 = 1 << 3;
/// The handler was told to say it.
const TOLD: u8 = 1 << 4;
/// To close for the sake of others that share its budget, if it is still the one that has to.
const MAKE_WAY: u8 = 1 << 5;

impl Orders {
    /// Whether the driver has to do something.
    #[inline]
    pub(crate) fn are_given(&self) -> bool {
        self.has(LEAVE | CUT | MAKE_WAY)
    }

    /// To close when its turn has come. Once more, and its turn comes at another time.
    pub(crate) fn leave(&self) {
        self.0.fetch_or(LEAVE | NEWS, Relaxed);
    }

    /// Whether its turn has to be asked for, once for each order.
    pub(crate) fn take_news(&self) -> bool {
        self.0.fetch_and(!NEWS, Relaxed) & NEWS != 0
    }

    /// Whether the connection is to close, so that its Close should say why.
    pub(crate) fn is_leaving(&self) -> bool {
        self.has(LEAVE)
    }

    /// Its turn has come and gone.
    pub(crate) fn left(&self) {
        self.0.fetch_and(!LEAVE, Relaxed);
    }

    /// To end at once.
    pub(crate) fn cut(&self) {
        self.0.fetch_or(CUT, Relaxed);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.has(CUT)
    }

    /// To close for the sake of others that share its budget.
    pub(crate) fn make_way(&self) {
        self.0.fetch_or(MAKE_WAY, Relaxed);
    }

    /// Whether it has to be asked for that, once for each order.
    pub(crate) fn take_make_way(&self) -> bool {
        self.0.fetch_and(!MAKE_WAY, Relaxed) & MAKE_WAY != 0
    }

    /// The handler wants to say goodbye.
    pub(crate) fn ask(&self) {
        self.0.fetch_or(ASKED, Relaxed);
    }

    /// Whether it does.
    pub(crate) fn is_asked(&self) -> bool {
        self.has(ASKED)
    }

    /// The handler is told to say goodbye.
    pub(crate) fn tell(&self) {
        self.0.fetch_or(TOLD, Relaxed);
    }

    /// Whether it was.
    pub(crate) fn is_told(&self) -> bool {
        self.has(TOLD)
    }

    #[inline]
    fn has(&self, orders: u8) -> bool {
        self.0.load(Relaxed) & orders != 0
    }
}
