//! Whether the broker works.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_state::{BrokerError, Health};

/// What is known of both connections. Shared by the broker and its tasks.
#[derive(Debug)]
pub(crate) struct HealthRecord {
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    phase: Phase,
    /// Why the connection for commands does not work.
    commands: Option<Arc<str>>,
    /// Why the subscription does not work.
    subscription: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connected,
    Started,
    Stopped,
}

impl HealthRecord {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::new(Known { phase: Phase::Connected, commands: None, subscription: None }) }
    }

    pub(crate) fn health(&self) -> Health {
        let known = self.known();
        match (&known.commands, &known.subscription) {
            _ if known.phase != Phase::Started => Health::unwell(describe(known.phase)),
            (Some(reason), _) | (None, Some(reason)) => Health::unwell(Arc::clone(reason)),
            (None, None) => Health::Well,
        }
    }

    /// An error unless the broker was started and not stopped.
    pub(crate) fn check(&self) -> Result<(), BrokerError> {
        match self.known().phase {
            Phase::Started => Ok(()),
            phase => Err(BrokerError::refused(describe(phase))),
        }
    }

    /// The broker starts, for the first time.
    pub(crate) fn start(&self) -> Result<(), BrokerError> {
        let mut known = self.known();
        match known.phase {
            Phase::Connected => {
                known.phase = Phase::Started;
                Ok(())
            }
            Phase::Started => Err(BrokerError::refused("the broker was started before; each hub needs one of its own")),
            Phase::Stopped => Err(BrokerError::refused(describe(Phase::Stopped))),
        }
    }

    /// The start has failed, and can be tried again.
    pub(crate) fn not_started(&self) {
        let mut known = self.known();
        if known.phase == Phase::Started {
            known.phase = Phase::Connected;
        }
    }

    pub(crate) fn stop(&self) {
        self.known().phase = Phase::Stopped;
    }

    pub(crate) fn set_commands(&self, reason: Option<Arc<str>>) {
        self.known().commands = reason;
    }

    pub(crate) fn set_subscription(&self, reason: Option<Arc<str>>) {
        self.known().subscription = reason;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(phase: Phase) -> &'static str {
    match phase {
        Phase::Connected => "the broker was not started; give the broker to a hub",
        Phase::Started => "the broker was started",
        Phase::Stopped => "the broker was stopped; connect a new one",
    }
}
