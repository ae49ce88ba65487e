//! A client's end of a TCP connection: bytes out, frames in, and nothing of the code under test.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use anyhow::{Result, bail};
use bytes::{Buf as _, BufMut as _, BytesMut};
use sockeye_testkit::{Frame, RawFrame, UpgradeRequest, take_frame};
use tokio::{
    io::{AsyncWriteExt as _, Interest},
    net::{TcpSocket, TcpStream},
    task::yield_now,
    time::sleep,
};

use super::{Client, counts::add};

/// How fast a client reads and writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// At most so much at once.
    pub(super) read: usize,
    pub(super) write: usize,
    /// After each of that; none is a mere yield.
    pub(super) pause: Option<Duration>,
    /// Whether the kernel keeps next to nothing for the client, so that the server notices at once.
    pub(super) is_narrow: bool,
}

impl Pace {
    pub(super) const QUICK: Self = Self { read: 64 << 10, write: usize::MAX, pause: None, is_narrow: false };
    /// Reads nothing by itself.
    pub(super) const NARROW: Self = Self { is_narrow: true, ..Self::QUICK };
}

/// So often a client reads or writes a little at a time, and then no more: on a machine that is busy each time has to wait for
/// the turns of thousands.
const TIMES: u32 = 100;

/// What a narrow client's kernel keeps, in bytes; it takes this for a hint.
const NARROW: u32 = 2048;

pub(super) struct Wire {
    stream: TcpStream,
    pace: Pace,
    /// How often it still keeps to its pace.
    times: u32,
    /// Counts what comes and goes, for whoever waits with patience.
    moves: Arc<AtomicU64>,
    input: BytesMut,
    output: BytesMut,
    /// Whether the stream takes no more bytes.
    is_broken: bool,
}

/// What a client hears.
pub(super) enum Heard {
    Frame(RawFrame),
    /// The end of the stream, in order.
    End,
    /// The stream was reset.
    Reset,
}

impl Client {
    /// Connects; waits for a port if all are in use.
    pub(super) async fn connect(&mut self, pace: Pace) -> Result<Wire> {
        let address = self.address();
        let stream = self.wait("a connection", self.stream(address, pace)).await?;
        self.port = stream.local_addr().ok().map(|local| local.port());
        Ok(Wire {
            stream,
            pace,
            times: TIMES,
            moves: self.moves.clone(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            is_broken: false,
        })
    }

    async fn stream(&self, address: SocketAddr, pace: Pace) -> Result<TcpStream> {
        loop {
            let socket = TcpSocket::new_v4()?;
            if pace.is_narrow {
                socket.set_recv_buffer_size(NARROW)?;
            }
            match socket.connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    add(&self.run.counts.put_off, 1);
                    sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A connection whose opening handshake was accepted.
    pub(super) async fn open(&mut self, path: &str, pace: Pace) -> Result<Wire> {
        let mut wire = self.connect(pace).await?;
        wire.queue(UpgradeRequest::new(path).to_string().as_bytes());
        self.is_accepted(&mut wire).await?;
        Ok(wire)
    }

    /// Waits for the answer to the opening handshake.
    pub(super) async fn is_accepted(&self, wire: &mut Wire) -> Result<()> {
        let head = self.wait("the answer to its opening handshake", wire.head()).await?;
        let has_accept = head.lines().any(|line| line.ends_with(UpgradeRequest::ACCEPT));
        if !head.starts_with("HTTP/1.1 101 ") || !has_accept {
            bail!("the opening handshake was answered with `{}`", head.escape_debug());
        }
        Ok(())
    }
}

impl Wire {
    pub(super) fn queue(&mut self, bytes: &[u8]) {
        if !self.is_broken {
            self.output.extend_from_slice(bytes);
        }
    }

    /// Queues a frame, masked with a key of its own.
    pub(super) fn say(&mut self, frame: Frame, key: [u8; 4]) {
        self.queue(&frame.mask(key).bytes());
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Writes all that is queued, and reads nothing. Dropped early, the rest stays queued.
    pub(super) async fn flush(&mut self) -> Result<()> {
        while !self.output.is_empty() {
            if !self.write().await? {
                self.stream.writable().await?;
            }
        }
        Ok(())
    }

    /// Ends its own direction.
    pub(super) async fn half_close(&mut self) -> Result<()> {
        // The other end may be gone already.
        let _ = self.stream.shutdown().await;
        Ok(())
    }

    /// The head of an HTTP response; what is behind it stays.
    pub(super) async fn head(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(String::from_utf8_lossy(&self.input.split_to(end + 4)).into_owned());
            }
            match self.more().await {
                Ok(0) => bail!("the stream ended, after `{}`", self.input.escape_ascii()),
                read => read?,
            };
        }
    }

    /// The next frame, or the end, which writes what is queued meanwhile.
    pub(super) async fn hear(&mut self) -> Result<Heard> {
        loop {
            if let Some((frame, taken)) = take_frame(&self.input) {
                self.input.advance(taken);
                return Ok(Heard::Frame(frame));
            }
            match self.more().await {
                Ok(0) => return Ok(Heard::End),
                Ok(_) => {}
                Err(error) if is_reset(&error) => return Ok(Heard::Reset),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads and drops everything until the end of the stream, in whatever way it comes.
    pub(super) async fn end(&mut self) -> Result<()> {
        loop {
            self.input.clear();
            match self.more().await {
                Ok(0) => return Ok(()),
                Err(error) if is_reset(&error) => return Ok(()),
                read => read?,
            };
        }
    }

    /// Whether the other end has been found to take no more bytes: it has dropped the connection.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Reads something; writes what is queued meanwhile.
    async fn more(&mut self) -> io::Result<usize> {
        loop {
            let mut interest = Interest::READABLE;
            if !self.output.is_empty() && !self.write().await? && !self.output.is_empty() {
                interest |= Interest::WRITABLE;
            }
            self.input.reserve(self.pace.read.min(16 << 10));
            let room = &mut (&mut self.input).limit(self.pace.read);
            match self.stream.try_read_buf(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Bytes that the pace has kept back are no matter of the kernel.
                    if self.output.is_empty() || interest.is_writable() {
                        self.stream.ready(interest).await?;
                    }
                }
                read => {
                    self.moved(self.pace.read < Pace::QUICK.read).await;
                    return read;
                }
            }
        }
    }

    /// Something came or went. Rests, if that is by its pace.
    async fn moved(&mut self, rests: bool) {
        add(&self.moves, 1);
        if !rests {
            return;
        }
        self.times -= 1;
        if self.times == 0 {
            self.pace = Pace { is_narrow: self.pace.is_narrow, ..Pace::QUICK };
        }
        match self.pace.pause {
            Some(pause) => sleep(pause).await,
            None => yield_now().await,
        }
    }

    /// Writes some of what is queued; whether the kernel took any.
    async fn write(&mut self) -> io::Result<bool> {
        let some = &self.output[..self.output.len().min(self.pace.write)];
        match self.stream.try_write(some) {
            Ok(written) => {
                self.output.advance(written);
                self.moved(self.pace.write < Pace::QUICK.write).await;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            // What the server has said before can still be read.
            Err(error) if is_reset(&error) => {
                self.output.clear();
                self.is_broken = true;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
    )
}
