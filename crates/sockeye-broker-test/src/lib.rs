//! The contract of a [`Broker`](sockeye_state::Broker), as checks: for those who write one.
//!
//! A broker's tests implement [`System`], which connects nodes to the system behind the broker, and run all checks:
//!
//! ```
//! use sockeye_broker_test::{BoxFuture, System};
//! use sockeye_state::{Broker, Local};
//! use std::{sync::Arc, time::Duration};
//!
//! struct InThisProcess(Local);
//!
//! impl System for InThisProcess {
//!     fn connect<'a>(&'a self, _namespace: &'a str) -> BoxFuture<'a, Arc<dyn Broker>> {
//!         Box::pin(async { Arc::new(self.0.clone()) as Arc<dyn Broker> })
//!     }
//!
//!     fn patience(&self) -> Duration {
//!         Duration::MAX // the clock is paused
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! // in a test: #[tokio::test(start_paused = true)]
//! sockeye_broker_test::run_all(Arc::new(InThisProcess(Local::new()))).await.assert();
//! # }
//! ```
//!
//! [`CHECKS`] has the checks by name, to run a single one.

#![forbid(unsafe_code)]

mod check;
mod checks;
mod node;
mod report;
mod system;

pub use check::{CHECKS, Check};
pub use report::{Outcome, Report, run_all};
pub use sockeye_state::BoxFuture;
pub use system::System;
