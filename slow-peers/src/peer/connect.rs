//! A peer's way to its WebSocket, over each transport.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rustix::net::sockopt;
use slow_peers::http2;
use sockeye_testkit::UpgradeRequest;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpSocket,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use crate::{
    cases::{Case, Transport},
    control::Addresses,
};

/// The bytes of a WebSocket.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

/// The WebSocket of a case, and the kernel's size of its receive buffer.
pub(super) async fn open(case: &Case, addresses: Addresses, tls: &TlsConnector) -> Result<(Box<dyn Io>, u32)> {
    let path = format!("/case/{}", case.id);
    let address = if case.transport == Transport::Tls { addresses.tls } else { addresses.plain };
    let socket = TcpSocket::new_v4()?;
    // Set before connecting, since the kernel chooses the largest window then.
    let rcvbuf = set_rcvbuf(&socket, case.rcvbuf)?;
    let stream = socket.connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let stream: Box<dyn Io> = match case.transport {
        Transport::Tcp => Box::new(upgraded(stream, &path).await?),
        Transport::Tls => {
            let name = ServerName::try_from("localhost")?;
            let stream = tls.connect(name, stream).await.context("the TLS handshake fails")?;
            Box::new(upgraded(stream, &path).await?)
        }
        Transport::Http2(window) => Box::new(http2::open(&http2::connect(stream, window, window).await?, &path).await?),
    };
    Ok((stream, rcvbuf))
}

/// TLS that trusts only this certificate.
pub(super) fn tls(certificate: Vec<u8>) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.into())?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The size that the kernel has set: twice the request, for its own needs, unless a limit applies.
fn set_rcvbuf(socket: &TcpSocket, wish: u32) -> Result<u32> {
    socket.set_recv_buffer_size(wish)?;
    if socket.recv_buffer_size()? < 2 * wish {
        // Above `net.core.rmem_max`, which only root may exceed.
        let _ = sockopt::set_socket_recv_buffer_size_force(socket, wish as usize);
    }
    Ok(socket.recv_buffer_size()?)
}

/// The opening handshake over HTTP/1.1.
async fn upgraded<S: Io>(mut stream: S, path: &str) -> Result<S> {
    stream.write_all(UpgradeRequest::new(path).to_string().as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    // Read byte by byte, since the bytes after the head belong to the WebSocket.
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.context("the stream ended within the opening handshake")?);
    }
    let head = String::from_utf8_lossy(&head);
    let is_accepted = head.lines().any(|line| line.ends_with(UpgradeRequest::ACCEPT));
    if !head.starts_with("HTTP/1.1 101 ") || !is_accepted {
        bail!("the opening handshake was answered with `{}`", head.escape_debug());
    }
    Ok(stream)
}
