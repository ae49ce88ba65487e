//! A WebSocket server on hyper alone: no router, no extractors, no axum.

use std::{convert::Infallible, pin::pin, time::Duration};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use sockeye_extract::{Message, Rejection, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Serves `listener` until `shutdown` begins, and ends when the last connection that is still HTTP has.
///
/// A client must have sent the head of its request within `header_timeout`: nothing else ends a connection on which
/// nothing happens before it is a WebSocket.
pub async fn serve(listener: TcpListener, shutdown: Shutdown, header_timeout: Duration) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => _ = connections.spawn(connection(stream, shutdown.clone(), header_timeout)),
                Err(error) => {
                    // Out of file descriptors, most likely, and asking again at once does not make more.
                    tracing::error!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = shutdown.begun() => break,
        }
    }
    // Nobody new is let wait in the queue of a server that is going away.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, shutdown: Shutdown, header_timeout: Duration) {
    let defaults = WebSocketDefaults::new().shutdown(shutdown.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(defaults.clone());
        async { Ok::<_, Infallible>(answer(request)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.begun() => {
            // What is being answered is answered, what is idle ends.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended before it was a WebSocket");
    }
}

fn answer(mut request: Request<Incoming>) -> Response<String> {
    match request.uri().path() {
        "/" => Response::new("There is a WebSocket at /ws\n".to_owned()),
        "/ws" => match WebSocketUpgrade::from_request(&mut request) {
            Ok(ws) => {
                let response = ws.accept(echo);
                // Empty, unless it is a refusal.
                let text = response.extensions().get().map(Rejection::body_text).unwrap_or_default();
                response.map(|()| text)
            }
            Err(rejection) => rejection.into_http(),
        },
        _ => {
            let mut response = Response::new("There is only / and /ws\n".to_owned());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(_) | Message::Binary(_) = message
            && socket.send(message).await.is_err()
        {
            break;
        }
    }
}
