//! Connections without a network.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use sockeye_tokio::{Connection, Role, Sender, Stream, Timeouts};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

/// A stream that takes all that is written, and never has anything to read.
struct Sink;

impl AsyncRead for Sink {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A connection whose handler receives until the runtime ends.
pub(crate) async fn connect() -> Sender {
    let (give, taken) = oneshot::channel();
    let connection = Connection::new(Stream::boxed(Sink), Role::Server).timeouts(Timeouts::none());
    tokio::spawn(connection.serve(|mut socket| async move {
        let _ = give.send(socket.sender());
        while let Some(Ok(_)) = socket.recv().await {}
    }));
    taken.await.expect("the handler runs")
}
