//! What presence costs: joining and leaving, beginning to look, and memory.

use sockeye_state::{Hub, Member, Person, Presence, Rooms};
use stats_alloc::Region;

use crate::{ALLOCATOR, connections::connect, percentiles::Times};

const TIMES: usize = 20_000;

pub(crate) async fn run() {
    println!("presence, in µs: median, 99th percentile, maximum of {TIMES}; looking: of 100");
    println!("{:>9} {:>9} {:>31} {:>31}", "people", "observers", "join", "leave");
    for people in [10, 1_000, 100_000] {
        for observers in [0, 1, 100] {
            let (hub, _members) = room_of(people).await;
            let mut looking = Vec::new();
            for _ in 0..observers {
                looking.push(observe(&hub).await);
            }
            let guest = hub.register(connect().await, people);
            let (mut joins, mut leaves) = (Times::default(), Times::default());
            for _ in 0..TIMES {
                let id = hub.member(guest.id());
                let _ = joins.measure(|| id.join("chat:1"));
                leaves.measure(|| id.leave("chat:1"));
            }
            println!("{people:>9} {observers:>9}   {} {}", joins.summary(), leaves.summary());
        }
    }
    println!("{:>9} {:>9} {:>31} {:>31}", "people", "", "hub.presence", "snapshot");
    for people in [10, 1_000, 100_000] {
        let (hub, members) = room_of(people).await;
        let (mut begins, mut snapshots) = (Times::default(), Times::default());
        for turn in 0..100_usize {
            // So that no snapshot before this one is up to date.
            members[turn % members.len()].update_presence(turn.to_string());
            let start = std::time::Instant::now();
            let who = observe(&hub).await;
            begins.add(start.elapsed());
            snapshots.measure(|| std::hint::black_box(who.snapshot().len()));
        }
        println!("{people:>9} {:>9}   {} {}", "", begins.summary(), snapshots.summary());
    }
    let region = Region::new(ALLOCATOR);
    let (_hub, members) = room_of(100_000).await;
    let with = in_use(&region);
    let region = Region::new(ALLOCATOR);
    let (_other, _others) = without().await;
    let beside = in_use(&region);
    println!("memory for a person, in bytes: {:.0}", (with as f64 - beside as f64) / members.len() as f64);
    println!();
}

async fn observe(hub: &Hub<usize>) -> Presence {
    hub.presence("chat:1").await.expect("the room has presence")
}

/// A room with this many people.
async fn room_of(people: usize) -> (Hub<usize>, Vec<Member<usize>>) {
    let rooms = Rooms::new().presence(|number: &usize| Person::new(format!("{number:06}"), "a name"));
    let hub = Hub::builder().rooms("chat:", rooms).build().await.expect("the configuration is right");
    let members = fill(&hub, people).await;
    (hub, members)
}

async fn without() -> (Hub<usize>, Vec<Member<usize>>) {
    let hub = Hub::new();
    let members = fill(&hub, 100_000).await;
    (hub, members)
}

async fn fill(hub: &Hub<usize>, members: usize) -> Vec<Member<usize>> {
    let sender = connect().await;
    let members: Vec<_> = (0..members).map(|number| hub.register(sender.clone(), number)).collect();
    for member in &members {
        member.join("chat:1").await.expect("a valid name");
    }
    members
}

fn in_use(region: &Region<'_, std::alloc::System>) -> usize {
    let change = region.change();
    change.bytes_allocated - change.bytes_deallocated
}
