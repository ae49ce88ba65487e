//! `Sockets`: one WebSocket after another.

mod backoff;
mod event;
mod live;
mod rules;
mod stopper;

use std::{
    fmt,
    future::{Future, poll_fn},
    hash::{BuildHasher, RandomState},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::{FusedStream, Stream as Items};
use sockeye_tokio::{Ended, EndedBy, Shutdown, WebSocket};
use tokio::time::{Instant, Sleep, sleep};

pub use self::{
    backoff::{Backoff, Retry},
    event::{Attempt, Event},
    stopper::Stopper,
};
use self::{
    live::{BoxFuture, End, Live, Started},
    rules::{Decision, Outcome, Rules},
    stopper::Stopping,
};
use crate::{
    Client, ClientRequest, ConnectError, Stage,
    error::{Blame, BoxError},
};

/// One WebSocket after another, from [`Client::reconnect`]: when one has ended, [`next`](Self::next) opens another.
///
/// There is never more than one. What was sent to the old one and not written is lost, and [`Event::Lost`] says how many messages that
/// were: nothing is queued while there is no WebSocket, since only the application knows what is still true later. So a loop begins
/// with whatever the server must know about this client, such as its subscriptions.
///
/// # When
///
/// | after | |
/// |---|---|
/// | an attempt that failed, a WebSocket that ended | waits between 0 and min(60 s, 1 s · 2ⁿ), evenly spread; n counts failures in a row, and begins again after 30 s open ([`Backoff`]) |
/// | a refusal with `Retry-After` | waits so long, at most 5 min, and then as above |
/// | a Close with 1012 or 1013 | waits between 5 and 30 s |
/// | a [final](ConnectError::is_final) error: yours, a certificate, a handshake that breaks a rule, a redirect, a status of 4xx except 408, 421, 425 and 429, a proxy's 407 or 401 | ends with the error |
/// | a Close with 1002, 1003, 1007, 1009, 1010, 3000 or 3003, of the server, or because of what the server sent | ends with an error at [`Stage::Open`](crate::Stage::Open), unless [`retry`](Self::retry) says otherwise |
/// | [`Stopper::stop`], or the [`Shutdown`] of the client has begun | ends |
///
/// A Close of your own is no error: `next` then opens another WebSocket.
#[must_use = "nothing is opened until `next` is called"]
pub struct Sockets {
    client: Client,
    request: MakeRequest,
    retry: Option<Decide>,
    observe: Option<Observer>,
    rules: Rules,
    stopping: Arc<Stopping>,
    stopped: BoxFuture<()>,
    state: State,
}

type MakeRequest = Box<dyn FnMut(Attempt) -> BoxFuture<Result<ClientRequest, BoxError>> + Send>;
type Decide = Box<dyn FnMut(&Ended) -> Retry + Send>;
type Observer = Box<dyn FnMut(&Event) + Send>;

enum State {
    /// The next attempt can begin.
    Idle,
    Connecting(Attempt, BoxFuture<Result<Started, ConnectError>>),
    /// The application has a WebSocket, or has had one that ends or has ended.
    Open(Live),
    Waiting(Pin<Box<Sleep>>),
    Done,
}

impl Client {
    /// One WebSocket after another: [`Sockets::next`] opens the first, and another when that has ended.
    ///
    /// `request` is called for each attempt, so that each has a fresh token, an address of its own, or says where to go on. An error of
    /// it is [final](ConnectError::is_final): if a token cannot be fetched now but may be later, try again in there. It has as long as
    /// it needs.
    ///
    /// ```no_run
    /// # async fn fresh_token() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// # async fn f() -> Result<(), sockeye_client::ConnectError> {
    /// use sockeye_client::{Client, ClientRequest, Message};
    ///
    /// let mut sockets = Client::new().reconnect(|_attempt| async {
    ///     Ok(ClientRequest::new("wss://feed.example.com/v1").bearer(&fresh_token().await?))
    /// });
    /// while let Some(socket) = sockets.next().await {
    ///     let mut socket = socket?; // final, such as 401
    ///     if socket.send(Message::text("subscribe")).await.is_err() {
    ///         continue;
    ///     }
    ///     while let Some(Ok(message)) = socket.recv().await {
    ///         println!("{message:?}");
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn reconnect<F, Fut>(&self, mut request: F) -> Sockets
    where
        F: FnMut(Attempt) -> Fut + Send + 'static,
        Fut: Future<Output = Result<ClientRequest, BoxError>> + Send + 'static,
    {
        let stopping = Arc::new(Stopping::new());
        Sockets {
            client: self.clone(),
            request: Box::new(move |attempt| Box::pin(request(attempt))),
            retry: None,
            observe: None,
            rules: Rules::new(),
            stopped: stopped(stopping.clone(), self.0.connection.shutdown.clone()),
            stopping,
            state: State::Idle,
        }
    }
}

impl Sockets {
    /// Sets the delays. Default: [`Backoff::new`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.rules.backoff = backoff;
        self
    }

    /// Sets a function that decides what follows the end of a WebSocket. Default: [`Retry::Default`], so the code of the Close decides.
    ///
    /// ```
    /// use sockeye_client::{Client, ClientRequest, Retry};
    ///
    /// let sockets = Client::new()
    ///     .reconnect(|_attempt| async { Ok(ClientRequest::new("wss://feed.example.com/v1")) })
    ///     .retry(|ended| match ended.code() {
    ///         Some(4001) => Retry::Stop, // this server's "the match is over"
    ///         Some(3000) => Retry::Backoff, // the token has expired, and the next one is fresh
    ///         _ => Retry::Default,
    ///     });
    /// ```
    pub fn retry(mut self, decide: impl FnMut(&Ended) -> Retry + Send + 'static) -> Self {
        self.retry = Some(Box::new(decide));
        self
    }

    /// Sets a function that is told what happens, while [`next`](Self::next) is polled. Default: none, but failures are logged as
    /// warnings.
    pub fn observe(mut self, observer: impl FnMut(&Event) + Send + 'static) -> Self {
        self.observe = Some(Box::new(observer));
        self
    }

    /// What ends this from another task, for example at Ctrl-C.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stopping.clone())
    }

    /// The next WebSocket: connects, and again until it is open, with delays. If the last one is still open, it is closed with 1000
    /// first. Its close handshake has 10 s; then the connection is aborted.
    ///
    /// Returns `None` after the final error, after [`Stopper::stop`], after [`Retry::Stop`], and when the [`Shutdown`] of the client has
    /// begun. The last WebSocket has then ended, so a program that ends now loses nothing that was sent.
    ///
    /// # Errors
    ///
    /// The error after which trying again is useless: [the table](Self#when). It is the last item before `None`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call goes on with the attempt or the delay. An attempt makes no progress
    /// meanwhile, but its [time limit](crate::Builder::within) goes on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and timers.
    pub async fn next(&mut self) -> Option<Result<WebSocket, ConnectError>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    fn begin(&mut self) {
        let attempt = self.rules.attempt();
        self.tell(Event::Connecting { attempt });
        let request = (self.request)(attempt);
        self.state = State::Connecting(attempt, Box::pin(live::open(self.client.clone(), request)));
    }

    fn connected(&mut self, attempt: Attempt, started: Started) -> WebSocket {
        let Started { socket, peer_addr, live } = started;
        self.rules.opened();
        self.stopping.opened(live.sender());
        self.state = State::Open(live);
        self.tell(Event::Connected { attempt, peer_addr });
        socket
    }

    /// An attempt has failed. Returns the error if it is final.
    fn failed(&mut self, error: ConnectError) -> Option<ConnectError> {
        self.state = State::Done;
        let outcome = Outcome::Failed { is_final: error.is_final(), retry_after: error.retry_after() };
        let event = Event::Failed { error };
        self.tell_of(&event);
        let decision = self.rules.decide(outcome, random());
        match (decision, event) {
            (Decision::Connect(delay), Event::Failed { error }) => {
                tracing::warn!(target: "sockeye", %error, ?delay, "not connected, and trying again");
                self.wait(delay);
                None
            }
            (_, Event::Failed { error }) => Some(error),
            _ => None,
        }
    }

    /// The last WebSocket has ended. Returns an error if that is final.
    fn lost(&mut self, end: End, open_for: Duration, is_stopped: bool) -> Option<ConnectError> {
        self.state = State::Done;
        self.stopping.ended();
        let End { ended, at } = end;
        let retry = self.retry.as_mut().map_or(Retry::Default, |decide| decide(&ended));
        self.tell(Event::Lost { ended: ended.clone(), unsent: ended.dropped(), open_for });
        if is_stopped {
            return None;
        }
        let outcome = Outcome::Ended { by: ended.by(), code: ended.code(), open_for, retry };
        match self.rules.decide(outcome, random()) {
            Decision::Connect(delay) => self.wait(delay.saturating_sub(at.elapsed())),
            Decision::Fail => return Some(final_end(&ended)),
            Decision::Stop => {}
        }
        None
    }

    fn wait(&mut self, delay: Duration) {
        self.state = State::Waiting(Box::pin(sleep(delay)));
        self.tell(Event::Waiting { delay });
    }

    fn tell(&mut self, event: Event) {
        tracing::debug!(target: "sockeye", ?event, "reconnecting");
        self.tell_of(&event);
    }

    fn tell_of(&mut self, event: &Event) {
        if let Some(observe) = &mut self.observe {
            observe(event);
        }
    }
}

