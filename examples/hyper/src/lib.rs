//! A WebSocket server on hyper alone: no router, no extractors, no axum. With a certificate it speaks TLS.

#[cfg(unix)]
use std::os::fd::AsFd;
use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use anyhow::Context;
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use sockeye_extract::{Rejection, Shutdown, WebSocket, WebSocketDefaults, WebSocketUpgrade};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// The TLS acceptor for a certificate and its key in PEM.
///
/// # Errors
///
/// When the certificate or the key cannot be read, or when they do not match.
pub fn tls(certificate: &[u8], key: &[u8]) -> anyhow::Result<TlsAcceptor> {
    let certificates = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.context("reading the certificate, which has to be PEM")?;
    let key = PrivateKeyDer::from_pem_slice(key).context("reading the key, which has to be PEM")?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("the certificate and the key cannot be used together")?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves `listener` until `shutdown` begins, over TLS if there is an acceptor. Returns when the last connection has ended that
/// did not become a WebSocket.
///
/// A client must finish the TLS handshake within `header_timeout`, and then send the head of its request within
/// `header_timeout`. No other deadline ends an idle connection before it is a WebSocket.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shutdown: Shutdown, header_timeout: Duration) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    _ = connections.spawn(secure(stream, tls.clone(), shutdown.clone(), header_timeout));
                }
                Err(error) => {
                    // Most likely there are no file descriptors left, and an immediate retry would not help.
                    tracing::error!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = shutdown.begun() => break,
        }
    }
    // New clients should not wait in the queue of a server that is shutting down.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn secure(stream: TcpStream, tls: Option<TlsAcceptor>, shutdown: Shutdown, header_timeout: Duration) {
    let Some(tls) = tls else { return connection(stream, shutdown, header_timeout).await };
    match timeout(header_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, shutdown, header_timeout).await,
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended before it was secured"),
        Err(_) => tracing::debug!("a connection was not secured in time"),
    }
}

async fn connection<S>(stream: S, shutdown: Shutdown, header_timeout: Duration)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let defaults = WebSocketDefaults::new().shutdown(shutdown.clone());
    // With the descriptor of the socket, the deadlines of a WebSocket count what its client has taken, and not only what the
    // TLS layer has taken.
    #[cfg(unix)]
    let defaults = defaults.transport(|tls: &tokio_rustls::server::TlsStream<TcpStream>| Some(tls.get_ref().0.as_fd()));
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
            // Requests in progress are answered, and idle connections end.
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
        "/ws" => match WebSocketUpgrade::from_hyper(&mut request) {
            Ok(ws) => {
                let response = ws.accept(echo);
                // The body is empty unless the request was refused.
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
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}
