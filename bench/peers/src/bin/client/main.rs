//! Clients, each in the form of its library's documentation, and in one that somebody would write who has profiled it.
//!
//! All of them send back what comes. They are one program, because their common part is most of it: what is in the program and not
//! used takes no memory.

#![forbid(unsafe_code)]

mod bare;
mod fastwebsockets;
mod sockeye;
mod tokio_websockets;
mod tungstenite;
mod yawc;

use anyhow::{Result, bail, ensure};
use bench_peers::client::{follow, url, url_tls};
use bench_peers::run_with;
use bench_serve::tls;
use std::path::Path;
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

const FORMS: [&str; 11] = [
    "floor-tokio",
    "sockeye",
    "sockeye-serve",
    "tungstenite-plain",
    "tungstenite-lean",
    "fastwebsockets-plain",
    "fastwebsockets-bare",
    "yawc-plain",
    "yawc-batched",
    "tokio-websockets-plain",
    "tokio-websockets-batched",
];

fn main() -> Result<()> {
    run_with(&FORMS, async |listener, options| {
        ensure!(options.compression.is_none(), "no client compresses (--compression)");
        match &options.roots {
            Some(roots) => over_tls(listener, options.form, roots).await,
            None => plain(listener, options.form).await,
        }
    })
}

async fn plain(listener: TcpListener, form: &str) -> Result<()> {
    match form {
        "floor-tokio" => follow(listener, bare::open).await,
        "sockeye" => follow(listener, |server| sockeye::connect(url(server))).await,
        "sockeye-serve" => {
            let client = sockeye::client();
            follow(listener, |server| sockeye::serve(client.clone(), url(server))).await
        }
        "tungstenite-plain" => follow(listener, |server| tungstenite::plain(url(server))).await,
        "tungstenite-lean" => follow(listener, |server| tungstenite::lean(url(server), None)).await,
        "fastwebsockets-plain" => follow(listener, fastwebsockets::plain).await,
        "fastwebsockets-bare" => follow(listener, fastwebsockets::bare).await,
        "yawc-plain" => follow(listener, yawc::plain).await,
        "yawc-batched" => follow(listener, yawc::batched).await,
        "tokio-websockets-plain" => follow(listener, tokio_websockets::plain).await,
        _ => follow(listener, tokio_websockets::batched).await,
    }
}

/// The clients that bring TLS along, and the loop without a library.
async fn over_tls(listener: TcpListener, form: &str, roots: &Path) -> Result<()> {
    match form {
        "floor-tokio" => {
            let connector = TlsConnector::from(tls::client(roots)?);
            follow(listener, |server| bare::open_tls(connector.clone(), server)).await
        }
        // These read the roots where the system has them: SSL_CERT_FILE.
        "sockeye" => follow(listener, |server| sockeye::connect(url_tls(server))).await,
        "sockeye-serve" => {
            let client = sockeye::client();
            follow(listener, |server| sockeye::serve(client.clone(), url_tls(server))).await
        }
        "tungstenite-plain" => follow(listener, |server| tungstenite::plain(url_tls(server))).await,
        "tungstenite-lean" => {
            let config = tls::client(roots)?;
            follow(listener, |server| tungstenite::lean(url_tls(server), Some(config.clone()))).await
        }
        _ => bail!("{form} has no TLS here (--roots)"),
    }
}
