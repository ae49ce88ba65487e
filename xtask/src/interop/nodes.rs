//! `cargo xtask interop --only nodes`: Chromium at two example-chats with one Redis, all of which are killed.
//!
//! The script kills, and this starts again, as `cargo xtask demo --nodes 2 --broker redis` does.

use super::{LIMIT, client::Folder, empty_folder, scripts::node_script};
use crate::brokers;
use crate::context::Context;
use crate::examples;
use crate::nodes::{Nodes, Places};
use crate::tools::Tool;
use anyhow::{Context as _, Result, bail};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

pub(super) fn run(ctx: &Context) -> Result<()> {
    let output = empty_folder(ctx, "nodes")?;
    let folder = Folder::new("nodes")?;
    let (chat, broker) = (examples::checked(ctx, "example-chat")?, brokers::redis(ctx)?);
    let places = Places { chat: &chat, broker: &broker, folder: &folder.0, logs: &output };
    let any: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let mut nodes = Nodes::start(&places, &[any, any])?;

    let mut script = node_script(ctx, "nodes-browser.mjs")?;
    script.arg("--chromium").arg(Tool::Chromium.require(ctx)?).arg("--output").arg(&output);
    let [first, other] = [&nodes.nodes[0].server, &nodes.nodes[1].server];
    script.args([
        "--url",
        &first.url,
        "--pid",
        &first.id().to_string(),
        "--other",
        &other.url,
        "--other-pid",
        &other.id().to_string(),
    ]);
    script.args(["--broker-pid", &nodes.broker.id().to_string()]);

    let done = AtomicBool::new(false);
    let (ran, kept) = thread::scope(|scope| {
        let keeper = scope.spawn(|| nodes.keep_running(None, || done.load(Relaxed), |what| println!("  {what}")));
        let ran = examples::run(script, LIMIT).context("nodes-browser hangs");
        done.store(true, Relaxed);
        (ran, keeper.join())
    });
    let status = ran?;
    kept.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    if !status.success() {
        bail!(
            "nodes-browser found what it did not expect ({status}); logs and screenshots are in {}",
            output.display()
        );
    }
    println!("screenshots: {}", output.display());
    nodes.end()
}
