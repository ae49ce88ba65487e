//! Limits per key.

use axum::{extract::Request, middleware, routing::get};
use http::request::Parts;
use sockeye_extract::{ClientNetwork, by_forwarded};

use super::*;
use crate::common::exchange;

fn of(user: &str) -> UpgradeRequest {
    request().header("X-User", user)
}

fn by_user(parts: &Parts) -> Option<Vec<u8>> {
    parts.headers.get("x-user").map(|user| user.as_bytes().to_vec())
}

#[tokio::test]
async fn one_connection_too_many_with_a_key_is_refused_with_429_and_other_keys_are_not() {
    let limits = ConnectionLimits::new().per_key(2, by_user);
    let address = serve(&limits).await;
    let (first, _second) = (open(address, of("ada")).await, open(address, of("ada")).await);
    assert_eq!(
        exchange(address, of("ada")).await,
        "HTTP/1.1 429 Too Many Requests\nretry-after: 10\ncontent-type: text/plain; charset=utf-8\n\
         content-length: 143\n\nServer has reached its limit of open WebSockets for this client, user or other key \
         (`ConnectionLimits::per_key`): close one, or try again later"
    );
    let _other = open(address, of("grace")).await;
    assert_eq!((limits.refused().per_key, limits.refused().all(), limits.open()), (1, 1, 3));

    close(first).await;
    until_open(&limits, 2).await;
    let _third = open(address, of("ada")).await;
    assert_eq!(status(address, of("ada")).await, 429);
}

#[tokio::test]
async fn a_request_without_a_key_is_not_limited_by_key() {
    let limits = ConnectionLimits::new().per_key(0, by_user).total(2);
    let address = serve(&limits).await;
    assert_eq!(status(address, of("ada")).await, 429);
    let _peers = [open(address, request()).await, open(address, request()).await];
    // The total counts them.
    assert_eq!(status(address, request()).await, 503);
}

#[tokio::test]
async fn a_connection_needs_a_place_with_each_of_its_keys() {
    /// A key need not be cloned or printed.
    #[derive(PartialEq, Eq, Hash)]
    struct Room(String);
    let by_room = |parts: &Parts| Some(Room(parts.uri.query()?.to_owned()));
    let limits = ConnectionLimits::new().per_key(2, by_user).per_key(3, by_room);
    let address = serve(&limits).await;
    let ask = |user: &str, room: &str| of(user).line(&format!("GET /?{room} HTTP/1.1"));

    let first = open(address, ask("ada", "red")).await;
    let _second = open(address, ask("ada", "blue")).await;
    // Refused for the user; no place in a room is taken.
    for _ in 0..5 {
        assert_eq!(status(address, ask("ada", "red")).await, 429);
    }
    let _third = open(address, ask("grace", "red")).await;
    let _fourth = open(address, ask("edith", "red")).await;
    // Refused for the room; no place of the user is taken.
    for _ in 0..5 {
        assert_eq!(status(address, ask("grace", "red")).await, 429);
    }
    let _fifth = open(address, ask("grace", "blue")).await;
    assert_eq!((limits.refused().per_key, limits.open()), (10, 5));

    close(first).await;
    until_open(&limits, 4).await;
    let _sixth = open(address, ask("edith", "red")).await;
}

/// The extractor asks, so whatever stands before it may have put something into the request.
#[tokio::test]
async fn a_key_may_come_from_middleware() {
    #[derive(Clone)]
    struct User(String);
    let authenticate = |mut request: Request, next: middleware::Next| {
        if let Some(user) = request.headers().get("x-user").map(|user| User(user.to_str().unwrap().to_owned())) {
            request.extensions_mut().insert(user);
        }
        next.run(request)
    };
    let limits = ConnectionLimits::new().per_key(1, |parts| parts.extensions.get::<User>().map(|user| user.0.clone()));
    let app = Router::new().route("/", any(handler)).layer(middleware::from_fn(authenticate));
    let address = common::serve(layered(app, &limits)).await;
    let _peer = open(address, of("ada")).await;
    assert_eq!(status(address, of("ada")).await, 429);
    let _other = open(address, of("grace")).await;
}

/// A route of its own total, which counts with the others.
#[tokio::test]
async fn a_key_may_limit_one_route() {
    let limits = ConnectionLimits::new().per_key(1, |parts| (parts.uri.path() == "/admin").then_some(()));
    let app = Router::new().route("/", any(handler)).route("/admin", get(handler));
    let address = common::serve(layered(app, &limits)).await;
    let admin = || UpgradeRequest::new("/admin");
    let _peers = [open(address, admin()).await, open(address, request()).await, open(address, request()).await];
    assert_eq!((status(address, admin()).await, limits.open()), (429, 3));
}

#[tokio::test]
async fn by_forwarded_tells_clients_behind_a_proxy_apart() {
    let limits = ConnectionLimits::new().per_key(1, by_forwarded(1));
    let address = serve(&limits).await;
    let from = |address: &str| request().header("X-Forwarded-For", address);
    let mut peers = vec![open(address, from("192.0.2.1")).await, open(address, from("192.0.2.2")).await];
    for spoofed in
        ["192.0.2.1", "10.0.0.1, 192.0.2.1", "10.0.0.2,192.0.2.1:4711", "\", 192.0.2.1", "192.0.2.3, ::ffff:192.0.2.1"]
    {
        assert_eq!(status(address, from(spoofed)).await, 429, "{spoofed}");
    }
    assert_eq!(status(address, from("192.0.2.3").header("X-Forwarded-For", "192.0.2.1")).await, 429);
    assert_eq!(status(address, request().header("Forwarded", "for=10.0.0.1, for=192.0.2.1")).await, 429);

    // All of a /64 is one client.
    peers.push(open(address, from("2001:db8:0:1::1")).await);
    assert_eq!(status(address, from("[2001:db8:0:1:ffff::]:443")).await, 429);
    peers.push(open(address, from("2001:db8:0:2::1")).await);

    // And so are all that nothing is known of.
    peers.push(open(address, request()).await);
    for unknown in ["unknown", "", "192.0.2.9,", "10.0.0.1, localhost"] {
        assert_eq!(status(address, from(unknown)).await, 429, "{unknown}");
    }
    assert_eq!(status(address, from("192.0.2.1").header("Forwarded", "for=192.0.2.9")).await, 429, "a contradiction");
    assert_eq!(limits.open(), peers.len());
}

#[test]
fn a_client_network_is_one_ipv4_address_or_one_ipv6_prefix_of_64_bits() {
    let client = |address: &str| ClientNetwork::from(address.parse::<std::net::IpAddr>().unwrap());
    assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:ffff:ffff:ffff"));
    assert_ne!(client("2001:db8::"), client("2001:db8:0:1::"));
    assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
    assert_ne!(client("::"), ClientNetwork::UNKNOWN);
    assert_eq!(ClientNetwork::from(None), ClientNetwork::UNKNOWN);
}

#[test]
#[should_panic(expected = "`trusted_hops` must be the number of proxies")]
fn by_forwarded_with_no_proxies_panics() {
    let _ = by_forwarded(0);
}
