//! Opening: what is sent, and what comes of a good answer, however it arrives.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use common::{answered, echo, echoes, header, pipes, read_head, switching};
use sockeye_client::{Client, ClientRequest, ConnectError, EndedBy, Message, Stream};
use sockeye_testkit::{Frame, Peer};
use tokio::{io::AsyncWriteExt, net::TcpListener};

#[tokio::test]
async fn a_client_talks_to_a_server_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { echo(listener.accept().await.unwrap().0).await.unwrap() });

    let opened = Client::new().open(format!("ws://{address}/chat?room=1")).await.unwrap();
    assert_eq!(opened.response().status(), 101);
    assert_eq!(opened.peer_addr(), Some(address));
    let mut socket = opened.into_websocket();
    echoes(&mut socket).await;
    socket.close().await.unwrap();
    assert!(matches!(socket.recv().await, Some(Ok(Message::Close(_)))));
    assert!(socket.recv().await.is_none());
    server.await.unwrap();
}

#[tokio::test]
async fn the_request_has_what_the_caller_asked_for() {
    let (client, mut dialed) = pipes();
    let request = ClientRequest::new("ws://server.example:8080/chat?room=1")
        .header("Origin", "https://page.example")
        .header("X-Twice", "1")
        .header("X-Twice", "2")
        .bearer("secret")
        .protocols(["chat.v2", "chat.v1"]);
    let client = client.build();
    let connecting = tokio::spawn(async move { client.connect(request).await });
    let mut server = dialed.recv().await.unwrap();
    assert_eq!((server.host.as_str(), server.port), ("server.example", 8080));
    let head = read_head(&mut server.stream).await;
    assert!(head.starts_with("GET /chat?room=1 HTTP/1.1\r\nHost: server.example:8080\r\n"), "{head}");
    assert_eq!(header(&head, "upgrade"), Some("websocket"));
    assert_eq!(header(&head, "connection"), Some("Upgrade"));
    assert_eq!(header(&head, "sec-websocket-version"), Some("13"));
    assert_eq!(header(&head, "sec-websocket-protocol"), Some("chat.v2, chat.v1"));
    assert_eq!(header(&head, "sec-websocket-extensions"), None);
    assert_eq!(header(&head, "origin"), Some("https://page.example"));
    assert_eq!(header(&head, "authorization"), Some("Bearer secret"));
    assert!(head.contains("X-Twice: 1\r\n") && head.contains("X-Twice: 2\r\n"), "{head}");
    assert!(header(&head, "user-agent").unwrap().starts_with("sockeye/"));
    server.stream.write_all(switching(&head, "Sec-WebSocket-Protocol: chat.v1\r\n").as_bytes()).await.unwrap();
    let socket = connecting.await.unwrap().unwrap();
    assert_eq!(socket.protocol().unwrap(), "chat.v1");
}

#[tokio::test]
async fn an_answer_may_come_byte_by_byte_and_after_others() {
    let (client, mut dialed) = pipes();
    let server = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        let head = read_head(&mut stream).await;
        let early = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";
        for byte in format!("{early}{}", switching(&head, "")).bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        echo_frames(stream).await;
    };
    let client = client.build();
    let talk = async {
        let mut socket = client.connect("ws://server.example/").await.unwrap();
        echoes(&mut socket).await;
    };
    tokio::join!(server, talk);
}

/// The server's side of `echoes`.
async fn echo_frames(stream: sockeye_testkit::PipeEnd) {
    let mut peer = Peer::server(stream);
    peer.expect_text("hello").await;
    peer.send(Frame::text("hello")).await;
}

#[tokio::test]
async fn frames_right_behind_the_answer_are_received() {
    let (one, two) = (Frame::text("one").server_bytes(), Frame::text("two").server_bytes());
    let (socket, _stream) = answered(|request| [switching(request, "").into_bytes(), one, two].concat()).await;
    let mut socket = socket.unwrap();
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("one"));
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("two"));
}

#[tokio::test]
async fn a_stream_of_the_caller_is_used_as_it_is() {
    let (ours, theirs) = tokio::io::duplex(4096);
    let server = echo(theirs);
    let opened = Client::new().open_over(Stream::boxed(ours), "ws://server.example/").await.unwrap();
    assert_eq!(opened.peer_addr(), None);
    let ended = opened.serve(async |mut socket| echoes(&mut socket).await).await;
    assert!(ended.is_clean() && ended.by() == EndedBy::Local, "{ended:?}");
    server.await.unwrap();
}

#[tokio::test]
async fn futures_can_be_spawned_and_errors_are_small() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    fn is_error<T: std::error::Error + Send + Sync + 'static>() {}
    let client = Client::new();
    drop(is_send(client.connect("ws://server.example/")));
    drop(is_send(client.open_over(Stream::boxed(tokio::io::duplex(1).0), "ws://server.example/")));
    drop(is_send(sockeye_client::connect(ClientRequest::new("ws://server.example/"))));
    is_error::<ConnectError>();
    assert_eq!(size_of::<ConnectError>(), size_of::<usize>());
}
