//! `Stage`: how far a connection has come.

use std::fmt;

/// How far a connection had come when it failed. `Display` writes the name for a message, such as `TLS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The request and the settings were checked. Nothing was sent.
    Request,
    /// The name of the server, or of the proxy, was looked up.
    Dns,
    /// A TCP connection to the server, or to the proxy, was opened; or the stream of a [`Dial`](crate::Dial).
    Tcp,
    /// The proxy was asked for a tunnel to the server.
    Proxy,
    /// TLS was negotiated with the server.
    Tls,
    /// The opening handshake was sent, and its answer was waited for and checked.
    Http,
    /// The last WebSocket was open, and its end is final. Only from [`Sockets`](crate::Sockets).
    Open,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Request => "request",
            Self::Dns => "DNS",
            Self::Tcp => "TCP",
            Self::Proxy => "proxy",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::Open => "open",
        })
    }
}
