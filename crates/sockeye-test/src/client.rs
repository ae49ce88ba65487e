//! `Client`: what a test holds of a connection. The methods that receive are in `receive`.

use std::{fmt, future::Future, panic::Location, thread, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use sockeye_tokio::{CloseCode, CloseFrame, Connection, Message, Role, Settings, Stream, WebSocket};
use tokio::time::timeout;

use crate::{
    ClientBuilder,
    handler::Handler,
    inbox::Inbox,
    link::{Codec, IN_FLIGHT, Link, Reading},
    show::{self, Transcript},
};

/// How long a method waits if the test sets nothing else.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// Connects a client to a function that takes a [`WebSocket`], without HTTP and without a network. The function runs in a task
/// of its own, with the default [`Settings`].
///
/// ```
/// use sockeye_test::{Message, WebSocket, connect_to};
///
/// async fn echo(mut socket: WebSocket) {
///     while let Some(Ok(message)) = socket.recv().await {
///         if message.is_data() && socket.send(message).await.is_err() {
///             break;
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut client = connect_to(echo);
/// client.send_text("hi").await;
/// client.assert_text("hi").await;
/// # }
/// ```
///
/// A handler with more arguments is called by a closure: `connect_to(|socket| handler(socket, state))`.
///
/// # Panics
///
/// Outside of a tokio runtime.
#[must_use = "dropping the client ends its connection"]
pub fn connect_to<F, Fut>(handler: F) -> Client
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    connect_with(Settings::new(), handler)
}

/// As [`connect_to`], with settings for the server's side: deadlines, limits, or a `Shutdown`.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use sockeye_test::{Settings, close_code, connect_with};
/// use sockeye_tokio::Timeouts;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut settings = Settings::new();
/// settings.timeouts = Arc::new(Timeouts::new().idle(Duration::from_secs(600)));
/// let mut client = connect_with(settings, async |mut socket| while let Some(Ok(_)) = socket.recv().await {});
///
/// client.assert_nothing(Duration::from_secs(600)).await;
/// tokio::time::sleep(Duration::from_secs(100)).await;
/// client.assert_close(close_code::AWAY).await;
/// # }
/// ```
///
/// # Panics
///
/// Outside of a tokio runtime.
#[must_use = "dropping the client ends its connection"]
pub fn connect_with<F, Fut>(settings: Settings, handler: F) -> Client
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (ours, theirs) = tokio::io::duplex(IN_FLIGHT);
    let handler =
        Handler::spawn(Connection::new(Stream::boxed(theirs), Role::Server).settings(settings).serve(handler));
    let mut client = Client::new(Link::start(ours, Bytes::new(), Codec::new()));
    client.handler = Some(handler);
    client
}

/// A WebSocket client for tests, connected in memory.
///
/// As a browser does, the client reads everything at once, and answers Pings and a Close by itself, whether the test waits for
/// it or not. What has arrived waits until the test takes it. [`stop_reading`](Self::stop_reading),
/// [`read_rate`](Self::read_rate), [`silence`](Self::silence) and [`vanish`](Self::vanish) make it a worse client.
///
/// An assertion that fails panics, and says what came instead, what came before, and where in the test it stands.
///
/// # Time
///
/// A method panics after the [timeout](Self::set_timeout), 5 s of tokio's time, so a test never hangs. While tokio's clock is
/// paused, and no task has anything to do, this time passes at once, as that of the server's deadlines does.
///
/// # Cancel safety
///
/// Dropping the future of a method that receives loses no message. A dropped future of a method that sends has sent the whole
/// message if it was polled.
///
/// # Drop
///
/// Dropping the client ends the stream without a Close: see [`vanish`](Self::vanish).
///
/// # Panics of the handler
///
/// A handler that panics closes the connection with 1011, and the next assertion says so. If no assertion follows, the drop of the
/// client panics in its place. That needs a handler that has panicked by then: [`finish`](Self::finish) waits for it.
pub struct Client {
    pub(crate) inbox: Inbox,
    pub(crate) transcript: Transcript,
    pub(crate) timeout: Duration,
    /// `None` if an application runs the handler.
    pub(crate) handler: Option<Handler>,
    link: Link,
    headers: HeaderMap,
    protocol: Option<HeaderValue>,
}

impl Client {
    /// Begins to connect to an application: an axum `Router`, an axum handler with its state (`handler.with_state(state)`), or
    /// any other tower service that takes an HTTP request. See [`ClientBuilder`].
    pub fn to<S>(app: S) -> ClientBuilder<S> {
        ClientBuilder::new(app)
    }

    pub(crate) fn new((link, inbox): (Link, Inbox)) -> Self {
        Self {
            inbox,
            transcript: Transcript::default(),
            timeout: TIMEOUT,
            handler: None,
            link,
            headers: HeaderMap::new(),
            protocol: None,
        }
    }

    pub(crate) fn answered(mut self, headers: HeaderMap, protocol: Option<HeaderValue>) -> Self {
        (self.headers, self.protocol) = (headers, protocol);
        self
    }

