//! How a [`WebSocketUpgrade`](crate::WebSocketUpgrade) is answered, and what runs once the HTTP layer has handed over the connection.

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Response, StatusCode, header::SEC_WEBSOCKET_PROTOCOL};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sockeye_handshake::Reject;
use sockeye_tokio::{Connection, Role, Shutdown, ShutdownHold, Stream};
use tokio::net::TcpStream;
use tracing::{Span, field};

use crate::{
    Rejection,
    defaults::Settings,
    extensions::NegotiatedExtensions,
    failed::{self, Failed},
    limits::{InFlight, Reason},
    socket::Socket,
    telemetry,
    transport::{Transport, take},
    upgrade::{Asked, Upgrade},
};

/// Why a valid request is refused.
enum Refusal {
    /// The origin is not allowed, or the server is shutting down.
    Request(Reject),
    /// A limit of the number of connections is reached.
    Limit(Reason),
}

impl<S: Socket, F> Upgrade<S, F> {
    /// Whether the request would be accepted now: its origin is allowed, the server is not shutting down, and there is room for
    /// one more connection.
    ///
    /// `on_upgrade` and [`accept`](Self::accept) make the same check. Call `check` first to avoid work for a request that will
    /// be refused. `check` reserves nothing: another connection may take the last place before the call of `accept`. A refused
    /// request is logged and counted once, even if `accept` is called after `check`.
    ///
    /// # Errors
    ///
    /// [`ShuttingDown`](crate::rejection::ShuttingDown), [`OriginNotAllowed`](crate::rejection::OriginNotAllowed), or the limit
    /// of [`limits`](Self::limits) that is reached.
    pub fn check(&self) -> Result<(), Rejection> {
        self.asked.check()
    }

    /// Answers the request, and runs `callback` on the connection in a task of its own, within the current span.
    ///
    /// The answer is 101 over HTTP/1.1 and 200 over HTTP/2; return it with an empty body. If the request is
    /// [refused](Self::check), the answer is that of the rejection, and the extensions of this answer contain the
    /// [`Rejection`]: it has the text for the body.
    ///
    /// ```no_run
    /// use http_body_util::Full;
    /// use hyper::{Request, Response, body::{Bytes, Incoming}};
    /// use sockeye_extract::{Rejection, WebSocketUpgrade};
    ///
    /// async fn service(mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    ///     match WebSocketUpgrade::from_hyper(&mut request) {
    ///         Ok(ws) => {
    ///             let response = ws.accept(|_socket| async {});
    ///             let text = response.extensions().get().map(Rejection::body_text).unwrap_or_default();
    ///             response.map(|()| Full::from(text))
    ///         }
    ///         Err(rejection) => rejection.into_http().map(Full::from),
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. In one without timers (`enable_time`) the task of the connection panics.
    #[must_use = "the connection is upgraded when this response has been sent"]
    pub fn accept<C, Fut>(self, callback: C) -> Response<()>
    where
        C: FnOnce(S) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
        F: Failed,
    {
        self.open(callback).unwrap_or_else(|rejection| {
            let mut response = rejection.clone().into_http().map(drop);
            response.extensions_mut().insert(rejection);
            response
        })
    }

    /// Answers the request, and runs `callback` on the connection in a task of its own, within the current span.
    ///
    /// The connection closes when the socket is dropped, in any task. It is registered with the
    /// [`shutdown`](Self::shutdown), if one is set. A [refused](Self::check) request is answered with its rejection.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. In one without timers (`enable_time`) the task of the connection panics.
    #[cfg(feature = "axum")]
    #[must_use = "to set up the WebSocket connection, this response must be returned"]
    pub fn on_upgrade<C, Fut>(self, callback: C) -> axum_core::response::Response
    where
        C: FnOnce(S) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
        F: crate::OnFailedUpgrade,
    {
        match self.open(callback) {
            Ok(response) => response.map(|()| axum_core::body::Body::empty()),
            Err(rejection) => axum_core::response::IntoResponse::into_response(rejection),
        }
    }

