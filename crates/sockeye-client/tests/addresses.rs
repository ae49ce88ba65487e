//! Look-ups, and the addresses that are tried.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{echo, echoes};
use futures_util::{future::join_all, poll};
use sockeye_client::{Client, ClientRequest, Proxy, Resolve, Stage};
use tokio::{
    net::TcpListener,
    sync::{Barrier, Semaphore},
    time::Instant,
};

/// Answers each look-up with these addresses.
struct Addresses(Vec<SocketAddr>);

impl Resolve for Addresses {
    async fn resolve(&self, host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        assert_eq!(host, "server.example");
        Ok(self.0.clone())
    }
}

/// No look-up is expected.
struct Nobody;

impl Resolve for Nobody {
    async fn resolve(&self, host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        panic!("`{host}` is looked up")
    }
}

fn client(resolver: impl Resolve) -> Client {
    Client::builder().resolver(resolver).proxy(Proxy::none()).build()
}

/// An address at which nobody listens.
async fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// The address of an echo server for one connection.
async fn listening() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { drop(echo(listener.accept().await.unwrap().0)) });
    address
}

#[tokio::test]
async fn the_first_address_that_answers_is_used() {
    let (refusing, listening) = (refusing().await, listening().await);
    let opened = client(Addresses(vec![refusing, refusing, listening])).open("ws://server.example/").await.unwrap();
    assert_eq!(opened.peer_addr(), Some(listening));
    echoes(&mut opened.into_websocket()).await;
}

#[tokio::test]
async fn if_no_address_answers_the_error_has_all_of_them() {
    let (one, two) = (refusing().await, refusing().await);
    let error = client(Addresses(vec![one, two])).open("ws://server.example/").await.unwrap_err();
    assert!(error.is_network() && !error.is_timeout() && !error.is_final(), "{error:?}");
    assert_eq!(error.stage(), Stage::Tcp);
    let tried: Vec<SocketAddr> = error.attempts().iter().map(|(address, _)| *address).collect();
    assert_eq!(tried, [one, two]);
    assert!(error.attempts().iter().all(|(_, error)| error.kind() == io::ErrorKind::ConnectionRefused));
    let text = error.to_string();
    assert!(text.starts_with("cannot connect to `ws://server.example`: ") && text.contains(&two.to_string()), "{text}");
    // Of many, the message shows some.
    let listeners = join_all((0..99).map(|_| TcpListener::bind("127.0.0.1:0"))).await;
    let many = listeners.into_iter().map(|listener| listener.unwrap().local_addr().unwrap()).collect();
    let error = client(Addresses(many)).open("ws://server.example/").await.unwrap_err();
    assert_eq!(error.attempts().len(), 99);
    assert!(error.to_string().contains("99 addresses") && error.to_string().len() < 500, "{error}");
    let error = client(Addresses(vec![one])).open("ws://server.example/").await.unwrap_err();
    assert!(error.to_string().contains(&format!("cannot be reached at {one}: ")), "{error}");
}

#[tokio::test]
async fn a_name_without_an_address_is_an_error_of_the_network() {
    struct Unknown;
    impl Resolve for Unknown {
        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            Err(io::Error::new(io::ErrorKind::NotFound, "NXDOMAIN"))
        }
    }
    let error = client(Unknown).open("ws://server.example/").await.unwrap_err();
    assert!(error.is_network() && error.stage() == Stage::Dns && !error.is_final(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("`server.example`") && text.contains("NXDOMAIN"), "{text}");

    let error = client(Addresses(Vec::new())).open("ws://server.example/").await.unwrap_err();
    assert!(error.is_network() && error.stage() == Stage::Dns, "{error:?}");
    assert!(error.to_string().contains("has no address"), "{error}");
}

#[tokio::test]
async fn an_address_needs_no_look_up() {
    let address = listening().await;
    assert!(client(Nobody).open(format!("ws://{address}/")).await.is_ok());
    let address = listening().await;
    let opened = client(Nobody).open(ClientRequest::new("ws://server.example/").address(address)).await.unwrap();
    assert_eq!(opened.peer_addr(), Some(address));
}

#[tokio::test]
async fn the_system_looks_up_localhost() {
    let address = listening().await;
    let client = Client::builder().proxy(Proxy::none()).build();
    let opened = client.open(format!("ws://localhost:{}/", address.port())).await.unwrap();
    assert_eq!(opened.peer_addr(), Some(address));
}

/// Counts the look-ups, which wait for a permit each, and fail.
#[derive(Clone)]
struct Counting(Arc<(AtomicUsize, Semaphore)>);

impl Counting {
    fn new() -> Self {
        Self(Arc::new((AtomicUsize::new(0), Semaphore::new(0))))
    }

    fn count(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }
}

impl Resolve for Counting {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        self.0.0.fetch_add(1, Ordering::Relaxed);
        self.0.1.acquire().await.unwrap().forget();
        Err(io::Error::other("no such name"))
    }
}

#[tokio::test]
async fn equal_look_ups_at_the_same_time_are_one() {
    let resolver = Counting::new();
    let client = client(resolver.clone());
    let mut all = Box::pin(join_all((0..200).map(|_| client.open("ws://server.example/"))));
    assert!(poll!(&mut all).is_pending());
    assert_eq!(resolver.count(), 1);
    let mut other = Box::pin(client.open("ws://other.example/"));
    assert!(poll!(&mut other).is_pending());
    assert_eq!(resolver.count(), 2, "another name");

    resolver.0.1.add_permits(2);
    let errors = all.await;
    assert!(errors.iter().all(|error| error.as_ref().unwrap_err().to_string().contains("no such name")));
    assert_eq!(resolver.count(), 2);
    resolver.0.1.add_permits(1);
    client.open("ws://server.example/").await.unwrap_err();
    assert_eq!(resolver.count(), 3, "nothing is kept");
}

#[tokio::test]
async fn a_look_up_that_is_dropped_is_begun_anew_by_the_next() {
    let resolver = Counting::new();
    let client = client(resolver.clone());
    let mut first = Box::pin(client.open("ws://server.example/"));
    let mut second = Box::pin(client.open("ws://server.example/"));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    assert_eq!(resolver.count(), 1);
    drop(first);
    assert!(poll!(&mut second).is_pending());
    assert_eq!(resolver.count(), 2);
    resolver.0.1.add_permits(1);
    assert!(second.await.is_err());
}

/// Says where the server is after 5 s, of a clock that stands still until then.
struct Slow(SocketAddr);

impl Resolve for Slow {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(5)).await;
        tokio::time::resume();
        Ok(vec![self.0])
    }
}

#[tokio::test]
async fn a_look_up_that_takes_five_seconds_is_waited_for() {
    let client = client(Slow(listening().await));
    let began = Instant::now();
    let opened = client.open("ws://server.example/").await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(5));
    echoes(&mut opened.into_websocket()).await;
}

/// Waits until as many look-ups are under way, and answers all of them.
struct AllAtOnce(Barrier, SocketAddr);

impl Resolve for AllAtOnce {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        self.0.wait().await;
        Ok(vec![self.1])
    }
}

#[tokio::test]
async fn two_hundred_look_ups_of_different_names_wait_for_none_of_the_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(echo(stream));
        }
    });
    let client = client(AllAtOnce(Barrier::new(200), address));
    let opened = join_all((0..200).map(|number| client.open(format!("ws://server-{number}.example/")))).await;
    for opened in opened {
        echoes(&mut opened.unwrap().into_websocket()).await;
    }
}
