//! A pulled cable: from one moment on nothing comes from the other end, not even an end. With the default Pings, that is found
//! within 41 s: 20 s of silence, 20 s for the Pong, and a tick of the clock.
//!
//! The connections are opened as usual. Then time is paused: it passes when everybody waits for it.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{ops::RangeInclusive, time::Duration};

use common::{pipes_with_capacity, read_head, switching};
use sockeye_client::{Client, Message, Proxy, WebSocket};
use sockeye_testkit::{Frame, Peer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    time::{Instant, pause, sleep},
};

/// The seconds from the last sign of life until the end is found.
const FOUND: RangeInclusive<u64> = 40..=41;

/// Answers the opening handshake, and sends a message. From then on the stream is silent for as long as it is kept.
async fn answer_and_fall_silent<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> Peer<S> {
    let head = read_head(&mut stream).await;
    stream.write_all(switching(&head, "").as_bytes()).await.unwrap();
    let mut peer = Peer::server(stream);
    peer.send(Frame::text("alive")).await;
    peer
}

/// Receives what the server has sent. Then only silence follows, and time passes by itself.
async fn receive_and_pull_the_cable(socket: &mut WebSocket) -> Instant {
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("alive"));
    pause();
    Instant::now()
}

/// Waits for the end of the connection.
async fn is_found(socket: &mut WebSocket, since: Instant) {
    let error = socket.recv().await.unwrap().unwrap_err();
    let seconds = since.elapsed().as_secs();
    assert!(FOUND.contains(&seconds), "found after {seconds} s: {error}");
    assert!(error.is_timeout() && error.to_string().contains("Ping"), "{error}");
    assert!(socket.recv().await.is_none());
}

#[tokio::test]
async fn a_pulled_cable_is_found_within_41_s_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/feed", listener.local_addr().unwrap());
    let client = Client::builder().proxy(Proxy::none()).build();
    let server = async { answer_and_fall_silent(listener.accept().await.unwrap().0).await };
    let (socket, _silent) = tokio::join!(client.connect(url), server);
    let mut socket = socket.unwrap();
    let since = receive_and_pull_the_cable(&mut socket).await;
    is_found(&mut socket, since).await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_pulled_cable_is_found_within_41_s_over_tls() {
    use std::sync::Arc;

    use sockeye_client::Tls;
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
    };

    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}/feed", listener.local_addr().unwrap());
    let tls = Tls::pem(made.cert.pem().as_bytes()).unwrap();
    let client = Client::builder().tls(tls).proxy(Proxy::none()).build();
    let server = async {
        let stream = listener.accept().await.unwrap().0;
        answer_and_fall_silent(acceptor.accept(stream).await.unwrap()).await
    };
    let (socket, _silent) = tokio::join!(client.connect(url), server);
    let mut socket = socket.unwrap();
    let since = receive_and_pull_the_cable(&mut socket).await;
    is_found(&mut socket, since).await;
}

/// What is sent does not delay the finding, though the stream takes no more of it.
#[tokio::test]
async fn a_pulled_cable_is_found_within_41_s_by_a_client_that_sends() {
    let (client, mut dialed) = pipes_with_capacity(512);
    let client = client.build();
    let server = async { answer_and_fall_silent(dialed.recv().await.unwrap().stream).await };
    let (socket, _silent) = tokio::join!(client.connect("ws://server.example/"), server);
    let mut socket = socket.unwrap();
    let since = receive_and_pull_the_cable(&mut socket).await;
    let sender = socket.sender();
    let sends = tokio::spawn(async move {
        while sender.send(Message::text("a report of 26 characters.")).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    is_found(&mut socket, since).await;
    sends.await.unwrap();
}
