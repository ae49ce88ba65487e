//! The server as a program.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Parser;
use example_tls::{
    certificate::{Certificate, Source},
    listener::TlsListener,
};
use sockeye::Shutdown;
use tokio::net::TcpListener;

/// A WebSocket echo server at /ws, over TLS.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:3000")]
    addr: SocketAddr,
    /// The certificate (and the chain to a known one), a PEM file. On SIGHUP, both files are read again. Default: a certificate
    /// for `localhost` that no client trusts.
    #[arg(long, visible_alias = "cert", requires = "key")]
    certificate: Option<PathBuf>,
    /// The key of the certificate, a PEM file.
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
    /// How many seconds a client may take for the TLS handshake.
    #[arg(long, default_value_t = 10)]
    handshake_timeout: u64,
    /// How many seconds the shutdown may take.
    #[arg(long, default_value_t = 20)]
    deadline: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let Options { addr, certificate, key, handshake_timeout, deadline } = Options::parse();

    let certificate = Certificate::new(match certificate.zip(key) {
        Some((certificate, key)) => Source::Files { certificate, key },
        None => Source::SelfSigned,
    })?;
    #[cfg(unix)]
    certificate.reload_on_hangup()?;
    let tcp = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr} (see --addr)"))?;
    println!("listening on https://{}", tcp.local_addr()?);

    let listener = TlsListener::new(tcp, certificate, Duration::from_secs(handshake_timeout));
    let shutdown = Shutdown::new();
    let server = tokio::spawn(example_tls::serve(listener, shutdown.clone(), Duration::from_secs(deadline)));
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
