//! `Progress`: how far a connection has come, for the error when its time has passed.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{Stage, error::Blame};

/// Addresses that were tried, and why they failed.
pub(crate) type Attempts = Vec<(SocketAddr, io::Error)>;

/// How far a connection has come. Its future writes this, and whoever drops the future reads it.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When the future is dropped. `None` if that is later than time can tell.
    pub(crate) deadline: Option<Instant>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    /// Whether the stage is one with the proxy, and not with the server.
    is_proxy: bool,
    attempts: Attempts,
    waiting: Vec<SocketAddr>,
    /// Whether other handshakes with the same server are waited for, so that nothing is tried.
    is_queued: bool,
}

impl Progress {
    pub(crate) fn new(within: Duration) -> Self {
        let state = State {
            stage: Stage::Request,
            is_proxy: false,
            attempts: Vec::new(),
            waiting: Vec::new(),
            is_queued: false,
        };
        Self { deadline: Instant::now().checked_add(within), state: Mutex::new(state) }
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.with(|state| state.stage = stage);
    }

    /// From now on, the proxy is waited for; or, when it has opened a tunnel, the server.
    pub(crate) fn set_proxy(&self, is_proxy: bool) {
        self.with(|state| state.is_proxy = is_proxy);
    }

    /// Other handshakes with the same server are waited for; or no more.
    pub(crate) fn set_queued(&self, is_queued: bool) {
        self.with(|state| state.is_queued = is_queued);
    }

    /// Whether nothing was tried, because of other handshakes with the same server.
    pub(crate) fn is_queued(&self) -> bool {
        self.with(|state| state.is_queued && state.waiting.is_empty())
    }

    /// An address is tried.
    pub(crate) fn tries(&self, address: SocketAddr) {
        self.with(|state| state.waiting.push(address));
    }

    /// An address was tried without success.
    pub(crate) fn failed(&self, address: SocketAddr, error: io::Error) {
        self.with(|state| {
            state.waiting.retain(|other| *other != address);
            state.attempts.push((address, error));
        });
    }

    /// The attempts so far; those that still wait have not answered in time.
    pub(crate) fn take_attempts(&self) -> Attempts {
        self.with(|state| {
            let mut attempts = std::mem::take(&mut state.attempts);
            let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer");
            attempts.extend(state.waiting.drain(..).map(|address| (address, late())));
            attempts
        })
    }

    /// One address has answered, so the others do not matter.
    pub(crate) fn connected(&self) {
        // Dropped after the lock: an error of a user's resolver or stream may run any code.
        drop(self.with(|state| {
            state.waiting.clear();
            std::mem::take(&mut state.attempts)
        }));
    }

    /// Where the connection is, and whom to blame if it comes no further.
    pub(crate) fn state(&self) -> (Stage, Blame) {
        self.with(|state| {
            let blame = match state.stage {
                Stage::Request => Blame::Caller,
                _ if state.is_proxy => Blame::Proxy,
                Stage::Dns | Stage::Tcp => Blame::Network,
                Stage::Proxy => Blame::Proxy,
                Stage::Tls | Stage::Http | Stage::Open => Blame::Server,
            };
            (state.stage, blame)
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
