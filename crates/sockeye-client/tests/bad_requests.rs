//! What is wrong with a request is said before anything is sent.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use common::pipes;
use http::{HeaderMap, HeaderValue, Request};
use sockeye_client::{ClientRequest, ConnectError, IntoRequest, Stage};

const URI: &str = "ws://server.example/";

/// The error of a request, which must be the caller's, and for which nothing was dialed.
async fn wrong(request: impl IntoRequest) -> ConnectError {
    let (client, mut dialed) = pipes();
    let error = client.build().open(request).await.unwrap_err();
    assert!(dialed.try_recv().is_err(), "nothing is dialed");
    assert!(error.is_caller() && error.is_final(), "{error:?}");
    assert!(!error.is_network() && !error.is_proxy() && !error.is_server() && !error.is_timeout());
    assert_eq!(error.stage(), Stage::Request);
    error
}

#[tokio::test]
async fn a_uri_that_cannot_be_used_is_shown() {
    for uri in ["", "server.example", "/chat", "ftp://server.example/", "ws://", "wss:///chat", "ws://a b/"] {
        let error = wrong(uri).await.to_string();
        assert!(error.contains(&format!("`{uri}`")) && error.contains("`ws://` or `wss://`"), "{error}");
    }
    let error = wrong("ws://server.example:0/").await.to_string();
    assert!(error.contains("server.example:0") && error.contains("1 to 65535"), "{error}");
    let error = wrong("ws://server.example:70000/").await.to_string();
    assert!(error.contains("server.example:70000"), "{error}");
    let error = wrong("ws://server.example/#top").await.to_string();
    assert!(error.contains("fragment"), "{error}");
}

#[tokio::test]
async fn a_secret_in_a_wrong_uri_is_not_shown() {
    let uris = [
        "ws://user:secret@server.example/",
        "ws://secret@server.example/",
        "ftp://user:secret@server.example/",
        "ws://user:se cret@server.example/",
        "ws://a b/chat?token=secret",
    ];
    for uri in uris {
        let error = wrong(uri).await;
        for text in [error.to_string(), format!("{error:?}"), format!("{:?}", ClientRequest::new(uri))] {
            assert!(!text.contains("cret"), "{text}");
        }
    }
    assert!(wrong(uris[0]).await.to_string().contains("Authorization"));
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_named() {
    let error = wrong(ClientRequest::new(URI).header("no name", "x")).await.to_string();
    assert!(error.contains("`no name`"), "{error}");
    let error = wrong(ClientRequest::new(URI).header("X-Token", "secret\r\nX-Other: 1")).await.to_string();
    assert!(error.contains("`x-token`") && !error.contains("secret"), "{error}");
    for name in ["Host", "Connection", "Upgrade", "Sec-WebSocket-Key", "Content-Length", "Transfer-Encoding"] {
        let error = wrong(ClientRequest::new(URI).header(name, "1")).await.to_string();
        assert!(error.contains(&format!("`{}`", name.to_ascii_lowercase())), "{error}");
    }
    let error = wrong(ClientRequest::new(URI).header("Proxy-Authorization", "Basic secret")).await.to_string();
    assert!(error.contains("URL of the proxy") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn credentials_that_cannot_be_sent_are_not_shown() {
    for request in [
        ClientRequest::new(URI).bearer("sec\nret"),
        ClientRequest::new(URI).bearer(""),
        ClientRequest::new(URI).basic("sec:ret", "sec"),
    ] {
        let error = wrong(request).await.to_string();
        assert!(error.contains("`bearer`") || error.contains("`basic`"), "{error}");
        assert!(!error.contains("sec"), "{error}");
    }
}

#[tokio::test]
async fn subprotocols_that_cannot_be_requested_are_shown() {
    let error = wrong(ClientRequest::new(URI).protocols(["a b"])).await.to_string();
    assert!(error.contains("`a b`"), "{error}");
    let error = wrong(ClientRequest::new(URI).protocols(["a", "a"])).await.to_string();
    assert!(error.contains("twice"), "{error}");
    let error = wrong(ClientRequest::new(URI).require_protocol()).await.to_string();
    assert!(error.contains("`protocols`"), "{error}");
}

#[tokio::test]
async fn the_first_mistake_is_reported() {
    let error = wrong(ClientRequest::new("not a URI").header("no name", "x").bearer("")).await.to_string();
    assert!(error.contains("`no name`"), "{error}");
}

#[tokio::test]
async fn an_http_request_must_be_one_that_opens_a_websocket() {
    let error = wrong(Request::post(URI).body(()).unwrap()).await.to_string();
    assert!(error.contains("POST") && error.contains("GET"), "{error}");
    let error = wrong(Request::get(URI).version(http::Version::HTTP_2).body(()).unwrap()).await.to_string();
    assert!(error.contains("HTTP/2"), "{error}");
    let error = wrong(Request::get(URI).header("Sec-WebSocket-Protocol", "a").body(()).unwrap()).await.to_string();
    assert!(error.contains("`sec-websocket-protocol`"), "{error}");
}

#[tokio::test]
async fn an_error_names_the_server() {
    let error = wrong(ClientRequest::new("wss://server.example:8443/chat?token=secret").header("Host", "a")).await;
    assert!(error.to_string().starts_with("cannot connect to `wss://server.example:8443`: "), "{error}");
}

#[test]
fn secrets_of_a_request_are_not_in_its_debug() {
    let mut headers = HeaderMap::new();
    headers.append("cookie", HeaderValue::from_static("secret"));
    let request = ClientRequest::new("ws://server.example/?secret")
        .header("Authorization", "secret")
        .headers(headers)
        .header("X-Visible", "visible");
    let shown = format!("{request:?} {:?}", request.clone().bearer("secret"));
    assert!(!shown.contains("secret"), "{shown}");
    assert!(shown.contains("server.example") && shown.contains("visible"), "{shown}");
}
