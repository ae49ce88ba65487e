//! `Stream`: the stream below a connection, and its two halves.

#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::{
    fmt,
    io::{self, IoSlice},
    net::{Shutdown, SocketAddr},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes};
#[cfg(all(target_os = "linux", not(all(test, sockeye_loom))))]
use rustix::net::{SendAncillaryBuffer, SendFlags};
#[cfg(all(unix, not(all(test, sockeye_loom))))]
use rustix::{buffer::spare_capacity, net::RecvFlags};
use socket2::SockRef;
use sockeye_proto::Input;
#[cfg(all(unix, not(all(test, sockeye_loom))))]
use tokio::io::Interest;
use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(not(all(test, sockeye_loom)))]
use tokio::net::TcpStream;

use self::coop::unconstrained;

mod boxed;
pub(crate) mod coop;
#[cfg(not(all(test, sockeye_loom)))]
mod handshake_io;
mod low_water;
mod over;
pub(crate) mod read_ahead;

pub(crate) use self::boxed::{Call, Done, Offer, ToDo, most_offered};
use self::{
    boxed::Boxed,
    over::{Io, Over},
};
#[cfg(all(test, sockeye_loom))]
use crate::models::tcp::TcpStream;

/// The stream of a connection: a `TcpStream`, which is read and written directly, or any other stream in a box.
///
/// ```no_run
/// # async fn f() -> std::io::Result<()> {
/// use sockeye_tokio::Stream;
///
/// let tcp = tokio::net::TcpStream::connect("127.0.0.1:3000").await?;
/// let stream = Stream::from(tcp);
/// let (pipe, _) = tokio::io::duplex(1024);
/// let other = Stream::boxed(pipe);
/// # Ok(()) }
/// ```
pub struct Stream {
    inner: Inner,
    read_ahead: Bytes,
}

/// The most bytes that a server accepts from a client before the answer to the opening handshake.
pub(crate) const READ_AHEAD: usize = 64 << 10;

enum Inner {
    Tcp(TcpStream),
    Boxed(Box<dyn Io>),
}

impl Stream {
    /// Takes any stream: a Unix socket, an HTTP/2 stream, a pipe in a test. For a `TcpStream`, use [`From`], which is
    /// faster. For TLS and other streams over a TCP socket, use [`boxed_over`](Self::boxed_over), with which deadlines judge
    /// the peer better.
    ///
    /// Each write offers at most 16 KiB, or a whole message of that length with its header. For
    /// [deadlines](crate::Timeouts#slow-readers), what the stream takes counts as taken by the peer, since nothing better is
    /// known.
    pub fn boxed(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { inner: Inner::Boxed(Box::new(Over::nothing(stream))), read_ahead: Bytes::new() }
    }

    /// Takes a stream that runs over a TCP socket in this process, such as TLS. `socket` returns that socket. It is called
    /// anew for each use of the socket while the stream is alive, so that no closed descriptor is kept. If `socket` returns
    /// `None`, this is the same as [`boxed`](Self::boxed). Below TLS, [`ReadAhead`](crate::ReadAhead) saves system calls.
    ///
    /// Like [`boxed`](Self::boxed), but on Linux [deadlines](crate::Timeouts#slow-readers) use what the peer's kernel has
    /// acknowledged, not what the stream has taken. They can then tell a slow peer from one that has stopped, and a vanished
    /// peer from one whose data the application does not read. macOS and other systems do not report what was acknowledged,
    /// so `boxed_over` behaves like `boxed` there. Where the system reports that, each write offers at most 64 KiB: four TLS
    /// records, which go into one system call. Windows, whose sockets are not descriptors, has only `boxed`.
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use sockeye_tokio::Stream;
    /// # use std::{pin::Pin, task::{Context, Poll}, io};
    /// # use tokio::{io::{AsyncRead, AsyncWrite, ReadBuf}, net::TcpStream};
    /// # struct TlsStream(TcpStream);
    /// # impl TlsStream { fn get_ref(&self) -> (&TcpStream, ()) { (&self.0, ()) } }
    /// # impl AsyncRead for TlsStream {
    /// #     fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    /// #         Pin::new(&mut self.0).poll_read(cx, buf)
    /// #     }
    /// # }
    /// # impl AsyncWrite for TlsStream {
    /// #     fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
    /// #         Pin::new(&mut self.0).poll_write(cx, buf)
    /// #     }
    /// #     fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> { Poll::Ready(Ok(())) }
    /// #     fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> { Poll::Ready(Ok(())) }
    /// # }
    ///
    /// fn over_tls(tls: TlsStream) -> Stream {
    ///     // `get_ref` of tokio-rustls returns the inner stream and the session.
    ///     Stream::boxed_over(tls, |tls| Some(tls.get_ref().0.as_fd()))
    /// }
    /// ```
    #[cfg(unix)]
    pub fn boxed_over<S, F>(stream: S, socket: F) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        F: Fn(&S) -> Option<BorrowedFd<'_>> + Send + Unpin + 'static,
    {
        Self { inner: Inner::Boxed(Box::new(Over { stream, socket })), read_ahead: Bytes::new() }
    }

