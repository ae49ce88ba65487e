//! A runtime whose clock moves when nothing else does.

use std::time::Duration;

/// Longer than all deadlines of a plan together.
const HANG: Duration = Duration::from_secs(1 << 20);

/// Runs `future` to its end, on a clock that stands still until all wait for it.
///
/// # Panics
///
/// When all wait for something that no clock brings: that is a hang.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    runtime.block_on(async { tokio::time::timeout(HANG, future).await }).expect("all wait, and for nothing")
}
