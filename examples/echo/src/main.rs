//! The echo server as a program.

use std::{net::SocketAddr, num::NonZero, thread::available_parallelism, time::Duration};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use example_echo::per_core::PerCore;
use sockeye::{
    Compression, Config, ConnectionLimits, Drained, Memory, Shutdown, Timeouts, WebSocketDefaults, by_forwarded,
};
use tokio::{net::TcpListener, runtime::Builder, signal::ctrl_c};

/// A WebSocket echo server at /ws.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes any free port.
    #[arg(long, default_value = "127.0.0.1:9001")]
    addr: SocketAddr,
    /// Worker threads of one runtime; 1 is a current-thread runtime, and 0 is one such runtime for each core, with its own
    /// listener. Default: one worker for each core.
    #[arg(long)]
    threads: Option<usize>,
    /// Compress messages for clients that offer it, with this much memory for each connection: `low` without a value.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "low")]
    compression: Option<Budget>,
    /// Messages with fewer bytes are not compressed. Default: 1024.
    #[arg(long, requires = "compression")]
    threshold: Option<usize>,
    /// The level of compression, from 1 to 9. Default: that of the library.
    #[arg(long, requires = "compression")]
    level: Option<u8>,
    /// A frame or a message with more bytes closes the connection with 1009. Default: 16 MiB for a frame, 64 MiB for a message.
    #[arg(long)]
    max_message_size: Option<usize>,
    /// After how many seconds of silence a client is sent a Ping; 0 stands for never. Default: 20.
    #[arg(long)]
    keep_alive: Option<u64>,
    /// How many connections one client may have. The client is the address that one proxy in front has seen.
    #[arg(long)]
    per_client: Option<usize>,
}

/// The values of [`Memory`] for the command line.
#[derive(Clone, Copy, ValueEnum)]
enum Budget {
    Low,
    Balanced,
    Best,
}

impl Options {
    fn defaults(&self) -> WebSocketDefaults {
        let mut defaults = WebSocketDefaults::new().compression(self.compression());
        if let Some(size) = self.max_message_size {
            defaults = defaults.config(Config::new().max_frame_size(size).max_message_size(size));
        }
        if let Some(seconds) = self.keep_alive {
            let after = (seconds > 0).then(|| Duration::from_secs(seconds));
            defaults = defaults.timeouts(Timeouts::new().keep_alive(after));
        }
        if let Some(max) = self.per_client {
            defaults = defaults.limits(ConnectionLimits::new().per_key(max, by_forwarded(1)));
        }
        defaults
    }

    fn compression(&self) -> Option<Compression> {
        let memory = match self.compression? {
            Budget::Low => Memory::Low,
            Budget::Balanced => Memory::Balanced,
            Budget::Best => Memory::Best,
        };
        let mut compression = Compression::new().memory(memory);
        if let Some(threshold) = self.threshold {
            compression = compression.threshold(threshold);
        }
        if let Some(level) = self.level {
            compression = compression.level(level);
        }
        Some(compression)
    }
}

fn main() -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let options = Options::parse();
    let cores = available_parallelism().map_or(1, NonZero::get);
    let defaults = options.defaults();
    match options.threads.unwrap_or(cores) {
        0 => per_core(options.addr, cores, &defaults),
        1 => Builder::new_current_thread().enable_all().build()?.block_on(run(options.addr, defaults)),
        workers => {
            let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
            runtime.block_on(run(options.addr, defaults))
        }
    }
}

fn per_core(addr: SocketAddr, cores: usize, defaults: &WebSocketDefaults) -> anyhow::Result<()> {
    let server = PerCore::start(addr, cores, defaults)?;
    println!("listening on http://{}", server.local_addr());
    Builder::new_current_thread().enable_all().build()?.block_on(ctrl_c())?;
    tracing::info!("shutting down");
    server.shut_down()?.iter().for_each(report);
    Ok(())
}

async fn run(addr: SocketAddr, defaults: WebSocketDefaults) -> anyhow::Result<()> {
    let listener = TcpListener::bind(addr).await.with_context(|| format!("listening on {addr} (see --addr)"))?;
    println!("listening on http://{}", listener.local_addr()?);
    let shutdown = Shutdown::new();
    let server = tokio::spawn(example_echo::serve(listener, shutdown.clone(), defaults));
    ctrl_c().await?;
    tracing::info!("shutting down");
    shutdown.begin();
    report(&server.await?);
    Ok(())
}

fn report(drained: &Drained) {
    tracing::info!(closed = drained.closed, lost = drained.lost, cut = drained.aborted, "drained");
}
