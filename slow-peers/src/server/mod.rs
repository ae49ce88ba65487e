//! The server under test, with the defaults of the library: the extractor over TCP and over HTTP/2, and TLS by hand.

mod handlers;
mod record;
mod sabotage;
mod tls;

pub(crate) use self::record::{Board, End, Record};
pub(crate) use self::sabotage::Sabotage;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use axum::{
    Extension, Router,
    extract::{Path, State},
    response::Response,
    routing::any,
};
use sockeye::{Shutdown, WebSocketDefaults, WebSocketUpgrade};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use self::handlers::Handler;
use crate::control::Addresses;

/// A server, which may listen at more than one address.
pub(crate) struct Server {
    app: Router,
    handler: Handler,
    acceptor: TlsAcceptor,
    pub(crate) certificate: Vec<u8>,
    /// Registers all connections. It never begins.
    shutdown: Shutdown,
}

impl Server {
    pub(crate) fn new(board: Arc<Board>, sabotage: Option<Sabotage>) -> Result<Self> {
        let (certificate, acceptor) = tls::acceptor().context("no certificate can be made")?;
        let shutdown = Shutdown::new();
        let handler = Handler { board, sabotage };
        let mut defaults = WebSocketDefaults::new().shutdown(shutdown.clone());
        if let Some(timeouts) = sabotage.and_then(Sabotage::timeouts) {
            defaults = defaults.timeouts(timeouts);
        }
        let app = Router::new().route("/case/{id}", any(case)).layer(Extension(defaults)).with_state(handler.clone());
        Ok(Self { app, handler, acceptor, certificate, shutdown })
    }

    /// Serves on free ports of this address.
    pub(crate) async fn listen(&self, ip: IpAddr) -> Result<Addresses> {
        let bind =
            async || TcpListener::bind(SocketAddr::new(ip, 0)).await.with_context(|| format!("cannot listen at {ip}"));
        let (plain, tls) = (bind().await?, bind().await?);
        let addresses = Addresses { plain: plain.local_addr()?, tls: tls.local_addr()? };
        let app = self.app.clone();
        tokio::spawn(async move { axum::serve(plain, app).await });
        tokio::spawn(tls::serve(tls, self.acceptor.clone(), self.handler.clone(), self.shutdown.clone()));
        Ok(addresses)
    }

    /// How many WebSockets are open.
    pub(crate) fn connections(&self) -> usize {
        self.shutdown.connections()
    }
}

async fn case(Path(id): Path<usize>, State(handler): State<Handler>, ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(move |socket| handler.run(id, socket))
}
