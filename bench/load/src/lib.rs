//! A load generator for programs that echo WebSocket messages, and its measurements.
//!
//! It runs one thread on bare epoll, which should have a core of its own. Frames are built and masked before anything is
//! measured. Every echo is compared with the sent message, byte by byte. The generator knows only the address and the process
//! number of the server, so it can measure any server.
//!
//! A measured client is told to connect to the generator, which accepts the connections and goes on in the same way: it sends
//! messages, and the client sends them back.

#![forbid(unsafe_code)]

pub mod machine;
mod scenario;
mod scenarios;

mod arrived;
mod clients;
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
pub use scenario::{Content, Measure, Role, Scenario};
pub use scenarios::SCENARIOS;
pub use server::{Cpu, Server, Switches, Target};
