//! How much a stream above a socket, such as TLS, is offered in one write.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    io,
    os::fd::AsFd,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use sockeye_testkit::Peer;
use sockeye_tokio::{Config, Message, Role, Stream, WebSocket};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// A layer above a socket that takes all that it is offered, as TLS does, and records the most bytes of any offer.
struct Layer {
    socket: TcpStream,
    taken: Vec<u8>,
    longest: Arc<AtomicUsize>,
}

impl AsyncRead for Layer {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Layer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().poll_flush(cx))?;
        self.longest.fetch_max(buf.len(), Relaxed);
        self.taken.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.taken.is_empty() {
            let written = ready!(Pin::new(&mut this.socket).poll_write(cx, &this.taken))?;
            this.taken.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_layer_above_a_socket_is_offered_64_kib_at_a_time_and_a_header_if_nothing_is_left_then() {
    for (length, header) in [(1 << 20, 10), (64 << 10, 10), (16 << 10, 4)] {
        for knows_socket in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let recorded = Arc::new(AtomicUsize::new(0));
            let socket = listener.accept().await.unwrap().0;
            let layer = Layer { socket, taken: Vec::new(), longest: recorded.clone() };
            let stream = match knows_socket {
                true => Stream::boxed_over(layer, |layer| Some(layer.socket.as_fd())),
                false => Stream::boxed(layer),
            };
            let mut socket = WebSocket::new(stream, Role::Server, Config::default());
            let mut peer = Peer::client(client);
            let sends = async {
                socket.send(Message::binary(vec![7; length])).await.unwrap();
                socket.flushed().await.unwrap();
            };
            tokio::join!(sends, peer.expect_binary(vec![7; length]));
            let most = if knows_socket { 64 << 10 } else { 16 << 10 };
            // The last offer has as many bytes more as the header.
            assert_eq!(
                recorded.load(Relaxed),
                most.min(length) + header,
                "{length} bytes, with a known socket: {knows_socket}"
            );
        }
    }
}
