//! Nodes that are killed, cut off or stopped: who is there, and what their clients resume with elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sockeye_testkit::Proxy;
use tokio::time::{Instant, sleep};

use crate::{
    node::{Node, Observed, set},
    support::{
        is_long,
        server::{Disk, Kind, Server},
    },
};

/// Without a hand from elsewhere, a test fails that waits for so long.
const LIMIT: Duration = Duration::from_secs(20);

/// What a bound of the hub is exceeded by at most, since processes and pipes take time.
const SLACK: Duration = Duration::from_millis(500);

pub(crate) async fn line_7_the_people_of_a_killed_node_have_left_within_7_s_and_its_clients_go_on_elsewhere() {
    const ROOM: &str = "kept:lobby";
    const LINES: usize = 200;
    let Some(server) = Server::start(Kind::Redis, Disk::Nothing).await else { return };
    let (mut here, mut killed) = (Node::start(&server.url()).await, Node::start(&server.url()).await);
    let mut observer = Node::start(&server.url()).await;
    let mut observed = observer.observe_room(ROOM).await;
    for number in 0..20 {
        killed.ask(&format!("enter m{number} k{number} {ROOM}"), "entered").await;
    }
    for number in 0..5 {
        here.ask(&format!("enter also{number} k{number} {ROOM}"), "entered").await;
    }
    until_there(&mut observer, ROOM, &mut observed, 20).await;

    let mut killed = Some(killed);
    let mut clients: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut at = Instant::now();
    for line in 0..LINES {
        here.tell(&format!("append {ROOM} {line}")).await;
        sleep(Duration::from_millis(10)).await;
        if line == LINES / 2 {
            let mut node = killed.take().unwrap();
            let deadline = Instant::now() + LIMIT;
            while !(5..10).all(|number| clients.contains_key(&format!("m{number}"))) {
                assert!(Instant::now() < deadline, "no line arrives: {clients:?}");
                sleep(Duration::from_millis(10)).await;
                collect(&mut node, &mut clients);
            }
            at = Instant::now();
            node.kill().await;
        }
        if line == LINES / 2 + 20 {
            for number in 5..10 {
                let last = clients[&format!("m{number}")].last().expect("a line has come").0.clone();
                let caught_up = here.ask(&format!("enter m{number} k{number} {ROOM} {last}"), "entered ").await;
                assert_eq!(caught_up, format!("m{number} whole"));
            }
        }
    }
    let (last, deadline) = ((LINES - 1).to_string(), Instant::now() + LIMIT);
    let all_have = |clients: &BTreeMap<String, Vec<(String, String)>>| {
        (5..10).all(|number| clients[&format!("m{number}")].last().is_some_and(|(_, text)| *text == last))
    };
    while !all_have(&clients) {
        assert!(Instant::now() < deadline, "not all lines arrive: {clients:?}");
        sleep(Duration::from_millis(20)).await;
        collect(&mut here, &mut clients);
    }
    for number in 5..10 {
        let texts = clients[&format!("m{number}")].iter().map(|(_, text)| text.clone());
        assert!(
            texts.eq((0..LINES).map(|line| line.to_string())),
            "each line once, in order: {:?}",
            clients[&format!("m{number}")]
        );
    }

    // Longer than the bound, so that a second `left` would be seen.
    sleep((at + Duration::from_secs(10)).saturating_duration_since(Instant::now())).await;
    observer.observe(ROOM, &mut observed);
    let mut left: Vec<&str> = observed.left.iter().map(|(_, key)| key.as_str()).collect();
    left.sort_unstable();
    let mut expected: Vec<String> = (10..20).map(|number| format!("k{number}")).collect();
    expected.sort_unstable();
    assert_eq!(left, expected, "those who have come back elsewhere have not left");
    let longest = observed.left.iter().map(|(left, _)| *left - at).max().unwrap_or_default();
    println!("a killed node: its people have left after {longest:.2?}, and 5 clients went on with {LINES} lines");
    assert!(longest < Duration::from_secs(7) + SLACK, "{longest:?}");
    assert_eq!(here.who(ROOM).await, observer.who(ROOM).await);
}

pub(crate) async fn line_7_after_a_partition_both_sides_agree_within_3_s() {
    const ROOM: &str = "lobby";
    if !is_long() {
        return println!("skipped, since it takes 35 s: `cargo xtask brokers --long`");
    }
    let Some(server) = Server::start(Kind::Redis, Disk::Nothing).await else { return };
    let proxy = Proxy::start(server.address()).await;
    let (mut near, mut far) = two(&server.url(), &format!("redis://{}", proxy.address()), ROOM).await;
    proxy.set_silent(true);
    sleep(Duration::from_secs(20)).await;
    for (node, observed, own) in [(&mut near.0, &mut near.1, "near"), (&mut far.0, &mut far.1, "far")] {
        node.observe(ROOM, observed);
        assert_eq!(observed.people.len(), 10, "{own}: {observed:?}");
        assert!(observed.people.iter().all(|key| key.starts_with(own)), "{own}: {observed:?}");
    }
    proxy.set_silent(false);
    let healed = Instant::now();
    agree(&mut near, &mut far, ROOM, 20).await;
    sleep(Duration::from_secs(5)).await;
    for (node, observed) in [&mut near, &mut far] {
        node.observe(ROOM, observed);
        assert_eq!(observed.people.len(), 20);
    }
    let longest = [&near, &far].iter().filter_map(|(_, observed)| Some(observed.last? - healed)).max().unwrap();
    println!("a partition of 20 s: both sides agree {longest:.2?} after its end");
    assert!(longest < Duration::from_secs(3) + SLACK, "{longest:?}");
}

