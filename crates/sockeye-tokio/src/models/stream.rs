//! A stream in memory, whose locks are loom's.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use loom::sync::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::task::block_on;

/// The connection's end.
pub(super) struct Near(pub(super) Arc<Mutex<State>>);

/// The peer's end.
#[derive(Clone)]
pub(super) struct Far(Arc<Mutex<State>>);

pub(super) struct State {
    /// What the connection has written.
    written: Vec<u8>,
    /// How much more the connection may write.
    room: usize,
    /// What the connection has not read.
    unread: Vec<u8>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Whoever waits for the connection to write.
    watcher: Option<Waker>,
}

impl State {
    pub(super) fn poll_readable(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.unread.is_empty() {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Takes what the connection has not read.
    pub(super) fn read(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unread)
    }

    pub(super) fn poll_writable(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.room == 0 {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Writes some of `bytes`. Returns how many.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room);
        self.room -= count;
        self.written.extend(&bytes[..count]);
        self.watcher.take().into_iter().for_each(Waker::wake);
        count
    }
}

/// A stream that takes everything written.
pub(super) fn pair() -> (Near, Far) {
    let (written, unread) = (Vec::new(), Vec::new());
    let state = State { written, room: usize::MAX, unread, reader: None, writer: None, watcher: None };
    let state = Arc::new(Mutex::new(state));
    (Near(state.clone()), Far(state))
}

impl Far {
    /// From now on, the stream takes at most this many bytes.
    pub(super) fn limit(&self, room: usize) {
        let writer = {
            let mut state = self.0.lock().unwrap();
            state.room = room;
            state.writer.take()
        };
        writer.into_iter().for_each(Waker::wake);
    }

    /// The peer sends a message.
    pub(super) fn send(&self, text: &str) {
        self.send_frame(0x81, text.as_bytes());
    }

    /// The peer sends a Ping.
    pub(super) fn ping(&self) {
        self.send_frame(0x89, b"");
    }

    fn send_frame(&self, first: u8, payload: &[u8]) {
        let reader = {
            let mut state = self.0.lock().unwrap();
            // A masking key of zeros changes nothing.
            state.unread.extend([first, 0x80 | payload.len() as u8, 0, 0, 0, 0]);
            state.unread.extend(payload);
            state.reader.take()
        };
        reader.into_iter().for_each(Waker::wake);
    }

    /// Whether this many frames have been written.
    pub(super) fn has(&self, frames: usize) -> bool {
        self.frames().len() >= frames
    }

    /// Waits until this many frames have been written.
    pub(super) fn wait_for(&self, frames: usize) {
        block_on(poll_fn(|cx| {
            let waker = Some(cx.waker().clone());
            self.0.lock().unwrap().watcher = waker;
            if self.has(frames) { Poll::Ready(()) } else { Poll::Pending }
        }));
    }

    /// What the peer receives: the first byte of each frame, and its payload.
    pub(super) fn frames(&self) -> Vec<(u8, Vec<u8>)> {
        let state = self.0.lock().unwrap();
        let (mut rest, mut frames) = (&state.written[..], Vec::new());
        while let [first, length, behind @ ..] = rest {
            let Some((payload, behind)) = behind.split_at_checked(usize::from(*length)) else { break };
            frames.push((*first, payload.to_vec()));
            rest = behind;
        }
        frames
    }

    /// The text messages among the frames.
    pub(super) fn texts(&self) -> Vec<String> {
        let texts = self.frames().into_iter().filter(|(first, _)| *first == 0x81);
        texts.map(|(_, payload)| String::from_utf8(payload).unwrap()).collect()
    }
}

impl AsyncRead for Near {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock().unwrap();
        // The messages of a model are far smaller than any buffer.
        state.poll_readable(cx).map(|()| Ok(buf.put_slice(&state.read())))
    }
}

impl AsyncWrite for Near {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock().unwrap();
        state.poll_writable(cx).map(|()| Ok(state.write(buf)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
