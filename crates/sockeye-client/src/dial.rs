//! `Dial`: how streams are opened.

pub(crate) mod connecting;
pub(crate) mod eyeballs;

use std::{future::Future, io, net::SocketAddr, pin::Pin, slice};

use sockeye_tokio::Stream;

use self::connecting::{Key, Slot};
use crate::{ConnectError, Stage, builder::Settings, error::Blame, open::progress::Progress};

/// How streams are opened: for sockets with options of your own, for a Unix socket, for a pipe in a test.
///
/// The stream is to the server, or to the [proxy](crate::Proxy) if one is used. TLS, the proxy's tunnel and the opening handshake go
/// over it. A [`TcpStream`](tokio::net::TcpStream) should be made a [`Stream`] by `From`, which is faster than [`Stream::boxed`].
///
/// ```
/// use std::io;
/// use sockeye_client::{Client, Dial, Proxy, Stream};
///
/// # #[cfg(unix)] {
/// struct Socket(&'static str);
///
/// impl Dial for Socket {
///     async fn dial(&self, _host: &str, _port: u16) -> io::Result<Stream> {
///         Ok(Stream::boxed(tokio::net::UnixStream::connect(self.0).await?))
///     }
/// }
///
/// let client = Client::builder().dial(Socket("/run/feed.sock")).proxy(Proxy::none()).build();
/// # }
/// ```
pub trait Dial: Send + Sync + 'static {
    /// Opens a stream to `host`, which is a name, or an IP address without brackets. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// Why there is no stream; the text becomes a part of the [`ConnectError`].
    fn dial(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Stream>> + Send;
}

/// How a client opens streams.
pub(crate) enum Dialer {
    Tcp,
    Custom(Box<dyn Boxed>),
}

/// `Dial` as an object.
pub(crate) trait Boxed: Send + Sync {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Stream>>;
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl<D: Dial> Boxed for D {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(Dial::dial(self, host, port))
    }
}

impl Dialer {
    pub(crate) fn new(dial: impl Dial) -> Self {
        Self::Custom(Box::new(dial))
    }
}

/// An end of a stream that is to be opened: the server, or the proxy.
pub(crate) struct Peer<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) address: Option<SocketAddr>,
    /// `Network` for the server, `Proxy` for the proxy.
    pub(crate) blame: Blame,
    /// Whether the opening handshakes with this peer are limited.
    pub(crate) is_limited: bool,
}

/// A stream to a peer.
pub(crate) struct Dialed {
    pub(crate) stream: Stream,
    /// The address, if the stream was opened by TCP.
    pub(crate) address: Option<SocketAddr>,
    /// The place among the handshakes with this peer that are under way.
    pub(crate) slot: Option<Slot>,
}

impl Peer<'_> {
    fn what(&self) -> &'static str {
        if self.blame == Blame::Proxy { "the proxy" } else { "the server" }
    }

    /// The address, if it is known without a look-up.
    fn known(&self) -> Option<SocketAddr> {
        self.address.or_else(|| Some(SocketAddr::new(self.host.parse().ok()?, self.port)))
    }
}

/// Opens a stream.
pub(crate) async fn dial(settings: &Settings, peer: &Peer<'_>, progress: &Progress) -> Result<Dialed, ConnectError> {
    let dialer = match &settings.dialer {
        Dialer::Custom(dialer) => dialer,
        Dialer::Tcp => {
            let known = peer.known();
            let addresses = match &known {
                Some(address) => slice::from_ref(address),
                None => &look_up(settings, peer, progress).await?,
            };
            progress.enter(Stage::Tcp);
            let connecting = peer.is_limited.then_some(&settings.connecting);
            return match eyeballs::connect(addresses, connecting, progress).await {
                Some((stream, address, slot)) => {
                    Ok(Dialed { stream: Stream::from(stream), address: Some(address), slot })
                }
                None => Err(ConnectError::unreachable(peer.blame, peer.what(), progress.take_attempts())),
            };
        }
    };
    progress.enter(Stage::Tcp);
    // RFC 6455 §4.1, item 2: a client that "cannot determine the IP address of the remote host" must assume "that each host name
    // refers to a distinct remote host".
    let slot = match peer.is_limited {
        true => Some(settings.connecting.enter(Key::Host(peer.host.to_owned(), peer.port), progress).await),
        false => None,
    };
    let dialed = dialer.dial(peer.host, peer.port).await;
    let stream = dialed.map_err(|error| {
        let message = format!("no stream to {} `{}:{}`", peer.what(), peer.host, peer.port);
        ConnectError::because(peer.blame, Stage::Tcp, message, error)
    })?;
    Ok(Dialed { stream, address: None, slot })
}

/// The addresses of a peer's name, at least one.
async fn look_up(settings: &Settings, peer: &Peer<'_>, progress: &Progress) -> Result<Vec<SocketAddr>, ConnectError> {
    progress.enter(Stage::Dns);
    let (host, what) = (peer.host, peer.what());
    match settings.resolver.look_up(host, peer.port).await {
        Ok(addresses) if addresses.is_empty() => {
            let message = format!("the name `{host}` of {what} has no address");
            Err(ConnectError::new(peer.blame, Stage::Dns, message))
        }
        Ok(addresses) => Ok(addresses),
        Err(error) => {
            let message = format!("the name `{host}` of {what} cannot be looked up");
            Err(ConnectError::because(peer.blame, Stage::Dns, message, error))
        }
    }
}
