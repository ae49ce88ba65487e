//! A connection that receives all messages.

use super::frames::Frames;
use super::order::Order;
use crate::arrived::Arrived;
use crate::handshake;
use crate::limits::SILENCE;
use crate::server::Target;
use crate::wire::Wire;
use anyhow::{Context as _, Result, bail, ensure};
use rustix::event::epoll;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;

/// A connection, and what it has received of the round.
#[derive(Debug)]
pub(crate) struct Receiver {
    wire: Wire,
    order: Order,
}

/// How the server has ended the connection of a receiver that read nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How many bytes the server, and the kernel for it, had taken for this receiver before.
    pub(crate) bytes: usize,
    /// Whether the end was a Close frame.
    pub(crate) is_close: bool,
}

impl Receiver {
    /// Opens a connection, which is registered with `epoll` under this number. A `narrow` one has as little room in the kernel
    /// as a client behind a network, so that a server soon notices when the client stops to read.
    pub(crate) fn open(target: &Target, narrow: bool, epoll: &OwnedFd, number: usize) -> Result<Self> {
        let dial = if narrow { handshake::dial_narrow } else { handshake::dial };
        let (wire, early) = dial(target.address)
            .and_then(|stream| handshake::upgrade(stream, target.address, None, &target.path, false))
            .with_context(|| format!("connection {number}"))?;
        ensure!(early.is_empty(), "connection {number}: a message came before any was sent");
        wire.socket().set_nonblocking(true).context("cannot make a socket non-blocking")?;
        let interest = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(epoll, wire.socket(), epoll::EventData::new_u64(number as u64), interest)
            .context("cannot watch a socket")?;
        Ok(Self { wire, order: Order::default() })
    }

    /// Sends the messages of a round. The server has taken all earlier ones, so the socket has room.
    pub(crate) fn send(&mut self, frames: &Frames) -> Result<()> {
        self.wire.write_all(&frames.sent).context("cannot send")
    }

    /// Starts over with the first message of a round.
    pub(crate) fn restart(&mut self) {
        self.order.restart();
    }

    /// Whether all messages of the round have arrived.
    pub(crate) fn is_done(&self, frames: &Frames) -> bool {
        self.order.is_done(frames)
    }

    /// Receives what is there, and returns how many messages are complete now.
    pub(crate) fn progress(&mut self, buffer: &mut [u8], frames: &Frames, arrived: &mut Arrived) -> Result<usize> {
        let mut messages = 0;
        loop {
            let read = match self.wire.read(buffer) {
                Ok(0) => bail!("the server ended the connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot receive"),
            };
            *arrived += Arrived { bytes: read as u64, reads: 1 };
            let taken = self.order.take(&buffer[..read], frames)?;
            if let Some(code) = taken.close {
                bail!("the server closed the connection, with {code:?}");
            }
            ensure!(taken.left == 0, "{} bytes came after the last message", taken.left);
            messages += taken.messages;
            // Later bytes cause a new edge.
            if read < buffer.len() {
                break;
            }
        }
        if !self.order.answers.is_empty() {
            // A few bytes, at a place where no frame of this connection is half sent.
            let answers = std::mem::take(&mut self.order.answers);
            self.wire.write_all(&answers).context("cannot send a Pong")?;
        }
        Ok(messages)
    }

    /// Reads nothing from now on.
    pub(crate) fn stall(&mut self, epoll: &OwnedFd) -> Result<()> {
        epoll::delete(epoll, self.wire.socket()).context("cannot stop to watch a socket")
    }

    /// Reads what the server had for this receiver, which has read nothing since the message number `next`: messages in order,
    /// each once, and then the end of the connection.
    ///
    /// # Errors
    ///
    /// When something else comes, or the connection has no end.
    pub(crate) fn verdict(&mut self, frames: &mut Frames, mut next: u64, buffer: &mut [u8]) -> Result<Verdict> {
        ensure!(frames.count() == 1, "the messages are compared one by one");
        self.wire.socket().set_nonblocking(false).context("cannot make a socket blocking")?;
        self.wire.socket().set_read_timeout(Some(SILENCE)).context("cannot limit the time for the end")?;
        let mut verdict = Verdict { bytes: 0, is_close: false };
        frames.number(next);
        self.restart();
        loop {
            let mut rest = match self.wire.read(buffer) {
                Ok(0) => return Ok(verdict),
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(verdict),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => bail!(
                    "the server has not ended the connection, after {} bytes and {} s of silence",
                    verdict.bytes,
                    SILENCE.as_secs()
                ),
                Err(error) => return Err(error).context("cannot receive"),
            };
            while !rest.is_empty() {
                let taken = self.order.take(rest, frames)?;
                verdict.bytes += rest.len() - taken.left;
                if taken.close.is_some() {
                    verdict.is_close = true;
                    return Ok(verdict);
                }
                rest = &rest[rest.len() - taken.left..];
                if self.order.is_done(frames) {
                    next += 1;
                    frames.number(next);
                    self.restart();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    /// A receiver, and the server's socket, which sends what it is told to.
    fn pair() -> (Receiver, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = listener.accept().unwrap().0;
        (Receiver { wire: Wire::Plain(stream), order: Order::default() }, server)
    }

    fn wire(numbers: impl Iterator<Item = u64>) -> Vec<u8> {
        let mut frames = Frames::new(100, 1).unwrap();
        let frame = |number| {
            frames.number(number);
            frames.expected.clone()
        };
        numbers.flat_map(frame).collect()
    }

    /// What is found about a receiver to whom the server has sent `bytes` before it ended the connection.
    fn verdict(bytes: &[u8]) -> Result<Verdict> {
        let (mut receiver, mut server) = pair();
        server.write_all(bytes).unwrap();
        drop(server);
        // Smaller than a message, so that each one is cut.
        receiver.verdict(&mut Frames::new(100, 1).unwrap(), 40, &mut [0; 99])
    }

    #[test]
    fn a_receiver_that_read_nothing_gets_messages_without_a_gap_and_then_the_end() {
        let messages = wire(40..47);
        let (bytes, is_close) = (messages.len(), false);
        assert_eq!(verdict(&messages).unwrap(), Verdict { bytes, is_close });
        assert_eq!(verdict(&messages[..bytes - 10]).unwrap(), Verdict { bytes: bytes - 10, is_close });
        let closed = [&messages[..], b"\x88\x02\x03\xf5"].concat();
        assert_eq!(verdict(&closed).unwrap(), Verdict { bytes: closed.len(), is_close: true });
    }

    #[test]
    fn a_gap_in_what_a_receiver_gets_is_refused() {
        let gap = [wire(40..43), wire(44..45)].concat();
        assert!(verdict(&gap).unwrap_err().to_string().contains("000000000043"));
    }
}
