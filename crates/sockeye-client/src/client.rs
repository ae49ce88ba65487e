//! `Client`: what connections share, and how they are opened.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use sockeye_tokio::{Stream, WebSocket};

use crate::{Builder, ConnectError, IntoRequest, Opened, builder::Settings, open};

/// Opens a WebSocket: `connect("wss://feed.example.com/v1")`.
///
/// All calls in a process share one [`Client`] with the defaults of [`Builder`]: the roots of the platform are read once, a proxy is
/// taken from the environment, and everything together takes at most 10 s.
///
/// The [`WebSocket`] is for the caller's task. A task beside it answers Pings and finds a dead peer, as
/// [`Timeouts`](crate::Timeouts) says, whatever the caller does: within two seconds where the caller does not receive. End with
/// [`close`](WebSocket::close): a socket that is dropped right before the runtime ends loses what is queued.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use sockeye_client::{Message, connect};
///
/// let mut socket = connect("wss://feed.example.com/v1").await?;
/// socket.send(Message::text("subscribe")).await?;
/// println!("{:?}", socket.recv().await);
/// socket.close().await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// As for [`Client::open`].
///
/// # Cancel safety
///
/// Dropping the future cancels everything: the connection is closed, and nothing goes on in the background, but for a look-up by the
/// system, which cannot be stopped.
///
/// # Panics
///
/// Outside of a tokio runtime with I/O and timers.
pub async fn connect(to: impl IntoRequest) -> Result<WebSocket, ConnectError> {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(Client::new).connect(to).await
}

/// What connections share: TLS with its sessions, the proxy, limits, and look-ups that are under way.
///
/// A clone shares all of it. A program needs one client for each set of settings, however many connections it opens.
///
/// ```no_run
/// use std::time::Duration;
/// use sockeye_client::Client;
///
/// # async fn f() -> Result<(), sockeye_client::ConnectError> {
/// let client = Client::builder().within(Duration::from_secs(3)).build();
/// let opened = client.open("wss://feed.example.com/v1").await?;
/// println!("{:?}", opened.response().headers().get("server"));
/// let socket = opened.into_websocket();
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Settings>);

impl Client {
    /// A client with the defaults of [`Builder`]. Nothing is read but the environment, for the proxy.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// The settings of a client.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self(Arc::new(settings))
    }

    /// Opens a WebSocket, for use in the caller's task. [`open`](Self::open), then
    /// [`into_websocket`](Opened::into_websocket).
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels everything, as for [`connect`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and timers.
    pub async fn connect(&self, to: impl IntoRequest) -> Result<WebSocket, ConnectError> {
        Ok(self.open(to).await?.into_websocket())
    }

    /// Opens a connection: looks the host up, connects, asks the proxy for a tunnel, negotiates TLS, and makes the opening handshake
    /// ([RFC 6455 §4.1]).
    ///
    /// # Errors
    ///
    /// [`ConnectError`] says at which [stage](ConnectError::stage) it failed, and whom to blame.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels everything, as for [`connect`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and timers.
    ///
    /// [RFC 6455 §4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    pub async fn open(&self, to: impl IntoRequest) -> Result<Opened, ConnectError> {
        let request = to.into_request().prepare()?;
        // In a box, so that the futures of callers are small.
        Box::pin(open::open(&self.0, request, None)).await
    }

    /// As [`open`](Self::open), over a stream that is connected already: nothing is looked up, and no proxy is used. For a `wss`
    /// URI, TLS is negotiated over the stream.
    ///
    /// ```
    /// use sockeye_client::{Client, Stream};
    /// # async fn server(_: tokio::io::DuplexStream) {}
    ///
    /// # async fn f() -> Result<(), sockeye_client::ConnectError> {
    /// let (ours, theirs) = tokio::io::duplex(1024);
    /// tokio::spawn(server(theirs));
    /// let socket = Client::new().open_over(Stream::boxed(ours), "ws://localhost/").await?.into_websocket();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with timers.
    pub async fn open_over(&self, stream: impl Into<Stream>, to: impl IntoRequest) -> Result<Opened, ConnectError> {
        let request = to.into_request().prepare()?;
        Box::pin(open::open(&self.0, request, Some(stream.into()))).await
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as("Client", f)
    }
}
