//! `cargo bench -p sockeye-state`: what members and rooms cost, and how much a large room holds up others. Prints tables; the
//! figures of the last run on a quiet machine are in docs/PERFORMANCE.md. `cargo bench -p sockeye-state -- nodes` prints one table.
//!
//! All runs in one thread. A connection's stream takes all that is written and never has anything to read, so no network is
//! measured.

mod connections;
mod deliveries;
mod echo;
mod joining;
mod memory;
mod nodes;
mod percentiles;
mod presence;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        if is_wanted("memory") {
            memory::run().await;
        }
        if is_wanted("joining") {
            joining::run().await;
        }
        if is_wanted("deliveries") {
            deliveries::run().await;
        }
        if is_wanted("echo") {
            echo::run().await;
        }
        if is_wanted("presence") {
            presence::run().await;
        }
        if is_wanted("nodes") {
            nodes::run().await;
        }
    });
}

/// Whether the command line names this table, or none.
fn is_wanted(table: &str) -> bool {
    let mut names = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    names.peek().is_none() || names.any(|name| name == table)
}
