//! Fuzzing of Sockeye: a module for each target, whose `run` takes any bytes and panics if a guarantee of the library is
//! broken.
//!
//! `arbitrary` reads the bytes as a plan, so that most mutations do something useful. If the bytes end early, there is no plan,
//! and nothing happens.

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
pub mod rooms;
mod virtual_time;
