//! Dropping the future of a connection, at every point where it waits, leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use common::{Dialed, pipes_with_capacity, read_head, switching};
use futures_util::poll;
use sockeye_client::{Builder, Proxy};
use sockeye_testkit::PipeEnd;
use tokio::{io::AsyncWriteExt, runtime::Handle};

/// Drops the future after 1, 2, 3, … polls, until it is done before it is dropped. `serve` is the server's side of one connection.
async fn dropped_everywhere<S>(uri: &str, builder: impl Fn(Builder) -> Builder, serve: impl Fn(PipeEnd) -> S)
where
    S: Future<Output = ()>,
{
    for polls in 1.. {
        // Little at a time, so that there are many points.
        let (client, mut dialed) = pipes_with_capacity(24);
        let client = builder(client).connecting(1).build();
        let mut opening = Box::pin(client.open(uri));
        let mut server = None;
        let mut control = None;
        let mut is_done = false;
        for _ in 0..polls {
            if poll!(&mut opening).is_ready() {
                is_done = true;
                break;
            }
            if let Ok(Dialed { stream, .. }) = dialed.try_recv() {
                control = Some(stream.control());
                server = Some(Box::pin(serve(stream)));
            }
            if let Some(server) = &mut server {
                let _ = poll!(server);
            }
        }
        drop(opening);
        if let Some(control) = &control {
            assert!(control.opposite().is_dropped(), "the stream is closed after {polls} polls");
        }
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "no task goes on after {polls} polls");
        // The place among the handshakes with this host is free again.
        let mut next = Box::pin(client.open(uri));
        let _ = poll!(&mut next);
        assert!(dialed.try_recv().is_ok(), "the next one is dialed after {polls} polls");
        if is_done {
            assert!(polls > 5, "there were only {polls} points");
            return;
        }
    }
}

async fn answer(mut stream: PipeEnd) {
    let head = read_head(&mut stream).await;
    stream.write_all(switching(&head, "").as_bytes()).await.unwrap();
    std::future::pending().await
}

#[tokio::test]
async fn over_a_plain_stream() {
    dropped_everywhere("ws://server.example/", |builder| builder, answer).await;
}

#[tokio::test]
async fn while_a_refusal_is_read() {
    let refuse = async |mut stream: PipeEnd| {
        read_head(&mut stream).await;
        let body = "x".repeat(200);
        let answer = format!("HTTP/1.1 503 X\r\nContent-Length: 200\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        std::future::pending().await
    };
    dropped_everywhere("ws://server.example/", |builder| builder, refuse).await;
}

#[tokio::test]
async fn through_a_proxy() {
    let serve = async |mut stream: PipeEnd| {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        answer(stream).await;
    };
    let builder = |builder: Builder| builder.proxy(Proxy::new("http://proxy.example"));
    dropped_everywhere("ws://server.example/", builder, serve).await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn over_tls() {
    use std::sync::Arc;
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
    };
    let made = rcgen::generate_simple_self_signed(["server.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let tls = sockeye_client::Tls::pem(made.cert.pem().as_bytes()).unwrap();
    let serve = async |stream: PipeEnd| {
        let mut stream = acceptor.accept(stream).await.unwrap();
        let head = read_head(&mut stream).await;
        stream.write_all(switching(&head, "").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        std::future::pending().await
    };
    dropped_everywhere("wss://server.example/", |builder| builder.tls(tls.clone()), serve).await;
}
