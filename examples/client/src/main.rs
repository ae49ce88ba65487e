//! A WebSocket for the command line: lines of stdin are messages, and messages are lines of stdout.

mod options;
mod session;
mod status;
mod terminal;

use std::process::ExitCode;

use clap::Parser;
use options::Options;
use status::Failure;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::Local(error.into()).report(),
    };
    let outcome = runtime.block_on(run(&options));
    // A look-up by the system may still hang, and nobody waits for it any more.
    runtime.shutdown_background();
    match outcome {
        Ok(ended) => status::report(&ended),
        Err(failure) => failure.report(),
    }
}

async fn run(options: &Options) -> Result<sockeye::Ended, Failure> {
    let (client, request) = options.plan().map_err(Failure::Arguments)?;
    let opened = client.open(request).await?;
    if options.verbose {
        terminal::show_answer(&opened);
    }
    session::run(opened, options).await.map_err(Failure::Local)
}
