//! What peers with a WebSocket share: the two directions of its bytes, and the regular end.

use anyhow::{Context as _, Result, bail};
use bytes::BufMut as _;
use sockeye_testkit::Frame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::{
    connect::Io,
    incoming::{Heard, Incoming},
};

/// The bytes from the server.
pub(super) struct Ear {
    stream: ReadHalf<Box<dyn Io>>,
    incoming: Incoming,
}

/// The bytes to the server.
pub(super) struct Mouth {
    stream: WriteHalf<Box<dyn Io>>,
}

/// The most bytes of one read.
pub(super) const READ: usize = 16 << 10;

/// The code of a Close without errors (RFC 6455 §7.4.1).
const NORMAL: u16 = 1000;

pub(super) fn split(stream: Box<dyn Io>) -> (Ear, Mouth) {
    let (read, write) = tokio::io::split(stream);
    (Ear { stream: read, incoming: Incoming::default() }, Mouth { stream: write })
}

impl Ear {
    /// Reads once, up to a limit. May be dropped early.
    pub(super) async fn read(&mut self, most: usize) -> Result<usize> {
        let room = &mut (&mut self.incoming.bytes).limit(most);
        match self.stream.read_buf(room).await.context("the stream fails")? {
            0 => bail!("the stream ends without a Close"),
            read => Ok(read),
        }
    }

    /// The next complete message in the bytes that were read.
    pub(super) fn next(&mut self) -> Result<Option<Heard>> {
        match self.incoming.next()? {
            Some(Heard::Close(code)) => bail!("the server closes with {code:?}"),
            heard => Ok(heard),
        }
    }

    /// Waits for a message or a Ping.
    pub(super) async fn hear(&mut self) -> Result<Heard> {
        loop {
            if let Some(heard) = self.next()? {
                return Ok(heard);
            }
            self.read(READ).await?;
        }
    }
}

impl Mouth {
    /// Writes some of the bytes. May be dropped early.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        Ok(self.stream.write(bytes).await?)
    }

    /// Flushes the stream.
    pub(super) async fn flush(&mut self) -> Result<()> {
        Ok(self.stream.flush().await?)
    }

    pub(super) async fn say(&mut self, frame: Frame) -> Result<()> {
        self.stream.write_all(&frame.bytes()).await?;
        self.flush().await
    }
}

/// Ends without errors: sends a text, waits for its echo, and closes.
pub(super) async fn finish(ear: &mut Ear, mouth: &mut Mouth, text: &str) -> Result<()> {
    mouth.say(Frame::text(text)).await?;
    loop {
        match ear.hear().await? {
            Heard::Ping(payload) => mouth.say(Frame::pong(payload)).await?,
            Heard::Text(echo) if echo == text => break,
            other => bail!("instead of the echo of `{text}` comes {other:?}"),
        }
    }
    mouth.say(Frame::close(NORMAL, "")).await?;
    loop {
        match ear.incoming.next()? {
            Some(Heard::Close(Some(NORMAL))) => return Ok(()),
            Some(Heard::Ping(_)) => {}
            Some(other) => bail!("instead of a Close with 1000 comes {other:?}"),
            None => drop(ear.read(READ).await?),
        }
    }
}
