//! How a [`WebSocketUpgrade`] is answered, and what runs once the HTTP layer has handed over the connection.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header::SEC_WEBSOCKET_PROTOCOL};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto};
use sockeye_handshake::Reject;
use sockeye_tokio::{Connection, Role, Shutdown, ShutdownHold, Stream, WebSocket};
use tokio::net::TcpStream;
use tracing::{Span, field};

use crate::{
    Rejection, WebSocketDefaults, WebSocketUpgrade, agreement::Agreement, failed::Failed, limits::InFlight, observing,
};

impl<F> WebSocketUpgrade<F> {
    /// Whether the request would be accepted as things stand: by its origin, while the server is not shutting down, and
    /// while there is room for one more connection.
    ///
    /// `on_upgrade` and [`accept`](Self::accept) check it anyway. Call it before work that is in vain for a request
    /// that is refused. It reserves nothing: the last place may be taken until they are called.
    ///
    /// # Errors
    ///
    /// [`ShuttingDown`](crate::rejection::ShuttingDown), [`OriginNotAllowed`](crate::rejection::OriginNotAllowed), or the
    /// limit that is reached, by [`limits`](Self::limits).
    pub fn check(&self) -> Result<(), Rejection> {
        let limits = || self.settings.limits.as_ref().map_or(Ok(()), |limits| limits.check(&self.keys));
        self.check_request().and_then(|()| limits()).map_err(Rejection::from).inspect_err(observing::refused)
    }

    /// What does not depend on other connections.
    fn check_request(&self) -> Result<(), Reject> {
        if let Some(retry_after) = self.settings.shutdown.as_ref().and_then(Shutdown::refusing) {
            return Err(Reject::ShuttingDown { retry_after });
        }
        self.handshake.check_origin(&self.settings.origins).inspect_err(|reject| tracing::warn!("{reject}"))
    }

    /// Answers the request, and runs `callback` on the connection in a task of its own, within the current span.
    ///
    /// The answer is 101 over HTTP/1.1 and 200 over HTTP/2; return it with an empty body. If the request is
    /// [refused](Self::check), it is the rejection's, and its extensions have the [`Rejection`] with the text for the
    /// body.
    ///
    /// ```no_run
    /// use http_body_util::Full;
    /// use hyper::{Request, Response, body::{Bytes, Incoming}};
    /// use sockeye_extract::{Rejection, WebSocketUpgrade};
    ///
    /// async fn service(mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    ///     match WebSocketUpgrade::from_request(&mut request) {
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
        C: FnOnce(WebSocket) -> Fut + Send + 'static,
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
    /// The connection closes when the [`WebSocket`] is dropped, in whatever task, and is registered with the
    /// [`shutdown`](Self::shutdown) if there is one. A request that is [refused](Self::check) is answered with its
    /// rejection.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. In one without timers (`enable_time`) the task of the connection panics.
    #[cfg(feature = "axum")]
    #[must_use = "to set up the WebSocket connection, this response must be returned"]
    pub fn on_upgrade<C, Fut>(self, callback: C) -> axum_core::response::Response
    where
        C: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
        F: crate::OnFailedUpgrade,
    {
        match self.open(callback) {
            Ok(response) => response.map(|()| axum_core::body::Body::empty()),
            Err(rejection) => axum_core::response::IntoResponse::into_response(rejection),
        }
    }

    /// `accept` and `on_upgrade`, save for the body.
    fn open<C, Fut>(mut self, callback: C) -> Result<Response<()>, Rejection>
    where
        C: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
        F: Failed,
    {
        // Before the check, so that a drain which begins in between waits for this connection.
        let hold = self.settings.shutdown.as_ref().map(Shutdown::hold);
        // Last, so that nothing that is refused for another reason ever takes a place.
        let keys = std::mem::take(&mut self.keys);
        let admit = || self.settings.limits.as_ref().map(|limits| limits.admit(keys)).transpose();
        let admitted = self.check_request().and_then(|()| admit()).map_err(Rejection::from);
        let (place, in_flight) = admitted.inspect_err(observing::refused)?.unzip();
        let agreement = Agreement::of(&self.handshake, &self.settings);
        let response = self.handshake.accept_with(self.protocol.as_ref(), &agreement.answer);
        // The socket's protocol is what was sent, not what was wished for.
        let protocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL).cloned();
        if let (Some(wished), None) = (&self.protocol, &protocol) {
            tracing::warn!(protocol = ?wished, "the client did not request this subprotocol, so it is not sent");
        }
        // Without one of its own, the connection stays within the span of its request.
        let span = if self.span.is_disabled() { Span::current() } else { self.span };
        if let Some(protocol) = &protocol {
            span.record("protocol", field::debug(protocol));
        }
        if let Some(extension) = agreement.answer.first() {
            span.record("extensions", field::display(extension));
        }
        let agreed = Agreed { protocol, agreement, hold, in_flight };
        let connection = connect(self.on_upgrade, self.on_failed_upgrade, self.settings, agreed, callback);
        // Two types of task, so that a connection without limits holds nothing for them.
        match place {
            None => drop(tokio::spawn(Upgrade::new(connection, span, ()))),
            Some(place) => drop(tokio::spawn(Upgrade::new(connection, span, place))),
        }
        Ok(response)
    }
}

