//! The application: a route for each way to echo and each handler that fails, behind the extractor or by hand.

use std::future::pending;

use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::any,
};
use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use sockeye::{
    Compression, Config, Connection, ConnectionLimits, Role, Shutdown, Stream, WebSocket, WebSocketDefaults,
    WebSocketUpgrade, handshake::OpeningHandshake,
};
use tokio::sync::oneshot;

use super::{
    deadlines::{DEADLINES, impatient},
    faulty::{FAULTY, until_now},
    log::Viewers,
    news::News,
    rooms::{self, Rooms},
    sabotage::{self, Sabotage},
    steady::{self, Lengths},
    ways::{Gather, Upgrade, WAYS, gather},
};

/// The state for every handler.
#[derive(Clone)]
pub(super) struct App {
    gather: Gather,
    news: News,
    viewers: Viewers,
    rooms: Rooms,
    /// For connections that are upgraded by hand; the extractor gets it from its defaults.
    shutdown: Shutdown,
    sabotage: Option<Sabotage>,
}

/// The routes for clients that do one thing.
pub(crate) const HEARTBEATS: &str = "/heartbeats";
pub(crate) const BROADCASTS: &str = "/broadcasts";
pub(crate) const LOG: &str = "/log";
pub(crate) const MEMBERS: &str = "/members";
pub(crate) const SLOW_MEMBERS: &str = "/slow-members";

pub(crate) fn deflate_path(way: usize) -> String {
    format!("/deflate/{way}")
}

pub(crate) fn sends_path(lengths: Lengths, seed: u64) -> String {
    let sends = if lengths == Lengths::Short { "sends-short" } else { "sends" };
    format!("/{sends}/{seed}")
}

pub(crate) fn receives_path(seed: u64) -> String {
    format!("/receives/{seed}")
}

impl App {
    pub(super) fn new(
        shutdown: &Shutdown,
        news: &News,
        viewers: &Viewers,
        rooms: &Rooms,
        sabotage: Option<Sabotage>,
    ) -> Self {
        let (news, viewers, rooms, shutdown) = (news.clone(), viewers.clone(), rooms.clone(), shutdown.clone());
        Self { gather: gather(), news, viewers, rooms, shutdown, sabotage }
    }

    /// The application, with these defaults for the extractor.
    pub(super) fn router(&self, defaults: WebSocketDefaults) -> Router {
        Router::new()
            .route("/echo/{way}", any(echo))
            .route("/deflate/{way}", any(deflate))
            .route("/deadline/{deadline}/{way}", any(late))
            .route("/by-hand/{way}", any(by_hand))
            .route("/faulty/{way}", any(faulty))
            .route("/aborted", any(aborted))
            .route("/full", any(full))
            .route(HEARTBEATS, any(async |ws: WebSocketUpgrade| ws.on_upgrade(steady::has_heartbeats)))
            .route("/sends/{seed}", any(async |seed, ws| sends(Lengths::All, seed, ws).await))
            .route("/sends-short/{seed}", any(async |seed, ws| sends(Lengths::Short, seed, ws).await))
            .route("/receives/{seed}", any(receives))
            .route(BROADCASTS, any(broadcasts))
            .route(LOG, any(log))
            .route(MEMBERS, any(members))
            .route(SLOW_MEMBERS, any(slow_members))
            .layer(defaults)
            .with_state(self.clone())
    }
}

/// Sets only what counts connections: `shutdown`, and `limits` that are never reached.
pub(super) fn defaults(shutdown: &Shutdown, limits: &ConnectionLimits) -> WebSocketDefaults {
    WebSocketDefaults::new().shutdown(shutdown.clone()).limits(limits.clone())
}

/// Counts in total and by the requested path, and limits nothing.
pub(super) fn limits() -> ConnectionLimits {
    ConnectionLimits::new().per_key(usize::MAX, |parts| Some(parts.uri.path().to_owned()))
}

/// A handler with its state.
pub(super) type Handler = fn(WebSocket, Gather) -> BoxFuture<'static, ()>;

async fn echo(
    Path(way): Path<usize>,
    RawQuery(query): RawQuery,
    State(app): State<App>,
    ws: WebSocketUpgrade,
) -> Response {
    let Some(way) = WAYS.get(way) else { return StatusCode::NOT_FOUND.into_response() };
    let ws = match way.upgrade {
        Upgrade::With(set) => set(ws),
        Upgrade::Plain | Upgrade::Boxed | Upgrade::Undriven => ws,
    };
    if let Some(sabotage) = app.sabotage.filter(|_| sabotage::is_due(query.as_deref())) {
        return ws.on_upgrade(move |socket| sabotage.run(socket));
    }
    ws.on_upgrade(move |socket| (way.run)(socket, app.gather))
}

