//! Our client role under the Autobahn test suite's server, which plays one case on each connection.
//!
//! `cargo xtask autobahn --client` runs this program. hyper makes the opening handshake, and `sockeye::handshake` checks it.
//! Then hyper gives back the TCP stream, and the bytes that it has read ahead.

use std::{cell::Cell, time::Duration};

use anyhow::{Context, bail};
use clap::Parser;
use hyper_util::rt::TokioIo;
use sockeye::{
    Compression, Connection, Memory, Role, Stream, WebSocket,
    handshake::{client::ClientRequest, deflate::Offered},
};
use tokio::{net::TcpStream, time::timeout};

/// The longest time that a case may take. The suite itself gives up earlier.
const PATIENCE: Duration = Duration::from_secs(120);

/// Plays every case of an Autobahn fuzzing server.
#[derive(Parser)]
struct Options {
    /// The server, such as ws://127.0.0.1:9001.
    #[arg(long)]
    url: String,
    /// Our name in its reports.
    #[arg(long, default_value = "sockeye")]
    agent: String,
    /// Offer compression.
    #[arg(long)]
    compression: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Options { url, agent, compression } = Options::parse();
    // Everything is compressed, so that as much as possible is tested.
    let compression = compression.then(|| Compression::new().memory(Memory::Best).threshold(0));

    let count = Cell::new(None);
    play(&format!("{url}/getCaseCount"), None, async |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            count.set(message.to_text().ok().and_then(|text| text.parse::<u32>().ok()).or(count.get()));
        }
    })
    .await?;
    let Some(count) = count.get() else { bail!("{url} did not say how many cases it has") };

    for case in 1..=count {
        play(&format!("{url}/runCase?case={case}&agent={agent}"), compression, echo).await?;
    }
    // The suite writes its reports only after this.
    play(&format!("{url}/updateReports?agent={agent}"), None, echo).await?;
    println!("{count} cases played");
    Ok(())
}

/// Opens a WebSocket, and runs the handler on it until the connection has ended.
async fn play(url: &str, compression: Option<Compression>, handler: impl AsyncFnOnce(WebSocket)) -> anyhow::Result<()> {
    let connection = connect(url, compression).await.with_context(|| format!("opening {url}"))?;
    let connection = connection.serve(|socket| handler(socket));
    timeout(PATIENCE, connection).await.with_context(|| format!("{url} has not ended in {} s", PATIENCE.as_secs()))?;
    Ok(())
}

async fn connect(url: &str, compression: Option<Compression>) -> anyhow::Result<Connection> {
    let address = url.trim_start_matches("ws://").split('/').next().unwrap_or_default();
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;

    let offered = compression.as_ref().map(Offered::new);
    let mut request = ClientRequest::new(url.parse()?)?;
    for offer in offered.iter().flat_map(Offered::offers) {
        request = request.offer(offer.clone());
    }
    let (request, expected) = request.upgrade();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request.map(|()| String::new())).await?;
    let extensions = expected.check(&response)?.extensions;

    let upgraded = hyper::upgrade::on(response).await?;
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { bail!("hyper changed the stream it was given") };
    let stream = Stream::from(parts.io.into_inner()).with_read_ahead(parts.read_buf);
    let connection = Connection::new(stream, Role::Client);
    let agreed = match &offered {
        Some(offered) => offered.check(&extensions)?,
        None => None,
    };
    Ok(match agreed.zip(compression) {
        Some((agreed, compression)) => {
            connection.extension(agreed.encoder(Role::Client, &compression), agreed.decoder(Role::Client, &compression))
        }
        None => connection,
    })
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}
