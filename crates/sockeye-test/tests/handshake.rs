//! The opening handshake with an application, and what it refuses.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Query, State},
    handler::Handler,
    http::{HeaderMap, Request, StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use common::{echo, panics};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sockeye_extract::{ConnectionLimits, Shutdown, Timeouts, WebSocketDefaults, WebSocketUpgrade};
use sockeye_handshake::key::Key;
use sockeye_test::{Client, Message, close_code};
use tokio::io::AsyncWriteExt;

async fn ws_handler(ws: WebSocketUpgrade) -> Response {
    ws.protocols(["chat", "superchat"]).on_upgrade(echo)
}

fn app() -> Router {
    Router::new().route("/ws", any(ws_handler)).route("/page", get(|| async { "a page" }))
}

#[tokio::test]
async fn a_client_speaks_with_the_handler_of_a_router() {
    let mut client = Client::to(app()).path("/ws").connect().await.unwrap();
    assert_eq!(client.protocol(), None);
    assert_eq!(client.headers()["upgrade"], "websocket");
    client.send_text("hi").await;
    client.assert_text("hi").await;
    client.close(1000, "").await;
    client.assert_close(close_code::NORMAL).await;
}

#[tokio::test]
async fn path_query_host_headers_and_extensions_reach_the_handler() {
    async fn handler(
        Query(query): Query<Vec<(String, String)>>,
        ConnectInfo(address): ConnectInfo<SocketAddr>,
        headers: HeaderMap,
        ws: WebSocketUpgrade,
    ) -> Response {
        let (host, cookies) = (headers["host"].clone(), headers.get_all("cookie").iter().count());
        ws.on_upgrade(async move |mut socket| {
            let _ = socket.send(Message::text(format!("{query:?} {host:?} {cookies} {address}"))).await;
        })
    }
    let mut client = Client::to(Router::new().route("/a/ws", any(handler)))
        .path("/a/ws?room=b")
        .host("chat.example:8080")
        .origin("http://evil.example")
        .origin("http://chat.example:8080")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .extension(ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 7))))
        .connect()
        .await
        .unwrap();
    client.assert_text(r#"[("room", "b")] "chat.example:8080" 2 192.0.2.1:7"#).await;
}

#[tokio::test]
async fn a_handler_with_state_and_a_tower_service_are_applications_too() {
    async fn handler(State(name): State<&'static str>, ws: WebSocketUpgrade) -> Response {
        ws.on_upgrade(async move |mut socket| {
            let _ = socket.send(name.into()).await;
        })
    }
    let mut client = Client::to(handler.with_state("Ada")).connect().await.unwrap();
    client.assert_text("Ada").await;

    let service = tower::service_fn(async |mut request: Request<Incoming>| {
        let upgrade = WebSocketUpgrade::from_hyper(&mut request).expect("an opening handshake");
        Ok::<_, Infallible>(upgrade.accept(echo).map(|()| String::new()))
    });
    let mut client = Client::to(service).connect().await.unwrap();
    client.send_text("hi").await;
    client.assert_text("hi").await;
}

#[tokio::test]
async fn the_server_chooses_among_the_requested_subprotocols() {
    let connect = |protocols: &[&'static str]| Client::to(app()).path("/ws").protocols(protocols.to_vec()).connect();
    assert_eq!(connect(&["superchat", "other"]).await.unwrap().protocol(), Some("superchat"));
    assert_eq!(connect(&["other"]).await.unwrap().protocol(), None);
}

#[tokio::test]
async fn an_origin_that_is_not_allowed_is_refused_with_403() {
    let refused = Client::to(app()).path("/ws").origin("https://evil.example").connect().await.unwrap_err();
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.headers["content-type"], "text/plain; charset=utf-8");
    let shown = refused.to_string();
    let start =
        "the server answered 403 Forbidden and opened no WebSocket: Origin `https://evil.example` is not allowed";
    assert!(shown.starts_with(start), "{shown}");
    Client::to(app()).path("/ws").origin("https://localhost:443").host("localhost:443").connect().await.unwrap();
}

#[tokio::test]
async fn any_other_answer_than_101_is_an_error() {
    for (path, status, shown) in [
        ("/page", 200, "the server answered 200 OK and opened no WebSocket: a page"),
        ("/nowhere", 404, "the server answered 404 Not Found and opened no WebSocket"),
    ] {
        let refused = Client::to(app()).path(path).connect().await.unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.to_string().as_str()), (status, shown));
    }
    let long = || async { (StatusCode::IM_A_TEAPOT, "é".repeat(1000)).into_response() };
    let refused = Client::to(Router::new().route("/", get(long))).connect().await.unwrap_err();
    assert_eq!(refused.body.len(), 2000);
    assert!(refused.to_string().ends_with("é… (2000 bytes)"), "{refused}");
}

