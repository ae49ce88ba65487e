//! A `Stream` before its connection: an opening handshake reads and writes it.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use sockeye_testkit::{Frame, Peer, pipe};
use sockeye_tokio::{Config, Message, Role, Stream, WebSocket};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::test]
async fn a_handshake_goes_over_the_stream_of_its_connection() {
    let (ours, theirs) = pipe();
    let mut stream = Stream::boxed(ours);
    let mut peer = Peer::client(theirs);
    peer.send_bytes(b"hello").await;
    peer.send(Frame::text("first")).await;
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
    stream.write_all(b"welcome").await.unwrap();
    stream.flush().await.unwrap();
    let mut welcome = [0; 7];
    peer.stream_mut().read_exact(&mut welcome).await.unwrap();
    assert_eq!(&welcome, b"welcome");
    let mut socket = WebSocket::new(stream, Role::Server, Config::default());
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("first"));
}

#[tokio::test]
async fn what_was_read_ahead_comes_first_and_the_last_part_of_it_can_be_given_back() {
    let (ours, theirs) = pipe();
    let mut peer = Peer::client(theirs);
    peer.send_bytes(b"wire").await;
    let mut stream = Stream::boxed(ours).with_read_ahead("ahead, then ".into());
    let mut read = [0; 7];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"ahead, ");
    // The layer above has taken too much.
    let mut stream = stream.with_read_ahead(", ".into());
    let mut rest = [0; 11];
    stream.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b", then wire");
}

#[cfg(unix)]
#[tokio::test]
async fn a_layer_above_knows_the_socket_below() {
    use std::os::fd::{AsFd, AsRawFd};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let socket = tcp.as_fd().as_raw_fd();
    let stream = Stream::from(tcp);
    assert_eq!(stream.socket().unwrap().as_raw_fd(), socket);
    let layered = Stream::boxed_over(Stream::boxed_over(stream, Stream::socket), Stream::socket);
    assert_eq!(layered.socket().unwrap().as_raw_fd(), socket);
    assert!(Stream::boxed(pipe().0).socket().is_none());
}
