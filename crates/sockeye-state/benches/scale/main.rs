//! `cargo bench -p sockeye-state`: what members and rooms cost, and how much a large room holds up others. Prints tables; the
//! figures of the last run on a quiet machine are in docs/PERFORMANCE.md.
//!
//! All runs in one thread. A connection's stream takes all that is written and never has anything to read, so no network is
//! measured.

mod connections;
mod deliveries;
mod echo;
mod joining;
mod memory;
mod percentiles;
mod presence;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        memory::run().await;
        joining::run().await;
        deliveries::run().await;
        echo::run().await;
        presence::run().await;
    });
}
