//! The roads from a client to the server: the transports below its WebSocket.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use slow_peers::http2;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
    sync::Mutex,
    time::sleep,
};
use tokio_rustls::{
    TlsConnector, client,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use super::{Client, counts::add, cutter::Cutters};
use crate::control::Addresses;

/// The transport between a client and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Road {
    Tcp,
    /// The same, with a tiny send buffer in the server's kernel.
    Tight,
    /// TLS in the server, by rustls.
    Tls,
    /// The same by OpenSSL.
    OpenSsl,
    /// A stream of HTTP/2, on a connection with others.
    Http2,
    /// nginx in front of the server.
    Nginx,
}

/// The bytes of a connection.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {
    /// The bare socket.
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

impl Io for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Io for client::TlsStream<TcpStream> {}

impl Io for http2::Http2 {}

/// The addresses of the roads.
pub(super) struct Roads {
    addresses: Addresses,
    nginx: Option<SocketAddr>,
    cutters: Cutters,
    tls: TlsConnector,
}

impl Roads {
    pub(super) async fn new(addresses: Addresses, nginx: Option<SocketAddr>, seed: u64) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(addresses.certificate.clone().into())?;
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let others = [Some(addresses.tls), addresses.openssl, Some(addresses.tight), nginx];
        let all = addresses.plain.iter().copied().chain(others.into_iter().flatten());
        let cutters = Cutters::start(all, seed).await.context("cannot cut packets")?;
        Ok(Self { addresses, nginx, cutters, tls: TlsConnector::from(Arc::new(config)) })
    }

    pub(super) fn has(&self, road: Road) -> bool {
        match road {
            Road::Tcp | Road::Tight | Road::Tls | Road::Http2 => true,
            Road::OpenSsl => self.addresses.openssl.is_some(),
            Road::Nginx => self.nginx.is_some(),
        }
    }
}

impl Client {
    /// The address to which the client connects.
    fn address(&mut self) -> SocketAddr {
        let roads = &self.run.roads;
        let plain = roads.addresses.plain[self.rng.usize(..roads.addresses.plain.len())];
        let address = match self.road {
            Road::Tcp | Road::Http2 => plain,
            Road::Tight => roads.addresses.tight,
            Road::Tls => roads.addresses.tls,
            Road::OpenSsl => roads.addresses.openssl.unwrap_or(plain),
            Road::Nginx => roads.nginx.unwrap_or(plain),
        };
        if self.is_cut { roads.cutters.before(address) } else { address }
    }

    /// Opens a TCP connection, and waits for a port if all are in use.
    pub(super) async fn tcp(&mut self, receive_buffer: Option<u32>) -> Result<TcpStream> {
        let address = self.address();
        let stream = self.wait("a connection", self.connected(address, receive_buffer)).await?;
        self.port = stream.local_addr().ok().map(|local| local.port());
        Ok(stream)
    }

    async fn connected(&self, address: SocketAddr, receive_buffer: Option<u32>) -> Result<TcpStream> {
        loop {
            let socket = TcpSocket::new_v4()?;
            if let Some(size) = receive_buffer {
                // Set before connecting, since the kernel chooses the largest window then.
                socket.set_recv_buffer_size(size)?;
            }
            match socket.connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    add(&self.run.counts.put_off, 1);
                    sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The stream for the bytes of a WebSocket, including those of its opening handshake except over HTTP/2.
    pub(super) async fn stream(&mut self, path: &str, receive_buffer: Option<u32>) -> Result<Box<dyn Io>> {
        match self.road {
            Road::Tcp | Road::Tight | Road::Nginx => Ok(Box::new(self.tcp(receive_buffer).await?)),
            Road::Tls | Road::OpenSsl => {
                let tcp = self.tcp(receive_buffer).await?;
                let handshake = self.run.roads.tls.connect(ServerName::try_from("localhost")?, tcp);
                let handshake = async { handshake.await.context("the TLS handshake fails") };
                Ok(Box::new(self.wait("the TLS handshake", handshake).await?))
            }
            Road::Http2 => {
                let connection = self.http2.clone().context("a client of HTTP/2 has no connection")?;
                let connection = connection.client(self).await?;
                Ok(Box::new(self.wait("the answer to its CONNECT", http2::open(&connection, path)).await?))
            }
        }
    }
}

/// A connection of HTTP/2 that several places share. It is replaced after a number of WebSockets.
pub(super) struct Shared {
    /// The window of each stream. The window of the connection is larger than all of them together, since a slow reader must
    /// not delay the others.
    window: u32,
    /// The connection, and how many WebSockets it still serves.
    connection: Mutex<Option<(http2::Client, usize)>>,
}

/// How many places share a connection of HTTP/2, and how many WebSockets it serves.
pub(super) const TOGETHER: usize = 6;
const LIFE: usize = 30;

/// The initial window of RFC 9113, which is less than some messages.
pub(super) const WINDOW: u32 = 65_535;

impl Shared {
    pub(super) fn new(window: u32) -> Arc<Self> {
        Arc::new(Self { window, connection: Mutex::default() })
    }

    async fn client(&self, client: &mut Client) -> Result<http2::Client> {
        let mut shared = self.connection.lock().await;
        if let Some((connection, left @ 1..)) = &mut *shared {
            *left -= 1;
            return Ok(connection.clone());
        }
        let tcp = client.tcp(None).await?;
        let connection = http2::connect(tcp, 2 * TOGETHER as u32 * self.window, self.window).await?;
        *shared = Some((connection.clone(), LIFE - 1));
        Ok(connection)
    }
}
