//! How many TLS records messages take: those that are sent in a row share one.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use common::{read_head, switching};
use sockeye_client::{Client, Message, Opened, Proxy, Stream, Tls, WebSocket, rustls};
use sockeye_testkit::{Frame, Peer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
    server::TlsStream,
};

/// As many messages are sent in a row.
const MESSAGES: usize = 64;

/// A stream that counts the TLS records that are written to it ([RFC 8446 §5.1](https://www.rfc-editor.org/rfc/rfc8446#section-5.1)).
struct Counting {
    stream: DuplexStream,
    /// What was written of a header that is not whole.
    header: Vec<u8>,
    /// The rest of the record that has begun.
    rest: usize,
    records: Arc<AtomicUsize>,
}

impl Counting {
    fn count(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = self.rest.min(bytes.len());
            self.rest -= taken;
            bytes = &bytes[taken..];
            let Some((byte, behind)) = bytes.split_first() else { return };
            self.header.push(*byte);
            bytes = behind;
            if let [_, _, _, high, low] = self.header[..] {
                self.rest = usize::from(u16::from_be_bytes([high, low]));
                self.records.fetch_add(1, Relaxed);
                self.header.clear();
            }
        }
    }
}

impl AsyncRead for Counting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.count(&buf[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A connection over TLS: the client's end, the server's, and how many records the client has written.
async fn open() -> (Opened, Peer<TlsStream<DuplexStream>>, Arc<AtomicUsize>) {
    let made = rcgen::generate_simple_self_signed(["server.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap()));

    let (ours, theirs) = duplex(64 << 10);
    let records = Arc::new(AtomicUsize::new(0));
    let counting = Counting { stream: ours, header: Vec::new(), rest: 0, records: records.clone() };
    let server = async {
        let mut stream = acceptor.accept(theirs).await.unwrap();
        let head = read_head(&mut stream).await;
        stream.write_all(switching(&head, "").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        Peer::server(stream)
    };
    let tls = Tls::pem(made.cert.pem().as_bytes()).unwrap();
    let client = Client::builder().tls(tls).proxy(Proxy::none()).build();
    let (opened, server) = tokio::join!(client.open_over(Stream::boxed(counting), "wss://server.example/feed"), server);
    records.store(0, Relaxed);
    (opened.unwrap(), server, records)
}

/// Runs the handler in the task of the connection, or beside it.
fn run<F>(opened: Opened, in_its_task: bool, handler: impl FnOnce(WebSocket) -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    if in_its_task {
        let served = opened.serve(handler);
        tokio::spawn(async { drop(served.await) })
    } else {
        tokio::spawn(handler(opened.into_websocket()))
    }
}

fn text(number: usize) -> String {
    format!("message {number:02} of a few bytes")
}

#[tokio::test]
async fn small_messages_that_are_sent_in_a_row_share_a_tls_record() {
    for in_its_task in [true, false] {
        let (opened, mut server, records) = open().await;
        let sends = async |mut socket: WebSocket| {
            loop {
                for number in 0..MESSAGES {
                    socket.send(Message::text(text(number))).await.unwrap();
                }
                // The server asks for more, or closes.
                if !matches!(socket.recv().await, Some(Ok(Message::Text(_)))) {
                    break;
                }
            }
            while socket.recv().await.is_some() {}
        };
        let task = run(opened, in_its_task, sends);
        // Beside the connection's task, the very first message is written at once: that more follow is not known yet.
        let first = if in_its_task { 1 } else { 2 };
        for expected in first..first + 3 {
            for number in 0..MESSAGES {
                server.expect_text(&text(number)).await;
            }
            assert_eq!(records.load(Relaxed), expected, "in the connection's task: {in_its_task}");
            if expected < first + 2 {
                server.send(Frame::text("more")).await;
            }
        }
        server.send(Frame::close(1000, "")).await;
        server.expect_close(1000).await;
        drop(server);
        task.await.unwrap();
    }
}

#[tokio::test]
async fn the_answers_to_small_messages_that_came_together_share_a_tls_record() {
    for in_its_task in [true, false] {
        let (opened, mut server, records) = open().await;
        let echoes = async |mut socket: WebSocket| {
            while let Some(Ok(message)) = socket.recv().await {
                if matches!(message, Message::Text(_)) && socket.send(message).await.is_err() {
                    break;
                }
            }
        };
        let task = run(opened, in_its_task, echoes);
        for round in 1..=3 {
            server.send_all((0..MESSAGES).map(|number| Frame::text(text(number)))).await;
            for number in 0..MESSAGES {
                server.expect_text(&text(number)).await;
            }
            assert_eq!(records.load(Relaxed), round, "in the connection's task: {in_its_task}");
        }
        server.send(Frame::close(1000, "")).await;
        server.expect_close(1000).await;
        drop(server);
        task.await.unwrap();
    }
}
