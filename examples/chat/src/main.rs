//! The chat as a program.

use std::{net::SocketAddr, pin::pin, time::Duration};

use anyhow::Context;
use axum::Router;
use clap::Parser;
#[cfg(feature = "redis")]
use sockeye::redis::Redis;
use sockeye::{Shutdown, state::Local};
use tokio::{net::TcpListener, time::timeout};

/// How long a shutdown may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A chat for all who open its page.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:3000")]
    addr: SocketAddr,
    /// Where the lines are kept, and what connects several servers: `local` is the memory of this one, `redis://host:port` a Redis
    /// or Valkey.
    #[arg(long, default_value = "local", value_name = "local|URL")]
    broker: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let Options { addr, broker } = Options::parse();

    let shutdown = Shutdown::new();
    let app = app(&shutdown, &broker).await?;
    let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr} (see --addr)"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let begun = shutdown.clone();
    let server = axum::serve(listener, app).with_graceful_shutdown(async move { begun.begun().await });
    let mut server = pin!(server.into_future());

    tokio::select! {
        // First, so that Ctrl-C is waited for before the first client is accepted.
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        served = &mut server => return Ok(served?),
    }
    tracing::info!("shutting down");
    // Both waits run at the same time: a request that never ends must not delay the Closes of the WebSockets, and the deadline
    // ends both.
    let (drained, ended) = tokio::join!(shutdown.drain(DEADLINE), timeout(DEADLINE, server));
    tracing::info!(closed = drained.closed, lost = drained.lost, cut = drained.aborted, "drained");
    if ended.is_err() {
        tracing::warn!("a request was aborted at the deadline");
    }
    Ok(())
}

/// The chat with this broker. No error shows the URL, which may have a password.
async fn app(shutdown: &Shutdown, broker: &str) -> anyhow::Result<Router> {
    if broker == "local" {
        return Ok(example_chat::app(shutdown, Local::new()).await?);
    }
    #[cfg(feature = "redis")]
    {
        let redis = Redis::connect(broker).await.context("connecting to the broker (--broker is `local` or a URL)")?;
        Ok(example_chat::app(shutdown, redis).await?)
    }
    #[cfg(not(feature = "redis"))]
    anyhow::bail!("--broker: without its feature `redis`, example-chat knows `local` alone")
}
