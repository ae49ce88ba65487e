//! HTTP proxies: `CONNECT`, its answers, and credentials.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::io;

use common::{echo, echoes, header, pipes, read_head, switching};
use sockeye_client::{Client, ClientRequest, ConnectError, Message, Proxy, Stage, WebSocket};
use sockeye_testkit::PipeEnd;
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

const PROXY: &str = "http://proxy.example:3128";

/// Connects through a proxy that answers as `answer` says, and then lets `server` have the tunnel. Returns what the proxy was asked.
async fn through<B: AsRef<[u8]>>(
    proxy: &str,
    request: ClientRequest,
    answer: impl FnOnce(&str) -> B,
    server: impl FnOnce(PipeEnd),
) -> (Result<WebSocket, ConnectError>, String) {
    let (client, mut dialed) = pipes();
    // Not the roots of this machine.
    #[cfg(feature = "tls")]
    let client = client.tls(sockeye_client::Tls::pem(root().as_bytes()).unwrap());
    let client = client.proxy(Proxy::new(proxy)).build();
    let serve = async {
        let dialed = dialed.recv().await.unwrap();
        assert_eq!((dialed.host.as_str(), dialed.port), ("proxy.example", 3128));
        let mut stream = dialed.stream;
        let head = read_head(&mut stream).await;
        stream.write_all(answer(&head).as_ref()).await.unwrap();
        server(stream);
        head
    };
    tokio::join!(client.connect(request), serve)
}

#[cfg(feature = "tls")]
fn root() -> String {
    rcgen::generate_simple_self_signed(["server.example".to_owned()]).unwrap().cert.pem()
}

fn request(uri: &str) -> ClientRequest {
    ClientRequest::new(uri)
}

#[tokio::test]
async fn any_success_opens_the_tunnel() {
    for answer in [
        "HTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.1 201 X\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.0 200 OK\r\nProxy-Agent: x\r\n\r\n",
        "HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let serve = |stream| drop(echo(stream));
        let (socket, head) = through(PROXY, request("ws://server.example/chat"), |_| answer, serve).await;
        echoes(&mut socket.unwrap()).await;
        assert!(head.starts_with("CONNECT server.example:80 HTTP/1.1\r\n"), "{head}");
        assert_eq!(header(&head, "host"), Some("server.example:80"));
        assert_eq!(header(&head, "proxy-authorization"), None);
        assert_eq!(header(&head, "sec-websocket-key"), None);
    }
}

#[tokio::test]
async fn a_tunnel_goes_to_the_host_and_port_of_the_server() {
    let ok = |_: &str| "HTTP/1.1 200 OK\r\n\r\n";
    let serve = |stream| drop(echo(stream));
    for (to, asked) in [
        (request("ws://server.example:8080/"), "server.example:8080"),
        (request("ws://[2001:db8::1]/"), "[2001:db8::1]:80"),
        (request("ws://127.0.0.1/"), "127.0.0.1:80"),
        (request("ws://server.example/").address("192.0.2.1:81".parse().unwrap()), "192.0.2.1:81"),
    ] {
        let (socket, head) = through(PROXY, to, ok, serve).await;
        assert!(socket.is_ok(), "{socket:?}");
        assert!(head.starts_with(&format!("CONNECT {asked} HTTP/1.1\r\n")), "{head}");
    }
}

#[tokio::test]
async fn an_answer_of_the_proxy_may_come_byte_by_byte() {
    let (client, mut dialed) = pipes();
    let client = client.proxy(Proxy::new(PROXY)).build();
    let serve = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        read_head(&mut stream).await;
        for byte in b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n" {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        drop(echo(stream));
    };
    let (socket, ()) = tokio::join!(client.connect("ws://server.example/"), serve);
    echoes(&mut socket.unwrap()).await;
}

#[tokio::test]
async fn bytes_right_behind_the_answer_are_the_servers() {
    // A server that speaks before it is asked opens no WebSocket, and the proxy is not to blame.
    let early = |_: &str| "HTTP/1.1 200 OK\r\n\r\nSSH-2.0-OpenSSH_9.9\r\n";
    let mut kept = None;
    let (socket, _) = through(PROXY, request("ws://server.example/"), early, |stream| kept = Some(stream)).await;
    let error = socket.unwrap_err();
    assert!(error.is_server() && !error.is_proxy() && error.stage() == Stage::Http, "{error:?}");
    assert!(error.to_string().contains("before it was asked"), "{error}");
}

/// With TLS, a server may speak first, and its bytes may come with those of the proxy.
#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_begins_with_the_bytes_right_behind_the_answer() {
    // An alert, `handshake_failure`.
    let early = |_: &str| [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[21, 3, 3, 0, 2, 2, 40]].concat();
    let mut kept = None;
    let (socket, _) = through(PROXY, request("wss://server.example/"), early, |stream| kept = Some(stream)).await;
    let error = socket.unwrap_err();
    assert!(error.is_server() && error.stage() == Stage::Tls, "{error:?}");
    assert!(error.to_string().contains("no common cipher suite"), "{error}");
}

