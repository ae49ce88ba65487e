//! The types of socket that an upgrade can hand over.

use sockeye_tokio::WebSocket;

/// A type of socket that an [`Upgrade`](crate::Upgrade) hands over to the handler: our own, or that of a crate with other payload
/// types around it. For crates of this workspace: not covered by semantic versioning.
pub trait Socket: Send + 'static {
    /// What [`protocols`](crate::Upgrade::protocols) converts the names of subprotocols into.
    type Protocol: AsRef<str>;

    /// Wraps a socket whose opening handshake has been answered.
    fn from_websocket(socket: WebSocket) -> Self;
}

impl Socket for WebSocket {
    type Protocol = String;

    fn from_websocket(socket: WebSocket) -> Self {
        socket
    }
}
