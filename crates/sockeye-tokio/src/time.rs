//! Time: deadlines, their settings, and the timers that watch them.

pub(crate) mod connection_timer;
pub(crate) mod deadlines;
pub(crate) mod timeouts;
pub(crate) mod timer;
