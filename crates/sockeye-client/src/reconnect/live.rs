//! The WebSocket that the application has, as its `Sockets` see it.

use std::{
    future::{Future, ready},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use sockeye_tokio::{Ended, Sender, WebSocket, close_code};
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep},
};

use crate::{
    Client, ClientRequest, ConnectError, Opened, Stage,
    error::{Blame, BoxError},
};

/// How long the close handshake of the last WebSocket may hold up the next one. As long as [`Timeouts::close`] allows by default; it
/// holds too if the application has switched that off.
///
/// [`Timeouts::close`]: sockeye_tokio::Timeouts::close
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A WebSocket that was just opened.
pub(super) struct Started {
    pub(super) socket: WebSocket,
    pub(super) peer_addr: Option<SocketAddr>,
    pub(super) live: Live,
}

/// The last WebSocket that was opened: closes it, and knows when and how it has ended.
pub(super) struct Live {
    sender: Sender,
    opened_at: Instant,
    end: oneshot::Receiver<End>,
    closing: Option<Pin<Box<Sleep>>>,
    is_aborted: bool,
}

/// How a WebSocket has ended, and when.
pub(super) struct End {
    pub(super) ended: Ended,
    pub(super) at: Instant,
}

/// One attempt: the request, the connection, and a task that drives it.
pub(super) async fn open(
    client: Client,
    request: BoxFuture<Result<ClientRequest, BoxError>>,
) -> Result<Started, ConnectError> {
    let request = request.await.map_err(|error| {
        ConnectError::because(Blame::Caller, Stage::Request, "the function of `Client::reconnect` has failed", error)
    })?;
    start(client.open(request).await?).await
}

async fn start(Opened { connection, peer_addr, .. }: Opened) -> Result<Started, ConnectError> {
    let (give_socket, socket) = oneshot::channel();
    let (give_end, end) = oneshot::channel();
    let serving = connection.serve(move |socket| {
        // If nobody wants it any more, it is dropped, and so is closed.
        let _ = give_socket.send(socket);
        ready(())
    });
    let opened_at = Instant::now();
    tokio::spawn(async move {
        let ended = serving.await;
        let _ = give_end.send(End { ended, at: Instant::now() });
    });
    let Ok(socket) = socket.await else {
        return Err(ConnectError::caller(Stage::Open, "the tokio runtime of the connection has ended"));
    };
    let live = Live { sender: socket.sender(), opened_at, end, closing: None, is_aborted: false };
    Ok(Started { socket, peer_addr, live })
}

impl Live {
    pub(super) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// How long the WebSocket was open until then.
    pub(super) fn open_for(&self, end: &End) -> Duration {
        end.at.duration_since(self.opened_at)
    }

    /// Closes the WebSocket if it is open, and waits until it has ended. `None` if its runtime has ended.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        if let Poll::Ready(end) = Pin::new(&mut self.end).poll(cx) {
            return Poll::Ready(end.ok());
        }
        let Self { sender, closing, .. } = self;
        let closing = closing.get_or_insert_with(|| {
            // No error matters: the connection is ending already.
            let _ = sender.close_with(close_code::NORMAL, "");
            Box::pin(sleep(CLOSE_WITHIN))
        });
        if !self.is_aborted {
            ready!(closing.as_mut().poll(cx));
            self.is_aborted = true;
            self.sender.abort();
        }
        // The task of the connection is woken by the abort, and then wakes this one.
        Poll::Pending
    }
}
