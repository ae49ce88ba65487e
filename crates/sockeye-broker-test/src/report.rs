//! `run_all`: all checks, and what came out.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use crate::{
    check::{CHECKS, Check},
    system::System,
};

/// How long a check may take besides the time that it lets pass.
const DEADLINE: Duration = Duration::from_secs(120);

/// What came out of all checks. From [`run_all`]; displayed, it has a line for each.
#[derive(Debug)]
#[must_use = "failures are in the report: call `assert`"]
pub struct Report {
    outcomes: Vec<(&'static str, Outcome)>,
}

/// What came out of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The broker does what it must.
    Passed,
    /// The check needs this much time, which is more than the [patience](System::patience) of the system.
    Skipped(Duration),
    /// What the broker does not do, for people.
    Failed(String),
}

/// Runs all checks, one after another, and does not stop at a failure. A check that takes two minutes more than the time that
/// it lets pass has failed.
///
/// # Panics
///
/// Outside of a tokio runtime with its timer.
///
/// # Cancel safety
///
/// If the future is dropped, the check under way goes on, and no other follows.
pub async fn run_all(system: Arc<dyn System>) -> Report {
    let mut outcomes = Vec::with_capacity(CHECKS.len());
    for check in CHECKS {
        outcomes.push((check.name(), run(check, &system).await));
    }
    Report { outcomes }
}

async fn run(check: &'static Check, system: &Arc<dyn System>) -> Outcome {
    if check.time() > system.patience() {
        return Outcome::Skipped(check.time());
    }
    // A task of its own keeps a panic from the other checks.
    let task = tokio::spawn(check.run(Arc::clone(system)));
    let abort = task.abort_handle();
    match tokio::time::timeout(check.time() + DEADLINE, task).await {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(error)) => match error.try_into_panic() {
            Ok(panic) => Outcome::Failed(text(&*panic)),
            Err(error) => Outcome::Failed(error.to_string()),
        },
        Err(_) => {
            abort.abort();
            Outcome::Failed(format!(
                "no end after {:?}: a future of the broker is never ready",
                check.time() + DEADLINE
            ))
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

impl Report {
    /// The name of each check, and what came out.
    pub fn outcomes(&self) -> &[(&'static str, Outcome)] {
        &self.outcomes
    }

    /// Whether no check has failed.
    pub fn is_success(&self) -> bool {
        self.outcomes.iter().all(|(_, outcome)| !matches!(outcome, Outcome::Failed(_)))
    }

    /// Fails the test if a check has failed.
    ///
    /// # Panics
    ///
    /// With the report, if a check has failed.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.is_success(), "the broker does not keep the contract:\n{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.outcomes {
            writeln!(f, "{name}: {outcome}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Skipped(time) => write!(f, "skipped, since it lets {} s pass", time.as_secs()),
            Self::Failed(reason) => write!(f, "FAILED: {reason}"),
        }
    }
}
