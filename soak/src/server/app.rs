//! The application: a route for each way to echo and each handler that fails, behind the extractor or by hand.

use std::future::pending;

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::any,
};
use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use sockeye::{
    Config, Connection, ConnectionLimits, Role, Shutdown, Stream, WebSocket, WebSocketDefaults, WebSocketUpgrade,
    handshake::OpeningHandshake,
};
use tokio::sync::oneshot;

use super::{
    deadlines::DEADLINES,
    faulty::{FAULTY, until_now},
    sabotage::{self, Sabotage},
    ways::{Gather, Upgrade, WAYS, gather},
};

/// What every handler may use.
#[derive(Clone)]
struct App {
    gather: Gather,
    /// For those that are upgraded by hand; the extractor has it from its defaults.
    shutdown: Shutdown,
    sabotage: Option<Sabotage>,
}

/// The extractor has its defaults, but for what counts: `shutdown`, and `limits` that nobody reaches.
pub(super) fn app(shutdown: &Shutdown, limits: &ConnectionLimits, sabotage: Option<Sabotage>) -> Router {
    let defaults = WebSocketDefaults::new().shutdown(shutdown.clone()).limits(limits.clone());
    Router::new()
        .route("/echo/{way}", any(echo))
        .route("/deadline/{deadline}/{way}", any(late))
        .route("/by-hand/{way}", any(by_hand))
        .route("/faulty/{way}", any(faulty))
        .route("/aborted", any(aborted))
        .route("/full", any(full))
        .layer(Extension(defaults))
        .with_state(App { gather: gather(), shutdown: shutdown.clone(), sabotage })
}

/// Counts, in total and by the path that is asked for, and limits nothing.
pub(super) fn limits() -> ConnectionLimits {
    ConnectionLimits::new().per_key(usize::MAX, |parts| Some(parts.uri.path().to_owned()))
}

/// A handler, with what it may use.
pub(super) type Handler = fn(WebSocket, Gather) -> BoxFuture<'static, ()>;

async fn echo(Path(way): Path<usize>, State(app): State<App>, ws: WebSocketUpgrade) -> Response {
    let Some(way) = WAYS.get(way) else { return StatusCode::NOT_FOUND.into_response() };
    let ws = match way.upgrade {
        Upgrade::With(set) => set(ws),
        Upgrade::Plain | Upgrade::Boxed | Upgrade::Undriven => ws,
    };
    if let Some(sabotage) = app.sabotage.filter(|_| sabotage::is_due()) {
        return ws.on_upgrade(move |socket| sabotage.run(socket));
    }
    ws.on_upgrade(move |socket| (way.run)(socket, app.gather))
}

/// The way to echo, with one of the deadlines for those who let it pass.
async fn late(Path((deadline, way)): Path<(usize, usize)>, State(app): State<App>, ws: WebSocketUpgrade) -> Response {
    let (Some(deadline), Some(way)) = (DEADLINES.get(deadline), WAYS.get(way)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    ws.timeouts(deadline.timeouts()).on_upgrade(move |socket| (way.run)(socket, app.gather))
}

async fn faulty(Path(way): Path<usize>, ws: WebSocketUpgrade) -> Response {
    let Some(way) = FAULTY.get(way) else { return StatusCode::NOT_FOUND.into_response() };
    ws.on_upgrade(way.run)
}

/// Has no room for anybody.
async fn full(ws: WebSocketUpgrade) -> Response {
    ws.limits(ConnectionLimits::new().total(0)).on_upgrade(|_| async {})
}

/// Without the extractor: the stream stays in a box, and there need not be a driver.
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

/// The task of the connection is aborted when a client asks for it: handler, driver and all.
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
        // The client may have gone before it had the answer.
        if let Ok(upgraded) = coming.await {
            then(Stream::boxed(TokioIo::new(upgraded))).await;
        }
    });
    handshake.accept(None).map(|()| Body::empty())
}
