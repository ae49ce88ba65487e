//! The table: bytes, and the messages and the end that result. `wire.rs` checks the table as it is, `split.rs` checks that
//! cutting the bytes changes nothing.

mod control;
mod data;
mod framing;
mod limits;
mod text;

use sockeye_proto::{Config, Error, Limit, Message, Role, Violation, close_code};
use sockeye_testkit::Frame;

use super::{Outcome, ROLES, sent_to};

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) config: Config,
    pub(crate) wire: Vec<u8>,
    pub(crate) messages: Vec<Message>,
    pub(crate) end: End,
}

/// How a case ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// More may come, or a Close has come.
    Fine,
    /// A rule is broken, which is answered with this close code.
    Broken(Violation, u16),
    /// A limit is exceeded by a frame or message of this size, which is answered with 1009.
    Over(Limit, u64),
}

impl End {
    /// Checks an outcome's error against the table.
    pub(crate) fn check(self, outcome: &Outcome, name: &str) {
        match (self, outcome.error) {
            (Self::Fine, None) => {}
            (Self::Broken(violation, code), Some(error @ Error::Violation(got))) => {
                assert_eq!((got, error.close_code()), (violation, code), "{name}");
                assert_eq!(violation.close_code(), code, "{name}");
            }
            (Self::Over(limit, by), Some(error @ Error::Limit { what, got, .. })) => {
                assert_eq!((what, got, error.close_code()), (limit, by, close_code::SIZE), "{name}");
            }
            (expected, got) => panic!("{name}: expected {expected:?}, got {got:?}"),
        }
    }
}

/// Protocol error, 1002.
pub(crate) const fn protocol(violation: Violation) -> End {
    End::Broken(violation, 1002)
}

/// Invalid payload, 1007.
pub(crate) const fn invalid(violation: Violation) -> End {
    End::Broken(violation, 1007)
}

/// All cases of all tables.
pub(crate) fn all() -> Vec<Case> {
    let mut table = Table::default();
    framing::cases(&mut table);
    data::cases(&mut table);
    control::cases(&mut table);
    text::cases(&mut table);
    limits::cases(&mut table);
    table.cases
}

/// Collects cases.
#[derive(Debug, Default)]
pub(crate) struct Table {
    cases: Vec<Case>,
}

impl Table {
    /// Frames that mean the same to both roles, each with the masks that the role's peer must use.
    pub(crate) fn both<'a>(
        &mut self,
        name: impl Into<String>,
        frames: impl IntoIterator<Item = &'a Frame, IntoIter: Clone>,
        messages: impl Into<Vec<Message>>,
        end: End,
    ) {
        self.limited(name, &Config::default(), frames, messages, end);
    }

    /// As [`both`](Self::both), with a configuration.
    pub(crate) fn limited<'a>(
        &mut self,
        name: impl Into<String>,
        config: &Config,
        frames: impl IntoIterator<Item = &'a Frame, IntoIter: Clone>,
        messages: impl Into<Vec<Message>>,
        end: End,
    ) {
        let (name, frames, messages) = (name.into(), frames.into_iter(), messages.into());
        for role in ROLES {
            let wire = sent_to(role, frames.clone());
            self.raw(format!("{name} ({role:?})"), role, *config, wire, messages.clone(), end);
        }
    }

    /// Bytes for one role.
    pub(crate) fn raw(
        &mut self,
        name: String,
        role: Role,
        config: Config,
        wire: Vec<u8>,
        messages: Vec<Message>,
        end: End,
    ) {
        self.cases.push(Case { name, role, config, wire, messages, end });
    }
}
