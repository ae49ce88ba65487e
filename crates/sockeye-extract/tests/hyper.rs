//! Without axum: `from_request` and `accept` in a service of bare hyper.

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
use sockeye_extract::{Origins, Rejection, WebSocketDefaults, WebSocketUpgrade};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

async fn service(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let defaults = WebSocketDefaults::new().origins(Origins::list(["https://app.example"]));
    request.extensions_mut().insert(defaults);
    Ok(match WebSocketUpgrade::from_request(&mut request) {
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
async fn over_http_1() {
    for builder in [Builder::Http1, Builder::Auto] {
        let address = serve(builder).await;
        let request =
            UpgradeRequest::new("/").header("Sec-WebSocket-Protocol", "echo").header("Origin", "https://app.example");
        let mut stream = TcpStream::connect(address).await.unwrap();
        // Together with the first frame, so that it is read by HTTP.
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
async fn over_http_2() {
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
async fn refusals() {
    let address = serve(Builder::Http1).await;
    let wrong = exchange(address, UpgradeRequest::new("/").without("Sec-WebSocket-Key")).await;
    assert!(wrong.starts_with("HTTP/1.1 400 ") && wrong.ends_with("\n\n`Sec-WebSocket-Key` header missing"), "{wrong}");
    // Refused by `accept`, which has the text in the response's extensions.
    let evil = exchange(address, UpgradeRequest::new("/").header("Origin", "http://localhost")).await;
    assert!(evil.starts_with("HTTP/1.1 403 ") && evil.contains("Origin `http://localhost` may not open"), "{evil}");
}