impl Items for Sockets {
    type Item = Result<WebSocket, ConnectError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let may_stop = matches!(this.state, State::Idle | State::Connecting(..) | State::Waiting(_));
            if may_stop && this.stopped.as_mut().poll(cx).is_ready() {
                this.state = State::Done;
            }
            let error = match &mut this.state {
                State::Idle => {
                    this.begin();
                    None
                }
                State::Connecting(attempt, opening) => {
                    let attempt = *attempt;
                    match ready!(opening.as_mut().poll(cx)) {
                        Ok(started) => return Poll::Ready(Some(Ok(this.connected(attempt, started)))),
                        Err(error) => this.failed(error),
                    }
                }
                State::Open(live) => match ready!(live.poll_end(cx)) {
                    Some(end) => {
                        let open_for = live.open_for(&end);
                        let is_stopped = this.stopped.as_mut().poll(cx).is_ready();
                        this.lost(end, open_for, is_stopped)
                    }
                    None => {
                        this.state = State::Done;
                        None
                    }
                },
                State::Waiting(delay) => {
                    ready!(delay.as_mut().poll(cx));
                    this.state = State::Idle;
                    None
                }
                State::Done => return Poll::Ready(None),
            };
            if let Some(error) = error {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }
}

impl FusedStream for Sockets {
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // What is open is the application's alone.
        self.stopping.ended();
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Idle => "idle",
            State::Connecting(..) => "connecting",
            State::Open(_) => "open",
            State::Waiting(_) => "waiting",
            State::Done => "done",
        };
        f.debug_struct("Sockets").field("state", &state).field("attempt", &self.rules.attempt()).finish_non_exhaustive()
    }
}

