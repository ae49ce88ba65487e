//! Where the programs are, and how they are started.

use crate::servers::{ALL_COMPRESSED, BARE_TLS, EXACT, FLOOR, PER_CORE, Program, SOCKEYE, Server};
use anyhow::{Context as _, Result, ensure};
use bench_load::{Measure, Role, Scenario};
use bench_serve::tls::Identity;
use clap::Args;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The level of compression: our default.
const LEVEL: &str = "3";

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Places {
    /// The folder of this program and all others of this workspace.
    own: PathBuf,
    others: Others,
    /// Where the certificate for clients is written, when the first one needs it.
    identity: PathBuf,
    /// What the clients trust.
    roots: OnceCell<PathBuf>,
}

/// Where the programs are that this workspace does not build.
#[derive(Debug, Clone, Args)]
pub(crate) struct Others {
    /// The program of example-echo
    #[arg(long, value_name = "FILE")]
    sockeye: Option<PathBuf>,
    /// The script of the server on Node
    #[arg(long, value_name = "FILE", requires = "node_modules")]
    node_script: Option<PathBuf>,
    /// The folder that has `ws` for it
    #[arg(long, value_name = "FOLDER")]
    node_modules: Option<PathBuf>,
    /// The program of Bun
    #[arg(long, value_name = "FILE", requires = "bun_script")]
    bun: Option<PathBuf>,
    /// The script of the server on it
    #[arg(long, value_name = "FILE")]
    bun_script: Option<PathBuf>,
}

impl Places {
    /// With the certificate for clients in this folder.
    pub(crate) fn new(others: Others, identity: PathBuf) -> Result<Self> {
        let this = std::env::current_exe().context("cannot tell where this program is")?;
        let own = this.parent().context("this program is in no folder")?.to_owned();
        Ok(Self { own, others, identity, roots: OnceCell::new() })
    }

    /// The load generator, for this scenario.
    pub(crate) fn load(&self, scenario: &Scenario) -> Result<Command> {
        let mut command = program(&self.own.join("load"))?;
        command.args(["--scenario", scenario.name]);
        if scenario.tls && scenario.role == Role::Client {
            command.arg("--identity").arg(&self.identity);
        }
        Ok(command)
    }

    /// The file with what clients trust.
    fn roots(&self) -> Result<&Path> {
        if self.roots.get().is_none() {
            let _ = self.roots.set(Identity::write(&self.identity)?);
        }
        Ok(self.roots.get().context("a certificate was written, and is not there")?)
    }

    /// The program that broadcasts each message to all connections.
    fn broadcast(&self, server: &Server) -> Result<Command> {
        let mut command = program(&self.own.join("broadcast"))?;
        let form = if server.name.starts_with("yawc") { "yawc" } else { server.name };
        command.args(["--form", form]);
        Ok(command)
    }

    /// The program that sends one kept message to all connections.
    fn fan_out(&self, server: &Server) -> Result<Command> {
        let mut command = program(&self.own.join("fan-out"))?;
        let form = match server.name {
            SOCKEYE => "shared",
            EXACT => "exact",
            _ => "copied",
        };
        command.args(["--form", form]);
        Ok(command)
    }

    /// The program with rooms.
    fn fan(&self, server: &Server) -> Result<Command> {
        let (binary, form) = if server.name == FLOOR { ("floor", "fan") } else { ("fan", server.name) };
        let mut command = program(&self.own.join(binary))?;
        command.args(["--form", form]);
        Ok(command)
    }

    /// The program that opens connections. Over TLS, libraries find what they trust where the system has it.
    fn client(&self, server: &Server, scenario: &Scenario) -> Result<Command> {
        let (binary, form) = if server.name == FLOOR { ("floor", "client") } else { ("client", server.name) };
        let mut command = program(&self.own.join(binary))?;
        command.args(["--form", form]);
        if scenario.tls {
            let roots = self.roots()?;
            command.arg("--roots").arg(roots).env("SSL_CERT_FILE", roots).env_remove("SSL_CERT_DIR");
        }
        Ok(command)
    }

