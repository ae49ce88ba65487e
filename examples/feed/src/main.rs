//! The consumer as a program: one line for each event.

use std::io;

use clap::Parser;
use example_feed::{Feed, Line};
use sockeye::Client;
use tokio::sync::mpsc;

/// Consumes a feed over WebSocket, and connects again when the connection has ended. Ctrl-C ends it.
#[derive(Parser)]
struct Options {
    /// Where the feed is, such as `wss://feed.example.com/v1`.
    url: String,
    /// A message to send whenever the connection is open; may be given several times.
    #[arg(long = "subscribe", value_name = "MESSAGE")]
    subscriptions: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let Options { url, subscriptions } = Options::parse();

    let (teller, mut lines) = mpsc::unbounded_channel();
    let feed = Feed::new(&Client::new(), &url, subscriptions, teller);
    let stopper = feed.stopper();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopper.stop();
        }
    });
    let running = tokio::spawn(feed.run());
    while let Some(line) = lines.recv().await {
        match line {
            Line::Subscribed { was_away: false } => println!("subscribed"),
            Line::Subscribed { was_away: true } => println!("subscribed again; messages in between are missing"),
            Line::Message(text) => println!("message: {text}"),
            Line::Lost { why, unsent } => println!("lost: {why}; {unsent} messages were not sent"),
            Line::Failed(why) => println!("failed: {why}"),
            Line::Waiting(delay) => println!("again in {delay:.1?}"),
        }
    }
    Ok(running.await??)
}
