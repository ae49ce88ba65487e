//! What a broker must do. Each function is a check, whose name says what holds.

pub(crate) mod appends;
pub(crate) mod ending;
pub(crate) mod forks;
pub(crate) mod messages;
pub(crate) mod names;
pub(crate) mod pages;
pub(crate) mod retention;
pub(crate) mod retries;
