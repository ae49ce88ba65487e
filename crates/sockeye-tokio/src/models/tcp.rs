//! A `TcpStream` in memory: what the connection calls of tokio's.

use std::{
    fs::File,
    io::{self, IoSlice},
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::BufMut;
use loom::sync::Mutex;

use super::stream::{Near, State};

pub(crate) struct TcpStream {
    state: Arc<Mutex<State>>,
    /// Options are set of a descriptor. This one has none.
    descriptor: File,
}

impl From<Near> for TcpStream {
    fn from(near: Near) -> Self {
        Self { state: near.0, descriptor: File::open("/dev/null").unwrap() }
    }
}

impl TcpStream {
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::NotConnected.into())
    }

    pub(crate) fn set_nodelay(&self, _: bool) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.lock().unwrap().poll_readable(cx).map(Ok)
    }

    pub(crate) fn try_read_buf(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
        let read = self.state.lock().unwrap().read();
        buffer.put_slice(&read);
        taken(read.len())
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.lock().unwrap().poll_writable(cx).map(Ok)
    }

    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        taken(slices.iter().map(|slice| state.write(slice)).sum())
    }
}

fn taken(bytes: usize) -> io::Result<usize> {
    if bytes == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(bytes) }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}
