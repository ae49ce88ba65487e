//! The list of faults.

use std::{sync::LazyLock, time::Duration};

use anyhow::Result;
use fastrand::Rng;
use futures_util::future::BoxFuture;

use super::{
    Client,
    leaving::{LEAVES, Leave, STATES, State},
    rude::{MANNERS, VIOLATIONS},
};
use crate::server::{DEADLINES, Deadline, FAULTY};

/// What one client does to the server, once.
pub(crate) struct Fault {
    pub(crate) group: Group,
    pub(crate) name: String,
    /// The weight with which it is chosen.
    weight: u32,
    kind: Kind,
}

/// How the table is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Leave(Leave),
    Manners,
    Violation,
    Deadline,
    /// The server's own handler fails.
    Handler,
}

impl Group {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Leave(leave) => leave.name(),
            Self::Manners => "manners",
            Self::Violation => "violation",
            Self::Deadline => "deadline",
            Self::Handler => "handler",
        }
    }
}

enum Kind {
    Leave(State, Leave),
    Manners(usize),
    Violation(usize),
    Deadline(Deadline),
    Handler(usize),
}

pub(crate) static FAULTS: LazyLock<Vec<Fault>> = LazyLock::new(|| {
    let mut faults = Vec::new();
    for leave in LEAVES {
        for state in STATES {
            let name = state.name().to_owned();
            faults.push(Fault { group: Group::Leave(leave), name, weight: 3, kind: Kind::Leave(state, leave) });
        }
    }
    for (index, manner) in MANNERS.iter().enumerate() {
        let (name, weight) = (manner.name.to_owned(), manner.weight);
        faults.push(Fault { group: Group::Manners, name, weight, kind: Kind::Manners(index) });
    }
    for (index, violation) in VIOLATIONS.iter().enumerate() {
        let (name, weight) = (violation.name.to_owned(), violation.weight);
        faults.push(Fault { group: Group::Violation, name, weight, kind: Kind::Violation(index) });
    }
    for deadline in DEADLINES {
        let name = deadline.name().to_owned();
        faults.push(Fault { group: Group::Deadline, name, weight: 3, kind: Kind::Deadline(deadline) });
    }
    for (index, faulty) in FAULTY.iter().enumerate() {
        let name = faulty.name.to_owned();
        faults.push(Fault { group: Group::Handler, name, weight: 3, kind: Kind::Handler(index) });
    }
    faults
});

impl Fault {
    /// Chooses one of these, by weight.
    pub(super) fn any(of: &[usize], rng: &mut Rng) -> usize {
        let weight = |fault: usize| FAULTS[fault].weight;
        let mut left = rng.u32(..of.iter().map(|fault| weight(*fault)).sum::<u32>());
        let mut chosen = of.iter().copied().filter(|fault| {
            let is_it = left < weight(*fault);
            left = left.saturating_sub(weight(*fault));
            is_it
        });
        chosen.next().unwrap_or_default()
    }

    /// How long the run must still last for it.
    pub(super) fn takes(&self) -> Duration {
        match self.kind {
            Kind::Manners(index) => MANNERS[index].takes,
            _ => Duration::ZERO,
        }
    }

    pub(super) fn is_for<'a>(&self, client: &'a mut Client) -> BoxFuture<'a, Result<()>> {
        match self.kind {
            Kind::Leave(state, leave) => Box::pin(client.leaves(state, leave)),
            Kind::Manners(index) => (MANNERS[index].run)(client),
            Kind::Violation(index) => Box::pin(client.violates(index)),
            Kind::Deadline(deadline) => Box::pin(client.is_late(deadline)),
            Kind::Handler(index) => Box::pin(client.asks_to_fail(index)),
        }
    }
}
