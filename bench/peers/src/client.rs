//! The code that the measured clients share.

use anyhow::{Context as _, Result, ensure};
use bench_serve::{Order, opening};
use futures_util::FutureExt as _;
use std::future::Future;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Opens connections, one after the other, whenever the load generator asks for some, and gives each one a task of its own.
/// `open` opens a connection, and returns what the connection does from then on.
///
/// # Errors
///
/// When a connection cannot be opened.
pub async fn follow<F, Opening, Echo>(listener: TcpListener, open: F) -> Result<()>
where
    F: Fn(SocketAddr) -> Opening,
    Opening: Future<Output = Result<Echo>>,
    Echo: Future<Output = Result<()>> + Send + 'static,
{
    let mut orders = BufReader::new(listener.accept().await.context("nobody gives orders")?.0);
    let mut line = String::new();
    while orders.read_line(&mut line).await.context("cannot read the orders")? > 0 {
        let Order { server, count } = Order::parse(line.as_bytes())?;
        for _ in 0..count {
            // Not in an `async` block, which would have room for what it captures and once more for what it awaits.
            tokio::spawn(open(server).await?.map(|ended| {
                if let Err(error) = ended {
                    eprintln!("{error:#}");
                }
            }));
        }
        orders.write_all(b"\n").await.context("nobody waits for the connections")?;
        line.clear();
    }
    Ok(())
}

/// A socket after an opening handshake by hand, for libraries that then get the bare socket.
///
/// # Errors
///
/// When the server does not agree, or does not wait for the connection to be open.
pub async fn dial(server: SocketAddr) -> Result<TcpStream> {
    upgrade(connect(server).await?, server).await
}

/// The same over TLS.
///
/// # Errors
///
/// As for [`dial`], and when the server has another certificate.
pub async fn dial_tls(tls: TlsConnector, server: SocketAddr) -> Result<TlsStream<TcpStream>> {
    let stream = connect(server).await?;
    let stream = tls.connect(server.ip().into(), stream).await.context("no TLS handshake")?;
    upgrade(stream, server).await
}

async fn connect(server: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(server).await.with_context(|| format!("cannot connect to {server}"))?;
    stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
    Ok(stream)
}

/// The opening handshake.
async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, server: SocketAddr) -> Result<S> {
    stream.write_all(opening::request(server).as_bytes()).await.context("cannot send the request")?;
    let (mut answer, mut length) = ([0; 1024], 0);
    while !opening::is_accepted(&answer[..length])? {
        let read = stream.read(&mut answer[length..]).await.context("cannot read the answer")?;
        ensure!(read > 0, "there is no answer, or a very long one");
        length += read;
    }
    Ok(stream)
}

/// The URL for libraries that take one.
pub fn url(server: SocketAddr) -> String {
    format!("ws://{server}/ws")
}

/// The same over TLS.
pub fn url_tls(server: SocketAddr) -> String {
    format!("wss://{server}/ws")
}