/// The way to echo, with compression for clients that offer it.
async fn deflate(way: Path<usize>, query: RawQuery, state: State<App>, ws: WebSocketUpgrade) -> Response {
    echo(way, query, state, ws.compression(Compression::new())).await
}

async fn sends(lengths: Lengths, Path(seed): Path<u64>, ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(move |socket| steady::sends(socket, lengths, seed))
}

async fn receives(Path(seed): Path<u64>, ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(move |socket| steady::receives(socket, seed))
}

async fn broadcasts(State(app): State<App>, ws: WebSocketUpgrade) -> Response {
    let news = app.news;
    ws.budget(news.budget.clone()).on_upgrade(move |socket| news.tell(socket))
}

async fn log(State(app): State<App>, ws: WebSocketUpgrade) -> Response {
    let viewers = app.viewers;
    ws.budget(viewers.budget.clone()).on_upgrade(move |socket| viewers.show(socket))
}

async fn members(State(app): State<App>, ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(move |socket| app.rooms.serve(socket))
}

/// The same with a short queue, which a slow client fills soon.
async fn slow_members(State(app): State<App>, ws: WebSocketUpgrade) -> Response {
    let ws = ws.write_buffer_size(0).max_write_buffer_size(rooms::LITTLE);
    ws.on_upgrade(move |socket| app.rooms.serve(socket))
}

/// The way to echo, with a short deadline for clients that miss it.
async fn late(Path((deadline, way)): Path<(usize, usize)>, State(app): State<App>, ws: WebSocketUpgrade) -> Response {
    let (Some(deadline), Some(way)) = (DEADLINES.get(deadline), WAYS.get(way)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    ws.timeouts(deadline.timeouts()).on_upgrade(move |socket| (way.run)(socket, app.gather))
}

async fn faulty(Path(way): Path<usize>, ws: WebSocketUpgrade) -> Response {
    let Some(way) = FAULTY.get(way) else { return StatusCode::NOT_FOUND.into_response() };
    ws.timeouts(impatient()).on_upgrade(way.run)
}

/// Refuses every connection by a limit.
async fn full(ws: WebSocketUpgrade) -> Response {
    ws.limits(ConnectionLimits::new().total(0)).on_upgrade(|_| async {})
}

/// Without the extractor: the stream stays in a box, and a driver is optional.
async fn by_hand(Path(way): Path<usize>, State(app): State<App>, mut request: Request) -> Response {
    let Some(way) = WAYS.get(way) else { return StatusCode::NOT_FOUND.into_response() };
    upgrade(&mut request, async move |stream| {
        if let Upgrade::Undriven = way.upgrade {
            (way.run)(WebSocket::new(stream, Role::Server, Config::default()), app.gather).await;
        } else {
            let connection = Connection::new(stream, Role::Server).shutdown(&app.shutdown);
            connection.serve(|socket| (way.run)(socket, app.gather)).await;
        }
    })
}

/// The task of the connection, with handler and driver, is aborted when a client asks for it.
async fn aborted(State(app): State<App>, mut request: Request) -> Response {
    upgrade(&mut request, async move |stream| {
        let (ask, asked) = oneshot::channel();
        let connection = Connection::new(stream, Role::Server).shutdown(&app.shutdown);
        let task = tokio::spawn(connection.serve(|mut socket| async move {
            if until_now(&mut socket).await {
                let _ = ask.send(());
                pending::<()>().await;
            }
        }));
        if asked.await.is_ok() {
            task.abort();
        }
    })
}

/// Accepts the request, and runs `then` on the stream.
fn upgrade<F>(request: &mut Request, then: impl FnOnce(Stream) -> F + Send + 'static) -> Response
where
    F: Future<Output = ()> + Send,
{
    let handshake = match OpeningHandshake::read(&(&*request).into()) {
        Ok(handshake) => handshake,
        Err(reject) => return (reject.status(), reject.to_string()).into_response(),
    };
    let coming = hyper::upgrade::on(request);
    tokio::spawn(async move {
        // The client may have left before it got the answer.
        if let Ok(upgraded) = coming.await {
            then(Stream::boxed(TokioIo::new(upgraded))).await;
        }
    });
    handshake.accept(None).map(|()| Body::empty())
}
