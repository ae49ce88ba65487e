//! How long joining and leaving take, without a drain.

use sockeye_state::Hub;

use crate::{connections::connect, percentiles::Times};

const TIMES: usize = 100_000;

pub(crate) async fn run() {
    println!("joining and leaving, in µs: median, 99th percentile, maximum of {TIMES}");
    println!("{:>9} {:>31} {:>31}", "members", "join", "leave");
    for members in [10, 1_000, 100_000] {
        let hub: Hub<()> = Hub::new();
        let sender = connect().await;
        let mut present = Vec::new();
        for _ in 0..members {
            let member = hub.register(sender.clone(), ());
            member.join("room").await.expect("a valid name");
            present.push(member);
        }
        let guest = hub.register(sender, ());
        let (mut joins, mut leaves) = (Times::default(), Times::default());
        for _ in 0..TIMES {
            let id = hub.member(guest.id());
            let _ = joins.measure(|| id.join("room"));
            leaves.measure(|| id.leave("room"));
        }
        println!("{members:>9}   {} {}", joins.summary(), leaves.summary());
    }
    // A room that grows, so that its vectors and its table grow too.
    let hub: Hub<()> = Hub::new();
    let sender = connect().await;
    let members: Vec<_> = (0..TIMES).map(|_| hub.register(sender.clone(), ())).collect();
    let (mut joins, mut leaves) = (Times::default(), Times::default());
    for member in &members {
        let id = hub.member(member.id());
        let _ = joins.measure(|| id.join("room"));
    }
    for member in &members {
        let id = hub.member(member.id());
        leaves.measure(|| id.leave("room"));
    }
    println!("{:>9}   {} {}", "0 to all", joins.summary(), leaves.summary());
    println!();
}