#[tokio::test]
async fn limits_are_those_of_the_server() {
    let by_address = |parts: &Parts| parts.extensions.get().map(|ConnectInfo::<SocketAddr>(address)| address.ip());
    let limits = ConnectionLimits::new().per_key(1, by_address);
    let app = app().layer(WebSocketDefaults::new().limits(limits));
    let connect = |last| {
        let address = SocketAddr::from(([192, 0, 2, last], 7));
        Client::to(app.clone()).path("/ws").extension(ConnectInfo(address)).connect()
    };
    let first = connect(1).await.unwrap();
    connect(2).await.unwrap();
    assert_eq!(connect(1).await.unwrap_err().status, StatusCode::TOO_MANY_REQUESTS);
    drop(first);
    while connect(1).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadlines_of_a_router_take_no_time() {
    let timeouts = Timeouts::new().idle(Duration::from_secs(600));
    let app = app().layer(WebSocketDefaults::new().timeouts(timeouts));
    let mut client = Client::to(app).path("/ws").connect().await.unwrap();
    client.assert_nothing(Duration::from_secs(600)).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    client.assert_close(close_code::AWAY).await;
}

#[tokio::test]
async fn a_shutdown_closes_its_clients_and_refuses_new_ones() {
    let shutdown = Shutdown::new();
    let app = app().layer(WebSocketDefaults::new().shutdown(shutdown.clone()));
    let mut client = Client::to(app.clone()).path("/ws").connect().await.unwrap();
    let drained = shutdown.drain(Duration::from_secs(60)).await;
    assert_eq!((drained.closed, drained.lost, drained.aborted), (1, 0, 0));
    client.assert_close(close_code::AWAY).await;
    assert_eq!(Client::to(app).path("/ws").connect().await.unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn an_application_without_an_answer_is_a_panic_that_says_why() {
    let silent = || async { std::future::pending::<Response>().await };
    let app = Router::new().route("/", get(silent));
    let text = panics(Client::to(app).timeout(Duration::from_secs(60)).connect()).await;
    assert!(text.starts_with("the application has not answered within 60s\n  at "), "{text}");

    let fails = tower::service_fn(async |_: Request<Incoming>| Err::<Response, _>("no database"));
    let text = panics(Client::to(fails).connect()).await;
    assert!(text.starts_with("the application has not answered: ") && text.contains("no database"), "{text}");

    let app = Router::new().route("/", get(async || -> Response { panic!("on purpose") }));
    let text = panics(Client::to(app).connect()).await;
    assert!(text.starts_with("the application has not answered: ") && text.contains("panicked"), "{text}");

    let wrong = || async { StatusCode::SWITCHING_PROTOCOLS };
    let text = panics(Client::to(Router::new().route("/", get(wrong))).connect()).await;
    assert!(text.starts_with("the application's answer opens no WebSocket: the answer's `Upgrade` header"), "{text}");
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_shown() {
    // A text frame that is not UTF-8, from code that is not Sockeye's.
    let broken = tower::service_fn(async |mut request: Request<Incoming>| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            stream.write_all(b"\x81\x01\xff").await.unwrap();
        });
        let key = Key::parse(&request.headers()["sec-websocket-key"]).unwrap();
        let response = Response::builder().status(101).header("upgrade", "websocket").header("connection", "upgrade");
        Ok::<_, Infallible>(response.header("sec-websocket-accept", key.accept()).body(Body::empty()).unwrap())
    });
    let mut client = Client::to(broken).connect().await.unwrap();
    let text = panics(client.recv()).await;
    assert!(text.starts_with("expected a message, got bytes that break the protocol: "), "{text}");
    let text = panics(client.assert_text("hi")).await;
    assert!(text.starts_with("expected the text \"hi\", got bytes that break the protocol: "), "{text}");
}

#[tokio::test]
#[should_panic(expected = "the path `ws` must begin with a slash")]
async fn a_path_without_a_slash_is_a_panic() {
    let _ = Client::to(app()).path("ws").connect().await;
}

#[tokio::test]
#[should_panic(expected = "header `sec-websocket-key` belongs to the handshake")]
async fn a_header_of_the_handshake_is_a_panic() {
    let _ = Client::to(app()).header("sec-websocket-key", "x").connect().await;
}

#[tokio::test]
#[should_panic(expected = "`header` cannot set the `Host`: use `host`")]
async fn the_host_has_its_own_method() {
    let _ = Client::to(app()).header("host", "x").connect().await;
}

#[test]
#[should_panic(expected = "the value of the header `cookie`: ")]
fn a_header_that_is_not_valid_is_a_panic() {
    let _ = Client::to(app()).header("cookie", "a\nb");
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn compression_is_negotiated_if_both_want_it() {
    use sockeye_test::Compression;

    let compression = Compression::new().threshold(0);
    for (server, client, expected) in [
        (None, Some(compression), false),
        (Some(compression), None, false),
        (Some(compression), Some(compression), true),
    ] {
        let handler = move |ws: WebSocketUpgrade| async move { ws.compression(server).on_upgrade(echo) };
        let builder = Client::to(Router::new().route("/", any(handler)));
        let builder = match client {
            Some(compression) => builder.compression(compression),
            None => builder,
        };
        let mut client = builder.connect().await.unwrap();
        let extensions = client.headers().get("sec-websocket-extensions");
        assert_eq!(extensions.is_some_and(|value| value.to_str().unwrap().starts_with("permessage-deflate")), expected);
        let text = "the tide is coming in, ".repeat(100);
        client.send_text(&text).await;
        client.assert_text(&text).await;
    }
}
