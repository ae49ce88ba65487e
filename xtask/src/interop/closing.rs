//! `cargo xtask interop --only closing`: checks which code clients receive if they get 1009 while they are still sending.
//!
//! A server refuses a message at its first bytes, when the client still has megabytes to send. The client learns the reason
//! only if the server continues to read until the client has read the Close: a stream that is closed too early is reset, and
//! the reset overtakes the Close. With nginx in between it is harder: nginx treats the end of one direction as the end of both.

use super::nginx;
use super::scripts::{node_script, scripts};
use crate::context::Context;
use crate::environment;
use crate::examples::{self, Server};
use crate::flags::Control;
use crate::tools::{GO_PATH, Tool};
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How many times each client tries in each cell: a race is lost only sometimes.
const TRIES: usize = 3;

/// How long a client may take for all tries of a cell. Each try gives up by itself after 8 s.
const LIMIT: Duration = Duration::from_secs(30);

/// How long the whole check may take. A cell that has not started by then counts as failed.
const TOTAL: Duration = Duration::from_secs(150);

/// The code that each client must receive.
const TOO_BIG: &str = "1009";

/// A limit of the server, and a message that is longer.
struct Excess {
    name: &'static str,
    /// The limit of a frame and of a message, in bytes. `None` for the default of example-echo, which is 16 MiB for a frame.
    limit: Option<usize>,
    bytes: usize,
}

const EXCESSES: [Excess; 2] = [
    Excess { name: "5 MiB", limit: Some(64 << 10), bytes: 5 << 20 },
    Excess { name: "17 MiB", limit: None, bytes: 17 << 20 },
];

const DEFAULT_LIMIT: usize = 16 << 20;

/// A client and its command, to which URL, BYTES and TRIES are appended.
struct Client {
    name: &'static str,
    command: Vec<PathBuf>,
}

pub(super) fn run(ctx: &Context, control: Option<Control>) -> Result<()> {
    let folder = ctx.workspace.target.join("interop/closing");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let clients = clients(ctx, &folder)?;
    let mut servers = Vec::new();
    for excess in &EXCESSES {
        servers.push(server(ctx, excess, control)?);
    }
    let nginx = nginx::start(ctx, "closing", &servers.iter().map(|server| server.url.as_str()).collect::<Vec<_>>())?;

    let mut columns = Vec::new();
    for (excess, (server, proxy)) in EXCESSES.iter().zip(servers.iter().zip(&nginx.urls)) {
        columns.push((format!("{} direct", excess.name), server.websocket_url("/ws"), excess.bytes));
        columns.push((
            format!("{} nginx", excess.name),
            format!("{}/ws", proxy.replacen("http", "ws", 1)),
            excess.bytes,
        ));
    }
    let start = Instant::now();
    let mut table = Table { columns: columns.iter().map(|(name, ..)| name.clone()).collect(), rows: Vec::new() };
    for client in &clients {
        let mut cells = Vec::new();
        for (column, url, bytes) in &columns {
            let log = folder.join(format!("{} {column}.log", client.name).replace([' ', '/'], "-"));
            let time = LIMIT.min(TOTAL.saturating_sub(start.elapsed()));
            cells.push(learn(client, url, *bytes, time, &log)?);
        }
        table.rows.push((client.name, cells));
    }
    println!("{table}");
    for server in &mut servers {
        server.still_runs()?;
    }
    let wrong = table.wrong();
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "{} of {} cells are not {TOO_BIG}, {TRIES} times in a row; the logs are in target/interop/closing:\n  {}",
        wrong.len(),
        clients.len() * columns.len(),
        wrong.join("\n  ")
    )
}

/// Starts example-echo with this limit, or the control server.
fn server(ctx: &Context, excess: &Excess, control: Option<Control>) -> Result<Server> {
    let log = format!("interop/closing/server-{}.log", excess.name.replace(' ', "-"));
    let Some(control) = control else {
        let limit = excess.limit.map(|limit| limit.to_string());
        let arguments: Vec<&str> = limit.iter().flat_map(|limit| ["--max-message-size", limit]).collect();
        return Server::example(ctx, "example-echo", &arguments, &log);
    };
    let mut command = node_script(ctx, "closing-control.mjs")?;
    command.arg(match control {
        Control::Ws => "ws",
        Control::Patient => "patient",
    });
    command.arg(excess.limit.unwrap_or(DEFAULT_LIMIT).to_string());
    Server::start("the control", command, &ctx.workspace.target.join(log))
}

/// All clients. Installs what they need, or fails if that must not be installed.
fn clients(ctx: &Context, folder: &Path) -> Result<Vec<Client>> {
    let scripts = scripts(ctx);
    let (node, node_folder) = (Tool::Node.require(ctx)?, environment::node(ctx)?);
    let python = environment::closing(ctx)?;
    let (java, go) = (Tool::Java.require(ctx)?, Tool::Gorilla.require(ctx)?);
    // The script has to be in the folder of its packages.
    node_script(ctx, "closing.mjs")?;
    let of_node = |name| vec![node.clone(), node_folder.join("closing.mjs"), PathBuf::from(name)];
    let of_python = |name| vec![python.clone(), scripts.join("closing.py"), PathBuf::from(name)];
    Ok(vec![
        Client { name: "Node ws", command: of_node("ws") },
        Client { name: "Node undici", command: of_node("undici") },
        Client { name: "Node faye-websocket", command: of_node("faye") },
        Client { name: "Python aiohttp", command: of_python("aiohttp") },
        Client { name: "Python websockets", command: of_python("websockets") },
        Client { name: "Python websockets.sync", command: of_python("websockets-sync") },
        Client { name: "libcurl (pycurl)", command: of_python("pycurl") },
        Client { name: "Go gorilla/websocket", command: vec![compile_go(&go, &scripts.join("closing.go"), folder)?] },
        Client { name: "Java java.net.http", command: vec![java, scripts.join("Closing.java")] },
    ])
}

