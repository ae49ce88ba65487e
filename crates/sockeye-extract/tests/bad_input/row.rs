//! A row of a table: what a client sends after its opening handshake, and what must come back.

use std::{net::SocketAddr, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use sockeye_testkit::{Frame, Peer, opcode, wire};
use tokio::net::TcpStream;

use crate::server;

/// What happens on a connection, in order.
#[derive(Clone, Debug)]
enum Step {
    /// One write.
    Send(Vec<u8>),
    /// A whole frame that must come.
    Frame(u8, Vec<u8>),
    /// The client says that it has no more to send.
    HalfClose,
    /// The client resets the connection, and the row ends.
    Reset,
    /// The stream must end, in order and without a further frame.
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    name: String,
    steps: Vec<Step>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), steps: Vec::new() }
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Send(bytes.into()))
    }

    /// These frames in one write.
    pub(crate) fn send(self, frames: impl IntoIterator<Item = Frame>) -> Self {
        let frames: Vec<_> = frames.into_iter().collect();
        self.bytes(wire(&frames))
    }

    pub(crate) fn text(self, text: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Frame(opcode::TEXT, text.into()))
    }

    pub(crate) fn binary(self, data: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Frame(opcode::BINARY, data.into()))
    }

    pub(crate) fn pong(self, payload: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Frame(opcode::PONG, payload.into()))
    }

    pub(crate) fn half_close(self) -> Self {
        self.step(Step::HalfClose)
    }

    pub(crate) fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    pub(crate) fn end(self) -> Self {
        self.step(Step::End)
    }

    /// A Close with this code and no reason, then the end of the stream.
    pub(crate) fn closes(self, code: u16) -> Self {
        self.closes_with(code, "")
    }

    /// A Close with this code and reason, then the end of the stream.
    pub(crate) fn closes_with(self, code: u16, reason: &str) -> Self {
        self.step(Step::Frame(opcode::CLOSE, [&code.to_be_bytes()[..], reason.as_bytes()].concat())).end()
    }

    /// A Close without a body, then the end of the stream.
    pub(crate) fn closes_empty(self) -> Self {
        self.step(Step::Frame(opcode::CLOSE, Vec::new())).end()
    }

    /// A Close with this code and any reason, then the end of the stream: behind a broken frame at once, else when the client
    /// has ended its side.
    pub(crate) fn fails(self, code: u16) -> Self {
        let row = self.step(Step::Frame(opcode::CLOSE, failure(code)));
        if code == 1002 { row.end() } else { row.half_close().end() }
    }

    /// The server waits for more: not even the end of what the client sends makes it answer with a Close.
    pub(crate) fn waits(self) -> Self {
        self.half_close().end()
    }

    /// The connection is as good as new: it answers a Ping and closes in order.
    pub(crate) fn goes_on(self) -> Self {
        self.send([Frame::ping("?"), Frame::close(1000, "")]).pong("?").closes(1000)
    }
}

/// Stands in a [`Step::Frame`] for a Close that names what was wrong.
fn failure(code: u16) -> Vec<u8> {
    [&code.to_be_bytes()[..], b"*"].concat()
}

/// Runs a table.
pub(crate) fn check(rows: &[Row]) {
    server::check(rows, run);
}

async fn run(address: SocketAddr, row: &Row) -> Result<(), String> {
    // An expectation of the peer that is not met is a panic.
    let outcome = AssertUnwindSafe(steps(address, row)).catch_unwind().await;
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        format!("{}: {}", row.name, text.or_else(|| panic.downcast_ref().copied()).unwrap_or("panicked"))
    })
}

async fn steps(address: SocketAddr, row: &Row) {
    let mut client = server::connect(address).await;
    for step in &row.steps {
        match step {
            Step::Send(bytes) => client.send_bytes(bytes).await,
            Step::Frame(code, payload) => frame(&mut client, *code, payload).await,
            Step::HalfClose => client.shutdown().await,
            Step::End => client.expect_eof().await,
            Step::Reset => return client.stream().set_zero_linger().unwrap(),
        }
    }
}

async fn frame(client: &mut Peer<TcpStream>, code: u8, payload: &[u8]) {
    let frame = client.expect_frame().await;
    assert!(frame.is_plain(code) && frame.mask.is_none(), "expected opcode {code:#x}, got {frame:?}");
    match payload {
        [high, low, b'*'] if code == opcode::CLOSE => {
            assert_eq!(frame.close_code(), Some(u16::from_be_bytes([*high, *low])), "{frame:?}");
            assert!(!frame.close_reason().is_empty(), "a failure says what it is about");
        }
        _ => assert!(frame.payload == payload, "expected {} bytes, got {frame:?}", payload.len()),
    }
}
