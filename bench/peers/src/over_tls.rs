//! Serving over TLS.

use anyhow::{Context as _, Result};
use axum::Router;
use bench_serve::tls;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What makes connections secure, for all servers alike.
///
/// # Errors
///
/// When no certificate can be made.
pub fn acceptor() -> Result<TlsAcceptor> {
    Ok(TlsAcceptor::from(tls::config()?))
}

/// Makes one connection secure. `wrap` returns what is read and written below TLS.
///
/// # Errors
///
/// When the client does not speak TLS.
pub async fn accept<S>(acceptor: TlsAcceptor, tcp: TcpStream, wrap: fn(TcpStream) -> S) -> Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tcp.set_nodelay(true).context("cannot set TCP_NODELAY")?;
    acceptor.accept(wrap(tcp)).await.context("no TLS handshake")
}

/// Serves one connection.
///
/// # Errors
///
/// When the client does not speak HTTP.
pub async fn serve<S>(stream: TlsStream<S>, app: Router) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    connection.with_upgrades().await.context("no opening handshake")
}
