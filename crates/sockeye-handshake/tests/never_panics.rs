//! Both sides answer any headers: no panic, and nothing unprintable in a rejection.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use http::{HeaderName, HeaderValue, Method, Request, Response, Version};
use proptest::prelude::*;
use sockeye_handshake::{
    Head, Offer, OpeningHandshake, Origins, asks_for_websocket,
    client::ClientRequest,
    forwarded::{client_address, forwarded, x_forwarded_for},
    key::Key,
};

const NAMES: [&str; 10] = [
    "host",
    "upgrade",
    "connection",
    "origin",
    "x-forwarded-host",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "sec-websocket-accept",
];

/// Random bytes, and pieces that reach more code than random bytes.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        prop::sample::select(vec![
            "websocket",
            "upgrade",
            "13",
            "dGhlIHNhbXBsZSBub25jZQ==",
            "http://",
            "a.example",
            "[::1]",
            ":80",
            "null",
            "\"",
            "\\",
            ",",
            ";",
            "=",
            "\t",
            " ",
            "é",
            "permessage-deflate",
            "@",
            "/",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, HeaderValue)>> {
    let good = Just(vec![
        ("host", HeaderValue::from_static("a.example")),
        ("upgrade", HeaderValue::from_static("websocket")),
        ("connection", HeaderValue::from_static("upgrade")),
        ("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==")),
        ("sec-websocket-version", HeaderValue::from_static("13")),
    ]);
    let line = (prop::sample::select(NAMES.to_vec()), value());
    let odd = prop::collection::vec(line, 0..6).prop_map(|lines| {
        lines.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::from_bytes(&value).ok()?)))
    });
    (good, odd, any::<prop::sample::Index>()).prop_map(|(mut good, odd, drop)| {
        let drop = drop.index(good.len() + 1);
        if drop < good.len() {
            good.remove(drop);
        }
        good.extend(odd);
        good
    })
}

proptest! {
    #[test]
    fn the_server_panics_at_no_request(
        headers in headers(),
        h2 in any::<bool>(),
        protocol in prop::option::of("websocket|.{0,4}"),
    ) {
        let mut request = Request::new(());
        if h2 {
            *request.version_mut() = Version::HTTP_2;
            *request.method_mut() = Method::CONNECT;
        }
        for (name, value) in headers {
            request.headers_mut().append(name, value);
        }
        let head = Head::from(&request).protocol(protocol.as_deref());
        let asks = asks_for_websocket(&head);
        let trusting = Origins::same_origin().trust_forwarded_host();
        let policies = [Origins::same_origin(), Origins::list(["null", "http://a.example"]), Origins::any(), trusting];
        match OpeningHandshake::read(&head) {
            Ok(handshake) => {
                prop_assert!(asks, "what is right asks");
                for origins in &policies {
                    if let Err(reject) = handshake.check_origin(origins) {
                        prop_assert!(reject.body().is_ascii() && reject.body().len() < 1_024);
                    }
                }
                let protocol = handshake.choose_protocol(["a.example", "13"]);
                let response = handshake.accept(protocol.as_ref());
                prop_assert_eq!(response.headers().get("sec-websocket-protocol"), protocol.as_ref());
            }
            Err(reject) => {
                let response = reject.into_response();
                prop_assert!(response.status().is_client_error());
                prop_assert!(response.body().bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
                prop_assert!(response.body().len() < 512);
            }
        }
    }

    #[test]
    fn the_client_panics_at_no_answer(headers in headers(), h2 in any::<bool>()) {
        let request = ClientRequest::new("ws://a.example".parse().unwrap()).unwrap();
        let (_, expected) = if h2 { request.connect() } else { request.upgrade() };
        let mut response = Response::new(());
        *response.status_mut() = if h2 { 200 } else { 101 }.try_into().unwrap();
        for (name, value) in headers {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
        let _ = expected.check(&response);
    }

    #[test]
    fn an_extension_offer_is_the_same_after_it_was_written_and_read(
        text in "[a-z]{1,3}(; ?[a-z]{1,2}(=([0-9]|\"[a-z]\"))?){0,3}|.{0,12}",
    ) {
        if let Ok(offer) = text.parse::<Offer>() {
            prop_assert_eq!(offer.to_string().parse::<Offer>(), Ok(offer));
        }
    }

    #[test]
    fn reading_forwarding_headers_never_panics(values in prop::collection::vec(value(), 0..4), hops in 0..6_usize) {
        let mut headers = http::HeaderMap::new();
        for (index, value) in values.iter().enumerate() {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(["x-forwarded-for", "forwarded"][index % 2], value);
            }
        }
        let address = client_address(&headers, hops);
        prop_assert!(address.is_none() || [x_forwarded_for(&headers, hops), forwarded(&headers, hops)].contains(&address));
    }

    #[test]
    fn reading_a_key_never_panics(value in value()) {
        let key = HeaderValue::from_bytes(&value).ok().and_then(|value| Key::parse(&value));
        prop_assert!(key.is_none_or(|key| key.accept().len() == 28));
    }

    #[test]
    fn checking_an_origin_never_panics(
        origin in ".{0,24}|https?://[a-z.:@\\[\\]/0-9]{0,12}",
        host in ".{0,12}|[a-z.:\\[\\]0-9]{0,12}",
    ) {
        // An origin that equals the host after the scheme is the same origin; one with more than that is not.
        if Origins::same_origin().allows(&origin, &host) {
            prop_assert!(!origin.contains('@') && !origin.trim_start_matches(|c| c != ':')[3..].contains('/'));
        }
    }
}
