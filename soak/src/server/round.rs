//! From a new runtime to none: the server's life, which a process may have more than once.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use sockeye::{ConnectionLimits, Shutdown};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{app, sabotage::Sabotage};
use crate::control::Drained;

/// So many ports are served: a client's port is in use for a minute after it has closed a connection to one of them.
pub(crate) const LISTENERS: usize = 4;

/// How long the drain may take, and how long what is left may take to end after it.
const DRAIN: Duration = Duration::from_secs(20);
const REST: Duration = Duration::from_secs(5);

pub(super) struct Round {
    runtime: Runtime,
    shutdown: Shutdown,
    limits: ConnectionLimits,
    servers: Vec<JoinHandle<io::Result<()>>>,
    pub(super) addresses: Vec<SocketAddr>,
}

impl Round {
    pub(super) fn open(threads: usize, sabotage: Option<Sabotage>) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
        let (shutdown, limits) = (Shutdown::new(), app::limits());
        let (mut servers, mut addresses) = (Vec::new(), Vec::new());
        runtime.block_on(async {
            let app = app::app(&shutdown, &limits, sabotage);
            for _ in 0..LISTENERS {
                let listener =
                    TcpListener::bind("127.0.0.1:0").await.context("cannot listen on the loopback address")?;
                addresses.push(listener.local_addr()?);
                let begun = shutdown.clone();
                let server = axum::serve(listener, app.clone());
                let server = server.with_graceful_shutdown(async move { begun.begun().await });
                servers.push(tokio::spawn(server.into_future()));
            }
            anyhow::Ok(())
        })?;
        Ok(Self { runtime, shutdown, limits, servers, addresses })
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

    /// Closes all connections, and waits until every task has ended, though not for ever.
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
            Drained { closed: drained.closed, lost: drained.lost, cut: drained.cut }
        })
    }

    /// Waits until every thread has ended, and with it what it kept for later.
    pub(super) fn close(self) {
        drop((self.shutdown, self.limits));
        self.runtime.shutdown_timeout(REST);
    }
}
