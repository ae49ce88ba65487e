//! A reverse proxy for WebSockets: one backend, and an axum server in front of it.

mod headers;
mod refusal;

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, State},
    http::{HeaderMap, Uri, header::SEC_WEBSOCKET_PROTOCOL},
    response::Response,
    routing::any,
};
use sockeye::{
    Client, ClientRequest, ConnectionLimits, Drained, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade,
    client::{self, Opened},
    pipe,
};
use tokio::{net::TcpListener, time::timeout};

/// What the proxy is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The backend without a path: `ws://127.0.0.1:4000`. The path and the query are those of the client's request.
    pub backend: String,
    /// How long the backend may take for its answer. A slower one is a 504 for the client.
    pub within: Duration,
    /// The longest message, in bytes, in either direction: what the backend accepts.
    pub max_message_size: usize,
    /// How many clients there may be. More are refused with 503.
    pub max_clients: usize,
    /// Whether another proxy is in front of this one: then `X-Forwarded-For` and `X-Forwarded-Proto` of a request are believed.
    pub behind_proxy: bool,
}

/// What all requests share.
#[derive(Clone)]
struct Proxy {
    client: Client,
    settings: Settings,
}

/// The application. Every path is proxied, and only WebSockets are.
pub fn app(settings: Settings, shutdown: &Shutdown) -> Router {
    let config = sockeye::Config::new().max_message_size(settings.max_message_size);
    let client = Client::builder()
        // The backend is near: no proxy of the environment, and many connections may be opened at once.
        .proxy(client::Proxy::none())
        .connecting(256)
        .within(settings.within)
        .config(config)
        .build();
    let limits = ConnectionLimits::new().total(settings.max_clients).upgrades_in_flight(1000);
    // A page of another site is refused with 403 before the handler runs. `shutdown` closes the clients, and their answers are
    // handed on to the backend.
    let defaults = WebSocketDefaults::new().config(config).limits(limits).shutdown(shutdown.clone());
    Router::new().fallback(any(proxy)).layer(defaults).with_state(Proxy { client, settings })
}

/// Serves the application until `shutdown` begins, and returns how its connections ended. The shutdown takes at most
/// `deadline`.
///
/// # Errors
///
/// The error of `axum::serve`.
pub async fn serve(
    listener: TcpListener,
    settings: Settings,
    shutdown: Shutdown,
    deadline: Duration,
) -> io::Result<Drained> {
    let app = app(settings, &shutdown).into_make_service_with_connect_info::<SocketAddr>();
    let begun = shutdown.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move { begun.begun().await });
    let server = tokio::spawn(server.into_future());

    shutdown.begun().await;
    let (drained, served) = tokio::join!(shutdown.drain(deadline), timeout(deadline, server));
    match served {
        Ok(served) => served.map_err(io::Error::other)??,
        Err(_) => tracing::warn!("a request was aborted at the deadline"),
    }
    Ok(drained)
}

/// Opens the backend's connection first. So a client learns by its status that the backend refuses.
async fn proxy(
    State(Proxy { client, settings }): State<Proxy>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    mut ws: WebSocketUpgrade,
) -> Response {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let protocols = ws.requested_protocols().filter_map(|protocol| protocol.to_str().ok());
    let request = ClientRequest::new(format!("{}{path}", settings.backend))
        .headers(headers::forwarded(&headers, address.ip(), settings.behind_proxy))
        .protocols(protocols);
    // If the client leaves meanwhile, this future is dropped, and the attempt with it.
    let opened = match client.open(request).await {
        Ok(opened) => opened,
        Err(error) => return refusal::answer(&error),
    };
    if let Some(protocol) = opened.response().headers().get(SEC_WEBSOCKET_PROTOCOL) {
        ws.set_selected_protocol(protocol.clone());
    }
    ws.on_upgrade(move |client| relay(client, opened))
}

/// Copies messages both ways until one side ends.
async fn relay(client: WebSocket, opened: Opened) {
    let mut piped = None;
    // The backend's connection runs inside the handler of the client's: one task, and a driver for each.
    let backend = opened.serve(async |backend| piped = Some(pipe(client, backend).await)).await;
    let Some(piped) = piped else { return };
    // `Debug` escapes what a peer has written.
    tracing::info!(
        first = ?piped.first,
        end = ?piped.end,
        backend.by = ?backend.by(),
        to_backend.messages = piped.a_to_b.messages,
        to_backend.bytes = piped.a_to_b.bytes,
        to_client.messages = piped.b_to_a.messages,
        to_client.bytes = piped.b_to_a.bytes,
        "a connection has ended"
    );
}
