//! Over real TCP, and with a client and a server that somebody else wrote.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::future::Future;

use bytes::Bytes;
use common::{echo, receive_all, settled, tcp};
use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use sockeye_testkit::{Frame, Peer, parse_frames};
use sockeye_tokio::{Config, Connection, Ended, Message, Role, Stream, WebSocket, close_code, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message as Theirs, protocol::Role as TheirRole},
};

/// A client, and the task that serves it over TCP.
async fn start<F, Fut>(config: Config, handler: F) -> (TcpStream, JoinHandle<Ended>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (client, server) = tcp().await;
    (client, tokio::spawn(serve(server, Role::Server, config, handler)))
}

#[tokio::test]
async fn messages_of_every_size_are_echoed_to_tungstenite_over_tcp() {
    let (client, _task) = start(Config::default(), echo).await;
    let mut client = WebSocketStream::from_raw_socket(client, TheirRole::Client, None).await;
    for size in [0, 1, 125, 126, 4096, 4097, 16 << 10, 64 << 10, (64 << 10) + 1, 1 << 20, 5 << 20] {
        for message in
            [Theirs::binary(vec![7; size]), Theirs::text("x".repeat(size)), Theirs::text("κόσμε 𝄞".repeat(size / 16))]
        {
            // Both at once: neither end's kernel buffer takes the largest.
            let (mut sink, mut stream) = client.split();
            let (sent, received) = tokio::join!(sink.send(message.clone()), stream.next());
            sent.unwrap();
            assert!(received.unwrap().unwrap() == message, "{size} bytes");
            client = sink.reunite(stream).unwrap();
        }
    }
    client.close(None).await.unwrap();
    assert!(client.next().await.unwrap().unwrap().is_close());
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn our_client_talks_to_a_server_of_tungstenite_over_tcp() {
    let (client, server) = tcp().await;
    let mut server = WebSocketStream::from_raw_socket(server, TheirRole::Server, None).await;
    let task = tokio::spawn(async move {
        while let Some(Ok(message)) = server.next().await {
            if message.is_text() || message.is_binary() {
                server.send(message).await.unwrap();
            }
        }
    });
    serve(client, Role::Client, Config::default(), |mut socket| async move {
        for size in [0, 1, 126, 5000, 70_000, 1 << 20] {
            let message = Message::text("é".repeat(size / 2));
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.recv().await.unwrap().unwrap(), message);
        }
        socket.close().await.unwrap();
        assert!(matches!(socket.recv().await, Some(Ok(Message::Close(Some(frame)))) if frame.code == 1000));
        assert!(socket.recv().await.is_none());
    })
    .await;
    task.await.unwrap();
}

#[tokio::test]
async fn serving_a_tcp_stream_turns_off_nagles_algorithm() {
    let (_client, server) = tcp().await;
    let server = server.into_std().unwrap();
    let watch = TcpStream::from_std(server.try_clone().unwrap()).unwrap();
    assert!(!watch.nodelay().unwrap());
    let task = tokio::spawn(serve(TcpStream::from_std(server).unwrap(), Role::Server, Config::default(), echo));
    tokio::task::yield_now().await;
    assert!(watch.nodelay().unwrap(), "two small messages would wait for an acknowledgement");
    task.abort();
}

#[tokio::test]
async fn a_tcp_stream_sends_small_pieces_without_nagles_delay_before_its_connection_begins() {
    let (_client, server) = tcp().await;
    let server = server.into_std().unwrap();
    // A second descriptor of the same socket, to ask for its option.
    let same = server.try_clone().unwrap();
    assert!(!same.nodelay().unwrap());
    let _stream = Stream::from(TcpStream::from_std(server).unwrap());
    assert!(same.nodelay().unwrap());
}

fn small_limit() -> Config {
    Config::new().max_message_size(1 << 20)
}

