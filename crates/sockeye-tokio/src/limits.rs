//! Limits on what slow peers and slow handlers may keep in memory.

pub(crate) mod budget;
pub(crate) mod overflow;
pub(crate) mod unread;
