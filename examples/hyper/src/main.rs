//! The server as a program.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Parser;
use sockeye_extract::Shutdown;
use tokio::net::TcpListener;

/// A WebSocket echo server at /ws, on hyper alone, with or without TLS.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:3000")]
    addr: SocketAddr,
    /// How many seconds a client may take for the head of its request.
    #[arg(long, default_value_t = 10)]
    header_timeout: u64,
    /// Use TLS, with the certificate (and the chain to a known one) in this PEM file.
    #[arg(long, requires = "key")]
    certificate: Option<PathBuf>,
    /// The key of the certificate, a PEM file.
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let Options { addr, header_timeout, certificate, key } = Options::parse();
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("reading {}", path.display()));
    let tls = match certificate.zip(key) {
        Some((certificate, key)) => Some(example_hyper::tls(&read(&certificate)?, &read(&key)?)?),
        None => None,
    };

    let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr} (see --addr)"))?;
    println!("listening on {}://{}", if tls.is_some() { "https" } else { "http" }, listener.local_addr()?);
    let shutdown = Shutdown::new();
    let header_timeout = Duration::from_secs(header_timeout);
    let server = tokio::spawn(example_hyper::serve(listener, tls, shutdown.clone(), header_timeout));
    tokio::signal::ctrl_c().await?;
    tracing::info!("shutting down");
    let deadline = Duration::from_secs(10);
    let (drained, _) = tokio::join!(shutdown.drain(deadline), tokio::time::timeout(deadline, server));
    tracing::info!(closed = drained.closed, lost = drained.lost, cut = drained.aborted, "drained");
    Ok(())
}
