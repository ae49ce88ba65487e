//! `ClientBuilder`: the opening handshake with an application, through hyper over a stream in memory.

use std::{error::Error, fmt, future::Future, panic::Location, time::Duration};

use bytes::Bytes;
use http::{
    Extensions, HeaderName, HeaderValue, Request, Response,
    header::{HOST, ORIGIN},
};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::{Body, Incoming},
    client,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use sockeye_handshake::client::{AnswerError, ClientRequest};
#[cfg(feature = "deflate")]
use sockeye_handshake::deflate::Offered;
#[cfg(feature = "deflate")]
use sockeye_tokio::{Role, proto::deflate::Compression};
use tokio::{io::DuplexStream, task::JoinHandle, time::timeout};
use tower_service::Service;

use crate::{
    Client, Refused,
    client::TIMEOUT,
    link::{Codec, IN_FLIGHT, Link},
};

type BoxError = Box<dyn Error + Send + Sync>;

/// The opening handshake of a [`Client`] with an application: a real HTTP/1.1 request, which hyper carries through a stream in
/// memory. So what the application sees is what a browser would send: its router, its layers and its extractors work, origins are
/// checked, connections are counted, subprotocols and compression are negotiated.
///
/// ```
/// use axum::{Router, extract::Query, response::Response, routing::any};
/// use sockeye_extract::WebSocketUpgrade;
/// use sockeye_test::{Client, Message};
///
/// async fn ws_handler(Query(query): Query<Vec<(String, String)>>, ws: WebSocketUpgrade) -> Response {
///     ws.protocols(["chat"]).on_upgrade(async move |mut socket| {
///         let _ = socket.send(Message::text(format!("welcome to {}", query[0].1))).await;
///     })
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sockeye_test::Refused> {
/// let app: Router = Router::new().route("/ws", any(ws_handler));
/// let mut client = Client::to(app).path("/ws?room=lobby").header("cookie", "id=7").protocols(["chat"]).connect().await?;
/// assert_eq!(client.protocol(), Some("chat"));
/// client.assert_text("welcome to lobby").await;
/// # Ok(()) }
/// ```
#[must_use = "a client is connected by `connect`"]
pub struct ClientBuilder<S> {
    app: S,
    host: String,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    protocols: Vec<String>,
    #[cfg(feature = "deflate")]
    compression: Option<Compression>,
    extensions: Extensions,
    timeout: Duration,
}

impl<S> ClientBuilder<S> {
    pub(crate) fn new(app: S) -> Self {
        Self {
            app,
            host: "localhost".to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
            protocols: Vec::new(),
            #[cfg(feature = "deflate")]
            compression: None,
            extensions: Extensions::new(),
            timeout: TIMEOUT,
        }
    }

    /// Sets the path and the query of the request. Default `/`.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Sets the host of the request, with at most a port. Default `localhost`. An [`origin`](Self::origin) with this host is that
    /// of the server's own pages.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Adds a header to the request, such as a cookie. [`host`](Self::host), [`protocols`](Self::protocols) and `compression` set
    /// the headers of the handshake itself.
    ///
    /// # Panics
    ///
    /// If the name or the value is not valid.
    #[track_caller]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: fmt::Display>,
        V: TryInto<HeaderValue, Error: fmt::Display>,
    {
        let name = name.try_into().unwrap_or_else(|error| panic!("the name of a header: {error}"));
        let value = value.try_into().unwrap_or_else(|error| panic!("the value of the header `{name}`: {error}"));
        self.headers.push((name, value));
        self
    }

    /// Sets the `Origin` of the request, as a browser does for the page that opens the WebSocket. Default: none, as from programs
    /// that are no browsers.
    ///
    /// # Panics
    ///
    /// If the origin is not valid in a header.
    #[track_caller]
    pub fn origin(mut self, origin: impl AsRef<str>) -> Self {
        self.headers.retain(|(name, _)| name != ORIGIN);
        self.header(ORIGIN, origin.as_ref())
    }

    /// Requests subprotocols, in order of preference. [`Client::protocol`] is the one that the server chooses.
    pub fn protocols<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.protocols.extend(protocols.into_iter().map(Into::into));
        self
    }

    /// Offers permessage-deflate. Default: no offer. Nothing is compressed unless the application wants it too.
    #[cfg(feature = "deflate")]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Adds a value to the extensions of the request, as servers do: for axum's extractor `ConnectInfo`, and for limits by
    /// address, `ConnectInfo(SocketAddr)`.
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// Sets how long [`connect`](Self::connect) and each method of the client wait before they panic; see
    /// [`Client::set_timeout`]. Default 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the request, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`Refused`], if the application answers with anything but 101.
    ///
    /// # Panics
    ///
    /// If path, host, subprotocols or headers cannot be those of a handshake, if there is no answer in time, or if the answer is
    /// a 101 that breaks RFC 6455. Outside of a tokio runtime.
    #[track_caller]
    pub fn connect<B>(self) -> impl Future<Output = Result<Client, Refused>>
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let at = Location::caller();
        let timeout = self.timeout;
        #[cfg(feature = "deflate")]
        let compression = self.compression.map(|compression| (Offered::new(&compression), compression));
        let request = self.request();
        #[cfg(feature = "deflate")]
        let request = compression
            .iter()
            .flat_map(|(offered, _)| offered.offers())
            .fold(request, |request, offer| request.offer(offer.clone()));
        let (request, expected) = request.upgrade();
        async move {
            let (stream, server) = serve(self.app, self.extensions);
            let response = match within(timeout, at, send(stream, request)).await {
                Ok(response) => response,
                Err(error) => {
                    let why = within(timeout, at, ended(server, error)).await;
                    panic!("the application has not answered: {why}\n  at {at}")
                }
            };
            let accepted = match expected.check(&response) {
                Ok(accepted) => accepted,
                Err(AnswerError::Status(_)) => {
                    let status = response.status();
                    return match tokio::time::timeout(timeout, refused(response)).await {
                        Ok(Ok(refused)) => Err(refused),
                        Err(_) => {
                            panic!("the application has answered {status}, with a body that does not end\n  at {at}")
                        }
                        Ok(Err(error)) => panic!("the body of the application's answer is cut off: {error}\n  at {at}"),
                    };
                }
                Err(error) => panic!("the application's answer opens no WebSocket: {error}\n  at {at}"),
            };
            #[cfg_attr(not(feature = "deflate"), expect(unused_mut, reason = "compression is added to it"))]
            let mut codec = Codec::new();
            #[cfg(feature = "deflate")]
            if let Some((offered, compression)) = compression {
                match offered.check(&accepted.extensions) {
                    Ok(None) => {}
                    Ok(Some(agreed)) => {
                        codec.encoder = codec.encoder.with_extension(agreed.encoder(Role::Client, &compression));
                        // The server is under test, and not the limits of its client.
                        let unlimited = compression.max_ratio(u32::MAX);
                        codec.decoder = codec.decoder.with_extension(agreed.decoder(Role::Client, &unlimited));
                    }
                    Err(error) => panic!("the application's answer opens no WebSocket: {error}\n  at {at}"),
                }
            }
            let headers = response.headers().clone();
            let (stream, read_ahead) = match within(timeout, at, upgraded(response)).await {
                Ok(upgraded) => upgraded,
                Err(error) => panic!("the application has ended the connection after its 101: {error}\n  at {at}"),
            };
            let mut client = Client::new(Link::start(stream, read_ahead, codec)).answered(headers, accepted.protocol);
            client.set_timeout(timeout);
            Ok(client)
        }
    }

    #[track_caller]
    fn request(&self) -> ClientRequest {
        let Self { host, path, .. } = self;
        assert!(path.starts_with('/'), "the path `{path}` must begin with a slash");
        let uri = format!("ws://{host}{path}");
        let uri = uri.parse().unwrap_or_else(|error| panic!("`{uri}` is no URI: {error}"));
        let mut request = ClientRequest::new(uri).and_then(|request| request.protocols(&self.protocols));
        for (name, value) in &self.headers {
            assert!(name != HOST, "`header` cannot set the `Host`: use `host`");
            request = request.and_then(|request| request.header(name.clone(), value.clone()));
        }
        request.unwrap_or_else(|error| panic!("no opening handshake: {error}"))
    }
}

