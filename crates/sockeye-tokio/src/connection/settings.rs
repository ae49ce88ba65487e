//! `Settings`: what a connection is served with.

use std::sync::Arc;

use sockeye_proto::Config;

use crate::{Budget, Overflow, Shutdown, Timeouts, Unread};

/// What a connection is served with: its limits and deadlines, and what it shares with other connections. Cheap to clone: the
/// clones share the larger parts.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use sockeye_tokio::{Connection, Role, Settings, Shutdown, Stream, Timeouts};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let mut settings = Settings::new();
/// settings.timeouts = Arc::new(Timeouts::new().idle(Duration::from_secs(600)));
/// settings.shutdown = Some(Shutdown::new());
///
/// let (stream, _peer) = tokio::io::duplex(1024);
/// let connection = Connection::new(Stream::boxed(stream), Role::Server).settings(settings.clone());
/// # tokio::spawn(connection.serve(|_socket| async {}));
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Limits and buffer sizes. Default: [`Config::default`].
    pub config: Arc<Config>,
    /// The deadlines. Default: [`Timeouts::new`]. A connection without a driver ignores them.
    pub timeouts: Arc<Timeouts>,
    /// What happens to messages that are [pushed](crate::Sender::push) when the queue is full. Default: the connection is
    /// closed with 1013, so that no peer misses messages without noticing.
    pub overflow: Overflow,
    /// The budget that the connection's queue and its [unread](Self::unread) data count against. Default: no budget, since
    /// the right size depends on the machine. A connection without a driver ignores the budget.
    pub budget: Option<Budget>,
    /// How much the driver reads on while the handler does not receive. Default `None`: the driver reads [at most one
    /// message ahead](crate::WebSocket#with-and-without-a-driver), and then the peer has to wait. A stream that shares a
    /// connection with others, as in HTTP/2, needs a value. A connection without a driver ignores this setting.
    pub unread: Option<Unread>,
    /// The shutdown that closes the connection. Default: none. A connection without a driver ignores the shutdown.
    pub shutdown: Option<Shutdown>,
}

impl Settings {
    /// Creates settings with all defaults.
    pub fn new() -> Self {
        Self {
            config: Config::shared(),
            timeouts: Timeouts::shared(),
            overflow: Overflow::default(),
            budget: None,
            unread: None,
            shutdown: None,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}