    /// The program that serves over TLS.
    fn tls(&self, server: &Server) -> Result<Command> {
        let (binary, form) = match server.name {
            FLOOR => ("floor", "tls"),
            SOCKEYE => ("tls", "plain"),
            BARE_TLS => ("floor-tls", "plain"),
            _ => ("axum-tls", "plain"),
        };
        let mut command = program(&self.own.join(binary))?;
        command.args(["--form", form]);
        Ok(command)
    }

    /// The program that only knows boxed streams.
    fn boxed(&self, server: &Server) -> Result<Command> {
        program(&self.own.join(if server.name == EXACT { "boxed-exact" } else { "boxed" }))
    }

    /// The command that starts the server, or client, for this load. It listens on a free port: a client for its orders.
    pub(crate) fn command(&self, server: &Server, scenario: &Scenario) -> Result<Command> {
        let threads = scenario.threads;
        let mut command = match server.program {
            _ if scenario.role == Role::Client => self.client(server, scenario)?,
            _ if scenario.measure == Measure::Broadcast && server.is_native() => self.broadcast(server)?,
            _ if scenario.measure == Measure::FanOut => self.fan_out(server)?,
            _ if matches!(scenario.measure, Measure::Fan { .. }) && server.is_native() => self.fan(server)?,
            _ if scenario.tls => self.tls(server)?,
            _ if scenario.boxed && server.name != FLOOR => self.boxed(server)?,
            Program::Own { binary, form } => {
                let mut command = program(&self.own.join(binary))?;
                command.args(["--form", form]);
                if threads > 1 {
                    command.args(["--threads", &threads.to_string()]);
                }
                command
            }
            Program::Sockeye => {
                let path = self.others.sockeye.as_deref().context("--sockeye does not tell where example-echo is")?;
                let mut command = program(path)?;
                // 0 is one runtime for each core that the process may use.
                let threads = if server.name == PER_CORE { 0 } else { threads };
                command.args(["--threads", &threads.to_string()]);
                command
            }
            Program::Node => {
                let script = self.others.node_script.as_deref().context("--node-script does not tell where it is")?;
                let modules =
                    self.others.node_modules.as_deref().context("--node-modules does not tell where `ws` is")?;
                let mut command = Command::new("node");
                command.arg(script).env("NODE_PATH", modules);
                if scenario.measure == Measure::Broadcast {
                    command.args(["--form", "broadcast"]);
                }
                command
            }
            Program::Bun => {
                let script = self.others.bun_script.as_deref().context("--bun-script does not tell where it is")?;
                let mut command = program(self.others.bun.as_deref().context("--bun does not tell where Bun is")?)?;
                command.arg(script);
                if matches!(scenario.measure, Measure::Fan { .. }) {
                    command.args(["--form", "room"]);
                }
                command
            }
        };
        command.args(compression(server, scenario));
        command.args(["--addr", "127.0.0.1:0"]).env("RUST_LOG", "error").env_remove("RUST_BACKTRACE");
        Ok(command)
    }
}

/// The arguments that make a server compress, if the load needs it.
fn compression(server: &Server, scenario: &Scenario) -> &'static [&'static str] {
    match server.program {
        _ if !scenario.deflate => &[],
        Program::Sockeye if scenario.measure == Measure::Broadcast => &["--compression", LEVEL],
        Program::Sockeye if server.name == ALL_COMPRESSED => &["--compression", "low", "--threshold", "0"],
        Program::Sockeye => &["--compression", "low"],
        Program::Own { .. } | Program::Node | Program::Bun => &["--compression", LEVEL],
    }
}

fn program(path: &Path) -> Result<Command> {
    ensure!(path.is_file(), "{} is not there; `cargo xtask bench` builds it", path.display());
    Ok(Command::new(path))
}
