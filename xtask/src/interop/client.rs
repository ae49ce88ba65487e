//! `cargo xtask interop --only client`: example-client with the servers and the proxies of others.
//!
//! Python's `websockets` and Node's `ws` are the servers: directly, and behind nginx and HAProxy with TLS. Squid and tinyproxy are the
//! proxies, with right and wrong credentials, and asked for a port that they refuse. All of them listen on free ports.

mod proxies;
mod run;
mod tls;

use self::run::{Case, Program};
use super::scripts::{node_script, scripts};
use crate::context::Context;
use crate::environment;
use crate::examples::{self, Server};
use anyhow::{Context as _, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many bytes the large message has.
const LARGE: usize = 1 << 20;

pub(super) fn run(ctx: &Context) -> Result<()> {
    let program = Program::new(examples::checked(ctx, "example-client")?);
    let folder = Folder::new("client")?;

    let mut command = Command::new(environment::python(ctx)?);
    command.arg(scripts(ctx).join("servers.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    let mut python = Server::start("Python's websockets", command, &log(ctx, "python"))?;
    let mut node = Server::start("Node's ws", node_script(ctx, "servers.mjs")?, &log(ctx, "node"))?;

    for server in [&python, &node] {
        program.serves(server.name(), &server.url, &[])?;
    }
    let roots = tls::certificate(ctx, &folder.0)?;
    let trusting = ["--roots", path(&roots)?];
    let nginx = tls::nginx(ctx, &folder.0, &node.url)?;
    let haproxy = tls::haproxy(ctx, &folder.0, &python.url)?;
    for (name, front) in
        [("nginx with TLS before Node's ws", &nginx), ("HAProxy with TLS before Python's websockets", &haproxy)]
    {
        program.serves(name, &tls::url(front)?, &trusting)?;
    }
    proxies::run(ctx, &program, &folder.0, &node.url, (&tls::url(&nginx)?, &trusting))?;
    python.still_runs()?;
    node.still_runs()
}

impl Program {
    /// Checks that a server is understood, and understands, with and without compression.
    fn serves(&self, name: &str, url: &str, arguments: &[&str]) -> Result<()> {
        println!("example-client at {name}, {url}");
        for compress in [&[][..], &["--compress"]] {
            let arguments = [arguments, compress].concat();
            let with = if compress.is_empty() { "without compression" } else { "with compression" };
            self.speaks(url, &arguments, !compress.is_empty()).with_context(|| format!("{name}, {with}"))?;
            println!("  ok, {with}: text, binary, 1 MiB, fragments, Pings, 10,000 messages, Close codes both ways");
        }
        Ok(())
    }

    fn speaks(&self, url: &str, arguments: &[&str], is_compressed: bool) -> Result<()> {
        let case = |path: &str| Case::new(&format!("{url}{path}"), arguments);
        // Python's server answers a Close before it has sent all answers.
        let echo = |lines: &str| case("/echo").and(&["-n", &lines.lines().count().to_string()]);

        let agreed = self.run(&case("/echo").and(&["--verbose"]), b"")?.succeeds()?;
        agreed.has_extension("permessage-deflate", is_compressed)?;

        let texts = "hello\n\nGrüße, Łosoś, лосось\n紅鮭 🐟\n\u{2028}\u{feff}\n";
        self.run(&echo(texts), texts.as_bytes())?.succeeds()?.prints(texts.as_bytes())?;
        // All bytes but the end of a line, in an order that compresses badly.
        let bytes = (0..LARGE as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
        let mut large: Vec<u8> = bytes.map(|byte| if byte == b'\n' || byte == b'\r' { 0xff } else { byte }).collect();
        large.push(b'\n');
        self.run(&echo("\n").and(&["--binary"]), &large)?.succeeds()?.prints(&large)?;
        let text = "ö".repeat(LARGE / 2) + "\n";
        self.run(&echo(&text), text.as_bytes())?.succeeds()?.prints(text.as_bytes())?;
        let many: String = (0..10_000).map(|n| format!("message {n}\n")).collect();
        self.run(&echo(&many), many.as_bytes())?.succeeds()?.prints(many.as_bytes())?;

        let open = case("/pings").and(&["--keep-open"]);
        self.run(&open, b"")?.succeeds()?.prints(b"all Pongs came\n")?;
        let parts: String = (0..50).map(|n| format!("part {n} 鮭;")).collect();
        self.run(&case("/fragments").and(&["--keep-open"]), b"")?.succeeds()?.prints((parts + "\n").as_bytes())?;

        for (code, status) in [(1000, 0), (1001, 0), (1003, 13), (1011, 21), (3000, 30), (4999, 40)] {
            let told = self.run(&case(&format!("/close/{code}")).and(&["--keep-open"]), b"")?.has_status(status)?;
            if status != 0 {
                told.says(&format!("the server closed with {code} (because)"))?;
            }
        }
        for code in ["1000", "1001", "1003", "3000", "4999"] {
            self.run(&case("/echo").and(&["--close", code]), b"")?.succeeds()?;
            self.run(&case("/last").and(&["--keep-open"]), b"")?.succeeds()?.prints(format!("{code}\n").as_bytes())?;
        }
        Ok(())
    }
}

/// A folder for configurations, which is removed when this is dropped. A proxy that gives up root must be able to read it, so it is
/// not below the checkout.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Result<Self> {
        let path = env::temp_dir().join(format!("sockeye-interop-{name}-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Where a server or a proxy logs, also after the folder of its configuration is gone.
fn log(ctx: &Context, name: &str) -> PathBuf {
    ctx.workspace.target.join("interop/client").join(name).with_extension("log")
}

/// The text of a path, for an argument or a configuration.
fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the path {} is not UTF-8", path.display()))
}