#[tokio::test]
async fn a_peer_that_reads_while_it_sends_a_message_that_is_too_big_receives_1009() {
    let (client, task) = start(small_limit(), echo).await;
    let (mut reading, mut writing) = client.into_split();
    let wire = Frame::binary(vec![0; 8 << 20]).mask([1, 2, 3, 4]).bytes();
    // A reset while it writes is what it may see; what it must not miss is the Close.
    let writer = tokio::spawn(async move { writing.write_all(&wire).await });
    let mut answer = vec![0; 4];
    reading.read_exact(&mut answer).await.unwrap();
    assert_eq!((answer[0], &answer[2..]), (0x88, &1009_u16.to_be_bytes()[..]));
    let _ = writer.await.unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_reads_after_it_sent_a_message_that_is_too_big_receives_1009() {
    let (mut client, task) = start(small_limit(), echo).await;
    let wire = Frame::binary(vec![0; 8 << 20]).mask([1, 2, 3, 4]).bytes();
    let _ = client.write_all(&wire).await;
    let mut answer = [0; 4];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!((answer[0], &answer[2..]), (0x88, &1009_u16.to_be_bytes()[..]));
    task.await.unwrap();
}

/// The Close, the end of the stream, and no reset. `read` does not tell a reset behind the end, so the socket is asked.
async fn an_orderly_end(client: &mut Peer<TcpStream>, code: u16) {
    client.expect_close(code).await;
    client.expect_eof().await;
    let error = client.stream().take_error().unwrap();
    assert!(error.is_none(), "{error:?}");
    client.try_send_bytes(Frame::close(code, "").bytes()).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_sends_less_than_a_mebibyte_too_much_sees_1009_and_no_reset() {
    let config = Config::new().max_message_size(1000);
    let (client, task) = start(config, echo).await;
    let mut client = Peer::client(client);
    // All of it, before anything is read.
    client.send(Frame::binary(vec![0; 1_000_000])).await;
    an_orderly_end(&mut client, 1009).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_close_reaches_a_peer_whose_bytes_are_unread_and_no_reset_follows() {
    let (client, server) = tcp().await;
    let mut client = Peer::client(client);
    let task = tokio::spawn(serve(server, Role::Server, Config::default(), |socket| async move { drop(socket) }));
    // More than one read takes.
    client.send_all((0..200).map(|_| Frame::binary(vec![1; 4000]))).await;
    an_orderly_end(&mut client, 1000).await;
    drop(client);
    task.await.unwrap();
}

/// The system reports a reset to one call only, and that may be a write of the connection's task.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_reset_that_a_write_finds_is_the_error_of_the_handler() {
    let (tell, told) = oneshot::channel();
    let (give, is_reset) = oneshot::channel::<()>();
    let (client, task) = start(Config::default(), |mut socket: WebSocket| async move {
        is_reset.await.unwrap();
        socket.send(Message::text("one")).await.unwrap();
        // The connection's task writes now.
        tokio::task::yield_now().await;
        tell.send(socket.recv().await.unwrap().unwrap_err()).unwrap();
    })
    .await;
    settled().await;
    socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(client);
    give.send(()).unwrap();
    let error = told.await.unwrap();
    let source = std::error::Error::source(&error).unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionReset);
    task.await.unwrap();
}

#[tokio::test]
async fn bytes_that_http_has_read_ahead_are_received_first() {
    let (client, server) = tcp().await;
    let mut client = Peer::client(client);
    let ahead: Vec<u8> = [Frame::text("one"), Frame::text("two")]
        .into_iter()
        .flat_map(|frame| frame.mask([1, 2, 3, 4]).bytes())
        .collect();
    let (now, later) = ahead.split_at(11);
    client.send_bytes(later).await;
    let stream = Stream::from(server).with_read_ahead(Bytes::copy_from_slice(now));
    tokio::spawn(serve(stream, Role::Server, Config::default(), echo));
    client.expect_text("one").await;
    client.expect_text("two").await;
}

#[tokio::test]
async fn more_than_64_kib_read_ahead_by_http_close_with_1008() {
    for (more, is_refused) in [(0, false), (1, true)] {
        let (client, server) = tcp().await;
        let mut client = Peer::client(client);
        let payload = vec![7; (64 << 10) - 8 + more];
        let ahead = Frame::binary(&payload[..]).mask([1, 2, 3, 4]).bytes();
        assert_eq!(ahead.len(), (64 << 10) + more);
        let stream = Stream::from(server).with_read_ahead(ahead.into());
        let (tell, told) = oneshot::channel();
        tokio::spawn(serve(stream, Role::Server, Config::default(), |mut socket| async move {
            tell.send(socket.recv().await.unwrap()).unwrap();
            receive_all(socket).await;
        }));
        let received = told.await.unwrap();
        if is_refused {
            let error = received.unwrap_err();
            assert!(error.is_limit(), "{error}");
            assert!(error.to_string().contains("65537 bytes before the answer to its opening handshake"), "{error}");
            // It is heard out, and learns why.
            client.send(Frame::text("more")).await;
            let close = client.expect_close(close_code::POLICY).await;
            assert!(close.contains("65537"), "{close}");
        } else {
            assert_eq!(received.unwrap(), Message::binary(payload));
        }
    }
}

#[tokio::test]
async fn a_socket_knows_the_subprotocol_that_was_agreed_on() {
    let (_client, server) = tcp().await;
    let agreed = HeaderValue::from_static("chat");
    let (tell, told) = oneshot::channel();
    let connection = Connection::new(server, Role::Server).protocol(Some(agreed.clone()));
    tokio::spawn(connection.serve(|socket| async move { tell.send(socket.protocol().cloned()).unwrap() }));
    assert_eq!(told.await.unwrap(), Some(agreed));
}

#[tokio::test]
async fn a_client_masks_every_frame_with_a_key_of_its_own() {
    let (mut server, client) = tcp().await;
    tokio::spawn(serve(client, Role::Client, Config::default(), |mut socket| async move {
        for _ in 0..1000 {
            socket.send(Message::text("the same")).await.unwrap();
        }
    }));
    let mut wire = vec![0; 1000 * (2 + 4 + 8)];
    server.read_exact(&mut wire).await.unwrap();
    let frames = parse_frames(&wire);
    let mut keys: Vec<[u8; 4]> = frames.iter().map(|frame| frame.mask.unwrap()).collect();
    assert!(frames.iter().all(|frame| frame.payload == b"the same"));
    keys.sort_unstable();
    keys.dedup();
    assert!(keys.len() > 990, "{} keys", keys.len());
}
