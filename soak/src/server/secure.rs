//! The same application over TLS in this process, with any library.

mod rustls;

#[cfg(feature = "openssl")]
mod openssl;

use std::pin::pin;

use anyhow::{Context as _, Result};
use axum::Router;
use futures_util::future::BoxFuture;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use sockeye::{Shutdown, WebSocketDefaults};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    select,
};

/// What a library provides: the TLS handshake, and the socket below its stream.
pub(super) trait Acceptor: Clone + Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The stream, unless the client leaves during the handshake.
    fn accept(&self, tcp: TcpStream) -> BoxFuture<'static, Option<Self::Stream>>;

    /// Tells the extractor how to find the socket.
    fn transport(defaults: WebSocketDefaults) -> WebSocketDefaults;
}

/// A certificate for `localhost`.
pub(super) fn certificate() -> Result<CertifiedKey<KeyPair>> {
    generate_simple_self_signed(["localhost".to_owned()]).context("no certificate can be made")
}

pub(super) fn by_rustls(certificate: &CertifiedKey<KeyPair>) -> Result<impl Acceptor> {
    rustls::acceptor(certificate)
}

#[cfg(feature = "openssl")]
pub(super) fn by_openssl(certificate: &CertifiedKey<KeyPair>) -> Result<impl Acceptor> {
    openssl::acceptor(certificate)
}

/// Serves all connections until the server shuts down.
pub(super) async fn serve<A: Acceptor>(listener: TcpListener, acceptor: A, app: Router, shutdown: Shutdown) {
    loop {
        let accepted = select! {
            accepted = listener.accept() => accepted,
            () = shutdown.begun() => return,
        };
        // It fails if the client has left meanwhile.
        if let Ok((tcp, _)) = accepted {
            tokio::spawn(serve_one(acceptor.accept(tcp), app.clone(), shutdown.clone()));
        }
    }
}

/// As in `axum::serve`: connections that are idle when the server shuts down end at once.
async fn serve_one<S>(handshake: impl Future<Output = Option<S>>, app: Router, shutdown: Shutdown)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream = select! {
        stream = handshake => stream,
        () = shutdown.begun() => return,
    };
    let Some(stream) = stream else { return };
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(app)));
    // Mistakes of a client here are seen by the client itself.
    let _ = select! {
        ended = connection.as_mut() => ended,
        () = shutdown.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
}
