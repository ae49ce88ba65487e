//! One connection.

use crate::frames::Frames;
use crate::opening;
use anyhow::{Context as _, Result};
use rustix::event::epoll;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

/// A socket, and as little beside it as possible.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    state: State,
    /// What the socket did not take. Nothing is read while there is any, so that it is no longer than one read.
    unsent: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// What has come of the request.
    Opening(Vec<u8>),
    Open(Frames),
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nonblocking(true).context("cannot make a socket non-blocking")?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Self { stream, state: State::Opening(Vec::new()), unsent: Vec::new() })
    }

    pub(crate) fn watch(&self, epoll: &OwnedFd, number: u64) -> Result<()> {
        epoll::add(epoll, &self.stream, epoll::EventData::new_u64(number), epoll::EventFlags::IN)
            .context("cannot watch a socket")
    }

    /// Reads once and sends back, or sends what is left; whether the connection goes on.
    pub(crate) fn progress(&mut self, buffer: &mut [u8], epoll: &OwnedFd, number: u64) -> Result<bool> {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            let sent = send(&mut self.stream, &unsent)?;
            if sent < unsent.len() {
                self.unsent = unsent[sent..].to_vec();
            } else {
                self.wait_for(epoll, number, epoll::EventFlags::IN)?;
            }
            return Ok(true);
        }

        let start = match &self.state {
            State::Opening(_) => 0,
            State::Open(frames) => {
                let partial = frames.partial();
                buffer[..partial.len()].copy_from_slice(partial);
                partial.len()
            }
        };
        let read = match self.stream.read(&mut buffer[start..]) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error).context("cannot receive"),
        };
        let answer;
        let back: &[u8] = match &mut self.state {
            State::Opening(request) => {
                request.extend_from_slice(&buffer[..read]);
                match opening::answer(request)? {
                    None => return Ok(true),
                    Some(bytes) => {
                        self.state = State::Open(Frames::default());
                        answer = bytes;
                        &answer
                    }
                }
            }
            State::Open(frames) => {
                let range = frames.turn(buffer, start + read)?;
                &buffer[range]
            }
        };
        let sent = send(&mut self.stream, back)?;
        if sent < back.len() {
            self.unsent = back[sent..].to_vec();
            self.wait_for(epoll, number, epoll::EventFlags::OUT)?;
        }
        Ok(true)
    }

    fn wait_for(&self, epoll: &OwnedFd, number: u64, what: epoll::EventFlags) -> Result<()> {
        epoll::modify(epoll, &self.stream, epoll::EventData::new_u64(number), what)
            .context("cannot watch a socket for something else")
    }
}

/// Sends as much as the socket takes.
fn send(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(written) => {
                sent += written;
                // A short write has filled the socket.
                break;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("cannot send"),
        }
    }
    Ok(sent)
}
