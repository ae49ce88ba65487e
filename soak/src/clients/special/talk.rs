//! The two directions of a WebSocket, for a client that reads or writes at its own pace.

use std::io;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BufMut as _, BytesMut};
use sockeye_testkit::{Frame, RawFrame, opcode, take_frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};

use crate::clients::{Client, road::Io, wire::Pace};

/// The bytes from the server.
pub(super) struct Ear {
    stream: ReadHalf<Box<dyn Io>>,
    bytes: BytesMut,
}

/// The bytes to the server.
pub(super) struct Mouth {
    stream: WriteHalf<Box<dyn Io>>,
    pub(super) key: [u8; 4],
}

impl Client {
    /// Opens a WebSocket whose two directions have their own pace. The client's kernel buffers about this much for it.
    pub(super) async fn talk(&mut self, path: &str, buffer: u32) -> Result<(Ear, Mouth)> {
        let (stream, bytes) = self.open(path, Pace { buffer: Some(buffer), ..Pace::QUICK }).await?.into_parts();
        let (read, write) = split(stream);
        Ok((Ear { stream: read, bytes }, Mouth { stream: write, key: self.key() }))
    }

    /// Sends a Close, and receives the same.
    pub(super) async fn bids_farewell(&self, mut ear: Ear, mut mouth: Mouth) -> Result<()> {
        self.wait("room for a Close", mouth.say(Frame::close(1000, ""))).await?;
        loop {
            let frame = self.wait("the server's Close", ear.hear()).await?;
            match frame.opcode {
                opcode::PING => {}
                opcode::CLOSE if frame.close_code() == Some(1000) => return Ok(()),
                _ => bail!("instead of a Close with 1000 comes {frame:?}"),
            }
        }
    }
}

impl Ear {
    /// Reads once. May be dropped early.
    pub(super) async fn read(&mut self, most: usize) -> Result<usize> {
        match self.read_or_end(most).await.context("the stream fails")? {
            0 => bail!("the stream ends without a Close"),
            read => Ok(read),
        }
    }

    /// The same, but the end is not a failure: 0, or an error.
    pub(super) async fn read_or_end(&mut self, most: usize) -> io::Result<usize> {
        self.stream.read_buf(&mut (&mut self.bytes).limit(most)).await
    }

    /// The next complete frame in the bytes that were read.
    pub(super) fn next(&mut self) -> Result<Option<RawFrame>> {
        let Some((frame, taken)) = take_frame(&self.bytes) else { return Ok(None) };
        self.bytes.advance(taken);
        ensure!(frame.fin && frame.mask.is_none() && frame.rsv == [false; 3], "the server has sent {frame:?}");
        Ok(Some(frame))
    }

    /// May be dropped early.
    pub(super) async fn hear(&mut self) -> Result<RawFrame> {
        loop {
            if let Some(frame) = self.next()? {
                return Ok(frame);
            }
            self.read(64 << 10).await?;
        }
    }
}

impl Mouth {
    /// Writes some of the bytes. May be dropped early.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.stream.write(bytes).await?;
        self.stream.flush().await?;
        Ok(written)
    }

    pub(super) async fn say(&mut self, frame: Frame) -> Result<()> {
        self.stream.write_all(&frame.mask(self.key).bytes()).await?;
        Ok(self.stream.flush().await?)
    }
}
