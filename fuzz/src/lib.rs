//! What fuzzing does to Sockeye: a module for each target, whose `run` takes any bytes and panics where a promise of the
//! library is broken.
//!
//! The bytes are read as a plan by `arbitrary`, so that most of what a mutation makes leads somewhere. Bytes that end
//! early are no plan, and nothing happens.

#![forbid(unsafe_code)]

pub mod cancel;
pub mod close;
pub mod decode;
mod deflating;
pub mod handshake;
pub mod inflate;
pub mod pair;
mod payload;
mod plan;
mod virtual_time;
