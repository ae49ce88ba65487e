//! A round of the server, from a new runtime to its end. A process can run several rounds.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use sockeye::{ConnectionLimits, Shutdown, WebSocketDefaults};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    app::{self, App},
    log::Viewers,
    news::{Looks, News},
    rooms::Rooms,
    sabotage::Sabotage,
    secure::{self, Acceptor},
};
use crate::control::{Addresses, Budgeted, Drained, Roomed};

/// The number of ports without TLS: a client's port is in use for a minute after it has closed a connection to one of them.
const PORTS: usize = 4;

/// The small send buffer in the kernel, in bytes. The kernel treats it as a hint.
const TIGHT: u32 = 8 << 10;

/// How many connections may wait to be accepted: the same number as with tokio's own listener.
const BACKLOG: u32 = 1024;

/// How long the drain may take, and how long the remaining tasks may then take to end.
const DRAIN: Duration = Duration::from_secs(20);
const REST: Duration = Duration::from_secs(5);

pub(super) struct Round {
    runtime: Runtime,
    shutdown: Shutdown,
    limits: ConnectionLimits,
    servers: Vec<JoinHandle<()>>,
    looks: Looks,
    rooms: Rooms,
    pub(super) addresses: Addresses,
}

impl Round {
    pub(super) fn open(threads: usize, viewers: &Viewers, sabotage: Option<Sabotage>) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
        let (shutdown, limits, news) = (Shutdown::new(), app::limits(), News::new(sabotage));
        let certificate = secure::certificate()?;
        let defaults = app::defaults(&shutdown, &limits);
        let (servers, addresses, rooms) = runtime.block_on(async {
            let rooms = Rooms::new(sabotage).await?;
            let app = App::new(&shutdown, &news, viewers, &rooms, sabotage);
            let mut serving = Serving { app, defaults, shutdown: shutdown.clone(), servers: Vec::new() };
            let mut plain = Vec::new();
            for _ in 0..PORTS {
                plain.push(serving.plain(listener(None)?)?);
            }
            let addresses = Addresses {
                plain,
                tight: serving.plain(listener(Some(TIGHT))?)?,
                tls: serving.secure(secure::by_rustls(&certificate)?)?,
                #[cfg(feature = "openssl")]
                openssl: Some(serving.secure(secure::by_openssl(&certificate)?)?),
                #[cfg(not(feature = "openssl"))]
                openssl: None,
                certificate: certificate.cert.der().to_vec(),
            };
            serving.servers.push(tokio::spawn(news.clone().broadcast(shutdown.clone())));
            anyhow::Ok((serving.servers, addresses, rooms))
        })?;
        Ok(Self { runtime, shutdown, limits, servers, looks: Looks::begin(news), rooms, addresses })
    }

    pub(super) fn budget(&self) -> Budgeted {
        self.looks.seen()
    }

    pub(super) fn rooms(&self) -> Roomed {
        self.rooms.stats()
    }

    pub(super) fn connections(&self) -> usize {
        self.shutdown.connections()
    }

    pub(super) fn admitted(&self) -> usize {
        self.limits.open() + self.limits.in_flight()
    }

    pub(super) fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
    }

    /// Closes all connections, and waits until every task has ended, up to a limit.
    pub(super) fn drain(&mut self) -> Drained {
        self.runtime.block_on(async {
            let drained = self.shutdown.drain(DRAIN).await;
            for server in self.servers.drain(..) {
                let _ = timeout(REST, server).await;
            }
            let start = Instant::now();
            while self.runtime.metrics().num_alive_tasks() > 0 && start.elapsed() < REST {
                sleep(Duration::from_millis(5)).await;
            }
            Drained { closed: drained.closed, lost: drained.lost, aborted: drained.aborted }
        })
    }

    /// Waits until every thread has ended and has freed what it kept.
    pub(super) fn close(self) {
        drop((self.shutdown, self.limits, self.looks, self.rooms));
        self.runtime.shutdown_timeout(REST);
    }
}

/// All listeners.
struct Serving {
    app: App,
    defaults: WebSocketDefaults,
    shutdown: Shutdown,
    servers: Vec<JoinHandle<()>>,
}

impl Serving {
    fn plain(&mut self, listener: TcpListener) -> Result<SocketAddr> {
        let address = listener.local_addr()?;
        let (begun, app) = (self.shutdown.clone(), self.app.router(self.defaults.clone()));
        let server = axum::serve(listener, app).with_graceful_shutdown(async move { begun.begun().await });
        self.servers.push(tokio::spawn(async move {
            // It cannot fail.
            let _ = server.await;
        }));
        Ok(address)
    }

    fn secure<A: Acceptor>(&mut self, acceptor: A) -> Result<SocketAddr> {
        let listener = listener(None)?;
        let address = listener.local_addr()?;
        let app = self.app.router(A::transport(self.defaults.clone()));
        self.servers.push(tokio::spawn(secure::serve(listener, acceptor, app, self.shutdown.clone())));
        Ok(address)
    }
}

/// A listener whose connections have a send buffer of this size.
fn listener(send_buffer: Option<u32>) -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    if let Some(size) = send_buffer {
        socket.set_send_buffer_size(size)?;
    }
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).context("cannot listen on the loopback address")?;
    Ok(socket.listen(BACKLOG)?)
}
