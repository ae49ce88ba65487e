//! A load generator for WebSocket echo servers, and what it measures of them.
//!
//! One thread on bare epoll, meant to have a core of its own. Frames are built and masked before anything is measured;
//! every echo is compared with what was sent, byte by byte. It knows the server by its address and its process number,
//! so that any server can be measured.

#![forbid(unsafe_code)]

pub mod machine;
mod scenario;

mod connection;
mod course;
mod echo;
mod handshake;
mod http2;
mod look;
mod messages;

mod outcome;
mod run;
mod server;

pub use handshake::server_address;
pub use outcome::{Idle, Latency, Outcome};
pub use run::{Limits, Target, room_for, run};
pub use scenario::{Content, Measure, SCENARIOS, Scenario};
pub use server::{Cpu, Server};
