//! What the rooms of a hub with a broker leave in memory.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::alloc::System;

use sockeye_state::{Hub, Local};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::connect;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn rooms_that_come_and_go_after_the_runtime_of_the_hub_leave_nothing() {
    let first = Runtime::new().unwrap();
    let hub = first.block_on(Hub::<&str>::builder().broker(Local::new()).build()).unwrap();
    drop(first);
    Runtime::new().unwrap().block_on(async {
        let (_client, sender) = connect().await;
        let me = hub.register(sender, "Ada");
        let region = Region::new(ALLOCATOR);
        for number in 0..20_000 {
            me.join(format!("room {number}")).await.unwrap();
            assert!(me.leave(format!("room {number}")).await);
        }
        let change = region.change();
        let left = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
        assert!(left < 200_000, "{left} bytes are left");
    });
}
