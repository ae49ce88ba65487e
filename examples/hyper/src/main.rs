//! The server as a program.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use clap::Parser;
use sockeye_extract::Shutdown;
use tokio::net::TcpListener;

/// A WebSocket echo server at /ws, on hyper alone.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, default_value = "127.0.0.1:3000")]
    addr: SocketAddr,
    /// How many seconds a client has for the head of its request.
    #[arg(long, default_value_t = 10)]
    header_timeout: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let Options { addr, header_timeout } = Options::parse();

    let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr} (see --addr)"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let shutdown = Shutdown::new();
    let server = tokio::spawn(example_hyper::serve(listener, shutdown.clone(), Duration::from_secs(header_timeout)));
    tokio::signal::ctrl_c().await?;
    tracing::info!("shutting down");
    let deadline = Duration::from_secs(10);
    let (drained, _) = tokio::join!(shutdown.drain(deadline), tokio::time::timeout(deadline, server));
    tracing::info!(closed = drained.closed, lost = drained.lost, cut = drained.cut, "drained");
    Ok(())
}
