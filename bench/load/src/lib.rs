//! A load generator for WebSocket echo servers, and its measurements.
//!
//! It runs one thread on bare epoll, which should have a core of its own. Frames are built and masked before anything is
//! measured. Every echo is compared with the sent message, byte by byte. The generator knows only the address and the process
//! number of the server, so it can measure any server.

#![forbid(unsafe_code)]

pub mod machine;
mod scenario;
mod scenarios;

mod arrived;
mod connection;
mod course;
mod echo;
mod fan;
mod handshake;
mod http2;
mod limits;
mod look;
mod messages;

mod outcome;
mod pace;
mod run;
mod server;
mod wire;

pub use handshake::server_address;
pub use limits::Limits;
pub use outcome::{Idle, Latency, Outcome, Stalled, Switching};
pub use run::{room_for, run};
pub use scenario::{Content, Measure, Scenario};
pub use scenarios::SCENARIOS;
pub use server::{Cpu, Server, Switches, Target};
