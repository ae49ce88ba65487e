//! TLS in this process: the extractor finds the socket below it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    net::SocketAddr,
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, response::Response, routing::any};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use sockeye_extract::{Message, Timeouts, WebSocketDefaults, WebSocketUpgrade};
use sockeye_testkit::{Frame, Peer, UpgradeRequest, opcode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector, client,
    rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer},
    server::TlsStream,
};

/// Both ends of TLS for `localhost`.
fn tls() -> (TlsAcceptor, TlsConnector) {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, secret) = (key.cert.der().clone(), PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![certificate.clone()], secret.into()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

async fn echo(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(text) = message {
                socket.send(Message::text(text)).await.unwrap();
            }
        }
    })
}

/// A server over TLS, with the builder of plain hyper or the one that detects the version of HTTP.
async fn serve(defaults: WebSocketDefaults, acceptor: TlsAcceptor, is_auto: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app: Router = Router::new().route("/ws", any(echo)).layer(defaults);
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let io = TokioIo::new(acceptor.accept(tcp).await.unwrap());
        let service = TowerToHyperService::new(app);
        if is_auto {
            let builder = auto::Builder::new(TokioExecutor::new());
            builder.serve_connection_with_upgrades(io, service).await.unwrap();
        } else {
            http1::Builder::new().serve_connection(io, service).with_upgrades().await.unwrap();
        }
    });
    addr
}

/// Opens a WebSocket, and sends a text right after the request, which HTTP reads together with it.
async fn open(addr: SocketAddr, connector: &TlsConnector) -> Peer<client::TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(addr).await.unwrap();
    let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    let request = [UpgradeRequest::new("/ws").to_string().into_bytes(), Frame::text("over TLS").bytes()].concat();
    stream.write_all(&request).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    let mut client = Peer::client(stream);
    client.expect_text("over TLS").await;
    client
}

#[tokio::test]
async fn a_transport_below_tls_is_asked_for_its_socket_and_bytes_read_ahead_are_received() {
    let (acceptor, connector) = tls();
    for is_auto in [false, true] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        // Pings at once, since the deadline of their answers uses what the socket has acknowledged.
        let timeouts = Timeouts::none().keep_alive(Duration::from_millis(100)).pong(Duration::from_secs(20));
        let defaults = WebSocketDefaults::new().timeouts(timeouts).transport(move |tls: &TlsStream<TcpStream>| {
            count.fetch_add(1, Ordering::Relaxed);
            Some(tls.get_ref().0.as_fd())
        });
        let addr = serve(defaults, acceptor.clone(), is_auto).await;
        let mut client = open(addr, &connector).await;
        let ping = client.expect_frame().await;
        assert!(ping.is_plain(opcode::PING), "{ping:?}");
        client.send_all([Frame::pong(ping.payload), Frame::close(4321, "bye")]).await;
        while !client.expect_frame().await.is_plain(opcode::CLOSE) {}
        client.expect_eof().await;
        assert!(asked.load(Ordering::Relaxed) > 0);
    }
}

#[tokio::test]
async fn a_connection_over_tls_is_served_without_a_transport_setting() {
    let (acceptor, connector) = tls();
    let addr = serve(WebSocketDefaults::new(), acceptor, true).await;
    let mut client = open(addr, &connector).await;
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    client.expect_eof().await;
}
