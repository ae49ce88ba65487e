//! A TCP proxy with faults, to stand between a program and a server.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{Instant, sleep_until},
};

/// How much of what a client has sent is remembered.
const REMEMBERED: usize = 64 << 10;

/// How many chunks are on their way through a delay at most.
const CHUNKS: usize = 4096;

/// A TCP proxy with faults: it delays, holds back and cuts what goes through. Dropping it cuts all connections.
///
/// ```
/// use sockeye_testkit::Proxy;
/// use tokio::{io::AsyncReadExt, net::{TcpListener, TcpStream}};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
/// let proxy = Proxy::start(server.local_addr().unwrap()).await;
/// let mut client = TcpStream::connect(proxy.address()).await.unwrap();
/// let (_connection, _) = server.accept().await.unwrap();
/// proxy.cut_all();
/// assert!(client.read(&mut [0]).await.is_ok_and(|read| read == 0));
/// # });
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    acceptor: AbortHandle,
}

#[derive(Debug)]
struct State {
    /// To whom connections go: changes when a server has moved.
    server: Mutex<SocketAddr>,
    settings: watch::Sender<Settings>,
    connections: Mutex<Vec<Arc<Connection>>>,
    cutting: Mutex<Option<Arc<Cutting>>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Settings {
    delay: Duration,
    is_silent: bool,
    refuses: bool,
}

/// Which answers are never delivered.
#[derive(Debug)]
struct Cutting {
    request: Vec<u8>,
    remaining: AtomicUsize,
    done: AtomicUsize,
}

#[derive(Debug)]
struct Connection {
    /// The beginning of what the client has sent.
    sent: Mutex<Vec<u8>>,
    /// How many bytes the client has received.
    received: AtomicU64,
    fate: watch::Sender<Fate>,
    /// The request whose answer the client must not get.
    doomed: Mutex<Option<Arc<Cutting>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    /// Nothing goes through, and both ends stay connected.
    Hole,
    Cut,
}

impl Proxy {
    /// A proxy to the server at this address, on a port that the system picks.
    ///
    /// # Panics
    ///
    /// If there is no port.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State {
            server: Mutex::new(server),
            settings: watch::Sender::new(Settings::default()),
            connections: Mutex::default(),
            cutting: Mutex::default(),
        });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&state))).abort_handle();
        Self { address, state, acceptor }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Later connections go to another server.
    pub fn set_server(&self, server: SocketAddr) {
        *lock(&self.state.server) = server;
    }

    /// Each byte arrives so much later, in both directions.
    pub fn set_delay(&self, delay: Duration) {
        self.state.settings.send_modify(|settings| settings.delay = delay);
    }

    /// Nothing goes through any more, or all of it again, later connections included. Both ends stay connected.
    pub fn set_silent(&self, is_silent: bool) {
        self.state.settings.send_modify(|settings| settings.is_silent = is_silent);
    }

    /// Connections are closed as soon as they are accepted, or no more. Those that are open are cut.
    pub fn set_refusing(&self, refuses: bool) {
        self.state.settings.send_modify(|settings| settings.refuses = refuses);
        if refuses {
            self.cut_all();
        }
    }

    /// Cuts all connections. Later ones go through. Returns how many were open.
    pub fn cut_all(&self) -> usize {
        self.cut(|_| true)
    }

    /// Cuts the connections whose clients have sent this. Returns how many there were.
    pub fn cut(&self, has_sent: impl Fn(&[u8]) -> bool) -> usize {
        self.decide(Fate::Cut, has_sent)
    }

    /// Lets nothing more through on the connections whose clients have sent this, while both ends stay connected. Returns how
    /// many there were.
    pub fn black_hole(&self, has_sent: impl Fn(&[u8]) -> bool) -> usize {
        self.decide(Fate::Hole, has_sent)
    }

    /// Cuts a connection when the server answers after a client has sent `request`, so that the client never gets the answer.
    /// Does so `times` times.
    pub fn cut_answers(&self, request: &[u8], times: usize) {
        let cutting = Cutting { request: request.to_vec(), remaining: times.into(), done: 0.into() };
        *lock(&self.state.cutting) = Some(Arc::new(cutting));
    }

    /// How many answers were cut since the last [`cut_answers`](Self::cut_answers).
    pub fn cut_answers_count(&self) -> usize {
        lock(&self.state.cutting).as_ref().map_or(0, |cutting| cutting.done.load(Ordering::SeqCst))
    }

    /// How many bytes the clients have received that have sent this, on open connections.
    pub fn received(&self, has_sent: impl Fn(&[u8]) -> bool) -> u64 {
        let connections = self.state.open();
        let those = connections.iter().filter(|connection| has_sent(&lock(&connection.sent)));
        those.map(|connection| connection.received.load(Ordering::SeqCst)).sum()
    }

    fn decide(&self, fate: Fate, has_sent: impl Fn(&[u8]) -> bool) -> usize {
        let mut connections = self.state.open();
        connections.retain(|connection| has_sent(&lock(&connection.sent)));
        for connection in &connections {
            connection.fate.send_replace(fate);
        }
        connections.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.cut_all();
    }
}

