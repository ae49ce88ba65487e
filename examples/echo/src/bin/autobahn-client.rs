//! Our client role under the Autobahn test suite's server, which plays one case on each connection.
//!
//! `cargo xtask autobahn --client` runs this program. Connections are opened by `sockeye::connect`, as users do.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use sockeye::{ClientRequest, Compression, Memory, WebSocket, connect};
use tokio::time::timeout;

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

    let mut count = None;
    play(&format!("{url}/getCaseCount"), None, async |socket| {
        while let Some(Ok(message)) = socket.recv().await {
            count = message.to_text().ok().and_then(|text| text.parse::<u32>().ok()).or(count);
        }
    })
    .await?;
    let Some(count) = count else { bail!("{url} did not say how many cases it has") };

    for case in 1..=count {
        play(&format!("{url}/runCase?case={case}&agent={agent}"), compression, echo).await?;
    }
    // The suite writes its reports only after this.
    play(&format!("{url}/updateReports?agent={agent}"), None, echo).await?;
    println!("{count} cases played");
    Ok(())
}

/// Opens a WebSocket, and lends it to the handler until the connection has ended.
async fn play(
    url: &str,
    compression: Option<Compression>,
    handler: impl AsyncFnOnce(&mut WebSocket),
) -> anyhow::Result<()> {
    let mut request = ClientRequest::new(url);
    if let Some(compression) = compression {
        request = request.compression(compression);
    }
    let case = async {
        let mut socket = connect(request).await.with_context(|| format!("opening {url}"))?;
        handler(&mut socket).await;
        // The answer to the suite's Close must be written before the next case, or the end of the program. An error means that
        // the connection has ended otherwise.
        let _ = socket.close().await;
        anyhow::Ok(())
    };
    timeout(PATIENCE, case).await.with_context(|| format!("{url} has not ended in {} s", PATIENCE.as_secs()))?
}

async fn echo(socket: &mut WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}