/// Waits until no other WebSocket is wanted.
fn stopped(stopping: Arc<Stopping>, shutdown: Option<Shutdown>) -> BoxFuture<()> {
    let mut stopped = Box::pin(stopping.stopped());
    let mut begun = Box::pin(async move {
        match shutdown {
            Some(shutdown) => shutdown.begun().await,
            None => std::future::pending().await,
        }
    });
    Box::pin(poll_fn(move |cx| {
        if stopped.as_mut().poll(cx).is_ready() || begun.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    }))
}

/// Why no other WebSocket is opened after this end of the last one.
fn final_end(ended: &Ended) -> ConnectError {
    let code = ended.code().unwrap_or_default();
    let mut message = match ended.by() {
        EndedBy::Peer => format!("the server closed the last WebSocket with {code}"),
        _ => format!("the last WebSocket was closed with {code} because of what the server sent"),
    };
    if !ended.reason().is_empty() {
        message = format!("{message} (`{}`)", ended.reason().escape_debug());
    }
    let message =
        format!("{message}, so no other is opened: {}; `Sockets::retry` can decide otherwise", rules::advice(code));
    ConnectError::new(Blame::Server, Stage::Open, message).finally()
}

/// Random numbers keep clients apart that have failed at a time, so they must differ between machines.
fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(Instant::now().into_std()))
}
