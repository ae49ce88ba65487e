//! What the tests of this crate share: connections with the peer at the other end, handlers, and ways to let others run.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use sockeye_testkit::{Control, DEFAULT_CAPACITY, Peer, PipeEnd, pipe_with_capacity};
use sockeye_tokio::{Config, Connection, Ended, Role, Sender, Stream, WebSocket};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::{JoinHandle, yield_now},
};

/// A server's connection over `stream`, with every default.
pub(crate) fn connection(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Connection {
    Connection::new(Stream::boxed(stream), Role::Server)
}

/// A client, and the server's connection to it over a pipe.
pub(crate) fn connect() -> (Peer<PipeEnd>, Connection) {
    connect_with_capacity(DEFAULT_CAPACITY)
}

/// A client, and the server's connection to it over a pipe that takes `capacity` bytes in each direction.
pub(crate) fn connect_with_capacity(capacity: usize) -> (Peer<PipeEnd>, Connection) {
    let (client, server) = pipe_with_capacity(capacity);
    (Peer::client(client), connection(server))
}

/// The handle that steers the server's end of `client`'s pipe.
pub(crate) fn server_end(client: &Peer<PipeEnd>) -> Control {
    client.stream().control().opposite()
}

/// A client, and the task that serves it.
pub(crate) fn start<F, Fut>(handler: F) -> (Peer<PipeEnd>, JoinHandle<Ended>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    start_with(|connection| connection, handler)
}

/// A client, and the task that serves it, on a connection that `set` has changed the settings of.
pub(crate) fn start_with<F, Fut>(
    set: impl FnOnce(Connection) -> Connection,
    handler: F,
) -> (Peer<PipeEnd>, JoinHandle<Ended>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (client, connection) = connect();
    (client, tokio::spawn(set(connection).serve(handler)))
}

/// Serves a connection whose handler gives its socket away and returns. The socket, and the task that drives it.
pub(crate) async fn give_away(connection: Connection) -> (WebSocket, JoinHandle<Ended>) {
    let (give, take) = oneshot::channel();
    let task = tokio::spawn(connection.serve(|socket| async move { drop(give.send(socket)) }));
    (take.await.unwrap(), task)
}

/// Serves a connection whose handler does nothing but receive. A sender of it, and the task.
pub(crate) async fn sender_of(connection: Connection) -> (Sender, JoinHandle<Ended>) {
    let (give, take) = oneshot::channel();
    let task = tokio::spawn(connection.serve(|socket| async move {
        drop(give.send(socket.sender()));
        receive_all(socket).await;
    }));
    (take.await.unwrap(), task)
}

/// A client, and the server's socket without a driver.
pub(crate) fn undriven() -> (Peer<PipeEnd>, WebSocket) {
    undriven_with_capacity(DEFAULT_CAPACITY)
}

/// A client, and the server's socket without a driver, over a pipe that takes `capacity` bytes in each direction.
pub(crate) fn undriven_with_capacity(capacity: usize) -> (Peer<PipeEnd>, WebSocket) {
    let (client, server) = pipe_with_capacity(capacity);
    (Peer::client(client), WebSocket::new(Stream::boxed(server), Role::Server, Config::default()))
}

/// The client's and the server's end of a TCP connection.
pub(crate) async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// A peer whose kernel takes little, and the server's connection to it.
pub(crate) async fn connect_narrow() -> (TcpStream, Connection) {
    connect_narrow_over(Stream::from).await
}

/// The same over the stream that `over` makes of the server's socket.
pub(crate) async fn connect_narrow_over(over: fn(TcpStream) -> Stream) -> (TcpStream, Connection) {
    let listening = TcpSocket::new_v4().unwrap();
    listening.set_send_buffer_size(8 << 10).unwrap();
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener: TcpListener = listening.listen(1).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    (client, Connection::new(over(listener.accept().await.unwrap().0), Role::Server))
}

/// A handler that sends every text and binary message back.
pub(crate) async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// A handler that receives to the end.
pub(crate) async fn receive_all(mut socket: WebSocket) {
    while let Some(Ok(_)) = socket.recv().await {}
}

/// Lets all other tasks do what they can do without waiting for time.
pub(crate) async fn settled() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// Polls `future` once, and drops it. What it yields is kept, if it was ready.
pub(crate) async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}
