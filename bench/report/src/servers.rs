//! The servers that are measured, as data, and where their programs are.

use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One server in one form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    program: Program,
    /// Measured also where others are chosen.
    pub(crate) always: bool,
}

#[derive(Debug, Clone, Copy)]
enum Program {
    /// One of this workspace, in this form.
    Own {
        binary: &'static str,
        form: &'static str,
    },
    /// The library's example.
    Sockeye,
    Node,
}

/// All others are told as multiples of this one.
pub(crate) const FLOOR: &str = "floor";

/// Ratios to it are told, too: it is what users have now.
pub(crate) const AXUM: &str = "axum-plain";

const fn peer(name: &'static str, about: &'static str, binary: &'static str, form: &'static str) -> Server {
    Server { name, about, program: Program::Own { binary, form }, always: false }
}

/// In the order of a turn.
pub(crate) static SERVERS: &[Server] = &[
    Server {
        name: FLOOR,
        about: "bare epoll, validates nothing: what the kernel costs",
        program: Program::Own { binary: "floor", form: "floor" },
        always: true,
    },
    Server { name: "sockeye", about: "example-echo: the plain loop", program: Program::Sockeye, always: true },
    peer(AXUM, "axum::extract::ws, the plain loop", "axum", "plain"),
    peer("axum-batched", "axum::extract::ws, one flush for what came together", "axum", "batched"),
    peer("axum-lean", "the same with an 8 KiB read buffer", "axum", "lean"),
    peer("tungstenite-plain", "tokio-tungstenite, the plain loop", "tokio-tungstenite", "plain"),
    peer("tungstenite-batched", "tokio-tungstenite, one flush for what came together", "tokio-tungstenite", "batched"),
    peer("tungstenite-lean", "the same with an 8 KiB read buffer", "tokio-tungstenite", "lean"),
    peer("tokio-websockets-plain", "tokio-websockets, the plain loop", "tokio-websockets", "plain"),
    peer("tokio-websockets-batched", "one flush for what came together", "tokio-websockets", "batched"),
    peer("fastwebsockets-plain", "fastwebsockets, its echo server (FragmentCollector)", "fastwebsockets", "plain"),
    peer("fastwebsockets-bare", "the same on the TcpStream itself", "fastwebsockets", "bare"),
    peer("fastwebsockets-corked", "the same with one write for what came together", "fastwebsockets", "corked"),
    peer("yawc-plain", "yawc, the plain loop", "yawc", "plain"),
    peer("yawc-batched", "yawc on the TcpStream itself, one flush for what came together", "yawc", "batched"),
    peer("wtx-plain", "wtx, its echo server", "wtx", "plain"),
    peer("wtx-corked", "the same with one write for what came together", "wtx", "corked"),
    Server { name: "node-ws", about: "Node's ws", program: Program::Node, always: false },
];

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Places {
    /// Where this program is, and all others of this workspace.
    own: PathBuf,
    sockeye: Option<PathBuf>,
    node_script: Option<PathBuf>,
    node_modules: Option<PathBuf>,
}

impl Places {
    pub(crate) fn new(
        sockeye: Option<PathBuf>,
        node_script: Option<PathBuf>,
        node_modules: Option<PathBuf>,
    ) -> Result<Self> {
        let this = std::env::current_exe().context("cannot tell where this program is")?;
        let own = this.parent().context("this program is in no folder")?.to_owned();
        Ok(Self { own, sockeye, node_script, node_modules })
    }

    /// The load generator.
    pub(crate) fn load(&self) -> Result<Command> {
        program(&self.own.join("load"))
    }

    /// How to start the server on a free port.
    pub(crate) fn command(&self, server: &Server) -> Result<Command> {
        let mut command = match server.program {
            Program::Own { binary, form } => {
                let mut command = program(&self.own.join(binary))?;
                command.args(["--form", form]);
                command
            }
            Program::Sockeye => {
                let path = self.sockeye.as_deref().context("--sockeye does not tell where example-echo is")?;
                let mut command = program(path)?;
                command.args(["--threads", "1"]);
                command
            }
            Program::Node => {
                let script = self.node_script.as_deref().context("--node-script does not tell where it is")?;
                let modules = self.node_modules.as_deref().context("--node-modules does not tell where `ws` is")?;
                let mut command = Command::new("node");
                command.arg(script).env("NODE_PATH", modules);
                command
            }
        };
        command.args(["--addr", "127.0.0.1:0"]).env("RUST_LOG", "error").env_remove("RUST_BACKTRACE");
        Ok(command)
    }
}

fn program(path: &Path) -> Result<Command> {
    ensure!(path.is_file(), "{} is not there; `cargo xtask bench` builds it", path.display());
    Ok(Command::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_different() {
        let mut names: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SERVERS.len());
        assert!(names.contains(&FLOOR) && names.contains(&AXUM));
    }
}