    /// Adds bytes that the HTTP layer has read beyond the opening handshake. They are received before those of the stream.
    ///
    /// A server closes the connection with 1008 if there are more than 64 KiB. That is also the most that a server reads of
    /// an unfinished message while its handler does not receive. An HTTP layer may read hundreds of KiB behind a large head,
    /// and each connection would hold these bytes until its handler receives. A client must wait for the answer before it
    /// sends anything, by [RFC 6455 §4.1], so only a client that broke this rule is refused. In the client role, a
    /// connection accepts any number of bytes.
    ///
    /// Bytes that were added before, and that nobody has read since, come after these.
    ///
    /// [RFC 6455 §4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    #[must_use]
    pub fn with_read_ahead(mut self, bytes: Bytes) -> Self {
        self.read_ahead = if self.read_ahead.is_empty() {
            bytes
        } else {
            // An HTTP layer above has read some of them, and gives back the last of those.
            [bytes, self.read_ahead].concat().into()
        };
        self
    }

    /// The address of the peer. `None` if this is not a `TcpStream`, or if the socket has no peer any more.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.inner {
            Inner::Tcp(stream) => stream.peer_addr().ok(),
            Inner::Boxed(_) => None,
        }
    }

    pub(crate) fn into_halves(self) -> (ReadHalf, WriteHalf, Bytes) {
        let wire = Arc::new(match self.inner {
            Inner::Tcp(stream) => Wire::Tcp(stream),
            Inner::Boxed(stream) => Wire::Boxed(Box::new(Boxed::new(stream))),
        });
        (ReadHalf(wire.clone()), WriteHalf(wire), self.read_ahead)
    }
}

/// Sets `TCP_NODELAY`, here and not later, since a layer between the socket and the connection, such as TLS, writes small pieces too.
impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        // With Nagle's algorithm, the second of two small messages 1 ms apart would wait for the acknowledgement of the first.
        // Everything is written in as few calls as possible, so the algorithm would gain nothing.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        Self { inner: Inner::Tcp(stream), read_ahead: Bytes::new() }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.inner {
            Inner::Tcp(_) => "tcp",
            Inner::Boxed(stream) if stream.unacknowledged().is_some() => "boxed over a socket",
            Inner::Boxed(_) => "boxed",
        };
        f.debug_struct("Stream").field("kind", &kind).field("read_ahead", &self.read_ahead.len()).finish()
    }
}

/// The stream that both halves share. Each half uses only its own TCP direction, so TCP needs no lock.
enum Wire {
    Tcp(TcpStream),
    /// In a box, so that TCP connections are not larger.
    Boxed(Box<Boxed>),
}

/// A stream whose methods are called without any lock. Only a boxed stream reads and writes here.
pub(crate) struct Apart(Arc<Wire>);

impl Apart {
    fn boxed(&self) -> Option<&Boxed> {
        match &*self.0 {
            Wire::Tcp(_) => None,
            Wire::Boxed(stream) => Some(stream),
        }
    }

    /// Reads as requested. Ready if the caller should try the reading half again. With `watches`, the reading half may be
    /// able to [wait](ReadHalf::poll_readable) after that without another read.
    pub(crate) fn poll_read(&self, cx: &mut Context<'_>, watches: bool) -> Poll<()> {
        self.boxed().map_or(Poll::Ready(()), |stream| stream.poll_read(cx, watches))
    }

    /// Takes a boxed stream for a call of the writing half, which must still hold its lock. `None` if another task is calling the
    /// stream: `cx` is woken when the stream is back.
    pub(crate) fn call(&self, cx: &Context<'_>) -> Option<Call<'_>> {
        self.boxed()?.call(cx)
    }

    /// How many bytes the kernel holds that the peer's kernel has not acknowledged, where the system tells. 0 elsewhere.
    pub(crate) fn unacknowledged(&self) -> u64 {
        match &*self.0 {
            Wire::Tcp(stream) => over::unacknowledged(stream).unwrap_or_default(),
            Wire::Boxed(stream) => stream.unacknowledged(),
        }
    }
}

/// The half that a connection reads from.
pub(crate) struct ReadHalf(Arc<Wire>);

impl ReadHalf {
    /// Ready when a read would find data or the end. Otherwise `cx` is woken once there is something to find. A boxed stream
    /// must be read to know: this requests a read of at most `most` bytes, which the caller carries out
    /// [apart](Self::apart).
    #[inline]
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<()>> {
        match &*self.0 {
            Wire::Tcp(stream) => stream.poll_read_ready(cx),
            Wire::Boxed(stream) => stream.poll_read_wanted(most).map(Ok),
        }
    }

