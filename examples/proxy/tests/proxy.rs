//! A client, the proxy, and a backend, over TCP.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{future::pending, net::SocketAddr, time::Duration};

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::any,
};
use example_proxy::Settings;
use sockeye::{
    Client, ClientRequest, ConnectError, Drained, Message, Shutdown, WebSocket, WebSocketUpgrade, client::Proxy,
    close_code,
};
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

/// What a backend's handler has received last: its Close, or nothing if the stream ended without one.
type LastOf = mpsc::UnboundedReceiver<Option<Message>>;

/// The backend, and how its connections end.
async fn backend() -> (SocketAddr, LastOf) {
    let (tell, told) = mpsc::unbounded_channel();
    let echo = |mut ws: WebSocketUpgrade, headers: HeaderMap| async move {
        if headers.contains_key("x-refuse") {
            return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "7")], "slow down").into_response();
        }
        ws = ws.protocols(["second", "third"]);
        ws.on_upgrade(async move |mut socket: WebSocket| {
            let mut last = None;
            while let Some(Ok(message)) = socket.recv().await {
                match &message {
                    Message::Text(text) if text == "headers?" => {
                        let names =
                            headers.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
                        socket.send(Message::Text(names.collect())).await.unwrap();
                    }
                    Message::Text(text) if text == "close!" => {
                        let _ = socket.close_with(4321, "as you wish").await;
                    }
                    Message::Text(text) if text == "abort!" => socket.abort(),
                    Message::Close(_) => last = Some(message),
                    _ => drop(socket.send(message).await),
                }
            }
            tell.send(last).unwrap();
        })
    };
    let app: Router =
        Router::new().route("/ws/{*path}", any(echo)).route("/slow", any(async || pending::<Response>().await));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    (address, told)
}

struct Running {
    address: SocketAddr,
    shutdown: Shutdown,
    server: JoinHandle<std::io::Result<Drained>>,
}

async fn proxy(backend: SocketAddr, set: impl FnOnce(&mut Settings)) -> Running {
    let mut settings = Settings {
        backend: format!("ws://{backend}"),
        within: Duration::from_secs(60),
        max_message_size: 1 << 20,
        max_clients: 100,
        behind_proxy: false,
    };
    set(&mut settings);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let server = example_proxy::serve(listener, settings, shutdown.clone(), Duration::from_secs(60));
    Running { address, shutdown, server: tokio::spawn(server) }
}

impl Running {
    fn request(&self, path: &str) -> ClientRequest {
        ClientRequest::new(format!("ws://{}{path}", self.address))
    }
}

async fn connect(request: ClientRequest) -> Result<WebSocket, ConnectError> {
    Client::builder().proxy(Proxy::none()).build().connect(request).await
}

async fn receive(socket: &mut WebSocket) -> Message {
    socket.recv().await.unwrap().unwrap()
}

