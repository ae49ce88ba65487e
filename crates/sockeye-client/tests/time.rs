//! Time limits: everything together takes at most 10 s, and the error names the stage.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{future::pending, io, net::SocketAddr, time::Duration};

use common::{pipes, read_head};
use sockeye_client::{Client, Dial, Proxy, Resolve, Stage, Stream};
use tokio::{io::AsyncWriteExt, time::Instant};

/// Never done.
struct Silent;

impl Resolve for Silent {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        pending().await
    }
}

impl Dial for Silent {
    async fn dial(&self, _: &str, _: u16) -> io::Result<Stream> {
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_look_up_is_an_error_of_the_network() {
    let began = Instant::now();
    let client = Client::builder().resolver(Silent).proxy(Proxy::none()).build();
    let error = client.open("ws://server.example/").await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 10);
    assert!(error.is_timeout() && error.is_network() && !error.is_final(), "{error:?}");
    assert_eq!(error.stage(), Stage::Dns);
    let text = error.to_string();
    assert!(
        text.contains("looked up within 10s") && text.contains("DNS") && text.contains("`Builder::within`"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_dial_is_an_error_of_the_network() {
    let client = Client::builder().dial(Silent).proxy(Proxy::none()).within(Duration::from_secs(3)).build();
    let began = Instant::now();
    let error = client.open("ws://server.example/").await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 3);
    assert!(error.is_timeout() && error.is_network() && error.stage() == Stage::Tcp, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_to_blame() {
    let (client, mut dialed) = pipes();
    let client = client.build();
    let server = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        read_head(&mut stream).await;
        stream
    };
    let began = Instant::now();
    let (opened, _stream) = tokio::join!(client.open("ws://server.example/"), server);
    let error = opened.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 10);
    assert!(error.is_timeout() && error.is_server() && error.stage() == Stage::Http, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_whose_body_is_not_done_in_time_is_still_a_refusal() {
    let (client, mut dialed) = pipes();
    let client = client.within(Duration::from_secs(3)).build();
    let server = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        read_head(&mut stream).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
        stream
    };
    let began = Instant::now();
    let (opened, _stream) = tokio::join!(client.open("ws://server.example/"), server);
    let error = opened.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 3);
    assert!(!error.is_timeout() && error.is_final() && error.is_truncated(), "{error:?}");
    assert_eq!(error.response().unwrap().body(), "half");
}

#[cfg(feature = "tls")]
#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_in_tls_is_to_blame() {
    let (client, mut dialed) = pipes();
    let roots = rcgen::generate_simple_self_signed(["server.example".to_owned()]).unwrap().cert.pem();
    let client = client.tls(sockeye_client::Tls::pem(roots.as_bytes()).unwrap()).build();
    let began = Instant::now();
    let (opened, _dialed) = tokio::join!(client.open("wss://server.example/"), dialed.recv());
    let error = opened.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 10);
    assert!(error.is_timeout() && error.is_server() && error.stage() == Stage::Tls, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_proxy_is_to_blame() {
    let (client, mut dialed) = pipes();
    let client = client.proxy(Proxy::new("http://proxy.example:3128")).build();
    let (opened, _dialed) = tokio::join!(client.open("ws://server.example/"), dialed.recv());
    let error = opened.unwrap_err();
    assert!(error.is_timeout() && error.is_proxy() && error.stage() == Stage::Proxy, "{error:?}");

    let client = Client::builder().resolver(Silent).proxy(Proxy::new("http://proxy.example:3128")).build();
    let error = client.open("ws://server.example/").await.unwrap_err();
    assert!(error.is_timeout() && error.is_proxy() && error.stage() == Stage::Dns, "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_waits_for_others_is_within_its_time() {
    let (client, mut dialed) = pipes();
    let client = client.connecting(1).build();
    let began = Instant::now();
    let (first, second) = tokio::join!(client.open("ws://server.example/"), client.open("ws://server.example/"));
    assert_eq!(began.elapsed().as_secs(), 10);
    let (first, second) = (first.unwrap_err(), second.unwrap_err());
    assert!(first.is_timeout() && first.is_server(), "{first:?}");
    assert!(second.is_timeout() && second.to_string().contains("`Builder::connecting`"), "{second}");
    assert!(dialed.try_recv().is_ok());
    assert!(dialed.try_recv().is_err(), "the second was not dialed");

    let (_, other) = tokio::join!(client.open("ws://server.example/"), async {
        let dialed = (dialed.recv().await.unwrap().host, client.open("ws://other.example/").await);
        dialed.1
    });
    assert!(other.is_err() && dialed.try_recv().is_ok(), "another host is dialed at once");
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_zero_and_one_without_end_do_not_panic() {
    let client = Client::builder().dial(Silent).proxy(Proxy::none()).within(Duration::ZERO).build();
    assert!(client.open("ws://server.example/").await.unwrap_err().is_timeout());
    let (client, _dialed) = pipes();
    let client = client.within(Duration::MAX).build();
    let opening = client.open("ws://server.example/");
    assert!(tokio::time::timeout(Duration::from_secs(3600), opening).await.is_err());
}