    /// `accept` and `on_upgrade`, without the body.
    fn open<C, Fut>(self, callback: C) -> Result<Response<()>, Rejection>
    where
        C: FnOnce(S) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
        F: Failed,
    {
        let mut asked = self.asked;
        // Taken before the check, so that a drain that begins after the check waits for this connection.
        let hold = asked.settings.connection.shutdown.as_ref().map(Shutdown::hold);
        // Last, so that a request that is refused for another reason never takes a place.
        let keys = std::mem::take(&mut asked.keys);
        let admit = || asked.settings.limits.as_ref().map(|limits| limits.admit(keys)).transpose();
        let admitted = asked.check_request().and_then(|()| admit().map_err(Refusal::Limit));
        let (permit, in_flight) = admitted.map_err(|refusal| asked.refuse(refusal))?.unzip();
        let extensions = NegotiatedExtensions::of(&asked.handshake, &asked.settings);
        let response = asked.handshake.accept_with(asked.protocol.as_ref(), &extensions.answer);
        // The socket's protocol is the one that was sent, not the one that the handler chose.
        let protocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL).cloned();
        if let (Some(wished), None) = (&asked.protocol, &protocol) {
            tracing::warn!(
                protocol = ?wished,
                "the client did not request this subprotocol, so it is not sent: choose one of `requested_protocols()`"
            );
        }
        // A connection without a span of its own stays within the span of its request.
        let span = asked.span.or_else(telemetry::current_span);
        if let Some(span) = &span {
            if let Some(protocol) = &protocol {
                span.record("protocol", field::debug(protocol));
            }
            if let Some(extension) = extensions.answer.first() {
                span.record("extensions", field::display(extension));
            }
        }
        // RFC 8441 §5: over HTTP/2 the answer to the handshake is 200.
        let shares_connection = response.status() != StatusCode::SWITCHING_PROTOCOLS;
        let has_span = span.is_some();
        let accepted = Accepted { protocol, extensions, hold, in_flight, shares_connection, has_span };
        let connection = connect(asked.on_upgrade, self.on_failed_upgrade, asked.settings, accepted, callback);
        // Two types of task, so that a connection without limits spends no memory on them.
        match permit {
            None => drop(tokio::spawn(Task::new(connection, span, ()))),
            Some(permit) => drop(tokio::spawn(Task::new(connection, span, permit))),
        }
        Ok(response)
    }
}

impl Asked {
    fn check(&self) -> Result<(), Rejection> {
        let limits =
            || self.settings.limits.as_ref().map_or(Ok(()), |limits| limits.look(&self.keys).map_err(Refusal::Limit));
        self.check_request().and_then(|()| limits()).map_err(|refusal| self.refuse(refusal))
    }

    /// Logs and counts a refusal, once for each request: a handler may call `accept` after a `check` that failed.
    fn refuse(&self, refusal: Refusal) -> Rejection {
        let is_known = self.refused.swap(true, Ordering::Relaxed);
        let reject = match refusal {
            Refusal::Request(reject) if is_known => reject,
            Refusal::Request(reject) => {
                telemetry::origin_refused(&reject, self.path());
                reject
            }
            Refusal::Limit(reason) if is_known => reason.reject(),
            Refusal::Limit(reason) => match &self.settings.limits {
                Some(limits) => limits.refuse(reason, self.path()),
                None => reason.reject(),
            },
        };
        let rejection = Rejection::from(reject);
        if !is_known {
            telemetry::refused(&rejection);
        }
        rejection
    }

    /// Checks what does not depend on other connections.
    fn check_request(&self) -> Result<(), Refusal> {
        if let Some(retry_after) = self.settings.connection.shutdown.as_ref().and_then(Shutdown::refusing) {
            return Err(Refusal::Request(Reject::ShuttingDown { retry_after }));
        }
        self.handshake.check_origin(&self.settings.origins).map_err(Refusal::Request)
    }
}

/// The task of a connection: waits for the upgrade, then runs the connection, within its span. What the waiting needs is freed
/// when the connection starts.
struct Task<C, R, P> {
    stage: Stage<C, R>,
    /// `None` if the span is disabled.
    span: Option<Box<Span>>,
    /// The permit of the connection, if connections are limited. It is dropped after the connection, and gives the place back
    /// then.
    _permit: P,
}

enum Stage<C, R> {
    Coming(Pin<Box<C>>),
    Running(R),
    Done,
}

impl<C, R, P> Task<C, R, P> {
    fn new(connection: C, span: Option<Box<Span>>, permit: P) -> Self {
        Self { stage: Stage::Coming(Box::pin(connection)), span, _permit: permit }
    }
}

impl<C, R> Stage<C, R>
where
    C: Future<Output = Option<R>>,
    R: Future + Unpin,
{
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self, Self::Running(_)) {
            ready!(self.poll_coming(cx));
        }
        match self {
            // Nobody asks how the connection has ended: its span and the metrics say that.
            Self::Running(connection) => Pin::new(connection).poll(cx).map(discard),
            _ => Poll::Ready(()),
        }
    }

    #[cold]
    fn poll_coming(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Coming(connection) = self {
            *self = ready!(connection.as_mut().poll(cx)).map_or(Self::Done, Self::Running);
        }
        Poll::Ready(())
    }
}

/// Drops what a future has returned. Not inlined, so that a poll that returns nothing is short.
#[cold]
#[inline(never)]
fn discard<T>(returned: T) {
    drop(returned);
}

impl<C, R, P> Future for Task<C, R, P>
where
    C: Future<Output = Option<R>>,
    R: Future + Unpin,
    P: Unpin,
{
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { stage, span, .. } = &mut *self;
        match span {
            None => stage.poll(cx),
            Some(span) => within(span, || stage.poll(cx)),
        }
    }
}

// Not inlined: entering a span is much code, and the path without a span is short.
#[inline(never)]
fn within<T>(span: &Span, work: impl FnOnce() -> T) -> T {
    span.in_scope(work)
}

impl<C, R, P> Drop for Task<C, R, P> {
    /// What the connection logs when it is dropped belongs to its span too.
    fn drop(&mut self) {
        let _entered = self.span.as_deref().map(Span::enter);
        self.stage = Stage::Done;
    }
}

