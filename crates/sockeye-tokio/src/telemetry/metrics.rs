//! Reports to the `metrics` facade. Without the feature `metrics`, the functions do nothing and cost nothing.
//!
//! The application installs the recorder, and a recorder may call any method of this crate. So the thread counts what
//! happens under a lock, and reports the counts when it holds no lock. Counts that the recorder itself causes are reported
//! at the next release.
//!
//! Handles are looked up once, for the first connection: install the recorder before that.

#[cfg(not(feature = "metrics"))]
pub(crate) use off::*;
#[cfg(feature = "metrics")]
pub(crate) use pending::{Held, IS_ON, dropped, ended, opened, queued, received, round_trip, sent};

#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(feature = "metrics")]
mod pending;
#[cfg(feature = "metrics")]
mod recorder;