    /// The subprotocol that the server has chosen. `None` if it has chosen none, or without HTTP.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_ref().and_then(|protocol| protocol.to_str().ok())
    }

    /// The headers of the server's answer to the opening handshake. `Sec-WebSocket-Extensions` says whether messages are
    /// compressed. Empty without HTTP.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Sets how long a method waits before it panics. Default 5 s. Time is that of tokio: paused time passes at once.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Sends a message, and waits until it is on its way: at most 64 KiB are, before the server reads.
    ///
    /// If the connection has ended, the message is lost, as in a browser; the next assertion says how it has ended.
    ///
    /// # Panics
    ///
    /// If the server does not read for as long as the [timeout](Self::set_timeout), or if the message cannot be sent: a Ping or
    /// Pong of more than 125 bytes, or a close code that RFC 6455 does not allow.
    #[track_caller]
    pub fn send(&mut self, message: impl Into<Message>) -> impl Future<Output = ()> {
        let (at, message) = (Location::caller(), message.into());
        async move {
            let written = match self.link.send(message.clone()) {
                Ok(written) => written,
                Err(refusal) => panic!("{} cannot be sent: {refusal}\n  at {at}", show::message(&message)),
            };
            // An error means that the connection has ended.
            if timeout(self.timeout, written).await.is_err() {
                let what = format!("the server has not read {} within {:?}", show::message(&message), self.timeout);
                self.fail(at, &what);
            }
            self.transcript.sent(&message);
        }
    }

    /// Sends a text message; see [`send`](Self::send).
    ///
    /// # Panics
    ///
    /// As for [`send`](Self::send).
    #[track_caller]
    pub fn send_text(&mut self, text: impl Into<String>) -> impl Future<Output = ()> {
        self.send(Message::Text(text.into()))
    }

    /// Sends a binary message; see [`send`](Self::send).
    ///
    /// # Panics
    ///
    /// As for [`send`](Self::send).
    #[track_caller]
    pub fn send_binary(&mut self, data: impl Into<Vec<u8>>) -> impl Future<Output = ()> {
        self.send(Message::Binary(data.into()))
    }

    /// Sends a Ping; see [`send`](Self::send). [`assert_pong`](Self::assert_pong) waits for its answer.
    ///
    /// # Panics
    ///
    /// As for [`send`](Self::send).
    #[track_caller]
    pub fn ping(&mut self, payload: impl Into<Vec<u8>>) -> impl Future<Output = ()> {
        self.send(Message::Ping(payload.into()))
    }

    /// Sends a Close; see [`send`](Self::send). Nothing can be sent after it. What the server still sends arrives, and then its
    /// own Close, for which [`assert_close`](Self::assert_close) waits.
    ///
    /// # Panics
    ///
    /// As for [`send`](Self::send).
    #[track_caller]
    pub fn close(&mut self, code: CloseCode, reason: impl Into<String>) -> impl Future<Output = ()> {
        self.send(Message::Close(Some(CloseFrame::new(code, reason))))
    }

    /// Makes the client read nothing, until [`resume_reading`](Self::resume_reading): a client whose tab is frozen, or whose
    /// network is gone. It answers no Pings, since it does not see them. The server can send 64 KiB more; then its queue grows.
    ///
    /// What has arrived before can still be received.
    pub fn stop_reading(&mut self) {
        self.link.set_reading(Reading::Stopped);
    }

    /// Makes the client read slowly: so many bytes each second, in tenths of a second. The bytes are those on the wire, with the
    /// headers of the frames. With 0, it [stops](Self::stop_reading).
    pub fn read_rate(&mut self, bytes_per_second: usize) {
        self.link.set_reading(match bytes_per_second {
            0 => Reading::Stopped,
            rate => Reading::Rate(rate),
        });
    }

    /// Makes the client read everything at once again.
    pub fn resume_reading(&mut self) {
        self.link.set_reading(Reading::Free);
    }

    /// Makes the client answer nothing by itself from now on: no Ping, and no Close. It stays connected, and reads. So a test
    /// sees what a server does with a client that has hung.
    pub fn silence(&mut self) {
        self.link.silence();
    }

    /// Ends the stream without a Close, as a client does whose program has crashed. The server's `recv` fails with an error that
    /// [`is_abrupt`](sockeye_tokio::Error::is_abrupt).
    ///
    /// The client of a user who has lost the network looks otherwise: [`stop_reading`](Self::stop_reading).
    pub fn vanish(self) {}

    /// Waits until the handler has returned and the connection has ended. The client stays connected meanwhile: a handler that
    /// receives until its client leaves returns after [`close`](Self::close).
    ///
    /// For a client of a whole application, which runs the handler in a task of its own, this waits for the end of the stream.
    ///
    /// # Panics
    ///
    /// With the panic of the handler, or if the handler has not returned in time.
    #[track_caller]
    pub fn finish(mut self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let ended = match &mut self.handler {
                Some(handler) => timeout(self.timeout, handler.returned()).await,
                None => timeout(self.timeout, self.inbox.over()).await,
            };
            if ended.is_err() {
                let what =
                    if self.handler.is_some() { "the handler has not returned" } else { "the stream has not ended" };
                self.fail(at, &format!("{what} within {:?}", self.timeout));
            }
        }
    }

    /// Panics with what a test needs to see.
    pub(crate) fn fail(&self, at: &Location<'_>, what: &str) -> ! {
        let panicked = match self.handler.as_ref().and_then(Handler::panic) {
            Some(text) => format!("\n  the handler has panicked: {text}"),
            None => String::new(),
        };
        panic!("{what}\n  at {at}{}{panicked}{}", self.transcript.lines(), self.hint());
    }

    /// Whether the test has made the client read slowly, or not at all.
    pub(crate) fn is_slow(&self) -> bool {
        self.link.reading() != Reading::Free
    }

    fn hint(&self) -> &'static str {
        match self.link.reading() {
            Reading::Free => "",
            Reading::Rate(_) => "\n  note: `read_rate` makes this client read slowly",
            Reading::Stopped => "\n  note: this client reads nothing, because of `stop_reading`",
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let unknown = self.handler.as_ref().filter(|handler| !handler.is_known && !thread::panicking());
        if let Some(text) = unknown.and_then(Handler::panic) {
            panic!("the handler has panicked, and no assertion has seen it: {text}");
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