impl<S> fmt::Debug for ClientBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, path, headers, protocols, timeout, .. } = self;
        f.debug_struct("ClientBuilder")
            .field("host", host)
            .field("path", path)
            .field("headers", headers)
            .field("protocols", protocols)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}

/// Serves the application over HTTP/1.1. Returns the client's end of the stream, and the task.
fn serve<S, B>(app: S, extensions: Extensions) -> (DuplexStream, JoinHandle<hyper::Result<()>>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let (ours, theirs) = tokio::io::duplex(IN_FLIGHT);
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().extend(extensions.clone());
        app.call(request)
    });
    let server = http1::Builder::new().serve_connection(TokioIo::new(theirs), service).with_upgrades();
    (ours, tokio::spawn(server))
}

/// Why a server has ended without an answer, as far as it is known.
async fn ended(server: JoinHandle<hyper::Result<()>>, seen: hyper::Error) -> String {
    match server.await {
        Ok(Ok(())) => seen.to_string(),
        Ok(Err(error)) => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
        Err(error) => error.to_string(),
    }
}

async fn send(stream: DuplexStream, request: Request<()>) -> hyper::Result<Response<Incoming>> {
    let (mut requests, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    requests.send_request(request.map(|()| Empty::<Bytes>::new())).await
}

async fn refused(response: Response<Incoming>) -> hyper::Result<Refused> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Refused { status: head.status, headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// The stream out of hyper, and what hyper has read of it.
async fn upgraded(response: Response<Incoming>) -> hyper::Result<(DuplexStream, Bytes)> {
    let upgraded = hyper::upgrade::on(response).await?;
    match upgraded.downcast::<TokioIo<DuplexStream>>() {
        Ok(parts) => Ok((parts.io.into_inner(), parts.read_buf)),
        Err(_) => unreachable!("hyper returns the stream that `send` has given to it"),
    }
}

async fn within<T>(limit: Duration, at: &Location<'_>, step: impl Future<Output = T>) -> T {
    match timeout(limit, step).await {
        Ok(done) => done,
        Err(_) => panic!("the application has not answered within {limit:?}\n  at {at}"),
    }
}
