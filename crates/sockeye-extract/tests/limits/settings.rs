//! Limits that a handler sets, in addition to the defaults or instead of them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::{extract::State, response::IntoResponse, routing::get};
use http::request::Parts;

use super::*;

/// Limits of a handler's own.
fn with(limits: &ConnectionLimits) -> axum::routing::MethodRouter {
    let limits = limits.clone();
    get(|ws: WebSocketUpgrade| async { ws.limits(limits).on_upgrade(common::echo) })
}

#[tokio::test]
async fn a_handlers_own_limits_replace_those_of_the_defaults() {
    let (defaults, own, none) =
        (ConnectionLimits::new().total(1), ConnectionLimits::new().total(1), ConnectionLimits::new());
    let app = Router::new().route("/", any(handler)).route("/own", with(&own)).route("/none", with(&none));
    let address = common::serve(layered(app, &defaults)).await;
    let at = |path: &str| UpgradeRequest::new(path);
    let mut peers = vec![open(address, request()).await, open(address, at("/own")).await];
    for _ in 0..3 {
        peers.push(open(address, at("/none")).await);
    }
    assert_eq!((defaults.open(), own.open(), none.open()), (1, 1, 3));
    assert_eq!((status(address, request()).await, status(address, at("/own")).await), (503, 503));
    assert_eq!((defaults.refused().all(), own.refused().all(), none.refused().all()), (1, 1, 0));
}

#[tokio::test]
async fn a_clone_of_limits_with_another_total_counts_together_with_the_original() {
    let limits = ConnectionLimits::new().total(3).per_key(2, |parts| parts.headers.get("x-user").cloned());
    let early = limits.clone().total(1);
    let app = Router::new().route("/", any(handler)).route("/early", with(&early));
    let address = common::serve(layered(app, &limits)).await;
    let ada = |path: &str| UpgradeRequest::new(path).header("X-User", "ada");
    let _first = open(address, ada("/early")).await;
    assert_eq!(status(address, ada("/early")).await, 503);
    let _second = open(address, ada("/")).await;
    // The key is still that of the request, though the handler has changed the total.
    assert_eq!((status(address, ada("/")).await, status(address, ada("/early")).await), (429, 429));
    let _third = open(address, request()).await;
    assert_eq!(status(address, request()).await, 503);
    for limits in [&limits, &early] {
        assert_eq!((limits.open(), limits.refused().total, limits.refused().per_key), (3, 2, 2));
    }
}

#[tokio::test]
async fn limits_with_a_key_panic_in_a_handler_that_does_not_pass_the_request() {
    async fn blind(State(limits): State<ConnectionLimits>, ws: WebSocketUpgrade) -> Response {
        // A user would see the panic in the log.
        match catch_unwind(AssertUnwindSafe(|| ws.limits(limits))) {
            Ok(ws) => ws.on_upgrade(common::echo),
            Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or_default().into_response(),
        }
    }
    async fn seeing(State(limits): State<ConnectionLimits>, parts: Parts, ws: WebSocketUpgrade) -> Response {
        ws.limits_for(limits, &parts).on_upgrade(common::echo)
    }
    let limits = ConnectionLimits::new().per_key(1, |parts| parts.headers.get("x-user").cloned());
    let app = Router::new().route("/blind", any(blind)).route("/seeing", any(seeing)).with_state(limits.clone());
    let plain = common::serve(app.clone()).await;
    let other = ConnectionLimits::new().per_key(1, |parts| parts.headers.get("x-user").cloned());
    let layered = common::serve(layered(app, &other)).await;
    let of = |path: &str, user: &str| UpgradeRequest::new(path).header("X-User", user);
    for address in [plain, layered] {
        assert!(common::exchange(address, of("/blind", "ada")).await.contains("`limits_for(limits, &parts)`"));
        let peer = open(address, of("/seeing", "ada")).await;
        assert_eq!(status(address, of("/seeing", "ada")).await, 429);
        let _other = open(address, of("/seeing", "grace")).await;
        close(peer).await;
        until_open(&limits, 1).await;
        drop(_other);
        until_open(&limits, 0).await;
    }
    assert_eq!(other.open(), 0);
}

#[tokio::test]
async fn check_reports_a_full_limit_and_takes_no_place() {
    async fn checked(ws: WebSocketUpgrade) -> Response {
        match ws.check().and_then(|()| ws.check()) {
            Ok(()) => ws.on_upgrade(common::echo),
            Err(rejection) => (http::StatusCode::IM_A_TEAPOT, rejection.body_text()).into_response(),
        }
    }
    let limits = ConnectionLimits::new().total(1).per_key(1, |_| Some(()));
    let address = common::serve(layered(Router::new().route("/", any(checked)), &limits)).await;
    let _peer = open(address, request()).await;
    assert_eq!((status(address, request()).await, limits.open()), (418, 1));
    assert_eq!((limits.refused().per_key, limits.refused().all()), (1, 1));
}

#[test]
fn limits_show_their_settings_and_their_count_in_debug_output() {
    let limits = ConnectionLimits::new().total(5).per_key(2, |_| Some(0)).per_key(3, |_| Some('x'));
    assert_eq!(
        format!("{limits:?}"),
        "ConnectionLimits { total: Some(5), per_key: [2, 3], upgrades_in_flight: None, open: 0, .. }"
    );
}