impl State {
    fn open(&self) -> Vec<Arc<Connection>> {
        let mut connections = lock(&self.connections);
        connections.retain(|connection| *connection.fate.borrow() != Fate::Cut);
        connections.clone()
    }
}

impl Connection {
    /// Notes what the client has sent.
    fn note(&self, state: &State, chunk: &[u8]) {
        {
            let mut sent = lock(&self.sent);
            let rest = REMEMBERED.saturating_sub(sent.len()).min(chunk.len());
            sent.extend_from_slice(&chunk[..rest]);
        }
        let Some(cutting) = lock(&state.cutting).clone() else { return };
        let is_there = chunk.windows(cutting.request.len()).any(|window| window == cutting.request);
        let mut doomed = lock(&self.doomed);
        if is_there && doomed.is_none() {
            let one_less = |remaining: usize| remaining.checked_sub(1);
            if cutting.remaining.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
                *doomed = Some(cutting);
            }
        }
    }

    fn cut(&self) {
        self.fate.send_replace(Fate::Cut);
    }

    async fn is_cut(&self) {
        let mut fate = self.fate.subscribe();
        let _ = fate.wait_for(|fate| *fate == Fate::Cut).await;
    }

    async fn is_passable(&self, state: &State) {
        let (mut fate, mut settings) = (self.fate.subscribe(), state.settings.subscribe());
        let _ = fate.wait_for(|fate| *fate == Fate::Open).await;
        let _ = settings.wait_for(|settings| !settings.is_silent).await;
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if !state.settings.borrow().refuses {
            tokio::spawn(serve(client, Arc::clone(&state)));
        }
    }
}

async fn serve(client: TcpStream, state: Arc<State>) {
    let connection = Arc::new(Connection {
        sent: Mutex::default(),
        received: AtomicU64::new(0),
        fate: watch::Sender::new(Fate::Open),
        doomed: Mutex::default(),
    });
    lock(&state.connections).push(Arc::clone(&connection));
    let relayed = async {
        let server = *lock(&state.server);
        let server = TcpStream::connect(server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            ended = relay(from_client, to_server, &state, &connection, Direction::ToServer) => ended,
            ended = relay(from_server, to_client, &state, &connection, Direction::ToClient) => ended,
        }
    };
    tokio::select! {
        // A connection that breaks is what tests are about.
        _ = relayed => {}
        () = connection.is_cut() => {}
    }
    connection.cut();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

async fn relay(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    state: &State,
    connection: &Connection,
    direction: Direction,
) -> io::Result<()> {
    let (chunks, mut delayed) = mpsc::channel::<(Instant, Bytes)>(CHUNKS);
    let reading = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                return io::Result::Ok(());
            }
            let chunk = Bytes::copy_from_slice(&buffer[..length]);
            if direction == Direction::ToServer {
                connection.note(state, &chunk);
            }
            let at = Instant::now() + state.settings.borrow().delay;
            if chunks.send((at, chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async {
        while let Some((at, chunk)) = delayed.recv().await {
            sleep_until(at).await;
            connection.is_passable(state).await;
            if direction == Direction::ToClient {
                if let Some(cutting) = lock(&connection.doomed).take() {
                    cutting.done.fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
                connection.received.fetch_add(chunk.len() as u64, Ordering::SeqCst);
            }
            to.write_all(&chunk).await?;
        }
        io::Result::Ok(())
    };
    // An end of either side ends the connection: no test needs a half of it.
    tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
