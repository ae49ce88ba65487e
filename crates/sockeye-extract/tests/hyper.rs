//! Without axum: `from_hyper` and `accept` in a service of bare hyper.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{convert::Infallible, net::SocketAddr};

use common::{echo, exchange};
use http::{Request, Response};
use http_body_util::{Empty, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use sockeye_extract::{ConnectionLimits, Origins, Rejection, WebSocketDefaults, WebSocketUpgrade};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

async fn service(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let defaults = WebSocketDefaults::new().origins(Origins::list(["https://app.example"]));
    request.extensions_mut().insert(defaults);
    Ok(match WebSocketUpgrade::from_hyper(&mut request) {
        Ok(ws) => {
            let response = ws.protocols(["echo"]).accept(echo);
            let text = response.extensions().get().map(Rejection::body_text).unwrap_or_default();
            response.map(|()| Full::from(text))
        }
        Err(rejection) => rejection.into_http().map(Full::from),
    })
}

#[derive(Clone, Copy)]
enum Builder {
    Http1,
    Auto,
    Http2,
}

async fn serve(builder: Builder) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let io = TokioIo::new(listener.accept().await.unwrap().0);
            tokio::spawn(async move {
                match builder {
                    Builder::Http1 => {
                        let connection = http1::Builder::new().serve_connection(io, service_fn(service));
                        connection.with_upgrades().await.unwrap();
                    }
                    Builder::Auto => {
                        let mut builder = auto::Builder::new(TokioExecutor::new());
                        builder.http2().enable_connect_protocol();
                        builder.serve_connection_with_upgrades(io, service_fn(service)).await.unwrap();
                    }
                    Builder::Http2 => {
                        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        builder.enable_connect_protocol();
                        builder.serve_connection(io, service_fn(service)).await.unwrap();
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn a_bare_hyper_service_opens_a_websocket_over_http_1() {
    for builder in [Builder::Http1, Builder::Auto] {
        let address = serve(builder).await;
        let request =
            UpgradeRequest::new("/").header("Sec-WebSocket-Protocol", "echo").header("Origin", "https://app.example");
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Together with the first frame, so that HTTP reads the frame.
        let mut bytes = request.to_string().into_bytes();
        bytes.extend(Frame::text("hi").bytes());
        stream.write_all(&bytes).await.unwrap();
        let (head, mut peer) = Peer::open(stream, "").await;
        assert!(head.contains(&format!("\r\nsec-websocket-accept: {}\r\n", UpgradeRequest::ACCEPT)), "{head}");
        assert!(head.contains("\r\nsec-websocket-protocol: echo\r\n"), "{head}");
        peer.expect_text("hi").await;
        peer.send(Frame::ping("p")).await;
        peer.expect_pong("p").await;
        peer.send(Frame::close(1000, "")).await;
        peer.expect_close(1000).await;
        peer.expect_eof().await;
    }
}

#[tokio::test]
async fn a_bare_hyper_service_opens_a_websocket_over_http_2() {
    for builder in [Builder::Http2, Builder::Auto] {
        let address = serve(builder).await;
        let mut client = common::h2(address).await;
        let request = common::connect(address, "/", "websocket").body(Empty::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut peer = common::upgraded(response).await;
        peer.send(Frame::text("hi")).await;
        peer.expect_text("hi").await;
        peer.send(Frame::close(1000, "")).await;
        peer.expect_close(1000).await;
        peer.expect_eof().await;
    }
}

#[tokio::test]
async fn a_bare_hyper_service_refuses_with_the_same_answers() {
    let address = serve(Builder::Http1).await;
    let wrong = exchange(address, UpgradeRequest::new("/").without("Sec-WebSocket-Key")).await;
    assert!(wrong.starts_with("HTTP/1.1 400 ") && wrong.ends_with("\n\n`Sec-WebSocket-Key` header missing"), "{wrong}");
    // Refused by `accept`, which puts the text into the response's extensions.
    let evil = exchange(address, UpgradeRequest::new("/").header("Origin", "http://localhost")).await;
    assert!(evil.starts_with("HTTP/1.1 403 ") && evil.contains("Origin `http://localhost` is not allowed"), "{evil}");
}

/// The key function sees the whole head of the request, which is unchanged afterwards.
#[tokio::test]
async fn a_bare_hyper_service_limits_by_a_key_of_the_whole_head_of_the_request() {
    type Head = (String, String, http::Version, Vec<u8>, Option<SocketAddr>);
    let by_head = |parts: &http::request::Parts| -> Option<Head> {
        let user = parts.headers.get("x-user")?.as_bytes().to_vec();
        let peer = parts.extensions.get().copied();
        Some((parts.method.to_string(), parts.uri.to_string(), parts.version, user, peer))
    };
    let limits = ConnectionLimits::new().per_key(1, by_head);
    let own = limits.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(WebSocketDefaults::new().limits(own.clone()));
        request.extensions_mut().insert(SocketAddr::from(([192, 0, 2, 1], 1)));
        let ws = WebSocketUpgrade::from_hyper(&mut request);
        assert_eq!((request.method().as_str(), request.version()), ("GET", http::Version::HTTP_11));
        assert_eq!(request.headers()["host"], "localhost");
        assert!(request.uri().path().starts_with('/') && request.extensions().get::<SocketAddr>().is_some());
        let response = ws.map_or_else(|rejection| rejection.into_http().map(drop), |ws| ws.accept(echo));
        async { Ok::<_, Infallible>(response.map(|()| Empty::<Bytes>::new())) }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let io = TokioIo::new(listener.accept().await.unwrap().0);
            tokio::spawn(http1::Builder::new().serve_connection(io, service.clone()).with_upgrades());
        }
    });
    let mut peers = Vec::new();
    for (path, user, status) in
        [("/a", "ada", 101), ("/a", "ada", 429), ("/b", "ada", 101), ("/a", "grace", 101), ("/b", "ada", 429)]
    {
        let request = UpgradeRequest::new(path).header("X-User", user);
        let (head, peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {user}: {head}");
        peers.push(peer);
    }
    assert_eq!((limits.open(), limits.refused().per_key), (3, 2));
}
