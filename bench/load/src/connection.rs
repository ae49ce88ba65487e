//! One connection: what it still has to send, and what it waits for.

use crate::arrived::Arrived;
use crate::echo::Echo;
use crate::messages::Messages;
use crate::wire::Wire;
use anyhow::{Context as _, Result, bail, ensure};
use rustix::event::epoll;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

/// A connection that sends all its messages at once, and then waits until all are back.
#[derive(Debug)]
pub(crate) struct Connection {
    wire: Wire,
    messages: Rc<Messages>,
    echo: Echo,
    /// How much of `messages.wire` has been sent.
    sent: usize,
    /// Where in `messages.wire` the next start begins.
    first: usize,
    /// How much of `messages.wire` may be sent now.
    limit: usize,
    /// What has arrived since the last look.
    pub(crate) arrived: Arrived,
    /// When the first of the messages was sent.
    pub(crate) begun: Instant,
    /// For messages at a fixed rate: when each one that is not back was due.
    due: VecDeque<Instant>,
    /// How many of these have not been sent, since the socket has taken no more.
    unsent: usize,
}

impl Connection {
    /// A connection after its opening handshake, with the bytes that came right behind that. It is registered with `epoll` under
    /// this number.
    pub(crate) fn new(
        wire: Wire,
        early: &[u8],
        messages: Rc<Messages>,
        epoll: &OwnedFd,
        number: usize,
    ) -> Result<Self> {
        wire.socket().set_nonblocking(true).context("cannot make a socket non-blocking")?;
        // Edge-triggered and in both directions, so that no registration changes during a measurement.
        let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(epoll, wire.socket(), epoll::EventData::new_u64(number as u64), interest)
            .context("cannot watch a socket")?;
        let sent = messages.wire.len();
        let (echo, begun) = (Echo::default(), Instant::now());
        let (arrived, due) = (Arrived::default(), VecDeque::new());
        let mut connection = Self { wire, messages, echo, sent, first: 0, limit: 0, arrived, begun, due, unsent: 0 };
        connection.echo.position = connection.messages.payloads.len();
        connection.echo.receive(early, &connection.messages)?;
        Ok(connection)
    }

    /// Starts over: sends the first `count` messages, and the others after [`Connection::allow`].
    pub(crate) fn start(&mut self, count: usize) -> Result<()> {
        self.echo.restart();
        self.sent = std::mem::replace(&mut self.first, self.messages.once);
        self.begun = Instant::now();
        self.allow(count)
    }

    /// Starts over as a connection that only receives the messages.
    pub(crate) fn expect(&mut self) {
        self.echo.restart();
    }

    /// Allows sending up to message number `count`.
    pub(crate) fn allow(&mut self, count: usize) -> Result<()> {
        self.limit = self.messages.ends[count - 1];
        self.send()
    }

    /// Prepares for messages at a fixed rate ([`Connection::offer`]).
    pub(crate) fn cycle(&mut self) {
        self.echo.cycle();
        self.limit = self.messages.wire.len();
    }

    /// Sends all messages once more, as soon as possible and whether the earlier ones are back or not. They were `due` now or
    /// earlier.
    pub(crate) fn offer(&mut self, due: Instant) -> Result<()> {
        self.due.push_back(due);
        self.unsent += 1;
        self.send()
    }

    /// When the oldest message was due that was not back. It is back now.
    pub(crate) fn returned(&mut self) -> Result<Instant> {
        ensure!(self.due.len() > self.unsent, "more messages came back than were sent");
        self.due.pop_front().context("a message came back that was not due")
    }

    /// Whether all messages are back that were offered.
    pub(crate) fn owes_nothing(&self) -> bool {
        self.due.is_empty()
    }

    /// How many of the messages are back.
    pub(crate) fn completed(&self) -> usize {
        self.echo.position
    }

    /// Whether all sent messages are back.
    pub(crate) fn is_done(&self) -> bool {
        self.echo.position == self.messages.payloads.len()
    }

    /// Sends and receives what is possible without waiting. Returns the number of messages that have come back.
    pub(crate) fn progress(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut completed = 0;
        loop {
            match self.wire.read(buffer) {
                Ok(0) => bail!("the other side ended the connection"),
                Ok(read) => {
                    self.arrived += Arrived { bytes: read as u64, reads: 1 };
                    completed += self.echo.receive(&buffer[..read], &self.messages)?;
                    // Later bytes cause a new edge.
                    if read < buffer.len() && self.wire.is_empty_after_short_read() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot receive"),
            }
        }
        self.send()?;
        Ok(completed)
    }

    fn send(&mut self) -> Result<()> {
        while self.sent < self.limit || self.unsent > 0 {
            if self.sent == self.limit {
                self.unsent -= 1;
                self.sent = 0;
            }
            match self.wire.write(&self.messages.wire[self.sent..self.limit]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        // A Pong goes between two messages. It fits into the socket buffer unless the server has stopped reading.
        let Messages { ends, once, .. } = &*self.messages;
        if !self.echo.answers.is_empty() && ends.iter().chain([&0, once]).any(|end| *end == self.sent) {
            let answers = std::mem::take(&mut self.echo.answers);
            self.wire.write_all(&answers).context("cannot send a Pong")?;
        }
        match self.wire.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            flushed => flushed.context("cannot send"),
        }
    }

    /// Whether the measured client has resumed a TLS session. `None` if there is no such client.
    pub(crate) fn is_resumed(&self) -> Option<bool> {
        self.wire.is_resumed()
    }

    /// The state of the connection, for an error message.
    pub(crate) fn state(&self) -> String {
        format!(
            "{} of {} bytes sent, {} of {} messages back, and {} bytes of the next",
            self.sent,
            self.messages.wire.len(),
            self.echo.position,
            self.messages.payloads.len(),
            self.echo.offset
        )
    }
}
