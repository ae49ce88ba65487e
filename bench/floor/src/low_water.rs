//! `SO_RCVLOWAT`: how many bytes must have arrived before the kernel reports a socket as readable.

use anyhow::{Context as _, Result};
use nix::sys::socket::setsockopt;
// `sockopt_impl` uses the other two.
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use std::net::TcpStream;

sockopt_impl!(
    /// The low-water mark of received bytes.
    ReceiveLowWater,
    Both,
    libc::SOL_SOCKET,
    libc::SO_RCVLOWAT,
    i32
);

/// The shortest rest of a frame that is waited for: for a shorter one, the calls cost more than they save.
const LEAST: usize = 16 << 10;

/// The mark of a new socket.
const ANY: usize = 1;

/// The low-water mark of a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LowWater {
    mark: usize,
}

impl Default for LowWater {
    fn default() -> Self {
        Self { mark: ANY }
    }
}

impl LowWater {
    /// Sets the mark for a frame of which `remaining` bytes are missing, and a buffer that has this much room for them.
    pub(crate) fn wait_for(&mut self, stream: &TcpStream, remaining: u64, room: usize) -> Result<()> {
        let mark = mark(remaining, room);
        if mark != self.mark {
            // The kernel lowers a mark above half of the largest receive buffer (`tcp_rmem`). It reports the socket at once if so
            // many bytes are there already.
            let value = i32::try_from(mark).context("the buffer is larger than any low-water mark")?;
            setsockopt(stream, ReceiveLowWater, &value).context("cannot set SO_RCVLOWAT")?;
            self.mark = mark;
        }
        Ok(())
    }
}

/// Never more than the frame still has: no event would come for its last bytes.
fn mark(remaining: u64, room: usize) -> usize {
    let rest = usize::try_from(remaining).unwrap_or(usize::MAX).min(room);
    if rest < LEAST { ANY } else { rest }
}

/// The mark that the kernel has.
#[cfg(test)]
pub(crate) fn mark_of(stream: &TcpStream) -> usize {
    nix::sys::socket::getsockopt(stream, ReceiveLowWater).unwrap() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_at_most_what_is_missing_and_what_has_room() {
        assert_eq!(mark(0, 1 << 19), ANY);
        assert_eq!(mark(LEAST as u64 - 1, 1 << 19), ANY);
        assert_eq!(mark(LEAST as u64, 1 << 19), LEAST);
        assert_eq!(mark(1 << 40, 1 << 19), 1 << 19);
        assert_eq!(mark(1 << 20, 100), ANY);
    }
}