    /// `Pending` only if the stream is certainly empty. `cx` is then woken when that changes. A boxed stream returns
    /// `Pending` at most once after each read that has found nothing.
    #[inline]
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &*self.0 {
            Wire::Tcp(stream) => match stream.poll_read_ready(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(ready) => is_ready(ready),
            },
            Wire::Boxed(stream) => stream.poll_watched(cx),
        }
    }

    /// Makes the kernel wait for much of `room` bytes, all of which belong to a frame that has begun, before it wakes a task.
    /// Returns whether it will wait for more than one; `is_raised` says whether it does so far.
    pub(crate) fn set_low_water(&self, room: usize, is_raised: bool) -> bool {
        self.tcp().is_some_and(|stream| low_water::set_for(stream, room, is_raised))
    }

    /// From now on, each byte wakes the task that waits.
    pub(crate) fn lower_low_water(&self) {
        if let Some(stream) = self.tcp() {
            low_water::lower(stream);
        }
    }

    /// Whether [`poll_ready`](Self::poll_ready) can tell without a read whether there is data. Only a boxed stream must be
    /// read.
    pub(crate) fn knows_when_ready(&self) -> bool {
        matches!(*self.0, Wire::Tcp(_))
    }

    /// The TCP socket, which can be read [directly](try_read_now). `None` for a boxed stream.
    #[inline(always)]
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match &*self.0 {
            Wire::Tcp(stream) => Some(stream),
            Wire::Boxed(_) => None,
        }
    }

    /// Reads once, and appends at most `most` bytes to `buffer`, which has spare capacity. 0 is the end of the stream. Sets
    /// `is_drained` if the read has emptied the stream. A caller that reads in a loop must let other tasks run.
    ///
    /// For a boxed stream, takes the result of a read that was made [apart](Self::apart), or requests such a read.
    #[inline(always)]
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        most: usize,
        is_drained: &mut bool,
    ) -> Poll<io::Result<usize>> {
        match &*self.0 {
            Wire::Tcp(stream) => loop {
                match try_read_some(stream, buffer, most, is_drained) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return Poll::Ready(read),
                }
                ready!(stream.poll_read_ready(cx))?;
            },
            Wire::Boxed(stream) => stream.take_read(buffer, most, is_drained),
        }
    }

    /// Like [`poll_read`](Self::poll_read), into an `Input` of its own. An empty `Input` is the end of the stream.
    #[inline(always)]
    pub(crate) fn poll_input(
        &self,
        cx: &mut Context<'_>,
        most: usize,
        is_drained: &mut bool,
    ) -> Poll<io::Result<Input>> {
        match &*self.0 {
            Wire::Tcp(_) => {
                let mut input = Input::pooled();
                self.poll_read(cx, input.spare(), most, is_drained).map_ok(|_| input)
            }
            Wire::Boxed(stream) => stream.take_input(most, is_drained),
        }
    }

    /// Requests a read of at most `most` bytes, which the caller carries out with what this returns. `None` for a TCP stream.
    #[inline]
    pub(crate) fn request(&self, most: usize) -> Option<Apart> {
        match &*self.0 {
            Wire::Tcp(_) => None,
            Wire::Boxed(stream) => stream.poll_read_wanted(most).is_pending().then(|| Apart(self.0.clone())),
        }
    }

    /// The boxed stream, which the caller reads before it tries again, if [`poll_read`](Self::poll_read) was not ready.
    /// `None` for a TCP stream.
    #[inline]
    pub(crate) fn apart(&self) -> Option<Apart> {
        match &*self.0 {
            Wire::Tcp(_) => None,
            Wire::Boxed(_) => Some(Apart(self.0.clone())),
        }
    }
}

/// Drops an error, which the next read will find again. Not inlined: dropping the error takes more code than all else that a
/// waiting `recv` does here.
#[cold]
#[inline(never)]
fn is_ready(_: io::Result<()>) -> Poll<()> {
    Poll::Ready(())
}

