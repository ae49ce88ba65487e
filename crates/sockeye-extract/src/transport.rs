//! `Transport`: which type of stream the connections of a server run over, so that the socket below can be found.

#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::{fmt, sync::Arc};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::{rt::TokioIo, server::conn::auto};
use sockeye_tokio::Stream;
use tokio::io::{AsyncRead, AsyncWrite};

/// Takes a stream of one type out of the upgraded connection. If the type is another one, it returns the connection unchanged.
type Take = dyn Fn(Upgraded) -> Result<Stream, Upgraded> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Transport(Arc<Take>);

impl Transport {
    /// Streams of the type `S`, and the function that finds the socket below one.
    #[cfg(unix)]
    pub(crate) fn over<S, F>(socket: F) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Fn(&S) -> Option<BorrowedFd<'_>> + Clone + Send + Sync + Unpin + 'static,
    {
        Self(Arc::new(move |upgraded| {
            let (stream, read_ahead) = take::<S>(upgraded)?;
            Ok(Stream::boxed_over(stream, socket.clone()).with_read_ahead(read_ahead))
        }))
    }

    pub(crate) fn stream(&self, upgraded: Upgraded) -> Result<Stream, Upgraded> {
        (self.0)(upgraded)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

/// The stream that the HTTP layer was given, if it is an `S`, and the bytes that HTTP has read beyond the request. They keep HTTP's
/// whole read buffer alive: the caller soon makes a connection, which copies them.
pub(crate) fn take<S>(upgraded: Upgraded) -> Result<(S, Bytes), Upgraded>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // The builder of `axum::serve` wraps the stream once more; that of plain hyper does not.
    let upgraded = match auto::upgrade::downcast::<TokioIo<S>>(upgraded) {
        Ok(parts) => return Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    let parts = upgraded.downcast::<TokioIo<S>>()?;
    Ok((parts.io.into_inner(), parts.read_buf))
}
