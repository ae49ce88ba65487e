//! `cargo xtask interop`: third-party clients against the examples, and example-client against third-party servers and proxies.
//!
//! The scripts are in `xtask/interop`. Each script gets the server's address and process id, and prints what it has checked. At
//! its end, while it is still connected, it interrupts the server as Ctrl-C would do: the server must close with 1001 and end
//! by itself. The clients of `closing` are small programs that print a code; the result is a table. `deploying` runs the proxies
//! that the guide configures, and `client` turns the roles round. `networks` gives example-client a network that is silent.

mod client;
mod closing;
mod deploying;
mod networks;
mod nginx;
mod nodes;
mod proxy;
pub(crate) mod scripts;

use crate::context::Context;
use crate::environment;
use crate::examples::{self, Server};
use crate::flags::{Checks, InteropFlags};
use crate::tools::Tool;
use anyhow::{Context as _, Result, bail};
use scripts::{node_script, scripts};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The most time for a script, to detect a hang: each script takes only seconds.
const LIMIT: Duration = Duration::from_secs(180);

/// The arguments of example-echo for the scripts on compression: everything is compressed.
const COMPRESSION: [&str; 4] = ["--compression", "best", "--threshold", "0"];

/// The versions of TLS that example-tls speaks, for the scripts' `--tls`.
const TLS: [&str; 2] = ["1.2", "1.3"];

/// How often example-shutdown is shut down behind nginx: a race can end well by chance.
const SHUTDOWNS: usize = 2;

/// What example-shutdown must print about all clients of `shutdown.mjs`.
const ALL_CLOSED: &str = "40 closed, 0 lost, 0 aborted";

pub(crate) fn run(ctx: &Context, flags: &InteropFlags) -> Result<()> {
    if flags.control.is_some() && flags.only != [Checks::Closing] {
        bail!("--control is for `--only closing` alone");
    }
    let all = <Checks as clap::ValueEnum>::value_variants();
    for checks in all.iter().filter(|checks| flags.only.is_empty() || flags.only.contains(checks)) {
        match checks {
            Checks::Python => python(ctx)?,
            Checks::Node => node(ctx)?,
            Checks::Browser => browser(ctx)?,
            Checks::Firefox => firefox(ctx)?,
            Checks::Rooms => rooms(ctx)?,
            Checks::Nodes => nodes::run(ctx)?,
            Checks::Closing => closing::run(ctx, flags.control)?,
            Checks::Shutdown => shutdown(ctx)?,
            Checks::Deploying => deploying::run(ctx)?,
            Checks::Client => client::run(ctx)?,
            Checks::Networks => networks::run(ctx)?,
        }
    }
    Ok(())
}

fn python(ctx: &Context) -> Result<()> {
    let python = environment::python(ctx)?;
    for (name, arguments) in [("echo", &[][..]), ("deflate", &COMPRESSION)] {
        let mut command = Command::new(&python);
        command.arg(scripts(ctx).join(format!("{name}.py"))).env("PYTHONDONTWRITEBYTECODE", "1");
        check(ctx, "example-echo", arguments, &format!("python-{name}"), command)?;
    }
    for version in TLS {
        let mut command = Command::new(&python);
        command.arg(scripts(ctx).join("echo.py")).args(["--tls", version]).env("PYTHONDONTWRITEBYTECODE", "1");
        check(ctx, "example-tls", &[], &format!("python-tls-{version}"), command)?;
    }
    Ok(())
}

fn node(ctx: &Context) -> Result<()> {
    for (name, arguments) in [("echo", &[][..]), ("deflate", &COMPRESSION)] {
        let command = node_script(ctx, &format!("{name}.mjs"))?;
        check(ctx, "example-echo", arguments, &format!("node-{name}"), command)?;
    }
    for version in TLS {
        let mut command = node_script(ctx, "echo.mjs")?;
        command.args(["--tls", version]);
        check(ctx, "example-tls", &[], &format!("node-tls-{version}"), command)?;
    }
    Ok(())
}

fn browser(ctx: &Context) -> Result<()> {
    let pages = [("example-echo", "browser-echo", "browser-echo"), ("example-tls", "browser-echo", "browser-tls")];
    for (example, name, run) in pages {
        let output = at_browser(ctx, example, &[], name, run)?;
        println!("screenshots: {}", output.display());
    }
    // A browser always offers the same parameters. The answer depends on the memory that the server allows.
    for memory in ["low", "balanced", "best"] {
        let arguments = ["--compression", memory, "--threshold", "0"];
        at_browser(ctx, "example-echo", &arguments, "browser-deflate", &format!("browser-deflate-{memory}"))?;
    }
    Ok(())
}

