//! A client's end of a connection: bytes out, frames in, without the code under test.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::Poll,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, BytesMut};
use futures_util::future::poll_fn;
use sockeye_testkit::{Frame, RawFrame, UpgradeRequest, take_frame};
use tokio::{
    io::{AsyncWriteExt as _, ReadBuf},
    task::yield_now,
    time::sleep,
};

use super::{
    Client,
    counts::add,
    road::{Io, Road},
};

/// How fast a client reads and writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The most bytes at once.
    pub(super) read: usize,
    pub(super) write: usize,
    /// The pause after each read or write; zero only yields.
    pub(super) pause: Option<Duration>,
    /// The size of the client's receive buffer in the kernel, if it is set. The kernel treats it as a hint.
    pub(super) buffer: Option<u32>,
}

/// A tiny buffer, so that the server notices at once.
pub(super) const NARROW: u32 = 2048;

impl Pace {
    pub(super) const QUICK: Self = Self { read: 64 << 10, write: usize::MAX, pause: None, buffer: None };
    /// Reads nothing by itself.
    pub(super) const NARROW: Self = Self { buffer: Some(NARROW), ..Self::QUICK };
}

/// How often a client reads or writes a little at a time before it stops doing so: on a busy machine each time has to wait for
/// the turns of thousands.
const TIMES: u32 = 100;

/// The most bytes of one read.
const READ: usize = 16 << 10;

pub(super) struct Wire {
    stream: Box<dyn Io>,
    pace: Pace,
    /// How often the client still keeps its pace.
    times: u32,
    /// Counts the bytes in both directions, for waits with patience.
    moves: Arc<AtomicU64>,
    input: BytesMut,
    output: BytesMut,
    /// Whether the stream may still hold written bytes, as TLS does, and needs a flush.
    is_unflushed: bool,
    /// Whether writing has its turn, since neither direction may block the other.
    writes_next: bool,
    /// Whether the stream takes no more bytes.
    is_broken: bool,
}

/// An event on a stream.
enum Event {
    Wrote(io::Result<usize>),
    Flushed(io::Result<()>),
    Read(io::Result<usize>),
}

/// What a client receives.
pub(super) enum Heard {
    Frame(RawFrame),
    /// The regular end of the stream.
    End,
    /// The stream was reset.
    Reset,
}

impl Client {
    /// A bare connection.
    pub(super) async fn connect(&mut self, pace: Pace) -> Result<Wire> {
        let stream = self.stream("", pace.buffer).await?;
        Ok(self.wire(stream, pace))
    }

    fn wire(&self, stream: Box<dyn Io>, pace: Pace) -> Wire {
        Wire {
            stream,
            pace,
            times: TIMES,
            moves: self.moves.clone(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            is_unflushed: false,
            writes_next: true,
            is_broken: false,
        }
    }

    /// A connection whose opening handshake has begun. The next bytes are sent together with it.
    pub(super) async fn begin(&mut self, path: &str, pace: Pace) -> Result<Wire> {
        let stream = self.stream(path, pace.buffer).await?;
        let mut wire = self.wire(stream, pace);
        if self.road != Road::Http2 {
            wire.queue(UpgradeRequest::new(path).to_string().as_bytes());
        }
        Ok(wire)
    }

    /// A connection whose opening handshake was accepted.
    pub(super) async fn open(&mut self, path: &str, pace: Pace) -> Result<Wire> {
        let mut wire = self.begin(path, pace).await?;
        self.is_accepted(&mut wire).await?;
        Ok(wire)
    }

    /// Waits for the answer to the opening handshake.
    pub(super) async fn is_accepted(&self, wire: &mut Wire) -> Result<()> {
        if self.road == Road::Http2 {
            return Ok(());
        }
        let head = self.wait("the answer to its opening handshake", wire.head()).await?;
        let has_accept = head.lines().any(|line| line.ends_with(UpgradeRequest::ACCEPT));
        if !head.starts_with("HTTP/1.1 101 ") || !has_accept {
            bail!("the opening handshake was answered with `{}`", head.escape_debug());
        }
        Ok(())
    }
}

impl Wire {
    /// The stream, and the bytes that were read after the opening handshake.
    pub(super) fn into_parts(self) -> (Box<dyn Io>, BytesMut) {
        (self.stream, self.input)
    }

