//! WebSockets over TLS: hyper answers the request, and then a stream of rustls is left.

use std::{convert::Infallible, os::fd::AsFd as _, sync::Arc};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use sockeye::{Connection, Role, Shutdown, Stream, handshake::OpeningHandshake};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer},
    server::TlsStream,
};

use super::{handlers::Handler, sabotage::Sabotage};

/// How a TLS stream is passed to the library.
fn connection(tls: TlsStream<TcpStream>, read_ahead: Bytes) -> Connection {
    let stream = Stream::boxed_over(tls, |tls| Some(tls.get_ref().0.as_fd()));
    Connection::new(stream.with_read_ahead(read_ahead), Role::Server)
}

/// A certificate for `localhost` as DER, and the acceptor that uses it.
pub(super) fn acceptor() -> Result<(Vec<u8>, TlsAcceptor)> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key.into())?;
    Ok((cert.der().to_vec(), TlsAcceptor::from(Arc::new(config))))
}

/// Serves all connections.
pub(super) async fn serve(listener: TcpListener, acceptor: TlsAcceptor, handler: Handler, shutdown: Shutdown) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, handler, shutdown) = (acceptor.clone(), handler.clone(), shutdown.clone());
        tokio::spawn(async move {
            if let Err(error) = serve_one(stream, acceptor, handler, shutdown).await {
                eprintln!("a connection over TLS: {error:#}");
            }
        });
    }
}

async fn serve_one(stream: TcpStream, acceptor: TlsAcceptor, handler: Handler, shutdown: Shutdown) -> Result<()> {
    let tls = acceptor.accept(stream).await.context("the TLS handshake fails")?;
    let service = service_fn(|request| {
        let (handler, shutdown) = (handler.clone(), shutdown.clone());
        async move { Ok::<_, Infallible>(answer(request, handler, shutdown)) }
    });
    http1::Builder::new().serve_connection(TokioIo::new(tls), service).with_upgrades().await.context("no request")
}

/// Accepts a request, and serves the WebSocket once the answer is sent.
fn answer(mut request: Request<Incoming>, handler: Handler, shutdown: Shutdown) -> Response<String> {
    let handshake = match OpeningHandshake::read(&(&request).into()) {
        Ok(handshake) => handshake,
        Err(reject) => {
            let mut response = Response::new(reject.to_string());
            *response.status_mut() = reject.status();
            return response;
        }
    };
    let case = request.uri().path().rsplit('/').next().and_then(|case| case.parse().ok()).unwrap_or(usize::MAX);
    let coming = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // A peer that has left before the answer is reported missing elsewhere.
        if let Some(connection) = coming.await.ok().and_then(unwrapped) {
            let sabotage = handler.sabotage;
            let connection = connection.shutdown(&shutdown);
            let connection = match sabotage.and_then(Sabotage::timeouts) {
                Some(timeouts) => connection.timeouts(timeouts),
                None => connection,
            };
            connection.serve(|socket| handler.run(case, socket)).await;
        }
    });
    handshake.accept(None).map(|()| String::new())
}

/// The connection without HTTP around it.
fn unwrapped(upgraded: Upgraded) -> Option<Connection> {
    let parts = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().ok()?;
    Some(connection(parts.io.into_inner(), parts.read_buf))
}
