//! `Sender`: sends to a connection from any task; and the sending that all handles share.

use std::{fmt, future::poll_fn, sync::Arc};

use sockeye_proto::{CloseCode, CloseFrame, Message, Outgoing, PreparedMessage};
use thiserror::Error;

use crate::{
    Error,
    shared::{Shared, Who},
    waiters::Ticket,
};

/// Sends to one connection from any task. Cheap to clone.
///
/// It does not keep the connection open: when the `WebSocket` is dropped or the peer leaves, sending fails with
/// [`Error::is_closed`].
///
/// ```
/// # use sockeye_tokio::{Config, Message, Role, Stream, serve};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let (client, server) = tokio::io::duplex(4096);
/// # tokio::spawn(serve(Stream::boxed(client), Role::Client, Config::default(), |mut socket| async move {
/// #     while let Some(Ok(_)) = socket.recv().await {}
/// # }));
/// serve(Stream::boxed(server), Role::Server, Config::default(), |mut socket| async move {
///     let sender = socket.sender();
///     tokio::spawn(async move { sender.send(Message::text("from another task")).await });
///     # return;
///     while let Some(Ok(_message)) = socket.recv().await {}
/// })
/// .await;
/// # }
/// ```
#[derive(Clone)]
pub struct Sender {
    shared: Arc<Shared>,
}

/// Why [`Sender::try_send`] did not queue a message, which is handed back.
#[derive(Debug, Error)]
pub enum TrySendError {
    /// The queue holds [`max_write_buffer_size`](crate::Config::max_write_buffer_size) bytes: the peer reads slower than
    /// it is sent to.
    #[error("the queue of the connection is full: its peer reads too slowly")]
    Full(Outgoing),
    /// Nothing can be sent any more.
    #[error("{1}")]
    Closed(Outgoing, #[source] Error),
    /// The message may not be sent at all.
    #[error("{1}")]
    Invalid(Outgoing, #[source] Error),
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Sends a message: waits until less than [`write_buffer_size`](crate::Config::write_buffer_size) is queued, first
    /// come first served, and queues it whole. `Ok` means that it is queued; [`flushed`](Self::flushed) waits for the
    /// kernel.
    ///
    /// # Errors
    ///
    /// [`Error::is_closed`] when the connection is closing, the error of the stream when that has failed,
    /// [`Error::is_invalid`] when the message may not be sent, which leaves the connection open.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was queued.
    pub async fn send(&self, message: Message) -> Result<(), Error> {
        send(&self.shared, Who::Sender, message.into()).await
    }

    /// Sends a message that is encoded once and sent to many.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As for [`send`](Self::send).
    pub async fn send_prepared(&self, message: PreparedMessage) -> Result<(), Error> {
        send(&self.shared, Who::Sender, message.into()).await
    }

    /// Queues a message without waiting, as long as the queue stays within
    /// [`max_write_buffer_size`](crate::Config::max_write_buffer_size).
    ///
    /// # Errors
    ///
    /// The message and why it was not queued.
    pub fn try_send(&self, message: impl Into<Outgoing>) -> Result<(), TrySendError> {
        try_send(&self.shared, message.into())
    }

    /// Waits until the kernel has everything that was queued before this call.
    ///
    /// # Errors
    ///
    /// Why the rest cannot be written any more.
    ///
    /// # Cancel safety
    ///
    /// It only waits: dropping it changes nothing.
    pub async fn flushed(&self) -> Result<(), Error> {
        flushed(&self.shared, Who::Sender).await
    }

    /// Begins the close handshake with a code and a reason. Returns at once: the Close is queued behind what was sent
    /// before, and the handler receives the peer's.
    ///
    /// # Errors
    ///
    /// [`Error::is_closed`] when a Close went before, [`Error::is_invalid`] when code or reason may not be sent.
    pub fn close_with(&self, code: CloseCode, reason: impl Into<String>) -> Result<(), Error> {
        self.shared.close(CloseFrame::new(code, reason))
    }

    /// Whether nothing can be sent any more.
    pub fn is_closed(&self) -> bool {
        !self.shared.lock_send().encoder.closing().may_send()
    }

    /// Waits until nothing can be sent any more: a Close was sent or received, or the stream has ended.
    ///
    /// # Cancel safety
    ///
    /// It only waits: dropping it changes nothing.
    pub async fn closed(&self) {
        let mut place = Place::new(&self.shared, Among::Watching);
        poll_fn(|cx| self.shared.poll_closed(&mut place.ticket, cx)).await;
    }

    /// How many bytes are queued and not yet with the kernel.
    pub fn buffered(&self) -> usize {
        self.shared.lock_send().encoder.buffered()
    }

    /// Whether both send to the same connection.
    pub fn same_connection(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("buffered", &self.buffered()).finish_non_exhaustive()
    }
}

/// What `send` of every handle does.
pub(crate) async fn send(shared: &Shared, who: Who, message: Outgoing) -> Result<(), Error> {
    let mut message = Some(message);
    let mut place = Place::new(shared, Among::Waiting);
    poll_fn(|cx| shared.poll_admit(who, &mut message, &mut place.ticket, cx)).await?;
    let unbuffered = shared.lock_send().is_unbuffered();
    if unbuffered || (!shared.is_driven() && who == Who::Handle) {
        flushed(shared, who).await?;
    }
    Ok(())
}

/// What `try_send` of every handle does.
pub(crate) fn try_send(shared: &Shared, message: Outgoing) -> Result<(), TrySendError> {
    let mut send = shared.lock_send();
    match send.check(&message) {
        Err(error) if error.is_invalid() => return Err(TrySendError::Invalid(message, error)),
        Err(error) => return Err(TrySendError::Closed(message, error)),
        Ok(()) if !send.fits(&message) => return Err(TrySendError::Full(message)),
        Ok(()) => {}
    }
    shared.queue_unwritten(&mut send, message);
    Ok(())
}

/// What `flushed` of every handle does.
pub(crate) async fn flushed(shared: &Shared, who: Who) -> Result<(), Error> {
    let position = shared.lock_send().encoder.queued();
    let mut place = Place::new(shared, Among::Flushing);
    poll_fn(|cx| shared.poll_flushed(who, position, &mut place.ticket, cx)).await
}

/// A place among those that wait, given up when the future that holds it is dropped.
struct Place<'a> {
    shared: &'a Shared,
    among: Among,
    ticket: Option<Ticket>,
}

#[derive(Clone, Copy)]
enum Among {
    /// The line of those that wait for room.
    Waiting,
    /// Those that wait for bytes to be written.
    Flushing,
    /// Those that wait until nothing can be sent any more.
    Watching,
}

impl<'a> Place<'a> {
    fn new(shared: &'a Shared, among: Among) -> Self {
        Self { shared, among, ticket: None }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut send = self.shared.lock_send();
        match self.among {
            Among::Waiting => send.leave(ticket),
            Among::Flushing => send.flushing.leave(ticket),
            Among::Watching => send.watching.leave(ticket),
        }
    }
}
