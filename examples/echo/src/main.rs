//! The echo server as a program.

use std::{net::SocketAddr, num::NonZero, thread::available_parallelism, time::Duration};

use anyhow::Context;
use clap::Parser;
use sockeye::Shutdown;
use tokio::{net::TcpListener, time::timeout};

/// How long a shutdown may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A WebSocket echo server at /ws.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, default_value = "127.0.0.1:9001")]
    addr: SocketAddr,
    /// Worker threads; 1 is a current-thread runtime. Default: one for each core.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
}

fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let options = Options::parse();
    let threads = options.threads.or(available_parallelism().ok()).map_or(1, NonZero::get);
    let mut runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.worker_threads(threads).enable_all().build()?.block_on(run(options.addr))
}

async fn run(addr: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr} (see --addr)"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let shutdown = Shutdown::new();
    let begun = shutdown.clone();
    let server = axum::serve(listener, example_echo::app(&shutdown));
    let server = server.with_graceful_shutdown(async move { begun.begun().await });
    let server = tokio::spawn(server.into_future());

    tokio::signal::ctrl_c().await?;
    tracing::info!("shutting down");
    // Both at once: a request that never ends holds up the server, but not the Close of the WebSockets, nor the end.
    let (drained, ended) = tokio::join!(shutdown.drain(DEADLINE), timeout(DEADLINE, server));
    tracing::info!(closed = drained.closed, lost = drained.lost, cut = drained.cut, "drained");
    if ended.is_err() {
        tracing::warn!("a request was cut at the deadline");
    }
    Ok(())
}
