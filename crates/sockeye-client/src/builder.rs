//! `Builder`: the settings of a client.

use std::{fmt, sync::Arc, time::Duration};

use sockeye_tokio::{Config, Settings as ConnectionSettings, Shutdown, Timeouts};

#[cfg(feature = "rustls")]
use crate::tls::{Setup, Tls};
use crate::{
    Client, Dial, Proxy, Resolve,
    dial::{Dialer, connecting::Connecting},
    http1::Limits,
    resolve::Resolver,
};

/// The settings of a [`Client`].
///
/// [`build`](Self::build) cannot fail: a setting that cannot work is reported by [`Client::open`].
///
/// ```
/// use std::time::Duration;
/// use sockeye_client::{Client, Proxy};
///
/// let client = Client::builder().within(Duration::from_secs(3)).proxy(Proxy::none()).build();
/// ```
#[must_use = "`build` makes the client"]
pub struct Builder {
    settings: Settings,
    per_ip: usize,
}

/// What a client is made of.
pub(crate) struct Settings {
    pub(crate) within: Duration,
    pub(crate) limits: Limits,
    pub(crate) proxy: Proxy,
    pub(crate) resolver: Resolver,
    pub(crate) dialer: Dialer,
    pub(crate) connecting: Connecting,
    #[cfg(feature = "rustls")]
    pub(crate) tls: Setup,
    pub(crate) connection: ConnectionSettings,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let settings = Settings {
            within: Duration::from_secs(10),
            limits: Limits::default(),
            proxy: Proxy::from_env(),
            resolver: Resolver::system(),
            dialer: Dialer::Tcp,
            connecting: Connecting::new(1),
            #[cfg(feature = "rustls")]
            tls: Setup::default(),
            connection: ConnectionSettings::new(),
        };
        Self { settings, per_ip: 8 }
    }

    /// Sets which certificates are trusted, for servers and for proxies that are spoken to over TLS. Default: [`Tls::platform`],
    /// which is read with the first `wss`.
    #[cfg(feature = "rustls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.settings.tls = Setup::new(tls);
        self
    }

    /// Sets which proxy is used. Default: [`Proxy::from_env`].
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.settings.proxy = proxy;
        self
    }

    /// Sets how long everything together may take, from the look-up to the server's answer. Default 10 s: enough for a slow server on
    /// another continent, and short enough for a person who waits.
    pub fn within(mut self, limit: Duration) -> Self {
        self.settings.within = limit;
        self
    }

    /// Sets how many bytes the head of an HTTP answer may have. Default 32 KiB, and always at most 100 headers.
    pub fn head_limit(mut self, bytes: usize) -> Self {
        self.settings.limits.head = bytes;
        self
    }

    /// Sets how many bytes of the body of a refusal are kept for [`ConnectError::response`](crate::ConnectError::response). Default
    /// 64 KiB. Such a body may take 2 s at most. With 0 no body is read.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.settings.limits.body = bytes;
        self
    }

    /// Sets how names are looked up, those of proxies too. Default: by the system. Equal look-ups at the same time are one, whoever
    /// does them.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.settings.resolver = Resolver::new(resolver);
        self
    }

    /// Sets how streams are opened, those to proxies too; names are then not looked up. Default: by TCP, with
    /// [happy eyeballs](crate#how-it-connects).
    pub fn dial(mut self, dial: impl Dial) -> Self {
        self.settings.dialer = Dialer::new(dial);
        self
    }

    /// Sets how many opening handshakes with one IP address may be under way at a time; others wait, within their time limit. Behind
    /// a proxy and with [`dial`](Self::dial), the name of the host counts. At least 1. Default 8: [RFC 6455 §4.1] asks for 1, but then
    /// one slow answer would hold up all other connections.
    ///
    /// [RFC 6455 §4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    pub fn connecting(mut self, per_ip: usize) -> Self {
        self.per_ip = per_ip;
        self
    }

    /// Sets the limits and buffer sizes of the connections. Default: [`Config::default`].
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.settings.connection.config = config.into();
        self
    }

    /// Sets the deadlines of open connections, and so how soon a dead peer is found. Default: [`Timeouts::new`].
    pub fn timeouts(mut self, timeouts: impl Into<Arc<Timeouts>>) -> Self {
        self.settings.connection.timeouts = timeouts.into();
        self
    }

    /// Adds the connections to those that `shutdown` closes. Default: none.
    pub fn shutdown(mut self, shutdown: &Shutdown) -> Self {
        self.settings.connection.shutdown = Some(shutdown.clone());
        self
    }

    /// Makes the client.
    pub fn build(mut self) -> Client {
        self.settings.connecting = Connecting::new(self.per_ip);
        Client::with(self.settings)
    }
}

impl Settings {
    pub(crate) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { within, limits, proxy, .. } = self;
        f.debug_struct(name)
            .field("within", within)
            .field("head_limit", &limits.head)
            .field("body_limit", &limits.body)
            .field("proxy", proxy)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt_as("Builder", f)
    }
}
