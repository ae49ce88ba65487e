//! What a message costs for each member, until the streams of all have it.

use std::time::{Duration, Instant};

use sockeye_state::{Hub, Member, Room};
use tokio::task::yield_now;

use crate::{connections::connect, percentiles::Times};

pub(crate) const TEXT: &str =
    "a hundred bytes, as an average line of a chat has, or a price with its name, its time and its depth ..";

pub(crate) async fn run() {
    println!("a message of {} bytes to a room; µs for each delivery, and µs until `send` returns", TEXT.len());
    println!("{:>9} {:>13} {:>13} {:>31}", "members", "one at a time", "16 in a row", "send: median, p99, maximum");
    for members in [10, 1_000, 100_000] {
        let (hub, present) = room_of(members).await;
        let rounds = (1_000_000 / members).clamp(3, 10_000);
        let mut sends = Times::default();
        let mut cost = [0.0; 2];
        for (messages, cost) in [1, 16].into_iter().zip(&mut cost) {
            *cost = micros(&hub, &present, rounds, messages, |room| sends.measure(|| room.send(TEXT))).await;
        }
        println!("{members:>9} {:>13.3} {:>13.3} {:>31}", cost[0], cost[1], sends.summary());
    }
    println!();
}

/// The µs for each delivery of `messages` in a row, until the streams of all `members` have them.
pub(crate) async fn micros(
    hub: &Hub<()>,
    members: &[Member<()>],
    rounds: usize,
    messages: usize,
    mut send: impl FnMut(&Room<()>) -> usize,
) -> f64 {
    let room = hub.room("room");
    let (start, mut queued) = (Instant::now(), hub.stats().queued);
    for _ in 0..rounds {
        for _ in 0..messages {
            queued += send(&room) as u64;
        }
        settle(hub, members, queued).await;
    }
    start.elapsed().as_secs_f64() * 1e6 / (rounds * messages * members.len()) as f64
}

pub(crate) async fn room_of(members: usize) -> (Hub<()>, Vec<Member<()>>) {
    let hub: Hub<()> = Hub::new();
    let mut present = Vec::with_capacity(members);
    for _ in 0..members {
        let member = hub.register(connect().await, ());
        member.join("room").await.expect("a valid name");
        present.push(member);
    }
    (hub, present)
}

/// Waits until `queued` deliveries are queued, and the last member's is written.
pub(crate) async fn settle(hub: &Hub<()>, members: &[Member<()>], queued: u64) {
    let start = Instant::now();
    let last = members.last().expect("a member").sender();
    while hub.stats().queued < queued || last.buffered() > 0 {
        yield_now().await;
        assert!(start.elapsed() < Duration::from_secs(60), "messages stay in their queues");
    }
}