#[tokio::test]
async fn messages_go_both_ways_with_the_subprotocol_of_the_backend() {
    let (backend, mut last) = backend().await;
    let proxy = proxy(backend, |_| {}).await;
    let mut socket = connect(proxy.request("/ws/any?x=1").protocols(["first", "second"])).await.unwrap();
    assert_eq!(socket.protocol().unwrap(), "second");
    for message in [Message::text("hello"), Message::Binary(vec![7; 300_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(receive(&mut socket).await, message);
    }
    socket.close_with(4000, "bye").await.unwrap();
    assert!(receive(&mut socket).await.is_close());
    let Some(Some(Message::Close(Some(close)))) = last.recv().await else { panic!("no Close") };
    assert_eq!((close.code, &*close.reason), (4000, "bye"));
}

#[tokio::test]
async fn the_backend_learns_who_the_client_is_and_not_what_it_claims() {
    let (backend, _last) = backend().await;
    for behind_proxy in [false, true] {
        let proxy = proxy(backend, |settings| settings.behind_proxy = behind_proxy).await;
        let request = proxy
            .request("/ws/any")
            .header("Cookie", "session=1")
            .header("X-Forwarded-For", "192.0.2.7")
            .header("X-Forwarded-Proto", "https");
        let mut socket = connect(request).await.unwrap();
        socket.send("headers?".into()).await.unwrap();
        let Message::Text(headers) = receive(&mut socket).await else { panic!("a text") };
        let (addresses, scheme) = if behind_proxy { ("192.0.2.7, 127.0.0.1", "https") } else { ("127.0.0.1", "http") };
        for line in [
            "cookie: session=1".to_owned(),
            format!("x-forwarded-for: {addresses}"),
            format!("x-forwarded-proto: {scheme}"),
            format!("x-forwarded-host: {}", proxy.address),
            format!("host: {backend}"),
        ] {
            assert!(headers.lines().any(|there| there == line), "no `{line}` in\n{headers}");
        }
    }
}

#[tokio::test]
async fn a_refusal_of_the_backend_is_the_answer_to_the_client() {
    let (backend, _last) = backend().await;
    let proxy = proxy(backend, |_| {}).await;
    let error = connect(proxy.request("/ws/any").header("X-Refuse", "1")).await.unwrap_err();
    let answer = error.response().unwrap();
    assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::TOO_MANY_REQUESTS, &b"slow down"[..]));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    let missing = connect(proxy.request("/nowhere")).await.unwrap_err();
    assert_eq!(missing.response().unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_backend_that_is_down_or_silent_is_502_or_504() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let down = nobody.local_addr().unwrap();
    drop(nobody);
    let (backend, _last) = backend().await;
    let proxies = [
        (proxy(down, |_| {}).await, "/ws/any", StatusCode::BAD_GATEWAY),
        (
            proxy(backend, |settings| settings.within = Duration::from_millis(50)).await,
            "/slow",
            StatusCode::GATEWAY_TIMEOUT,
        ),
    ];
    for (proxy, path, status) in proxies {
        let error = connect(proxy.request(path)).await.unwrap_err();
        assert_eq!(error.response().unwrap().status(), status);
        assert!(error.response().unwrap().body().is_empty(), "it does not name the backend");
    }
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_by_the_proxy() {
    let (backend, _last) = backend().await;
    let proxy = proxy(backend, |_| {}).await;
    let foreign = proxy.request("/ws/any").header("Origin", "https://elsewhere.example");
    assert_eq!(connect(foreign).await.unwrap_err().response().unwrap().status(), StatusCode::FORBIDDEN);
    let own = proxy.request("/ws/any").header("Origin", &format!("http://{}", proxy.address));
    connect(own).await.expect("the backend does not see the origin");
}

#[tokio::test]
async fn ends_are_handed_on_with_their_code_or_without_a_close() {
    let (backend, mut last) = backend().await;
    let proxy = proxy(backend, |_| {}).await;
    let mut socket = connect(proxy.request("/ws/any")).await.unwrap();
    socket.send("close!".into()).await.unwrap();
    let Message::Close(Some(close)) = receive(&mut socket).await else { panic!("a Close") };
    assert_eq!((close.code, &*close.reason), (4321, "as you wish"));
    last.recv().await.unwrap();

    let mut socket = connect(proxy.request("/ws/any")).await.unwrap();
    socket.send("abort!".into()).await.unwrap();
    assert!(socket.recv().await.unwrap().unwrap_err().is_abrupt());
    last.recv().await.unwrap();

    let socket = connect(proxy.request("/ws/any")).await.unwrap();
    socket.abort();
    assert_eq!(last.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_gone_for_the_backend() {
    let (backend, mut last) = backend().await;
    let proxy = proxy(backend, |settings| settings.max_message_size = 1000).await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (head, mut client) = Peer::open(stream, UpgradeRequest::new("/ws/any")).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client.send(Frame::binary(vec![0; 1001])).await;
    client.expect_close(close_code::SIZE).await;
    let Some(Some(Message::Close(Some(close)))) = last.recv().await else { panic!("no Close") };
    assert_eq!(close.code, close_code::AWAY);
}

#[tokio::test]
async fn a_shutdown_closes_clients_and_backend_with_1001() {
    let (backend, mut last) = backend().await;
    let proxy = proxy(backend, |_| {}).await;
    let mut socket = connect(proxy.request("/ws/any")).await.unwrap();
    socket.send("hello".into()).await.unwrap();
    receive(&mut socket).await;
    proxy.shutdown.begin();
    let Message::Close(Some(close)) = receive(&mut socket).await else { panic!("a Close") };
    assert_eq!(close.code, close_code::AWAY);
    let Some(Some(Message::Close(Some(close)))) = last.recv().await else { panic!("no Close") };
    assert_eq!(close.code, close_code::AWAY);
    drop(socket);
    let drained = proxy.server.await.unwrap().unwrap();
    assert_eq!((drained.closed, drained.aborted), (1, 0));
}

#[tokio::test]
async fn more_clients_than_allowed_are_refused_before_the_backend_is_asked() {
    let (backend, _last) = backend().await;
    let proxy = proxy(backend, |settings| settings.max_clients = 1).await;
    let _first = connect(proxy.request("/ws/any")).await.unwrap();
    let error = connect(proxy.request("/ws/any")).await.unwrap_err();
    assert_eq!(error.response().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}
