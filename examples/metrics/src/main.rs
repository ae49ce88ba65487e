//! Serves example-metrics.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Parser;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};

/// Echoes what it receives at /ws, and counts it at /metrics.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen; port 0 takes any free port
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "IP:PORT")]
    addr: SocketAddr,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { addr } = Options::parse();
    // The span of a connection is at level DEBUG. It is logged as one line when it closes, with the figures of the connection.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,sockeye=debug".into()))
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(std::io::stderr)
        .init();
    let metrics = PrometheusBuilder::new().install_recorder().context("installing the recorder of metrics")?;
    let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr} (see --addr)"))?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, example_metrics::app(metrics))
        .with_graceful_shutdown(async {
            // If the signal cannot be waited for, the server runs until it is killed.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await?;
    Ok(())
}
