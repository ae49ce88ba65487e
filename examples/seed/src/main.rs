//! The listings as a program.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use axum::extract::ws::Shutdown;
use clap::Parser;
use tokio::net::TcpListener;

/// WebSocket handlers written for axum, served by Sockeye: /ws and /state.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, default_value = "127.0.0.1:3000")]
    addr: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let Options { addr } = Options::parse();

    let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr} (see --addr)"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let shutdown = Shutdown::new();
    axum::serve(listener, example_seed::app(&shutdown))
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
            tracing::info!("shutting down");
        })
        .await?;
    let drained = shutdown.drain(Duration::from_secs(10)).await;
    tracing::info!(closed = drained.closed, lost = drained.lost, cut = drained.cut, "drained");
    Ok(())
}