    pub(super) fn queue(&mut self, bytes: &[u8]) {
        if !self.is_broken {
            self.output.extend_from_slice(bytes);
        }
    }

    /// Queues a frame, masked with a key of its own.
    pub(super) fn say(&mut self, frame: Frame, key: [u8; 4]) {
        self.queue(&frame.mask(key).bytes());
    }

    /// Resets the connection.
    pub(super) fn reset(self) -> Result<()> {
        let tcp = self.stream.tcp();
        Ok(tcp.context("only TCP can be reset")?.set_zero_linger()?)
    }

    /// Writes the queue, and reads nothing. If the future is dropped early, the rest stays queued.
    pub(super) async fn flush(&mut self) -> Result<()> {
        while !self.output.is_empty() || self.is_unflushed {
            match self.next(false).await {
                Event::Wrote(written) => self.wrote(written).await?,
                Event::Flushed(flushed) => self.flushed(flushed)?,
                Event::Read(_) => {}
            }
        }
        Ok(())
    }

    /// Shuts down its own direction.
    pub(super) async fn half_close(&mut self) -> Result<()> {
        // The other end may have left already.
        let _ = self.stream.shutdown().await;
        Ok(())
    }

    /// The head of an HTTP response. The bytes after it stay in the buffer.
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

    /// The next frame, or the end. Meanwhile the queue is written.
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

    /// Reads and drops everything until any end of the stream.
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

    /// Whether a write has failed because the other end has dropped the connection.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Reads once. Meanwhile the queue is written.
    async fn more(&mut self) -> io::Result<usize> {
        loop {
            match self.next(true).await {
                Event::Wrote(written) => self.wrote(written).await?,
                Event::Flushed(flushed) => self.flushed(flushed)?,
                Event::Read(read) => {
                    self.moved(self.pace.read < Pace::QUICK.read).await;
                    return read;
                }
            }
        }
    }

    /// The next event on the stream. May be dropped early.
    async fn next(&mut self, reads: bool) -> Event {
        poll_fn(|cx| {
            let Self { stream, pace, input, output, is_unflushed, writes_next, .. } = self;
            let mut stream = Pin::new(&mut **stream);
            for _ in 0..2 {
                *writes_next = !*writes_next;
                if *writes_next {
                    if !reads {
                        continue;
                    }
                    let mut room = [0; READ];
                    let mut room = ReadBuf::new(&mut room[..pace.read.min(READ)]);
                    if let Poll::Ready(read) = stream.as_mut().poll_read(cx, &mut room) {
                        input.extend_from_slice(room.filled());
                        return Poll::Ready(Event::Read(read.map(|()| room.filled().len())));
                    }
                } else if !output.is_empty() {
                    let some = &output[..output.len().min(pace.write)];
                    if let Poll::Ready(written) = stream.as_mut().poll_write(cx, some) {
                        return Poll::Ready(Event::Wrote(written));
                    }
                } else if *is_unflushed && let Poll::Ready(flushed) = stream.as_mut().poll_flush(cx) {
                    return Poll::Ready(Event::Flushed(flushed));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Counts moved bytes, and pauses if the pace requires it.
    async fn moved(&mut self, rests: bool) {
        add(&self.moves, 1);
        if !rests {
            return;
        }
        self.times -= 1;
        if self.times == 0 {
            self.pace = Pace { buffer: self.pace.buffer, ..Pace::QUICK };
        }
        match self.pace.pause {
            Some(pause) => sleep(pause).await,
            None => yield_now().await,
        }
    }

    async fn wrote(&mut self, written: io::Result<usize>) -> io::Result<()> {
        match written {
            Ok(written) => {
                self.output.advance(written);
                self.is_unflushed = true;
                self.moved(self.pace.write < Pace::QUICK.write).await;
                Ok(())
            }
            Err(error) => self.takes_no_more(error),
        }
    }

    fn flushed(&mut self, flushed: io::Result<()>) -> io::Result<()> {
        self.is_unflushed = false;
        flushed.or_else(|error| self.takes_no_more(error))
    }

    fn takes_no_more(&mut self, error: io::Error) -> io::Result<()> {
        if !is_reset(&error) {
            return Err(error);
        }
        // Bytes that the server has sent before can still be read.
        self.output.clear();
        (self.is_unflushed, self.is_broken) = (false, true);
        Ok(())
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
    )
}
