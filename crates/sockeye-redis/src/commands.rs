//! The requests of a node: over one connection, which is made anew when it breaks.

use std::{sync::Arc, time::Duration};

use redis::Value;
use sockeye_state::BrokerError;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    backoff::Backoff,
    connection::{Connection, Request},
    failure::{Failure, FailureKind},
    health::HealthRecord,
    metrics::{Connected, Link},
    server::Server,
};

/// Until a request is tried again that the server could not carry out yet.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends requests. Dropping it ends the connection.
pub(crate) struct Commands {
    server: Arc<Server>,
    connection: Arc<watch::Sender<Option<Arc<Connection>>>>,
    broken: mpsc::UnboundedSender<Broken>,
    keeper: AbortHandle,
}

/// Says which connection is broken, and why.
struct Broken {
    number: u64,
    reason: Arc<str>,
}

impl Commands {
    /// Opens the first connection.
    pub(crate) async fn open(server: Arc<Server>, health: Arc<HealthRecord>) -> Result<Self, BrokerError> {
        let first = server.open(1).await.map_err(|failure| failure.into_error(false))?;
        let connection = Arc::new(watch::Sender::new(Some(Arc::new(first))));
        let (broken, reports) = mpsc::unbounded_channel();
        let keeper = tokio::spawn(keep(Arc::clone(&server), Arc::clone(&connection), reports, health)).abort_handle();
        Ok(Self { server, connection, broken, keeper })
    }

    /// Publishes a payload, at most once: what cannot be sent now is not sent later.
    pub(crate) async fn publish(&self, channel: &str, payload: &[u8]) -> Result<(), BrokerError> {
        let connection = self.connection.borrow().clone();
        let Some(connection) = connection else { return Err(self.away().into_error(false)) };
        connection.publish(channel, payload).await.map_err(|failure| {
            self.report(&connection, &failure);
            let may_be_done = failure.may_be_done();
            failure.into_error(may_be_done)
        })
    }

    /// Sends a request until it is answered, as long as a request may take. A request that `changes` something must be one that
    /// finds out whether an earlier try was carried out.
    pub(crate) async fn send(&self, request: &Request, changes: bool) -> Result<Vec<Value>, BrokerError> {
        let deadline = Instant::now() + self.server.times.request;
        let mut may_be_done = false;
        let mut usable = 1;
        let mut last = None;
        loop {
            let Some(connection) = self.connection(usable, deadline).await else {
                let failure = last.unwrap_or_else(|| self.away());
                return Err(failure.into_error(may_be_done && changes));
            };
            let failure = match timeout_at(deadline, connection.send(request)).await {
                Ok(Ok(answers)) => return Ok(answers),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::new(FailureKind::Interrupted, self.no_answer()),
            };
            self.report(&connection, &failure);
            may_be_done |= failure.may_be_done();
            if failure.kind == FailureKind::Refused || Instant::now() >= deadline {
                return Err(failure.into_error(may_be_done && changes));
            }
            match failure.ends_connection() {
                true => usable = connection.number + 1,
                false => sleep(PAUSE).await,
            }
            last = Some(failure);
        }
    }

    /// Finds out whether the connection still works: another one to the same server does not.
    pub(crate) async fn check(&self) {
        let connection = self.connection.borrow().clone();
        if let Some(connection) = connection {
            if let Err(failure) = connection.ping().await {
                self.report(&connection, &failure);
            }
        }
    }

    /// Ends the connection.
    pub(crate) fn close(&self) {
        self.keeper.abort();
        drop(self.connection.send_replace(None));
    }

    /// The connection, if there is one with this number or a greater one before the deadline.
    async fn connection(&self, usable: u64, deadline: Instant) -> Option<Arc<Connection>> {
        let mut connection = self.connection.subscribe();
        let is_usable = |now: &Option<Arc<Connection>>| now.as_ref().is_some_and(|now| now.number >= usable);
        let found = timeout_at(deadline, connection.wait_for(is_usable)).await;
        found.ok()?.ok()?.clone()
    }

    fn report(&self, connection: &Connection, failure: &Failure) {
        if failure.ends_connection() {
            let _ = self.broken.send(Broken { number: connection.number, reason: failure.message.as_str().into() });
        }
    }

    fn away(&self) -> Failure {
        let message = format!("there is no connection to Redis at {}; check that the server runs", self.server.name);
        Failure::new(FailureKind::NotHere, message)
    }

    fn no_answer(&self) -> String {
        format!("Redis at {} has not answered within {:?}", self.server.name, self.server.times.request)
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.close();
    }
}

/// Makes the connection anew, each time when it is reported as broken.
async fn keep(
    server: Arc<Server>,
    connection: Arc<watch::Sender<Option<Arc<Connection>>>>,
    mut reports: mpsc::UnboundedReceiver<Broken>,
    health: Arc<HealthRecord>,
) {
    let mut number = 1;
    let mut connected = Some(Connected::new(Link::Commands));
    while let Some(Broken { number: broken, reason }) = reports.recv().await {
        if broken != number {
            continue;
        }
        tracing::warn!(%reason, "the connection to Redis is broken");
        health.set_commands(Some(reason));
        drop(connection.send_replace(None));
        let _ = connected.take();
        number += 1;
        let mut backoff = Backoff::new(server.times.max_backoff);
        let next = loop {
            match server.open(number).await {
                Ok(next) => break next,
                Err(failure) => {
                    tracing::debug!(reason = failure.message, "no connection to Redis");
                    health.set_commands(Some(failure.message.into()));
                }
            }
            sleep(backoff.wait()).await;
        };
        tracing::info!(server = server.name, "the connection to Redis is back");
        health.set_commands(None);
        connected = Some(Connected::new(Link::Commands));
        connection.send_replace(Some(Arc::new(next)));
    }
}
