//! A runtime whose clock moves only when all tasks wait.

use std::time::Duration;

/// Longer than all deadlines of a plan together.
const HANG: Duration = Duration::from_secs(1 << 20);

/// Runs `future` to its end, with a clock that advances only when all tasks wait for it.
///
/// # Panics
///
/// When all tasks wait for something other than the clock: this is a hang.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    runtime.block_on(async { tokio::time::timeout(HANG, future).await }).expect("all wait, and for nothing")
}
