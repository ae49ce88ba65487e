//! The complete settings of a connection.

use sockeye_handshake::Origins;
#[cfg(feature = "deflate")]
use sockeye_tokio::proto::deflate::Compression;

use crate::{ConnectionLimits, transport::Transport};

/// The settings of one connection: the [`WebSocketDefaults`](crate::WebSocketDefaults) of its request, changed by the handler.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// What the connection is served with. Its config and timeouts are shared by all connections whose handlers do not change
    /// them; `unread` is only for those that share an HTTP/2 connection.
    pub(crate) connection: sockeye_tokio::Settings,
    pub(crate) origins: Origins,
    pub(crate) limits: Option<ConnectionLimits>,
    pub(crate) transport: Option<Transport>,
    #[cfg(feature = "deflate")]
    pub(crate) compression: Option<Compression>,
}
