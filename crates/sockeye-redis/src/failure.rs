//! What an error of the crate `redis` means for a request.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use sockeye_state::BrokerError;

use crate::tls;

/// Why a request has failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// Without credentials: no text of ours has the URL, and neither has one of the crate `redis`.
    pub(crate) message: String,
    source: Option<RedisError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Nothing was done, the connection is good, and another try may succeed soon.
    Later,
    /// Nothing was done, and this server is not the one to ask: it loads its data, is no master, or has given the slot away.
    NotHere,
    /// The connection is broken, and nobody knows whether the request was carried out.
    Broken,
    /// Nobody knows whether the request was carried out, since there was no more time. The connection may be good.
    Interrupted,
    /// Nothing was done, since the server does not have the script.
    NoScript,
    /// Nothing was done, and another try would fail as well.
    Refused,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The meaning of an error, from the server with this name.
    pub(crate) fn of(error: RedisError, server: &str) -> Self {
        let (kind, message) = match tls::advice(&error) {
            Some(advice) => (FailureKind::Refused, format!("Redis at {server}: {error}; {advice}")),
            None => (kind(&error), format!("Redis at {server}: {error}")),
        };
        Self { kind, message, source: Some(error) }
    }

    /// Whether the connection must be made anew.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(self.kind, FailureKind::Broken | FailureKind::NotHere)
    }

    /// Whether the request may have been carried out.
    pub(crate) fn may_be_done(&self) -> bool {
        matches!(self.kind, FailureKind::Broken | FailureKind::Interrupted)
    }

    /// The error of the request. `may_be_done` is whether this or an earlier try may have been carried out, if that matters.
    pub(crate) fn into_error(self, may_be_done: bool) -> BrokerError {
        let Self { kind, message, source } = self;
        let error = match kind {
            _ if may_be_done => BrokerError::uncertain(message),
            FailureKind::Refused => BrokerError::refused(message),
            _ => BrokerError::unavailable(message),
        };
        match source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

fn kind(error: &RedisError) -> FailureKind {
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::NoScript => FailureKind::NoScript,
            ServerErrorKind::BusyLoading | ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown => {
                FailureKind::NotHere
            }
            ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask => FailureKind::Later,
            _ => FailureKind::Refused,
        },
        ErrorKind::Extension => match error.code() {
            // What an operator or time can change: memory, a disk, replicas, a script that runs too long.
            Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY") => FailureKind::Later,
            _ => FailureKind::Refused,
        },
        ErrorKind::ClusterConnectionNotFound => FailureKind::NotHere,
        ErrorKind::AuthenticationFailed | ErrorKind::Client | ErrorKind::InvalidClientConfig => FailureKind::Refused,
        _ => FailureKind::Broken,
    }
}