/// Runs a script that drives a browser, and returns the folder with its screenshots.
fn at_browser(ctx: &Context, example: &str, arguments: &[&str], name: &str, run: &str) -> Result<PathBuf> {
    let output = empty_folder(ctx, run)?;
    let mut command = node_script(ctx, &format!("{name}.mjs"))?;
    command.arg("--chromium").arg(Tool::Chromium.require(ctx)?).arg("--output").arg(&output);
    check(ctx, example, arguments, run, command)?;
    Ok(output)
}

fn firefox(ctx: &Context) -> Result<()> {
    let name = "firefox-closing";
    let output = empty_folder(ctx, name)?;
    let mut command = node_script(ctx, "firefox-closing.mjs")?;
    command.arg("--firefox").arg(Tool::Firefox.require(ctx)?).arg("--output").arg(&output);
    check_behind_nginx(ctx, "example-echo", &[], name, command).map(drop)
}

fn rooms(ctx: &Context) -> Result<()> {
    let chat = "example-chat";
    check(ctx, chat, &[], "rooms-node", node_script(ctx, "rooms-node.mjs")?)?;
    let output = empty_folder(ctx, "rooms-browser")?;
    let mut command = node_script(ctx, "rooms-browser.mjs")?;
    command.arg("--chromium").arg(Tool::Chromium.require(ctx)?).arg("--output").arg(&output);
    // The script ends the server, and starts another one.
    command.arg("--chat").arg(examples::checked(ctx, chat)?);
    check(ctx, chat, &[], "rooms-browser", command)?;
    println!("screenshots: {}", output.display());
    let mut command = node_script(ctx, "rooms-firefox.mjs")?;
    command.arg("--firefox").arg(Tool::Firefox.require(ctx)?);
    command.arg("--output").arg(empty_folder(ctx, "rooms-firefox")?);
    check(ctx, chat, &[], "rooms-firefox", command)
}

fn shutdown(ctx: &Context) -> Result<()> {
    for _ in 0..SHUTDOWNS {
        let command = node_script(ctx, "shutdown.mjs")?;
        let output = check_behind_nginx(ctx, "example-shutdown", &["--deadline", "10"], "shutdown", command)?;
        let said = output.last().map_or("nothing", String::as_str);
        println!("example-shutdown: {said}");
        if said != ALL_CLOSED {
            bail!(
                "example-shutdown says at its end `{said}`, and not `{ALL_CLOSED}`, though each client was told 1001"
            );
        }
    }
    Ok(())
}

/// An empty folder under `target/interop` for this run: a browser needs an empty profile, and screenshots of an earlier run
/// would look like those of this one.
fn empty_folder(ctx: &Context, run: &str) -> Result<PathBuf> {
    let folder = ctx.workspace.target.join("interop").join(run);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Starts the example, runs the script against it, and checks that both end with success.
fn check(ctx: &Context, example: &str, arguments: &[&str], name: &str, script: Command) -> Result<()> {
    let server = Server::example(ctx, example, arguments, &format!("interop/{name}.log"))?;
    talk(server, name, script).map(drop)
}

/// As [`check`], but with nginx in front, whose address the script gets too. Returns what the server has printed.
fn check_behind_nginx(
    ctx: &Context,
    example: &str,
    arguments: &[&str],
    name: &str,
    mut script: Command,
) -> Result<Vec<String>> {
    let server = Server::example(ctx, example, arguments, &format!("interop/{name}.log"))?;
    let nginx = nginx::start(ctx, name, &[&server.url])?;
    script.args(["--nginx", &nginx.urls[0]]);
    talk(server, name, script)
}

fn talk(mut server: Server, name: &str, mut script: Command) -> Result<Vec<String>> {
    script.args(["--url", &server.url, "--pid", &server.id().to_string()]);
    let status = examples::run(script, LIMIT).with_context(|| format!("{name} hangs"))?;
    if !status.success() {
        let log = Path::new("target/interop").join(format!("{name}.log"));
        // The script may have asked the server to end: most scripts do so in their last check.
        let ended = server.ended()?.map_or(String::new(), |status| format!(" has ended ({status}), and"));
        bail!("{name} found what it did not expect ({status}); the server{ended} has its log in {}", log.display());
    }
    server.ends()
}