pub(crate) async fn line_7_a_stopped_node_is_back_within_3_s_and_leaves_no_ghost() {
    const ROOM: &str = "lobby";
    if !is_long() {
        return println!("skipped, since it takes 80 s: `cargo xtask brokers --long`");
    }
    let Some(server) = Server::start(Kind::Redis, Disk::Nothing).await else { return };
    let (mut near, mut far) = two(&server.url(), &server.url(), ROOM).await;
    far.0.stop();
    sleep(Duration::from_secs(10)).await;
    near.0.observe(ROOM, &mut near.1);
    assert_eq!(
        (near.1.people.len(), near.1.left.len()),
        (10, 10),
        "the people of the stopped node have left: {:?}",
        near.1
    );
    far.0.go_on();
    let since = Instant::now();
    agree(&mut near, &mut far, ROOM, 20).await;
    println!("a node that was stopped for 10 s: its people are back after {:.2?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", since.elapsed());
    for number in 0..5 {
        far.0.ask(&format!("exit far{number}"), "gone").await;
    }
    sleep(Duration::from_secs(60)).await;
    for (node, observed) in [&mut near, &mut far] {
        node.observe(ROOM, observed);
        assert_eq!(observed.people.len(), 15, "no ghost is there: {observed:?}");
        assert_eq!(set(&node.who(ROOM).await), observed.people);
    }
}

pub(crate) async fn line_7_random_joins_leaves_and_kills_end_in_equal_sets() {
    const ROOM: &str = "lobby";
    let (operations, kills) = if is_long() { (10_000, 20) } else { (500, 2) };
    let Some(server) = Server::start(Kind::Redis, Disk::Nothing).await else { return };
    let seed =
        std::env::var("SOCKEYE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("the seed is {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut nodes = Vec::new();
    // The members of each node, and their keys.
    let mut members: [BTreeMap<String, String>; 3] = Default::default();
    for _ in 0..3 {
        nodes.push(Node::start(&server.url()).await);
    }
    let start = Instant::now();
    for operation in 0..operations {
        let place = random.usize(..3);
        let (node, members) = (&mut nodes[place], &mut members[place]);
        if operation % (operations / kills) == operations / kills / 2 {
            let node = std::mem::replace(node, Node::start(&server.url()).await);
            node.kill().await;
            members.clear();
        } else if random.bool() || members.is_empty() {
            let (name, key) = (format!("m{operation}"), format!("k{}", random.u8(..60)));
            node.ask(&format!("enter {name} {key} {ROOM}"), &format!("entered {name}")).await;
            members.insert(name, key);
        } else {
            let name = members.keys().nth(random.usize(..members.len())).unwrap().clone();
            node.ask(&format!("exit {name}"), &format!("gone {name}")).await;
            members.remove(&name);
        }
        sleep(Duration::from_millis(random.u64(..8))).await;
    }
    println!("{operations} operations with {kills} kills in {:.1?}", start.elapsed());
    let expected: BTreeSet<String> = members.iter().flat_map(|members| members.values().cloned()).collect();
    let (since, mut are_equal) = (Instant::now(), false);
    while !are_equal {
        are_equal = true;
        for node in &mut nodes {
            let people = set(&node.who(ROOM).await);
            are_equal &= people == expected;
            assert!(since.elapsed() < LIMIT, "of {expected:?}, a node knows {people:?}; the seed is {seed}");
        }
        sleep(Duration::from_millis(50)).await;
    }
    println!("three equal sets of {} people after {:.2?}", expected.len(), since.elapsed());
}

/// Two nodes with ten people each, who see all of them.
async fn two(near: &str, far: &str, room: &str) -> ((Node, Observed), (Node, Observed)) {
    let (mut near, mut far) = (Node::start(near).await, Node::start(far).await);
    let (near_observed, far_observed) = (near.observe_room(room).await, far.observe_room(room).await);
    for number in 0..10 {
        near.ask(&format!("enter near{number} near{number} {room}"), "entered").await;
        far.ask(&format!("enter far{number} far{number} {room}"), "entered").await;
    }
    let (mut near, mut far) = ((near, near_observed), (far, far_observed));
    agree(&mut near, &mut far, room, 20).await;
    (near, far)
}

/// Waits until both know the same people, of whom there are so many.
async fn agree(near: &mut (Node, Observed), far: &mut (Node, Observed), room: &str, people: usize) {
    until_there(&mut near.0, room, &mut near.1, people).await;
    until_there(&mut far.0, room, &mut far.1, people).await;
    assert_eq!(near.1.people, far.1.people);
}

async fn until_there(node: &mut Node, room: &str, observed: &mut Observed, people: usize) {
    let deadline = Instant::now() + LIMIT;
    while observed.people.len() != people {
        assert!(Instant::now() < deadline, "{people} people are not there within {LIMIT:?}: {observed:?}");
        sleep(Duration::from_millis(10)).await;
        node.observe(room, observed);
    }
}

/// Adds the positions and texts that clients have got.
fn collect(node: &mut Node, clients: &mut BTreeMap<String, Vec<(String, String)>>) {
    for (_, line) in node.take("got ") {
        let words: Vec<&str> = line.splitn(3, ' ').collect();
        let [name, position, text] = words[..] else { panic!("a client got {line:?}") };
        clients.entry(name.to_owned()).or_default().push((position.to_owned(), text.to_owned()));
    }
}
