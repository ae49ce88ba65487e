//! A program without TLS.

#![cfg(not(feature = "rustls"))]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use common::pipes;
use sockeye_client::{Proxy, Stage};

#[tokio::test]
async fn wss_is_an_error_that_names_the_feature() {
    let (client, mut dialed) = pipes();
    let error = client.build().open("wss://server.example/").await.unwrap_err();
    assert!(error.is_caller() && error.stage() == Stage::Tls, "{error:?}");
    assert!(error.to_string().contains("`tls`") && error.to_string().contains("`client-tls`"), "{error}");
    assert!(dialed.try_recv().is_err());

    let (client, mut dialed) = pipes();
    let error =
        client.proxy(Proxy::new("https://proxy.example")).build().open("ws://server.example/").await.unwrap_err();
    assert!(error.is_caller() && error.stage() == Stage::Proxy, "{error:?}");
    assert!(dialed.try_recv().is_err());
}
