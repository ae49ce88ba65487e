//! Test helpers of the workspace: an in-memory pipe that can misbehave, a frame builder, a raw peer, and a TCP proxy with faults.
//!
//! Nothing here uses the code under test: frames are built and parsed by code that was written from RFC 6455 §5.2 a second
//! time, so that a mistake in the crates cannot hide itself.
//!
//! ```
//! use sockeye_testkit::{Frame, Peer, pipe};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let (near, far) = pipe();
//! far.control().set_read_chunk(1);
//! let (mut client, mut server) = (Peer::client(near), Peer::server(far));
//!
//! client.send(Frame::text("Hello")).await;
//! server.expect_text("Hello").await;
//! server.send(Frame::close(1000, "bye")).await;
//! assert_eq!(client.expect_close(1000).await, "bye");
//! # });
//! ```
#![forbid(unsafe_code)]

mod control;
mod counters;
mod expect;
mod frame;
mod http;
mod lane;
mod peer;
mod pipe;
mod proxy;
mod raw;

pub use self::control::Control;
pub use self::counters::Counters;
pub use self::frame::{Frame, LengthForm, opcode, wire};
pub use self::http::UpgradeRequest;
pub use self::peer::Peer;
pub use self::pipe::{DEFAULT_CAPACITY, PipeEnd, pipe, pipe_with_capacity};
pub use self::proxy::Proxy;
pub use self::raw::{RawFrame, parse_frames, take_frame};
