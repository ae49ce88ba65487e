//! The memory that `Local` counts is what it allocates.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{alloc::System, time::Duration};

use sockeye_state::{Append, Broker, Inbox, Keep, Local, NodeId, Stamp, Topic};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One test, since all threads of a process share the count.
#[tokio::test(start_paused = true)]
async fn what_is_counted_is_what_is_allocated_and_all_of_it_comes_back() {
    for (rooms, messages, length) in
        [(1_000, 200, 200), (50, 2_000, 50), (20_000, 1, 20), (200, 20, 10_000), (500, 129, 0)]
    {
        let node = Local::new().memory(1 << 30);
        node.start(NodeId::from_u64(1), Inbox::from_fn(|_| {})).await.unwrap();
        let region = Region::new(ALLOCATOR);
        for room in 0..rooms {
            for message in 0..messages {
                let topic = Topic::room("shop", format!("chat:{room}"));
                let stamp = Stamp::of_node(NodeId::from_u64(1), message);
                let keep = Keep::new(messages as usize, Duration::from_secs(60));
                node.append(Append::new(topic.clone(), vec![0; length].into(), stamp, keep)).await.unwrap();
            }
        }
        let (counted, change) = (node.memory_used(), region.change());
        let allocated = change.bytes_allocated - change.bytes_deallocated;
        let percent = allocated * 100 / counted;
        println!(
            "{rooms} rooms, {messages} messages of {length} bytes: {counted} counted, {allocated} allocated, {percent} %"
        );
        assert!((60..=105).contains(&percent), "{allocated} bytes are allocated, and {counted} are counted");

        tokio::time::advance(Duration::from_secs(300)).await;
        for _ in 0..rooms {
            node.publish(Topic::room("shop", "elsewhere"), "x".into()).await.unwrap();
        }
        let (counted, change) = (node.memory_used(), region.change());
        let left = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
        assert_eq!(counted, 0, "all has expired");
        assert!(left < 200_000, "{left} bytes of {allocated} are left");
        println!("left: {left}");
    }
}
