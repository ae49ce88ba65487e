//! Several nodes whose messages are late, lost, or come in another order. The clock is paused.

mod world;

use tokio::time::advance;

use self::world::{Node, Observer, State, World};
use super::{
    super::{
        super::{Observation, Presence, nodes::Delta, partition::Partition},
        answer::Answer,
    },
    *,
};
use crate::{Person, PresenceChange};

const ROOM: &str = "harbour";
const LINGER: Duration = Duration::from_secs(2);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[tokio::test(start_paused = true)]
async fn the_first_member_of_a_node_joins_and_is_no_reset() {
    let mut world = World::new(3);
    world.run(secs(1)).await;
    let mut ada = world.observe(0, ROOM);
    world.run(secs(1)).await;
    world.join(1, ROOM, 1, "grace");
    world.run(millis(60)).await;
    assert_eq!(ada.look(&world), ["+grace"]);
    world.run(secs(60)).await;
    assert_eq!((ada.look(&world), world.snapshots(0)), (vec![], 2));
}

#[tokio::test(start_paused = true)]
async fn a_leave_is_seen_after_the_linger() {
    let mut world = World::new(2);
    let mut who = world.observe(0, ROOM);
    world.join(1, ROOM, 1, "grace");
    world.run(secs(1)).await;
    world.leave(1, ROOM, 1);
    world.run(LINGER).await;
    assert_eq!(who.look(&world), ["+grace"]);
    world.run(millis(60)).await;
    assert_eq!(who.look(&world), ["-grace"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_first_asks_all_others() {
    let mut world = World::new(3);
    world.join(0, ROOM, 1, "ada");
    world.join(1, ROOM, 1, "grace");
    world.join(2, "pier", 1, "eve");
    world.run(secs(3)).await;
    world.start();
    world.run(secs(3)).await;
    assert!(!world.knows(3, ROOM), "nobody looks there yet");
    let mut who = world.observe(3, ROOM);
    world.run(millis(20)).await;
    assert!(world.knows(3, ROOM));
    assert_eq!(who.people(&world), ["ada", "grace"]);
    assert_eq!(world.snapshots(3), 3);
    // Also for what was told a moment ago.
    world.join(2, "pier", 2, "eve");
    world.run(millis(60)).await;
    let mut who = world.observe(3, "pier");
    world.run(millis(20)).await;
    assert_eq!(who.people(&world), ["eve"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_just_come_knows_the_others_after_half_a_second() {
    let mut world = World::new(2);
    world.join(0, ROOM, 1, "ada");
    world.run(secs(3)).await;
    world.start();
    let mut who = world.observe(2, ROOM);
    world.run(millis(100)).await;
    assert!(!world.knows(2, ROOM), "there may be more nodes");
    world.run(GREETING).await;
    assert!(world.knows(2, ROOM));
    assert_eq!(who.people(&world), ["ada"]);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_overtakes_a_delta_is_no_reset() {
    let mut world = World::new(2);
    let mut who = world.observe(0, ROOM);
    world.join(1, ROOM, 1, "grace");
    world.run(secs(3)).await;
    who.look(&world);
    // The delta takes 200 ms, and the heartbeats do not.
    for member in 2..30 {
        world.join(1, ROOM, member, &format!("guest {member}"));
        world.delay = millis(200);
        world.run(millis(55)).await;
        world.delay = millis(5);
        world.run(millis(300)).await;
    }
    assert_eq!((who.look(&world).len(), world.snapshots(0)), (28, 0));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_is_older_than_a_delta_takes_nothing_back() {
    let mut world = World::new(1);
    let _who = world.observe(0, ROOM);
    world.run(secs(1)).await;
    assert!(world.knows(0, ROOM), "there is nobody else");
    let (other, partition) = (NodeId::from_u64(9), Partition::of(ROOM));
    let delta = Delta { node: other, after: 57, version: 58, said: Vec::new() };
    let version = Version { partition, version: 57, is_empty: true };
    let heartbeat = Heartbeat { wants_answer: false, versions: vec![version] };
    let Node { shared, machine, .. } = &mut world.nodes[0];
    machine.arrived(other, Content::Delta(partition, delta), shared, Instant::now());
    machine.arrived(other, Content::Heartbeat(heartbeat), shared, Instant::now());
    world.pump(0);
    assert!(!world.knows(0, ROOM), "what the delta has said is missing");
}

#[tokio::test(start_paused = true)]
async fn a_delta_that_was_lost_is_noticed_by_the_next_heartbeat() {
    let mut world = World::new(2);
    let mut who = world.observe(0, ROOM);
    world.join(1, ROOM, 1, "grace");
    world.run(secs(3)).await;
    assert_eq!(who.look(&world), ["+grace"]);
    world.loses = |content| matches!(content[0], 3);
    world.join(1, ROOM, 2, "eve");
    world.leave(1, ROOM, 1);
    world.run(millis(100)).await;
    world.loses = |_| false;
    world.run(millis(2500)).await;
    assert_eq!(who.look(&world), ["reset"]);
    world.run(LINGER).await;
    assert_eq!(who.people(&world), ["eve"]);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_are_asked_for_again() {
    let mut world = World::new(2);
    world.join(1, ROOM, 1, "grace");
    world.run(secs(3)).await;
    world.loses = |content| matches!(content[0], 5);
    let mut who = world.observe(0, ROOM);
    world.run(secs(3)).await;
    assert!(!world.knows(0, ROOM));
    world.loses = |_| false;
    world.run(millis(1100)).await;
    assert!(world.knows(0, ROOM));
    assert_eq!(who.people(&world), ["grace"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_told_during_an_answer_is_in_order() {
    let mut world = World::new(2);
    // Two pieces.
    (0..3000).for_each(|member| world.join(1, ROOM, member, &format!("{member:0100}")));
    world.run(secs(3)).await;
    let mut who = world.observe(0, ROOM);
    for member in 3000..3010 {
        world.join(1, ROOM, member, &format!("{member}"));
        world.run(millis(60)).await;
    }
    assert_eq!((who.people(&world).len(), world.snapshots(0)), (3010, 1));
}

#[tokio::test(start_paused = true)]
async fn a_killed_node_is_gone_after_six_seconds_and_its_members_do_not_linger() {
    let mut world = World::new(3);
    let mut who = world.observe(0, ROOM);
    world.join(1, ROOM, 1, "grace");
    world.join(1, ROOM, 2, "eve");
    world.join(2, ROOM, 1, "eve");
    world.run(secs(3)).await;
    who.look(&world);
    world.set(1, State::Killed);
    world.run(secs(7)).await;
    // Eve has come back elsewhere.
    assert_eq!(who.look(&world), ["-grace"]);
    assert_eq!(world.nodes[0].left, [NodeId::from_u64(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_busy_all_the_time_notices_silence_all_the_same() {
    let mut world = World::new(2);
    let mut who = world.observe(0, ROOM);
    world.join(1, ROOM, 1, "grace");
    world.run(secs(3)).await;
    world.set(1, State::Killed);
    for _ in 0..700 {
        advance(millis(10)).await;
        world.pump(0);
    }
    assert_eq!(who.look(&world), ["+grace", "-grace"]);
}

#[tokio::test(start_paused = true)]
async fn both_sides_of_a_partition_are_reset_within_three_seconds_of_its_end() {
    for late in 0..20 {
        let mut world = World::new(3);
        let mut who: Vec<_> = (0..3).map(|node| world.observe(node, ROOM)).collect();
        for (node, key) in ["ada", "grace", "eve"].into_iter().enumerate() {
            world.join(node, ROOM, 1, key);
        }
        world.run(secs(3)).await;
        world.isolate(2, true);
        world.run(secs(20) + millis(late * 100)).await;
        assert_eq!(who[0].people(&world), ["ada", "grace"]);
        assert_eq!(who[2].people(&world), ["eve"]);
        world.isolate(2, false);
        world.run(secs(3)).await;
        for who in &mut who {
            assert!(who.look(&world).contains(&"reset".to_owned()));
            assert_eq!(who.people(&world), ["ada", "eve", "grace"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_stopped_is_back_within_three_seconds_and_takes_nobody_for_gone() {
    let mut world = World::new(3);
    let mut who: Vec<_> = (0..3).map(|node| world.observe(node, ROOM)).collect();
    for (node, key) in ["ada", "grace", "eve"].into_iter().enumerate() {
        world.join(node, ROOM, 1, key);
    }
    world.run(secs(3)).await;
    who.iter_mut().for_each(|who| _ = who.look(&world));
    world.set(2, State::Stopped);
    world.run(secs(10)).await;
    assert_eq!((who[0].look(&world), who[1].look(&world)), (vec!["-eve".to_owned()], vec!["-eve".to_owned()]));
    world.set(2, State::Awake);
    world.run(secs(3)).await;
    assert_eq!((who[0].look(&world), who[1].look(&world)), (vec!["reset".to_owned()], vec!["reset".to_owned()]));
    world.leave(2, ROOM, 1);
    world.run(secs(60)).await;
    for who in &mut who {
        assert_eq!(who.people(&world), ["ada", "grace"], "no ghost");
    }
    assert_eq!(world.nodes[2].left, []);
}

#[tokio::test(start_paused = true)]
async fn a_bye_is_a_leave_of_all_and_late_messages_bring_nobody_back() {
    let mut world = World::new(2);
    let mut who = world.observe(0, ROOM);
    world.join(1, ROOM, 1, "grace");
    world.run(secs(3)).await;
    assert_eq!(who.look(&world), ["+grace"]);
    world.join(1, ROOM, 2, "eve");
    world.delay = millis(300);
    world.run(millis(60)).await;
    world.delay = millis(5);
    world.send(1, To::All, wire::encode_bye());
    world.set(1, State::Killed);
    world.run(LINGER - millis(1)).await;
    assert_eq!(who.look(&world), Vec::<String>::new(), "grace lingers, as after any leave");
    world.run(millis(10)).await;
    assert_eq!((who.look(&world), &*world.nodes[0].left), (vec!["-grace".to_owned()], &[NodeId::from_u64(2)][..]));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_needs_any_more_is_forgotten_after_ten_seconds() {
    let mut world = World::new(2);
    world.join(1, ROOM, 1, "grace");
    let who = world.observe(0, ROOM);
    world.run(secs(3)).await;
    let Observer { who, .. } = who;
    drop(who);
    world.run(IDLE - secs(1)).await;
    assert!(world.knows(0, ROOM), "whoever comes back waits for nothing");
    world.run(secs(2)).await;
    assert!(!world.knows(0, ROOM));
    assert_eq!(world.nodes[0].shared.at(Partition::of(ROOM)).lock().len(), 0);
    let mut who = world.observe(0, ROOM);
    world.run(millis(20)).await;
    assert_eq!(who.people(&world), ["grace"]);
}

#[tokio::test(start_paused = true)]
async fn however_many_want_an_answer_heartbeats_are_few() {
    let mut world = World::new(1);
    let mut sent = 0;
    for from in 10..1010 {
        let from = NodeId::from_u64(from);
        let greeting = Content::Heartbeat(Heartbeat { wants_answer: true, versions: Vec::new() });
        let Node { shared, machine, .. } = &mut world.nodes[0];
        machine.arrived(from, greeting, shared, Instant::now());
        advance(millis(1)).await;
        machine.look(shared, Instant::now());
        sent += machine.actions().len();
    }
    assert!((15..=25).contains(&sent), "{sent} heartbeats in a second");
}

#[tokio::test(start_paused = true)]
async fn invented_nodes_take_little_and_are_gone_after_six_seconds() {
    let mut world = World::new(1);
    for from in 10..10_010 {
        let Node { shared, machine, .. } = &mut world.nodes[0];
        let heartbeat = Heartbeat { wants_answer: false, versions: Vec::new() };
        machine.arrived(NodeId::from_u64(from), Content::Heartbeat(heartbeat), shared, Instant::now());
    }
    assert_eq!(world.nodes[0].machine.peers.count(), 4096);
    world.run(secs(7)).await;
    assert_eq!(world.nodes[0].machine.peers.count(), 0);
}
