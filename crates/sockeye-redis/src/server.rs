//! The server: its address, and how connections to it are opened.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, ServerErrorKind,
    aio::{MultiplexedConnection, PubSub},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cmd,
    io::tcp::TcpSettings,
};
use sockeye_state::BrokerError;
use tokio::time::timeout;

use crate::{
    connection::{Connection, Script, Scripts},
    failure::{Failure, FailureKind},
    tls,
};

/// The server behind the broker, or any node of a cluster.
pub(crate) struct Server {
    client: Client,
    /// The address, without credentials.
    pub(crate) name: String,
    pub(crate) database: i64,
    pub(crate) times: Times,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Until a connection can be used.
    pub(crate) connect: Duration,
    /// Until a connection is taken for broken that does not answer.
    pub(crate) response: Duration,
    /// Until a request has succeeded or failed, with all tries.
    pub(crate) request: Duration,
    /// The longest wait between attempts to connect.
    pub(crate) max_backoff: Duration,
    /// Until the node checks a subscription that is silent.
    pub(crate) silence: Duration,
}

impl Server {
    /// Reads the URL.
    pub(crate) fn new(url: &str, times: Times) -> Result<Self, BrokerError> {
        let info = url.into_connection_info().map_err(|error| {
            let expected =
                "expected redis://[user:password@]host[:port][/database], rediss:// for TLS, or redis+unix:///path";
            BrokerError::refused(format!("the URL of the Redis server cannot be read: {error}; {expected}"))
        })?;
        let name = info.addr().to_string();
        if let ConnectionAddr::TcpTls { .. } = info.addr() {
            tls::prepare()?;
        }
        let database = info.redis_settings().db();
        let client =
            Client::open(info.set_tcp_settings(tcp())).map_err(|error| Failure::of(error, &name).into_error(false))?;
        Ok(Self { client, name, database, times })
    }

    /// Opens a connection for commands to a server that carries them out.
    pub(crate) async fn open(&self, number: u64) -> Result<Connection, Failure> {
        self.in_time(self.try_open(number)).await
    }

    /// Opens a connection for subscriptions.
    pub(crate) async fn open_subscription(&self) -> Result<PubSub, Failure> {
        self.in_time(async { self.client.get_async_pubsub().await.map_err(|error| self.failure(error)) }).await
    }

    /// The meaning of an error of this server.
    pub(crate) fn failure(&self, error: redis::RedisError) -> Failure {
        Failure::of(error, &self.name)
    }

    /// The meaning of an error before the server has answered anything. One that expects TLS and one that does not are silent, or
    /// hang up, when they hear the other thing.
    fn not_opened(&self, error: redis::RedisError) -> Failure {
        let may_be_wrong_port = error.is_timeout() || error.is_connection_dropped();
        let mut failure = self.failure(error);
        if may_be_wrong_port && failure.kind != FailureKind::Refused {
            failure.message.push_str(match self.has_tls() {
                true => "; check the server, and that it speaks TLS at this port",
                false => "; check the server; one that expects TLS at this port needs rediss://",
            });
        }
        failure
    }

    fn has_tls(&self) -> bool {
        matches!(self.client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. })
    }

    async fn in_time<T>(&self, open: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let limit = self.times.connect;
        timeout(limit, open).await.unwrap_or_else(|_| {
            let message =
                format!("Redis at {} does not answer within {limit:?}; check the address and the server", self.name);
            Err(Failure::new(FailureKind::NotHere, message))
        })
    }

    async fn try_open(&self, number: u64) -> Result<Connection, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.times.connect))
            .set_response_timeout(Some(self.times.response));
        let mut direct = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| self.not_opened(error))?;
        let info = self.info(&mut direct).await?;
        let is = |line: &str| info.lines().any(|other| other == line);
        if is("loading:1") {
            return Err(self.not_here("is loading its data"));
        }
        let cluster = match is("cluster_enabled:1") {
            true => Some(self.open_cluster().await?),
            false if is("role:slave") => {
                return Err(self.not_here("is a replica; expected the master: use a name that follows the master"));
            }
            false => None,
        };
        let scripts = Scripts {
            append: self.load(&mut direct, Script::Append).await?,
            read: self.load(&mut direct, Script::Read).await?,
        };
        Ok(Connection::new(number, direct, cluster, scripts, self.name.clone()))
    }

    /// What the server says about itself; nothing if the user may not ask.
    async fn info(&self, direct: &mut MultiplexedConnection) -> Result<String, Failure> {
        match cmd("INFO").query_async(direct).await {
            Ok(info) => Ok(info),
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(String::new()),
            Err(error) => Err(self.failure(error)),
        }
    }

    async fn open_cluster(&self) -> Result<ClusterConnection, Failure> {
        let open = async {
            let client = ClusterClientBuilder::new([self.client.get_connection_info().clone()])
                .connection_timeout(self.times.connect)
                .response_timeout(self.times.response)
                // `Commands` tries again, and knows what is safe. After a slot has moved, the connection is made anew: the crate's
                // own way to follow can leave all requests without an answer.
                .retries(0)
                .tcp_settings(tcp())
                .build()?;
            client.get_async_connection().await
        };
        open.await.map_err(|error| self.failure(error))
    }

    /// Has the server keep a script, and returns its hash.
    async fn load(&self, direct: &mut MultiplexedConnection, script: Script) -> Result<String, Failure> {
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(script.text());
        load.query_async(direct).await.map_err(|error| self.failure(error))
    }

    fn not_here(&self, what: &str) -> Failure {
        Failure::new(FailureKind::NotHere, format!("Redis at {} {what}", self.name))
    }
}

/// Small requests must not wait for answers to earlier ones.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}
