//! `Connection`: a stream on which the opening handshake is done, and what is to run on it.

use std::{future::Future, sync::Arc};

use http::HeaderValue;
use sockeye_proto::{Config, Decoder, Encoder, PayloadDecoder, PayloadEncoder, Role};

use crate::{
    Budget, Overflow, Shutdown, Stream, Timeouts, WebSocket, driver::Driver, masks::RandomMasks, receive::Receive,
    send::Send, shared::Shared, split::Handle,
};

/// Runs `handler` on a stream that has finished its opening handshake, with the connection's driver beside it. Ready
/// when both the handler and the connection are done.
///
/// It is [`Connection::serve`] with the defaults of everything that is not named here.
///
/// # Panics
///
/// With the handler's panic, once the connection has been closed with 1011.
pub fn serve<F, Fut>(
    stream: impl Into<Stream>,
    role: Role,
    config: Config,
    handler: F,
) -> impl Future<Output = ()> + Unpin
where
    F: FnOnce(WebSocket) -> Fut,
    Fut: Future<Output = ()>,
{
    Connection::new(stream, role).config(config).serve(handler)
}

/// A stream that has finished its opening handshake, and what is set for the WebSocket on it.
///
/// ```
/// use std::time::Duration;
/// use sockeye_tokio::{Connection, Role, Shutdown, Stream, Timeouts};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let shutdown = Shutdown::new();
/// let (stream, _peer) = tokio::io::duplex(1024);
/// let connection = Connection::new(Stream::boxed(stream), Role::Server).shutdown(&shutdown);
/// tokio::spawn(connection.serve(|mut socket| async move { while let Some(Ok(_)) = socket.recv().await {} }));
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a connection does nothing until it is served"]
pub struct Connection {
    stream: Stream,
    role: Role,
    config: Arc<Config>,
    protocol: Option<HeaderValue>,
    timeouts: Arc<Timeouts>,
    shutdown: Option<Shutdown>,
    overflow: Overflow,
    budget: Option<Budget>,
    extension: Option<(Box<dyn PayloadEncoder>, Box<dyn PayloadDecoder>)>,
}

impl Connection {
    /// A connection over `stream`, of which this is the end that `role` says, with every default.
    pub fn new(stream: impl Into<Stream>, role: Role) -> Self {
        Self {
            stream: stream.into(),
            role,
            config: Config::shared(),
            protocol: None,
            timeouts: Timeouts::shared(),
            shutdown: None,
            overflow: Overflow::default(),
            budget: None,
            extension: None,
        }
    }

    /// Sets limits and buffer sizes. Connections that are given the same `Arc` share it.
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Sets the subprotocol that the opening handshake has agreed on, for [`WebSocket::protocol`].
    pub fn protocol(mut self, protocol: Option<HeaderValue>) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sets the deadlines. They are the driver's: [`into_websocket`](Self::into_websocket) ignores them. Connections that are
    /// given the same `Arc` share it.
    pub fn timeouts(mut self, timeouts: impl Into<Arc<Timeouts>>) -> Self {
        self.timeouts = timeouts.into();
        self
    }

    /// Sets what becomes of messages that are [pushed](crate::Sender::push) when the queue is full. Default: the connection is
    /// closed with 1013.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Makes what is queued for this connection count against `budget`. It is the driver that makes room for others:
    /// [`into_websocket`](Self::into_websocket) ignores it.
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// Makes this connection one of those that `shutdown` closes. It is the driver that does so:
    /// [`into_websocket`](Self::into_websocket) ignores it.
    pub fn shutdown(mut self, shutdown: &Shutdown) -> Self {
        self.shutdown = Some(shutdown.clone());
        self
    }

    /// Sets what the opening handshake has agreed on that transforms payloads: what is sent, and what is received. Default:
    /// nothing.
    ///
    /// ```
    /// # #[cfg(feature = "deflate")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use sockeye_tokio::{Connection, Role, Stream, proto::deflate::{Compression, Parameters}};
    ///
    /// let (compression, agreed) = (Compression::new(), Parameters::default());
    /// let (stream, _peer) = tokio::io::duplex(1024);
    /// let connection = Connection::new(Stream::boxed(stream), Role::Server)
    ///     .extension(agreed.encoder(Role::Server, &compression), agreed.decoder(Role::Server, &compression));
    /// # tokio::spawn(connection.serve(|_socket| async {}));
    /// # }
    /// # #[cfg(not(feature = "deflate"))]
    /// # fn main() {}
    /// ```
    pub fn extension(mut self, encoder: Box<dyn PayloadEncoder>, decoder: Box<dyn PayloadDecoder>) -> Self {
        self.extension = Some((encoder, decoder));
        self
    }

    /// Runs `handler` on the WebSocket, with the connection's driver beside it.
    ///
    /// The connection closes when the handler drops the [`WebSocket`], which it may also move to another task. The future
    /// is ready when the handler has returned and the connection has ended; dropping it drops the handler and ends the
    /// stream without a Close.
    ///
    /// # Panics
    ///
    /// With the handler's panic, once the connection has been closed with 1011. When it is polled outside a tokio runtime
    /// with timers, as soon as it needs one.
    pub fn serve<F, Fut>(self, handler: F) -> impl Future<Output = ()> + Unpin
    where
        F: FnOnce(WebSocket) -> Fut,
        Fut: Future<Output = ()>,
    {
        let (role, timeouts, shutdown) = (self.role, self.timeouts.clone(), self.shutdown.clone());
        let shared = self.into_shared(true);
        let registration = shutdown.map(|shutdown| shutdown.register(&shared));
        Driver::new(shared, handler, role, timeouts, registration)
    }

    /// The WebSocket without a driver; see [`WebSocket::new`].
    pub fn into_websocket(self) -> WebSocket {
        WebSocket::from_handle(Handle::new(self.into_shared(false)))
    }

    fn into_shared(self, driven: bool) -> Arc<Shared> {
        let mut config = self.config;
        if config.max_write_buffer_size <= config.write_buffer_size {
            tracing::warn!(
                max_write_buffer_size = config.max_write_buffer_size,
                write_buffer_size = config.write_buffer_size,
                "max_write_buffer_size should be above write_buffer_size, and is raised to it"
            );
            let raised = Arc::make_mut(&mut config);
            raised.max_write_buffer_size = raised.write_buffer_size;
        }
        let mut encoder = match self.role {
            Role::Server => Encoder::server(),
            Role::Client => Encoder::client(RandomMasks::boxed()),
        };
        let mut decoder = Decoder::new(self.role, config.clone());
        if let Some((payloads_out, payloads_in)) = self.extension {
            encoder = encoder.with_extension(payloads_out);
            decoder = decoder.with_extension(payloads_in);
        }
        let (read, write, read_ahead) = self.stream.into_halves();
        let receive = Receive::new(read, &read_ahead, decoder);
        let mut send = Send::new(write, encoder, config, driven);
        send.set_overflow(self.overflow);
        let shared = Arc::new(Shared::new(receive, send, driven, self.protocol));
        if let Some(budget) = self.budget.filter(|_| driven) {
            shared.lock_send().open_account(budget.open(Arc::downgrade(&shared)));
        }
        shared
    }
}
