//! The code that the peers' echo servers and clients share.
//!
//! Each server is one file in `src/bin`, in several forms (`--form`): `plain` is the loop of the library's own documentation;
//! the others are what a user would write after profiling. All are single-threaded by default (`--threads`), and are compiled with
//! the same profile. All but the two that compare allocators use the system's.

#![forbid(unsafe_code)]

pub mod client;
pub mod compressing;
pub mod corked;
pub mod hidden;
pub mod opening;
pub mod ours;
pub mod over_tls;

use anyhow::{Context as _, Result, ensure};
use bench_serve::{Options, announce};
use futures_util::{FutureExt as _, Sink, SinkExt as _, Stream, StreamExt as _};
use std::future::Future;
use tokio::net::{TcpListener, TcpStream};

/// Runs a server that has these forms and cannot compress, until it is killed.
///
/// # Errors
///
/// When an option makes no sense, or the server cannot listen.
pub fn run<F, Fut>(forms: &[&'static str], serve: F) -> Result<()>
where
    F: FnOnce(TcpListener, &'static str) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    run_with(forms, async |listener, options| {
        ensure!(options.compression.is_none(), "this server cannot compress (--compression)");
        serve(listener, options.form).await
    })
}

/// Runs a server that has these forms, until it is killed.
///
/// # Errors
///
/// When an option makes no sense, or the server cannot listen.
pub fn run_with<F, Fut>(forms: &[&'static str], serve: F) -> Result<()>
where
    F: FnOnce(TcpListener, Options) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let options = Options::from_arguments(forms)?;
    let Options { addr, threads, .. } = options;
    let mut runtime = match threads.get() {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.worker_threads(threads.get()).enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let listener = TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr} (--addr)"))?;
        announce(listener.local_addr().context("the listener has no address")?);
        serve(listener, options).await
    })
}

/// Gives each connection a task of its own.
///
/// # Errors
///
/// When no more connections can be accepted.
pub async fn accept<F, Fut>(listener: TcpListener, connection: F) -> Result<()>
where
    F: Fn(TcpStream) -> Fut,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        let connection = connection(stream);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("{error:#}");
            }
        });
    }
}

/// Echoes messages that are `data`, with one flush for all that have arrived together.
///
/// # Errors
///
/// When the connection fails.
pub async fn echo_batched<S, M, E>(mut socket: S, data: impl Fn(&M) -> bool) -> Result<()>
where
    S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
    E: Into<anyhow::Error>,
    S::Error: Into<anyhow::Error>,
{
    while let Some(message) = socket.next().await {
        let mut next = Some(message);
        while let Some(message) = next {
            let message = message.map_err(Into::into)?;
            if data(&message) {
                socket.feed(message).await.map_err(Into::into)?;
            }
            // The other messages that have already arrived. The outer loop sees the end again.
            next = socket.next().now_or_never().flatten();
        }
        socket.flush().await.map_err(Into::into)?;
    }
    Ok(())
}
