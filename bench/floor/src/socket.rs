//! Where a connection reads and writes: a socket, or TLS over one.

use anyhow::{Context as _, Result};
use rustls::{ServerConfig, ServerConnection};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

/// The most bytes of TLS records that are read at once: four records of the largest size, and a little.
pub(crate) const RECORDS: usize = 66 << 10;

/// What a connection reads and writes.
pub(crate) trait Socket {
    /// How many bytes a read may need, however few it gets.
    const ROOM: usize;

    /// The socket itself.
    fn tcp(&self) -> &TcpStream;

    /// Reads once. Uses `records` for what is not decrypted yet.
    fn receive(&mut self, space: &mut [u8], records: &mut [u8]) -> io::Result<Received>;

    /// Writes some bytes. An error may be about bytes that were taken earlier.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Passes everything that was written on to the kernel.
    fn pass_on(&mut self) -> io::Result<()>;
}

/// The result of a read.
pub(crate) enum Received {
    Some {
        bytes: usize,
        /// Whether the socket had no more bytes. Later bytes cause a new event.
        all: bool,
    },
    End,
}

impl Socket for TcpStream {
    const ROOM: usize = 1;

    fn tcp(&self) -> &TcpStream {
        self
    }

    fn receive(&mut self, space: &mut [u8], _records: &mut [u8]) -> io::Result<Received> {
        Ok(match self.read(space)? {
            0 => Received::End,
            bytes => Received::Some { bytes, all: bytes < space.len() },
        })
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn pass_on(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// TLS over a socket.
#[derive(Debug)]
pub(crate) struct Tls {
    stream: TcpStream,
    session: ServerConnection,
}

impl Tls {
    pub(crate) fn new(stream: TcpStream, config: &Arc<ServerConfig>) -> Result<Self> {
        Ok(Self { stream, session: ServerConnection::new(config.clone()).context("no TLS session")? })
    }
}

impl Socket for Tls {
    const ROOM: usize = RECORDS;

    fn tcp(&self) -> &TcpStream {
        &self.stream
    }

    fn receive(&mut self, space: &mut [u8], records: &mut [u8]) -> io::Result<Received> {
        let read = self.stream.read(records)?;
        if read == 0 {
            return Ok(Received::End);
        }
        // The session takes 4 KiB at a time. What it has decrypted is taken at once, since it keeps only so much.
        let mut rest = &records[..read];
        let mut bytes = 0;
        while !rest.is_empty() {
            self.session.read_tls(&mut rest)?;
            let state = self.session.process_new_packets().map_err(io::Error::other)?;
            let decrypted = state.plaintext_bytes_to_read();
            if decrypted > 0 {
                self.session.reader().read_exact(&mut space[bytes..bytes + decrypted])?;
                bytes += decrypted;
            }
        }
        // Only the TLS handshake has something to send here.
        if self.session.wants_write() {
            self.pass_on()?;
        }
        Ok(Received::Some { bytes, all: read < records.len() })
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.session.writer().write(bytes)?;
        // The next call finds an error again.
        let _ = self.pass_on();
        Ok(written)
    }

    fn pass_on(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.stream)?;
        }
        Ok(())
    }
}
