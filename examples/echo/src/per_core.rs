//! One current-thread runtime for each core. All runtimes listen on the same port.
//!
//! The kernel spreads new connections over the listeners (`SO_REUSEPORT`). From then on a connection stays on its thread: no
//! wake-up crosses threads, and no core waits for a lock of another one.

use std::{net::SocketAddr, thread};

use anyhow::{Context, anyhow};
use sockeye::{Drained, Shutdown, WebSocketDefaults};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
};

/// How many connections may wait to be accepted: the same number as with [`TcpListener::bind`].
const BACKLOG: u32 = 1024;

/// A running echo server on one thread for each core.
#[derive(Debug)]
pub struct PerCore {
    addr: SocketAddr,
    cores: Vec<Core>,
}

#[derive(Debug)]
struct Core {
    /// The shutdown of this core alone, so that opening and closing a connection does not touch other cores either.
    shutdown: Shutdown,
    thread: thread::JoinHandle<Drained>,
}

impl PerCore {
    /// Starts `cores` threads that serve `addr`. With port 0 the first one picks a free port for all.
    ///
    /// # Errors
    ///
    /// When a listener or a thread cannot be created, or if several sockets cannot share a port on this system.
    pub fn start(addr: SocketAddr, cores: usize, defaults: &WebSocketDefaults) -> anyhow::Result<Self> {
        let mut addr = addr;
        let mut ready = Vec::with_capacity(cores);
        for _ in 0..cores {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let listener = listen(&runtime, addr).with_context(|| format!("listening on {addr} (see --addr)"))?;
            addr = listener.local_addr()?;
            ready.push((runtime, listener));
        }
        // The threads start only when all listeners exist: otherwise, if a listener failed, the others would have connections
        // already.
        let start = |(index, (runtime, listener))| Core::start(index, runtime, listener, defaults.clone());
        Ok(Self { addr, cores: ready.into_iter().enumerate().map(start).collect::<anyhow::Result<_>>()? })
    }

    /// The address on which the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes every connection with 1001, blocks until all threads have ended, and returns how the connections of each thread
    /// ended.
    ///
    /// # Errors
    ///
    /// When a thread has panicked.
    pub fn shut_down(self) -> anyhow::Result<Vec<Drained>> {
        // All at once, so that the deadlines do not add up.
        for core in &self.cores {
            core.shutdown.begin();
        }
        let join = |core: Core| core.thread.join().map_err(|_| anyhow!("the thread of a core has panicked"));
        self.cores.into_iter().map(join).collect()
    }
}

impl Core {
    fn start(
        index: usize,
        runtime: Runtime,
        listener: TcpListener,
        defaults: WebSocketDefaults,
    ) -> anyhow::Result<Self> {
        let shutdown = Shutdown::new();
        let server = crate::serve(listener, shutdown.clone(), defaults);
        let thread = thread::Builder::new().name(format!("core-{index}")).spawn(move || runtime.block_on(server))?;
        Ok(Self { shutdown, thread })
    }
}

fn listen(runtime: &Runtime, addr: SocketAddr) -> anyhow::Result<TcpListener> {
    // A listener belongs to the runtime in whose context it was created.
    let _context = runtime.enter();
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As `TcpListener::bind` does, so that a restarted server need not wait until the connections of the previous one have
    // expired.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    share_port(&socket)?;
    socket.bind(addr)?;
    Ok(socket.listen(BACKLOG)?)
}

#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin", target_os = "nuttx"))))]
fn share_port(socket: &TcpSocket) -> anyhow::Result<()> {
    Ok(socket.set_reuseport(true)?)
}

#[cfg(not(all(
    unix,
    not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin", target_os = "nuttx"))
)))]
fn share_port(_socket: &TcpSocket) -> anyhow::Result<()> {
    anyhow::bail!("several listeners cannot share a port on this system (no SO_REUSEPORT); use --threads with a number")
}
