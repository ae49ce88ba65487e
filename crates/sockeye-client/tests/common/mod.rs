//! A client whose streams end in the test, and servers written by hand.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::io;

use sockeye_client::{Builder, Client, ConnectError, Dial, Proxy, Stream, WebSocket};
use sockeye_testkit::{DEFAULT_CAPACITY, PipeEnd, pipe_with_capacity};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// What a client dials: the name, the port, and the other end of its stream.
pub(crate) struct Dialed {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) stream: PipeEnd,
}

/// Streams in memory.
struct Pipes {
    dialed: mpsc::UnboundedSender<Dialed>,
    capacity: usize,
}

impl Dial for Pipes {
    async fn dial(&self, host: &str, port: u16) -> io::Result<Stream> {
        let (ours, theirs) = pipe_with_capacity(self.capacity);
        let dialed = Dialed { host: host.to_owned(), port, stream: theirs };
        self.dialed.send(dialed).map_err(|_| io::Error::other("nobody listens"))?;
        Ok(Stream::boxed(ours))
    }
}

/// A client without a proxy whose streams are in memory, and what it dials.
pub(crate) fn pipes() -> (Builder, mpsc::UnboundedReceiver<Dialed>) {
    pipes_with_capacity(DEFAULT_CAPACITY)
}

/// As [`pipes`], with space for `capacity` bytes in each direction.
pub(crate) fn pipes_with_capacity(capacity: usize) -> (Builder, mpsc::UnboundedReceiver<Dialed>) {
    let (dialed, receiver) = mpsc::unbounded_channel();
    (Client::builder().dial(Pipes { dialed, capacity }).proxy(Proxy::none()), receiver)
}

/// Connects to a server that reads the request and answers it as `answer` says. Returns the server's stream too.
pub(crate) async fn answered<B: AsRef<[u8]>>(
    answer: impl FnOnce(&str) -> B,
) -> (Result<WebSocket, ConnectError>, PipeEnd) {
    let (client, mut dialed) = pipes();
    let client = client.build();
    let server = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        let request = read_head(&mut stream).await;
        stream.write_all(answer(&request).as_ref()).await.unwrap();
        stream
    };
    let (socket, stream) = tokio::join!(client.connect("ws://server.example/chat"), server);
    (socket, stream)
}

/// The error of a connection to a server that answers so.
pub(crate) async fn refused<B: AsRef<[u8]>>(answer: impl FnOnce(&str) -> B) -> ConnectError {
    answered(answer).await.0.unwrap_err()
}

/// The head of a request or of an answer, up to its empty line.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the stream ended within the head"));
    }
    String::from_utf8(head).unwrap()
}

/// The value of a header.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
}

/// The answer that opens a WebSocket, with more header lines.
pub(crate) fn switching(request: &str, more: &str) -> String {
    let accept = derive_accept_key(header(request, "sec-websocket-key").unwrap().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
}

/// An echo server of another implementation, on one stream.
pub(crate) fn echo<S>(stream: S) -> JoinHandle<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    use futures_util::{SinkExt, StreamExt};
    tokio::spawn(async move {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

/// Sends a message, and receives it again from an [`echo`].
pub(crate) async fn echoes(socket: &mut WebSocket) {
    let message = sockeye_client::Message::text("hello");
    socket.send(message.clone()).await.unwrap();
    assert_eq!(socket.recv().await.unwrap().unwrap(), message);
}
