//! A listener for `axum::serve` that accepts TLS connections.

use std::{io, net::SocketAddr, time::Duration};

use axum::serve::Listener;
use sockeye::ReadAhead;
use tokio::{
    io::AsyncBufReadExt,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::certificate::Certificate;

/// TLS over TCP, with few system calls for large messages.
pub type Tls = TlsStream<ReadAhead<TcpStream>>;

/// Accepts TCP connections, and returns those that have finished the TLS handshake and begun with a request.
#[derive(Debug)]
pub struct TlsListener {
    tcp: TcpListener,
    certificate: Certificate,
    handshake_timeout: Duration,
    /// Each handshake has its own task, so that no client waits for another. The tasks end with the listener.
    handshakes: JoinSet<Option<(Tls, SocketAddr)>>,
}

impl TlsListener {
    /// TLS over the connections of `tcp`. A client has `handshake_timeout` for its handshake and the first byte of its request.
    pub fn new(tcp: TcpListener, certificate: Certificate, handshake_timeout: Duration) -> Self {
        Self { tcp, certificate, handshake_timeout, handshakes: JoinSet::new() }
    }
}

impl Listener for TlsListener {
    type Io = Tls;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                // axum's `accept` for TCP. After an error, such as too many open files, it tries again a second later.
                (stream, client) = Listener::accept(&mut self.tcp) => {
                    let acceptor = self.certificate.acceptor();
                    self.handshakes.spawn(handshake(acceptor, stream, client, self.handshake_timeout));
                }
                Some(ended) = self.handshakes.join_next() => {
                    if let Ok(Some(secured)) = ended {
                        return secured;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    client: SocketAddr,
    limit: Duration,
) -> Option<(Tls, SocketAddr)> {
    let secured = async {
        // Each write is a whole batch of messages: waiting for more would only delay them.
        stream.set_nodelay(true)?;
        let mut stream = acceptor.accept(ReadAhead::new(stream)).await?;
        // `axum::serve` has no deadline for a client that says nothing from here on. This reads ahead, and takes nothing away.
        stream.fill_buf().await?;
        io::Result::Ok(stream)
    };
    match timeout(limit, secured).await {
        Ok(Ok(stream)) => return Some((stream, client)),
        // Anybody can cause these errors, as many as they like.
        Ok(Err(error)) => tracing::debug!(%client, %error, "a connection ended before its first request"),
        Err(_) => tracing::debug!(%client, "a connection was not secured in time, or had no request"),
    }
    None
}
