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
use sockeye_extract::{ReadAhead, Timeouts, WebSocketDefaults, WebSocketUpgrade};
use sockeye_testkit::{Control, Frame, Peer, PipeEnd, UpgradeRequest, opcode, pipe_with_capacity};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
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
            if message.is_data() {
                socket.send(message).await.unwrap();
            }
        }
    })
}

/// Echoes one connection, with the builder of plain hyper or the one that detects the version of HTTP.
async fn serve_one<S>(stream: TlsStream<S>, defaults: WebSocketDefaults, is_auto: bool)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let app: Router = Router::new().route("/ws", any(echo)).layer(defaults);
    let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(app));
    if is_auto {
        let builder = auto::Builder::new(TokioExecutor::new());
        builder.serve_connection_with_upgrades(io, service).await.unwrap();
    } else {
        http1::Builder::new().serve_connection(io, service).with_upgrades().await.unwrap();
    }
}

/// A server over TLS, with the builder of plain hyper or the one that detects the version of HTTP.
async fn serve(defaults: WebSocketDefaults, acceptor: TlsAcceptor, is_auto: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        serve_one(acceptor.accept(tcp).await.unwrap(), defaults, is_auto).await;
    });
    addr
}

/// Opens a WebSocket, and sends a text right after the request, which HTTP reads together with it.
async fn open(addr: SocketAddr, connector: &TlsConnector) -> Peer<client::TlsStream<TcpStream>> {
    open_on(TcpStream::connect(addr).await.unwrap(), connector).await
}

async fn open_on<S>(stream: S, connector: &TlsConnector) -> Peer<client::TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
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

/// A client and the server's end, over a pipe that the server reads ahead.
async fn read_ahead() -> (Peer<client::TlsStream<PipeEnd>>, Control) {
    let (acceptor, connector) = tls();
    let (client, server) = pipe_with_capacity(1 << 20);
    let control = server.control();
    tokio::spawn(async move {
        let stream = acceptor.accept(ReadAhead::new(server)).await.unwrap();
        serve_one(stream, WebSocketDefaults::new(), false).await;
    });
    let client = open_on(client, &connector).await;
    // What belongs to the opening has come and gone.
    control.take_counters();
    (client, control)
}

#[tokio::test]
async fn a_message_of_16_kib_over_tls_takes_two_reads_and_one_write() {
    let (mut client, control) = read_ahead().await;
    for _ in 0..3 {
        client.send(Frame::binary(vec![7; 16 << 10])).await;
        client.expect_binary(vec![7; 16 << 10]).await;
        let counters = control.take_counters();
        assert_eq!((counters.reads, counters.writes), (2, 1), "{counters:?}");
    }
}

#[tokio::test]
async fn many_small_messages_over_tls_share_one_read_one_record_and_one_write() {
    let (mut client, control) = read_ahead().await;
    let frames: Vec<Frame> = (0..64).map(|number| Frame::binary(vec![number; 32])).collect();
    client.send_all(frames).await;
    for number in 0..64 {
        client.expect_binary(vec![number; 32]).await;
    }
    let counters = control.counters();
    assert_eq!((counters.reads, counters.writes), (1, 1), "{counters:?}");
    // A record of TLS 1.3 adds a header of 5 bytes, the type of its content, and a tag of 16.
    assert_eq!(counters.written_bytes, 64 * (2 + 32) + 5 + 1 + 16);
}

#[tokio::test]
async fn messages_over_tls_of_any_size_come_back_through_a_stream_that_is_read_ahead() {
    let (mut client, control) = read_ahead().await;
    for chunk in [1, 5, 1000, 4096, usize::MAX] {
        control.set_read_chunk(chunk);
        for size in [0, 1, 125, 126, 4000, 4096, 16_384, 70_000, 300_000] {
            client.send(Frame::binary(vec![size as u8; size])).await;
            client.expect_binary(vec![size as u8; size]).await;
        }
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
