//! The futures that all handles share.

pub(crate) mod closing;
pub(crate) mod recv;
pub(crate) mod send;