/// What the answer to the request says about the connection, and the hold that makes a shutdown wait for it.
struct Accepted {
    protocol: Option<HeaderValue>,
    extensions: NegotiatedExtensions,
    hold: Option<ShutdownHold>,
    in_flight: Option<InFlight>,
    /// Whether the stream is one of many of an HTTP/2 connection. Unread data of one stream can end that connection for all of
    /// them.
    shares_connection: bool,
    /// Whether the task enters a span for the connection.
    has_span: bool,
}

/// Waits until the HTTP layer hands over the stream, and returns the future that runs the connection. If the upgrade fails,
/// calls `on_failed_upgrade`, and returns `None`.
async fn connect<S, F, C, Fut>(
    on_upgrade: OnUpgrade,
    on_failed_upgrade: F,
    settings: Arc<Settings>,
    accepted: Accepted,
    callback: C,
) -> Option<impl Future + Unpin>
where
    S: Socket,
    F: Failed,
    C: FnOnce(S) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            failed::explain(&error);
            on_failed_upgrade.failed(error);
            return None;
        }
    };
    let Accepted { protocol, extensions, hold, in_flight, shares_connection, has_span } = accepted;
    drop(in_flight);
    let stream = stream(upgraded, settings.transport.as_ref());
    if has_span {
        telemetry::record_peer(&stream);
    }
    let mut runtime = settings.connection.clone();
    if !shares_connection {
        runtime.unread = None;
    }
    let connection = Connection::new(stream, Role::Server).settings(runtime).protocol(protocol);
    let connection =
        extensions.apply(connection).serve_in_current_span(move |socket| callback(S::from_websocket(socket)), has_span);
    // The connection is registered by now.
    drop(hold);
    Some(connection)
}

/// The stream below HTTP: the raw `TcpStream` if there is one, or else the type that `transport` has set.
fn stream(upgraded: Upgraded, transport: Option<&Transport>) -> Stream {
    let upgraded = match take::<TcpStream>(upgraded) {
        Ok((stream, read_ahead)) => return Stream::from(stream).with_read_ahead(read_ahead),
        Err(upgraded) => upgraded,
    };
    let upgraded = match transport {
        Some(transport) => transport.stream(upgraded),
        None => Err(upgraded),
    };
    // TLS, a Unix socket, a stream of HTTP/2.
    upgraded.unwrap_or_else(|upgraded| Stream::boxed(TokioIo::new(upgraded)))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{Method, Request};
    use http_body_util::Empty;
    use hyper::{body::Incoming, client, ext::Protocol, server::conn::http1, service::service_fn};
    use hyper_util::{rt::TokioExecutor, server::conn::auto};
    use tokio::{net::TcpListener, sync::mpsc};

    use super::*;

    /// The `Debug` text of the [`stream`] that `serve` hands over after the request of a client.
    async fn stream_of<S, Fut>(serve: S, http2: bool) -> String
    where
        S: FnOnce(TokioIo<TcpStream>, mpsc::UnboundedSender<String>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let io = TokioIo::new(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        tokio::spawn(serve(TokioIo::new(listener.accept().await.unwrap().0), sender));

        let request = Request::builder().header("upgrade", "websocket").header("connection", "upgrade");
        if http2 {
            let builder = client::conn::http2::Builder::new(TokioExecutor::new());
            let (mut client, connection) = builder.handshake(io).await.unwrap();
            tokio::spawn(connection);
            client.send_request(Request::new(Empty::<Bytes>::new())).await.unwrap();
            let request = Request::builder()
                .method(Method::CONNECT)
                .uri("http://localhost/")
                .extension(Protocol::from_static("websocket"));
            client.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        } else {
            let (mut client, connection) = client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection.with_upgrades());
            client.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        }
        receiver.recv().await.unwrap()
    }

    async fn accept(
        mut request: Request<Incoming>,
        sender: mpsc::UnboundedSender<String>,
    ) -> Result<Response<Empty<Bytes>>, Infallible> {
        let mut response = Response::new(Empty::new());
        if request.version() == http::Version::HTTP_11 {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
        } else if request.method() != Method::CONNECT {
            return Ok(response);
        }
        let on_upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { sender.send(format!("{:?}", stream(on_upgrade.await.unwrap(), None))) });
        Ok(response)
    }

    #[tokio::test]
    async fn a_tcp_stream_is_taken_out_of_the_wrapping_of_the_auto_builder() {
        let plain = |io, sender: mpsc::UnboundedSender<String>| async move {
            let service = service_fn(move |request| accept(request, sender.clone()));
            http1::Builder::new().serve_connection(io, service).with_upgrades().await.unwrap();
        };
        assert!(stream_of(plain, false).await.contains("tcp"));

        let wrapped = |io, sender: mpsc::UnboundedSender<String>| async move {
            let service = service_fn(move |request| accept(request, sender.clone()));
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http2().enable_connect_protocol();
            // It fails because the client closes the HTTP/2 connection.
            let _ = builder.serve_connection_with_upgrades(io, service).await;
        };
        assert!(stream_of(wrapped, false).await.contains("tcp"));
        assert!(stream_of(wrapped, true).await.contains("boxed"));
    }
}
