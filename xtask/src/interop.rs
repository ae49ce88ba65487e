//! `cargo xtask interop`: clients that nobody here wrote, against the examples.
//!
//! The scripts are in `xtask/interop`. Each gets the server's address and process id, prints what it has checked, and
//! ends by interrupting the server while it is connected, as Ctrl-C would: the server must say 1001 and end by itself.

use crate::examples::{self, Server};
use crate::flags::{Client, InteropFlags};
use crate::tools::Tool;
use crate::{Context, environment};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Each script takes seconds; a hang is found by this.
const LIMIT: Duration = Duration::from_secs(180);

/// For the scripts that are about compression: all of it.
const COMPRESSION: [&str; 4] = ["--compression", "best", "--threshold", "0"];

pub(crate) fn run(ctx: &Context, flags: &InteropFlags) -> Result<()> {
    let all = [Client::Python, Client::Node, Client::Browser];
    for client in all.into_iter().filter(|client| flags.only.is_empty() || flags.only.contains(client)) {
        match client {
            Client::Python => python(ctx)?,
            Client::Node => node(ctx)?,
            Client::Browser => browser(ctx)?,
        }
    }
    Ok(())
}

fn python(ctx: &Context) -> Result<()> {
    let python = environment::python(ctx)?;
    for (name, arguments) in [("echo", &[][..]), ("deflate", &COMPRESSION)] {
        let mut command = Command::new(&python);
        let script = ctx.workspace.root.join("xtask/interop").join(format!("{name}.py"));
        command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1");
        check(ctx, "example-echo", arguments, &format!("python-{name}"), command)?;
    }
    Ok(())
}

fn node(ctx: &Context) -> Result<()> {
    for (name, arguments) in [("echo", &[][..]), ("deflate", &COMPRESSION)] {
        let command = script(ctx, &format!("{name}.mjs"))?;
        check(ctx, "example-echo", arguments, &format!("node-{name}"), command)?;
    }
    Ok(())
}

fn browser(ctx: &Context) -> Result<()> {
    for (example, name) in [("example-echo", "browser-echo"), ("example-chat", "browser-chat")] {
        let output = at_browser(ctx, example, &[], name, name)?;
        println!("screenshots: {}", output.display());
    }
    // A browser always offers the same; what it is answered follows from how much memory the server has to spare.
    for memory in ["low", "balanced", "best"] {
        let arguments = ["--compression", memory, "--threshold", "0"];
        at_browser(ctx, "example-echo", &arguments, "browser-deflate", &format!("browser-deflate-{memory}"))?;
    }
    Ok(())
}

/// Runs a script that drives a browser, and tells the folder that it has left its pictures in.
fn at_browser(ctx: &Context, example: &str, arguments: &[&str], name: &str, run: &str) -> Result<PathBuf> {
    let output = ctx.workspace.target.join("interop").join(run);
    // Chromium must find an empty profile; screenshots of an earlier run would be taken for those of this one.
    if output.exists() {
        fs::remove_dir_all(&output).with_context(|| format!("cannot remove {}", output.display()))?;
    }
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let mut command = script(ctx, &format!("{name}.mjs"))?;
    command.arg("--chromium").arg(Tool::Chromium.require(ctx)?).arg("--output").arg(&output);
    check(ctx, example, arguments, run, command)?;
    Ok(output)
}

/// A script in the folder that has its `node_modules`.
fn script(ctx: &Context, name: &str) -> Result<Command> {
    let folder = environment::node(ctx)?;
    // A module is looked for from where the script is, and `node_modules` must not be in the checkout. All are copied,
    // since they import from each other.
    let sources = ctx.workspace.root.join("xtask/interop");
    for entry in fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "mjs") {
            ctx.sh.copy_file(&path, &folder)?;
        }
    }
    let mut command = Command::new(Tool::Node.require(ctx)?);
    command.arg(folder.join(name));
    Ok(command)
}

/// Starts the example, runs the script against it, and sees that both end well.
fn check(ctx: &Context, example: &str, arguments: &[&str], name: &str, mut script: Command) -> Result<()> {
    let mut server = Server::example(ctx, example, arguments, &format!("interop/{name}.log"))?;
    script.args(["--url", &server.url, "--pid", &server.id().to_string()]);
    let status = examples::run(script, LIMIT).with_context(|| format!("{name} hangs"))?;
    if !status.success() {
        let log = Path::new("target/interop").join(format!("{name}.log"));
        server.still_runs()?;
        bail!("{name} found what it did not expect ({status}); the server's log is {}", log.display());
    }
    server.ends()
}
