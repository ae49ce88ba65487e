//! The proxy as a program.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::Context;
use clap::Parser;
use example_proxy::Settings;
use sockeye::Shutdown;
use tokio::net::TcpListener;

/// A reverse proxy for WebSockets.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:3000")]
    addr: SocketAddr,
    /// The backend, without a path.
    #[arg(long, default_value = "ws://127.0.0.1:4000")]
    backend: String,
    /// How many seconds the backend may take for its answer.
    #[arg(long, default_value_t = 5)]
    within: u64,
    /// The longest message in bytes, in either direction.
    #[arg(long, default_value_t = 1 << 20)]
    max_message_size: usize,
    /// How many clients there may be.
    #[arg(long, default_value_t = 10_000)]
    max_clients: usize,
    /// Believe `X-Forwarded-For` and `X-Forwarded-Proto`: another proxy is in front of this one.
    #[arg(long)]
    behind_proxy: bool,
    /// How many seconds the shutdown may take.
    #[arg(long, default_value_t = 20)]
    deadline: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let Options { addr, backend, within, max_message_size, max_clients, behind_proxy, deadline } = Options::parse();
    let backend = backend.trim_end_matches('/').to_owned();
    let settings =
        Settings { backend, within: Duration::from_secs(within), max_message_size, max_clients, behind_proxy };

    let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr} (see --addr)"))?;
    println!("listening on ws://{}, for {}", listener.local_addr()?, settings.backend);
    let shutdown = Shutdown::new();
    let deadline = Duration::from_secs(deadline);
    let server = tokio::spawn(example_proxy::serve(listener, settings, shutdown.clone(), deadline));
    asked_to_end().await?;
    shutdown.begin();
    let drained = server.await??;
    println!("{} closed, {} lost, {} aborted", drained.closed, drained.lost, drained.aborted);
    Ok(())
}

/// Waits for Ctrl-C, or for the SIGTERM of systemd, Docker and Kubernetes.
#[cfg(unix)]
async fn asked_to_end() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn asked_to_end() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