/// Compiles without Go modules, as Debian's packages for Go require.
fn compile_go(go: &Path, source: &Path, folder: &Path) -> Result<PathBuf> {
    let program = folder.join("closing-go");
    let mut command = Command::new(go);
    command.args(["build", "-o"]).arg(&program).arg(source);
    command
        .envs([("GO111MODULE", "off"), ("GOPATH", GO_PATH), ("GOFLAGS", "")])
        .env("GOCACHE", folder.join("go-cache"));
    if !examples::run(command, Duration::from_secs(180))?.success() {
        bail!("Go does not compile {}", source.display());
    }
    Ok(program)
}

/// Runs a client for at most `limit`, and returns what it has printed: a line for each try.
fn learn(client: &Client, url: &str, bytes: usize, limit: Duration, log: &Path) -> Result<Cell> {
    if limit < Duration::from_secs(1) {
        return Ok(Cell { lines: vec![format!("not tried: {} s had passed", TOTAL.as_secs())] });
    }
    let (output, errors) = (log.with_extension("out"), log);
    let create = |path: &Path| File::create(path).with_context(|| format!("cannot create {}", path.display()));
    let mut command = Command::new(&client.command[0]);
    command.args(&client.command[1..]).args([url, &bytes.to_string(), &TRIES.to_string()]);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::null()).stdout(create(&output)?).stderr(create(errors)?);
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let late = examples::wait(&mut child, limit).is_err();
    if late {
        child.kill()?;
        child.wait()?;
    }
    let printed = fs::read(&output).with_context(|| format!("cannot read {}", output.display()))?;
    let mut lines: Vec<String> = String::from_utf8_lossy(&printed).lines().map(str::to_owned).collect();
    if late {
        lines.push(format!("the client has not ended in {} s", limit.as_secs()));
    } else if lines.len() < TRIES && lines.iter().all(|line| line == TOO_BIG) {
        lines.push("the client has failed".to_owned());
    }
    Ok(Cell { lines })
}

/// What a client has received in one column.
struct Cell {
    lines: Vec<String>,
}

impl Cell {
    fn is_right(&self) -> bool {
        self.lines.len() == TRIES && self.lines.iter().all(|line| line == TOO_BIG)
    }

    /// The result in one word: the code, or `none`. The details are below the table.
    fn short(&self) -> &str {
        let told = self.lines.iter().find(|line| *line != TOO_BIG).map_or(TOO_BIG, String::as_str);
        let word = told.split(' ').next().unwrap_or_default();
        if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) { word } else { "none" }
    }
}

struct Table {
    columns: Vec<String>,
    rows: Vec<(&'static str, Vec<Cell>)>,
}

impl Table {
    /// Each wrong cell, with all that its client has printed.
    fn wrong(&self) -> Vec<String> {
        let cells = |(name, cells): &(&'static str, Vec<Cell>)| -> Vec<String> {
            let wrong = self.columns.iter().zip(cells).filter(|(_, cell)| !cell.is_right());
            wrong.map(|(column, cell)| format!("{name}, {column}: {}", cell.lines.join(", then "))).collect()
        };
        self.rows.iter().flat_map(cells).collect()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |first: &str, rest: &mut dyn Iterator<Item = &str>| {
            let mut line = format!("{first:<24}");
            for cell in rest {
                let _ = write!(line, "| {cell:<14}");
            }
            line.trim_end().to_owned()
        };
        write!(f, "{}", line("client", &mut self.columns.iter().map(String::as_str)))?;
        for (name, cells) in &self.rows {
            write!(f, "\n{}", line(name, &mut cells.iter().map(Cell::short)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(lines: &[&str]) -> Cell {
        Cell { lines: lines.iter().map(|&line| line.to_owned()).collect() }
    }

    #[test]
    fn a_cell_of_the_closing_table_is_right_when_every_try_was() {
        assert!(cell(&["1009", "1009", "1009"]).is_right());
        for wrong in [&[][..], &["1009", "1009"], &["1009", "1006 (EPIPE)"], &["1009", "1009", "1009", "late"]] {
            assert!(!cell(wrong).is_right(), "{wrong:?}");
        }
    }

    #[test]
    fn a_cell_of_the_closing_table_shows_the_code_that_was_wrong() {
        assert_eq!(cell(&["1009", "1006 (EPIPE)"]).short(), "1006");
        assert_eq!(cell(&["1009", "nothing in 8 s"]).short(), "none");
        assert_eq!(cell(&["1009", "1009", "1009"]).short(), "1009");
    }

    #[test]
    fn the_closing_table_names_the_cells_that_are_wrong() {
        let rows =
            vec![("a", vec![cell(&["1009"; 3]), cell(&["1009", "1006 (EPIPE)"])]), ("b", vec![cell(&["1009"; 3])])];
        let table = Table { columns: vec!["direct".to_owned(), "nginx".to_owned()], rows };
        assert_eq!(table.wrong(), ["a, nginx: 1009, then 1006 (EPIPE)"]);
        let shown = table.to_string();
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
        assert_eq!(lines, [vec!["client", "direct", "nginx"], vec!["a", "1009", "1006"], vec!["b", "1009"]]);
    }
}
