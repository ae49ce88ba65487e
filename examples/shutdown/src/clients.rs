//! The server with many clients, which report how their connections were closed.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt, StreamExt, TryStreamExt, stream};
use sockeye::{Drained, Shutdown};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use crate::GOODBYE;

/// The code that a client reports if the connection has ended without a Close (RFC 6455 §7.1.5).
const ABNORMAL: u16 = 1006;

/// How many clients connect at the same time: fewer than fit into the kernel's queue of the listener.
const AT_ONCE: usize = 100;

type Client = WebSocketStream<TcpStream>;

/// How the clients saw the close, and how the server saw it.
#[derive(Debug)]
pub struct Report {
    /// For each code, how many clients have seen it.
    codes: BTreeMap<u16, usize>,
    drained: Drained,
}

impl Report {
    /// Whether all `connections` were closed with 1001, by what the clients say and by what the server says.
    pub fn is_clean(&self, connections: usize) -> bool {
        let Drained { closed, lost, aborted, .. } = self.drained;
        self.codes.get(&1001).copied().unwrap_or_default() == connections
            && (closed, lost, aborted) == (connections, 0, 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed = self.codes.get(&1001).copied().unwrap_or_default();
        write!(f, "{closed} closed with 1001, {} aborted", self.drained.aborted)?;
        for (code, count) in self.codes.iter().filter(|(code, _)| **code != 1001) {
            write!(f, "\n{count} closed with {code}")?;
        }
        if self.drained.lost > 0 {
            write!(f, "\n{} of which the server says that they were lost", self.drained.lost)?;
        }
        Ok(())
    }
}

/// Serves `connections` clients, each of which gets one echo. Then shuts down, and returns how the connections were closed.
///
/// # Errors
///
/// When the connections cannot be opened, or a client gets no echo.
pub async fn run(shutdown: Shutdown, connections: usize, deadline: Duration) -> anyhow::Result<Report> {
    room_for(connections)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let server = tokio::spawn(crate::serve(listener, shutdown.clone(), deadline));

    let clients: Vec<(Client, bool)> =
        stream::iter((0..connections).map(|index| open(addr, index))).buffer_unordered(AT_ONCE).try_collect().await?;
    tracing::info!(connections, "all are open, and have been echoed to");

    let start = Instant::now();
    let mut closing = JoinSet::new();
    for (client, polite) in clients {
        closing.spawn(async move { (close_code(client, polite).await, start.elapsed()) });
    }
    shutdown.begin();
    let drained = server.await??;
    let (mut codes, mut tenths, mut took) = (BTreeMap::new(), BTreeMap::new(), Duration::ZERO);
    while let Some(closed) = closing.join_next().await {
        let (code, at) = closed?;
        *codes.entry(code).or_default() += 1;
        *tenths.entry(at.as_millis() / 100).or_default() += 1;
        took = took.max(at);
    }
    let most: usize = tenths.into_values().max().unwrap_or_default();
    tracing::info!(?took, most_in_100_ms = most, "all are closed");
    Ok(Report { codes, drained })
}

/// Connects a client and waits for its echo. The handler of every second client says goodbye.
async fn open(addr: SocketAddr, index: usize) -> anyhow::Result<(Client, bool)> {
    let polite = index % 2 == 1;
    let path = if polite { "goodbye" } else { "ws" };
    let stream = TcpStream::connect(addr).await.with_context(|| format!("connection {index}"))?;
    // There are many clients, and the default would be 128 KiB for each.
    let config = WebSocketConfig::default().read_buffer_size(4 << 10);
    let (mut client, _) = client_async_with_config(format!("ws://{addr}/{path}"), stream, Some(config)).await?;
    let message = Message::text(format!("client {index}"));
    client.send(message.clone()).await?;
    match client.next().await {
        Some(Ok(echo)) if echo == message => Ok((client, polite)),
        other => bail!("client {index} was answered with {other:?}"),
    }
}

/// Waits for the Close, answers it, and waits for the end of the stream. Returns the code of the Close. Returns 1006 if there
/// was no clean Close, or if the goodbye was missing or came without being promised.
async fn close_code(mut client: Client, polite: bool) -> u16 {
    let (mut code, mut goodbye) = (None, false);
    while let Some(received) = client.next().await {
        match received {
            Ok(Message::Text(text)) if text == GOODBYE => goodbye = true,
            // 1005: a Close without a code.
            Ok(Message::Close(frame)) => code = Some(frame.map_or(1005, |frame| frame.code.into())),
            Ok(_) => {}
            // There was no Close, or the stream failed after it. In the latter case, another client might not have seen the
            // Close.
            Err(error) => {
                tracing::warn!(%error, "a connection has failed");
                return ABNORMAL;
            }
        }
    }
    if polite != goodbye {
        tracing::warn!(polite, "no goodbye, or one that was not promised");
        return ABNORMAL;
    }
    code.unwrap_or(ABNORMAL)
}

/// Checks that this process can have so many connections. Each takes two of its open files.
fn room_for(connections: usize) -> anyhow::Result<()> {
    let needed = 2 * connections as u64 + 64;
    let allowed = open_files(needed);
    ensure!(
        allowed >= needed,
        "{connections} connections need {needed} open files, and the limit is {allowed}; raise it in this shell with \
         `ulimit -Hn {needed}` as root, or for good in /etc/security/limits.conf (nofile)"
    );
    Ok(())
}

/// How many files this process may open. If that is fewer than `needed`, the limit is first raised as far as the system allows.
#[cfg(unix)]
fn open_files(needed: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        // If raising fails, the current limit still applies.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(not(unix))]
fn open_files(_needed: u64) -> u64 {
    u64::MAX
}
