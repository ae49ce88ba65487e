//! The server of a broker: Redis or Valkey, on a free port and with a folder of its own.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(20);

/// How many ports are tried: another program may take a free port before the server does.
const TRIES: usize = 5;

/// How long a check whether a server answers may take.
const ANSWER: Duration = Duration::from_secs(1);

/// A running server, which writes to its disk before it answers. Dropping this kills the server, and leaves its folder.
#[derive(Debug)]
pub(crate) struct BrokerServer {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl BrokerServer {
    /// Starts `program`, which writes only to `folder`.
    pub(crate) fn start(program: &Path, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for _ in 0..TRIES {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
            let port = port.context("there is no free port")?.port();
            let child = spawn(program, folder, port)?;
            let mut server = Self { program: program.to_owned(), folder: folder.to_owned(), port, child };
            if server.answers()? {
                return Ok(server);
            }
        }
        bail!("{} has ended by itself {TRIES} times; see {}", program.display(), folder.join("log").display())
    }

    /// Starts the server again, on the same port and with what is on its disk.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.kill();
        self.child = spawn(&self.program, &self.folder, self.port)?;
        if !self.answers()? {
            bail!("{} does not start again; see {}", self.program.display(), self.folder.join("log").display());
        }
        Ok(())
    }

    /// `redis://127.0.0.1:PORT`, for nodes.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, if the server has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Waits until the server answers. `false` if it has ended.
    fn answers(&mut self) -> Result<bool> {
        let start = Instant::now();
        while !is_up(self.address()) {
            if self.ended()?.is_some() {
                return Ok(false);
            }
            if start.elapsed() > START {
                let (seconds, log) = (START.as_secs(), self.folder.join("log"));
                bail!("{} does not answer after {seconds} s; see {}", self.program.display(), log.display());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(true)
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for BrokerServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(program: &Path, folder: &Path, port: u16) -> Result<Child> {
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--logfile", "log"]);
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(folder);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().with_context(|| format!("cannot start {}", program.display()))
}

/// Whether a server answers, and is not loading its data.
fn is_up(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut connection = TcpStream::connect_timeout(&address, ANSWER)?;
        connection.set_read_timeout(Some(ANSWER))?;
        connection.write_all(b"PING\r\n")?;
        let mut answer = [0; 5];
        connection.read_exact(&mut answer)?;
        Ok(answer == *b"+PONG")
    };
    ask().unwrap_or(false)
}
