//! The server as a program that can also test itself.

use std::{io, net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use example_shutdown::clients;
use sockeye::Shutdown;
use tokio::net::TcpListener;

/// A WebSocket echo server that closes its connections with 1001 when it is asked to end (Ctrl-C, SIGTERM).
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:3000")]
    addr: SocketAddr,
    /// How many seconds the shutdown may take.
    #[arg(long, default_value_t = 20)]
    deadline: u64,
    /// Over how many seconds the Closes are spread. Default: one second for each thousand connections, at most 10.
    #[arg(long)]
    window: Option<u64>,
    /// Run a test: serve this many clients of its own on a free port, shut down, and print how they were closed.
    #[arg(long)]
    connections: Option<usize>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let Options { addr, deadline, window, connections } = Options::parse();

    let deadline = Duration::from_secs(deadline);
    let mut shutdown = Shutdown::new();
    if let Some(window) = window {
        shutdown = shutdown.window(Duration::from_secs(window));
    }
    if let Some(connections) = connections {
        let report = clients::run(shutdown, connections, deadline).await?;
        println!("{report}");
        return Ok(if report.is_clean(connections) { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }

    let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr} (see --addr)"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let server = tokio::spawn(example_shutdown::serve(listener, shutdown.clone(), deadline));
    asked_to_end().await?;
    shutdown.begin();
    let drained = server.await??;
    println!("{} closed, {} lost, {} aborted", drained.closed, drained.lost, drained.aborted);
    Ok(ExitCode::SUCCESS)
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
