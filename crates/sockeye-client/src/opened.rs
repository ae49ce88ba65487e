//! `Opened`: a connection after its opening handshake.

use std::{fmt, future::Future, net::SocketAddr};

use http::Response;
use sockeye_tokio::{Connection, Ended, WebSocket};

/// A connection after its opening handshake, which is not driven yet: [`into_websocket`](Self::into_websocket) or
/// [`serve`](Self::serve) does that. Nothing is read meanwhile, so go on soon.
#[must_use = "dropping it drops the connection"]
pub struct Opened {
    pub(crate) response: Response<()>,
    pub(crate) peer_addr: Option<SocketAddr>,
    pub(crate) connection: Connection,
}

impl Opened {
    /// The server's answer, with its headers.
    pub fn response(&self) -> &Response<()> {
        &self.response
    }

    /// The address of the TCP connection's other end: the server's, or the proxy's. `None` if the stream is not one that this client
    /// has opened by TCP.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    /// The WebSocket, for use in the caller's task. A task beside it drives the connection: it answers Pings and keeps the deadlines,
    /// whatever the caller does: within two seconds where the caller does not receive.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn into_websocket(self) -> WebSocket {
        self.connection.spawn().0
    }

    /// Runs `handler` on the WebSocket, with the connection's driver beside it, in the caller's task. This saves a task, and its
    /// wake-ups. The future completes when both the handler and the connection are done, and says how the
    /// connection has ended.
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
    /// use sockeye_client::Client;
    ///
    /// let opened = Client::new().open("wss://feed.example.com/v1").await?;
    /// let ended = opened
    ///     .serve(async |mut socket| {
    ///         while let Some(Ok(message)) = socket.recv().await {
    ///             println!("{message:?}");
    ///         }
    ///     })
    ///     .await;
    /// println!("closed by {:?}", ended.by());
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler, and ends the stream without a Close.
    ///
    /// # Panics
    ///
    /// The future resumes a panic of the handler once the connection has ended, and panics outside of a tokio runtime with timers.
    pub fn serve<F, Fut>(self, handler: F) -> impl Future<Output = Ended> + Unpin
    where
        F: FnOnce(WebSocket) -> Fut,
        Fut: Future<Output = ()>,
    {
        self.connection.serve(handler)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("status", &self.response.status())
            .field("peer_addr", &self.peer_addr)
            .finish_non_exhaustive()
    }
}