#[tokio::test]
async fn credentials_are_sent_to_the_proxy_alone_and_shown_nowhere() {
    let proxy = "http://user:p%40ss@proxy.example:3128";
    let (client, mut dialed) = pipes();
    let client = client.proxy(Proxy::new(proxy)).build();
    let serve = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        let asked = read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let request = read_head(&mut stream).await;
        stream.write_all(switching(&request, "").as_bytes()).await.unwrap();
        (asked, request, stream)
    };
    let (socket, (asked, request, _stream)) = tokio::join!(client.connect("ws://server.example/"), serve);
    assert!(socket.is_ok());
    // `user:p@ss`
    assert_eq!(header(&asked, "proxy-authorization"), Some("Basic dXNlcjpwQHNz"));
    assert_eq!(header(&request, "proxy-authorization"), None);
    let shown = format!("{client:?} {:?}", Proxy::new(proxy));
    assert!(shown.contains("proxy.example"), "{shown}");
    for secret in ["p@ss", "p%40ss", "dXNlcjpwQHNz"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_proxy_is_its_own_with_status_and_body() {
    let answer =
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 7\r\n\r\nwho now";
    let (socket, _) = through(PROXY, request("ws://server.example/"), |_| answer, drop).await;
    let error = socket.unwrap_err();
    assert!(error.is_proxy() && error.is_final() && error.stage() == Stage::Proxy, "{error:?}");
    assert!(!error.is_server() && !error.is_network() && !error.is_caller());
    let response = error.response().unwrap();
    assert_eq!((response.status().as_u16(), &response.body()[..]), (407, &b"who now"[..]));
    assert!(error.to_string().contains("`user:password@`") && error.to_string().contains("who now"), "{error}");

    // tinyproxy's answer to wrong credentials.
    let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    let (socket, _) = through(PROXY, request("ws://server.example/"), |_| answer, drop).await;
    let error = socket.unwrap_err();
    assert!(error.is_proxy() && error.is_final(), "{error:?}");
    assert!(error.to_string().contains("`user:password@`"), "{error}");

    for status in ["403 Forbidden", "502 Bad Gateway", "504 X", "301 X"] {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        let (socket, _) = through(PROXY, request("ws://server.example:80/"), |_| answer, drop).await;
        let error = socket.unwrap_err();
        assert!(error.is_proxy() && !error.is_final() && error.response().is_some(), "{error:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_speaks_something_else_is_to_blame() {
    for answer in ["SOCKS?\r\n\r\n", ""] {
        let (socket, _) = through(PROXY, request("ws://server.example/"), |_| answer, drop).await;
        let error = socket.unwrap_err();
        assert!(error.is_proxy() && error.stage() == Stage::Proxy, "{error:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_an_error_and_nothing_goes_around_it() {
    for url in ["socks5://proxy.example:1080", "http://", "proxy.example:port", "", "http://a@b@proxy.example"] {
        let (client, mut dialed) = pipes();
        let error = client.proxy(Proxy::new(url)).build().open("ws://server.example/").await.unwrap_err();
        assert!(error.is_caller() && error.is_final() && error.stage() == Stage::Proxy, "{error:?}");
        assert!(dialed.try_recv().is_err());
    }
}

/// A proxy over TCP, as most are.
async fn proxy() -> (u16, tokio::task::JoinHandle<io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = tokio::spawn(async move {
        let mut client = listener.accept().await?.0;
        let head = read_head(&mut client).await;
        let target = head.split(' ').nth(1).unwrap().to_owned();
        let mut server = TcpStream::connect(target).await?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        copy_bidirectional(&mut client, &mut server).await.map(drop)
    });
    (port, serve)
}

#[tokio::test]
async fn a_client_talks_to_a_server_through_a_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await.unwrap() });
    let (port, proxy) = proxy().await;
    let client = Client::builder().proxy(Proxy::new(&format!("127.0.0.1:{port}"))).build();

    let opened = client.open(format!("ws://{address}/")).await.unwrap();
    assert_eq!(opened.peer_addr().unwrap().port(), port);
    let mut socket = opened.into_websocket();
    echoes(&mut socket).await;
    socket.close().await.unwrap();
    assert!(matches!(socket.recv().await, Some(Ok(Message::Close(_)))));
    drop(socket);
    server.await.unwrap();
    proxy.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_proxy_that_nobody_listens_for_is_to_blame() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::builder().proxy(Proxy::new(&address.to_string())).build();
    let error = client.open("ws://server.example/").await.unwrap_err();
    assert!(error.is_proxy() && error.stage() == Stage::Tcp && !error.is_final(), "{error:?}");
    assert_eq!(error.attempts()[0].0, address);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_proxy_may_be_spoken_to_over_tls_and_the_server_over_tls_inside() {
    use std::sync::Arc;

    use sockeye_client::Tls;
    use tokio::io::AsyncReadExt;
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
    };
    let made = rcgen::generate_simple_self_signed(["proxy.example".to_owned(), "server.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let tls = Tls::pem(made.cert.pem().as_bytes()).unwrap();

    let (client, mut dialed) = pipes();
    let client = client.tls(tls).proxy(Proxy::new("https://proxy.example:3128")).build();
    let serve = async {
        let mut outer = acceptor.accept(dialed.recv().await.unwrap().stream).await.unwrap();
        let head = read_head(&mut outer).await;
        assert!(head.starts_with("CONNECT server.example:443 "), "{head}");
        outer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        drop(echo(acceptor.accept(outer).await.unwrap()));
    };
    let (socket, ()) = tokio::join!(client.connect("wss://server.example/"), serve);
    echoes(&mut socket.unwrap()).await;

    // A certificate of the proxy for another name is the proxy's.
    let (client, mut dialed) = pipes();
    let client = client
        .tls(Tls::pem(made.cert.pem().as_bytes()).unwrap())
        .proxy(Proxy::new("https://other.example:3128"))
        .build();
    let serve = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        let _ = acceptor.accept(&mut stream).await;
        let _ = stream.read(&mut [0]).await;
    };
    let (opened, ()) = tokio::join!(client.open("wss://server.example/"), serve);
    let error = opened.unwrap_err();
    assert!(error.is_proxy() && error.is_certificate() && error.stage() == Stage::Proxy, "{error:?}");
}
