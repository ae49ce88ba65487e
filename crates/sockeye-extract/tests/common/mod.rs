//! What the tests of this crate share: servers on a port of their own, and clients that nobody here wrote or that write
//! raw bytes.

#![allow(dead_code, reason = "each test binary uses another part")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

pub(crate) mod log;

use std::net::SocketAddr;

use axum::Router;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http2::SendRequest,
    ext::Protocol,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use sockeye_extract::{Message, WebSocket};
use sockeye_testkit::Peer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Runs `app` with `axum::serve`.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Sends back what it receives.
pub(crate) async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// One HTTP/1.1 request, and the whole response but its `date`.
pub(crate) async fn exchange(address: SocketAddr, request: impl ToString) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.to_string().as_bytes()).await.unwrap();
    let mut read = Vec::new();
    loop {
        assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "{}", read.escape_ascii());
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
            let head: Vec<_> = head.lines().filter(|line| !line.starts_with("date: ")).collect();
            return format!("{}\n\n{body}", head.join("\n"));
        }
    }
}

/// An HTTP/2 connection whose server is known to take extended CONNECTs.
pub(crate) async fn h2(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::Builder::new(TokioExecutor::new()).handshake(io).await.unwrap();
    tokio::spawn(connection);
    // The answer to any request comes after the server's settings, without which no extended CONNECT is sent.
    sender.send_request(Request::new(Empty::new())).await.unwrap();
    sender
}

pub(crate) fn connect(address: SocketAddr, path: &str, protocol: &'static str) -> http::request::Builder {
    Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{address}{path}"))
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// What a response over HTTP/2 was upgraded to.
pub(crate) async fn upgraded(response: Response<Incoming>) -> Peer<TokioIo<hyper::upgrade::Upgraded>> {
    Peer::client(TokioIo::new(hyper::upgrade::on(response).await.unwrap()))
}