/// Reads once without waiting, and appends to `buffer`. 0 is the end of the stream. Sets `is_drained` if the read has
/// emptied the stream. Only one caller, with most reads, has `MOST`.
#[inline(always)]
pub(crate) fn try_read_now<const MOST: bool>(
    stream: &TcpStream,
    buffer: &mut Vec<u8>,
    is_drained: &mut bool,
) -> io::Result<usize> {
    try_read::<MOST>(stream, buffer, is_drained)
}

/// Reads at most `most` bytes once, without waiting. Sets `is_drained` only if `buffer` has no more than `most` bytes to
/// spare, and the read has emptied the stream.
#[inline]
fn try_read_some(stream: &TcpStream, buffer: &mut Vec<u8>, most: usize, is_drained: &mut bool) -> io::Result<usize> {
    if buffer.capacity() - buffer.len() > most {
        return stream.try_read_buf(&mut buffer.limit(most));
    }
    try_read::<false>(stream, buffer, is_drained)
}

/// Reads once without waiting. A read that does not fill the buffer has emptied the socket, and sets `is_drained`.
///
/// `MOST` makes two copies of this function: the one for most reads has one call site, and is inlined there.
#[cfg(all(unix, not(all(test, sockeye_loom))))]
#[inline(always)]
fn try_read<const MOST: bool>(stream: &TcpStream, buffer: &mut Vec<u8>, is_drained: &mut bool) -> io::Result<usize> {
    // Tokio's own call also reads into spare capacity, but then still assumes more data, so every read is followed by
    // another that finds nothing.
    let room = buffer.capacity() - buffer.len();
    let mut read = 0;
    let outcome = stream.try_io(Interest::READABLE, || {
        (_, read) = rustix::net::recv(stream, spare_capacity(buffer), RecvFlags::empty())?;
        // The error clears the readiness from before the read. Data that has arrived since then sets the readiness again.
        if 0 < read && read < room { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match outcome {
        Err(ours) if read > 0 => {
            // Dropping the error would take code for nothing: it owns no memory.
            std::mem::forget(ours);
            *is_drained = true;
            Ok(read)
        }
        outcome => outcome.map(|()| read),
    }
}

#[cfg(any(not(unix), all(test, sockeye_loom)))]
fn try_read<const MOST: bool>(stream: &TcpStream, buffer: &mut Vec<u8>, _is_drained: &mut bool) -> io::Result<usize> {
    stream.try_read_buf(buffer)
}

/// A write that neither waits nor raises a signal.
#[cfg(all(target_os = "linux", not(all(test, sockeye_loom))))]
const NOW: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// The half that a connection writes to.
pub(crate) struct WriteHalf(Arc<Wire>);

impl WriteHalf {
    /// Whether this is a boxed stream, which may hold written bytes until it is flushed.
    #[inline]
    pub(crate) fn is_boxed(&self) -> bool {
        matches!(*self.0, Wire::Boxed(_))
    }

    /// Writes some of `slices` to a TCP stream with one system call, for a task that the stream need not wake. Fails with
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the kernel takes nothing, or if the stream is boxed. The system may report an
    /// error only once, so the caller must keep what this returns.
    #[inline]
    pub(crate) fn try_write_slices(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Wire::Tcp(stream) = &*self.0 else { return Err(io::ErrorKind::WouldBlock.into()) };
        #[cfg(all(target_os = "linux", not(all(test, sockeye_loom))))]
        return Ok(match slices {
            [single] => rustix::net::send(stream, single, NOW)?,
            slices => rustix::net::sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), NOW)?,
        });
        #[cfg(any(not(target_os = "linux"), all(test, sockeye_loom)))]
        stream.try_write_vectored(slices)
    }

    /// Writes some of `slices` to a TCP stream. Runs outside the cooperative budget: what a handler has sent before its
    /// budget was spent must reach the peer.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Wire::Tcp(stream) = &*self.0 else { return Poll::Pending };
        loop {
            match stream.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
            ready!(unconstrained(cx, |cx| stream.poll_write_ready(cx)))?;
        }
    }

    /// Ends the sending direction of a TCP stream. Does nothing for a boxed stream.
    pub(crate) fn shut_down(&self) -> io::Result<()> {
        match &*self.0 {
            Wire::Tcp(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            Wire::Boxed(_) => Ok(()),
        }
    }

    /// The stream, for calls without any lock.
    pub(crate) fn apart(&self) -> Apart {
        Apart(self.0.clone())
    }

    /// Whether the system tells what the peer's kernel has acknowledged.
    pub(crate) fn is_acknowledged(&self) -> bool {
        match &*self.0 {
            Wire::Tcp(_) => over::KNOWS,
            Wire::Boxed(stream) => stream.is_acknowledged,
        }
    }
}