/// The task of a connection: waits for it, then runs it, within its span. What it needs while it waits does not stay in
/// memory as long as the connection.
struct Upgrade<C, S, P> {
    stage: Stage<C, S>,
    /// `None` where it is disabled, and so nothing but a pointer.
    span: Option<Box<Span>>,
    /// The connection's place among those that are allowed, if they are counted. It is given up by its drop, after the
    /// connection's.
    _place: P,
}

enum Stage<C, S> {
    Coming(Pin<Box<C>>),
    Running(S),
    Done,
}

impl<C, S, P> Upgrade<C, S, P> {
    fn new(connection: C, span: Span, place: P) -> Self {
        let span = (!span.is_disabled()).then(|| Box::new(span));
        Self { stage: Stage::Coming(Box::pin(connection)), span, _place: place }
    }
}

impl<C, S> Stage<C, S>
where
    C: Future<Output = Option<S>>,
    S: Future<Output = ()> + Unpin,
{
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !matches!(self, Self::Running(_)) {
            ready!(self.poll_coming(cx));
        }
        match self {
            Self::Running(connection) => Pin::new(connection).poll(cx),
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

impl<C, S, P> Future for Upgrade<C, S, P>
where
    C: Future<Output = Option<S>>,
    S: Future<Output = ()> + Unpin,
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

// Apart, since it is much code beside the little that is run where there is no span.
#[inline(never)]
fn within<T>(span: &Span, work: impl FnOnce() -> T) -> T {
    span.in_scope(work)
}

impl<C, S, P> Drop for Upgrade<C, S, P> {
    /// What the end of the connection says belongs to its span, too.
    fn drop(&mut self) {
        let _entered = self.span.as_deref().map(Span::enter);
        self.stage = Stage::Done;
    }
}

/// What the answer to the request says about the connection, and what keeps a shutdown waiting for it.
struct Agreed {
    protocol: Option<HeaderValue>,
    agreement: Agreement,
    hold: Option<ShutdownHold>,
    in_flight: Option<InFlight>,
}

/// Waits for the HTTP layer, and gives the connection that is to be run, if there is one.
async fn connect<F, C, Fut>(
    on_upgrade: OnUpgrade,
    on_failed_upgrade: F,
    settings: WebSocketDefaults,
    agreed: Agreed,
    callback: C,
) -> Option<impl Future<Output = ()> + Unpin>
where
    F: Failed,
    C: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            on_failed_upgrade.failed(error);
            return None;
        }
    };
    let Agreed { protocol, agreement, hold, in_flight } = agreed;
    drop(in_flight);
    let stream = stream(upgraded);
    observing::note_peer(&stream);
    let mut connection = Connection::new(stream, Role::Server)
        .config(settings.config)
        .timeouts(settings.timeouts)
        .overflow(settings.overflow)
        .protocol(protocol);
    if let Some(shutdown) = &settings.shutdown {
        connection = connection.shutdown(shutdown);
    }
    if let Some(budget) = &settings.budget {
        connection = connection.budget(budget);
    }
    let connection = agreement.apply(connection).serve(callback);
    // The connection is registered by now.
    drop(hold);
    Some(connection)
}

/// The connection without HTTP around it: the raw `TcpStream` where there is one.
fn stream(upgraded: Upgraded) -> Stream {
    // The builder of `axum::serve` wraps the stream once more, and that of plain hyper does not.
    let upgraded = match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
        Ok(parts) => return tcp(parts.io, &parts.read_buf),
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => tcp(parts.io, &parts.read_buf),
        // TLS, a Unix socket, a stream of HTTP/2.
        Err(upgraded) => Stream::boxed(TokioIo::new(upgraded)),
    }
}

/// The stream, and what HTTP has read beyond the request. That is copied, since it shares HTTP's whole read buffer.
fn tcp(io: TokioIo<TcpStream>, read_ahead: &[u8]) -> Stream {
    Stream::from(io.into_inner()).with_read_ahead(Bytes::copy_from_slice(read_ahead))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Method, Request};
    use http_body_util::Empty;
    use hyper::{body::Incoming, client, ext::Protocol, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioExecutor;
    use tokio::{net::TcpListener, sync::mpsc};

    use super::*;

    /// What [`stream`] makes of the connection that `serve` hands over, after a client has asked for it.
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
            *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
        } else if request.method() != Method::CONNECT {
            return Ok(response);
        }
        let on_upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { sender.send(format!("{:?}", stream(on_upgrade.await.unwrap()))) });
        Ok(response)
    }

    #[tokio::test]
    async fn a_tcp_stream_is_taken_out_of_the_builders_wrapping() {
        let plain = |io, sender: mpsc::UnboundedSender<String>| async move {
            let service = service_fn(move |request| accept(request, sender.clone()));
            http1::Builder::new().serve_connection(io, service).with_upgrades().await.unwrap();
        };
        assert!(stream_of(plain, false).await.contains("tcp"));

        let wrapped = |io, sender: mpsc::UnboundedSender<String>| async move {
            let service = service_fn(move |request| accept(request, sender.clone()));
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http2().enable_connect_protocol();
            // Its error is the client's, who hangs up on HTTP/2.
            let _ = builder.serve_connection_with_upgrades(io, service).await;
        };
        assert!(stream_of(wrapped, false).await.contains("tcp"));
        assert!(stream_of(wrapped, true).await.contains("boxed"));
    }
}
