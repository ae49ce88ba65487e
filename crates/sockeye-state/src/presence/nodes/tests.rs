//! Several nodes that tell each other who is there, some of it late, twice, or never. Time is passed in.

use std::{collections::BTreeMap, time::Duration};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    Person, PresenceChange,
    presence::{
        own,
        partition::{Observation, Read},
    },
};

const LINGER: Duration = Duration::from_secs(2);
const ROOMS: [&str; 2] = ["harbour", "pier"];

/// A node, and somebody who observes each of its rooms, and looks now and then.
struct Node {
    partition: Partition,
    observers: Vec<Observer>,
}

struct Observer {
    room: &'static str,
    next: u64,
    people: BTreeMap<String, String>,
}

/// Several nodes at one time.
struct World {
    nodes: Vec<Node>,
    now: Instant,
}

impl Observer {
    fn new(partition: &mut Partition, room: &'static str) -> Self {
        let Observation { snapshot, next, .. } = partition.observe(room, LINGER, &mut Effects::default());
        Self { room, next, people: shown(snapshot.people()) }
    }

    /// Reads all changes. Each of them must be about what is known.
    fn look(&mut self, partition: &mut Partition) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            self.next += 1;
            let (what, person) = match partition.read(self.room, self.next - 1) {
                Read::Nothing => break,
                Read::Reset(snapshot, next) => {
                    (self.people, self.next) = (shown(snapshot.people()), next);
                    seen.push("reset".to_owned());
                    continue;
                }
                Read::Change(PresenceChange::Joined(person)) => ("joined", person),
                Read::Change(PresenceChange::Updated(person)) => ("updated", person),
                Read::Change(PresenceChange::Left(person)) => ("left", person),
                Read::Change(PresenceChange::Reset(_)) => unreachable!("no room writes a reset"),
            };
            let (key, info) = text(&person);
            seen.push(format!("{what} {key} {info}"));
            let before = match what {
                "left" => self.people.remove(&key),
                _ => self.people.insert(key, info.clone()),
            };
            match what {
                "joined" => assert_eq!(before, None, "{seen:?}"),
                "left" => assert_eq!(before, Some(info), "{seen:?}"),
                _ => assert!(before.is_some_and(|before| before != info), "{seen:?}"),
            }
        }
        self.next -= 1;
        seen
    }
}

impl World {
    fn new(count: u64) -> Self {
        let node = |id| {
            let mut partition = Partition::new(NodeId::from_u64(id), 0);
            partition.gather();
            let observers = ROOMS.map(|room| Observer::new(&mut partition, room)).into();
            Node { partition, observers }
        };
        Self { nodes: (1..=count).map(node).collect(), now: Instant::now() }
    }

    fn join(&mut self, node: usize, room: &str, member: u32, key: &str, info: &str) {
        let partition = &mut self.nodes[node].partition;
        partition.join(room, member, Person::new(key, info.to_owned()), self.now, &mut Effects::default());
    }

    fn leave(&mut self, node: usize, room: &str, member: u32) {
        self.nodes[node].partition.leave(room, member, self.now, &mut Effects::default());
    }

    fn update(&mut self, node: usize, room: &str, member: u32, info: &str) -> bool {
        let partition = &mut self.nodes[node].partition;
        partition.update(room, member, own(info.to_owned()), self.now, &mut Effects::default())
    }

    /// All nodes but those that are deaf get what this one has to tell, and ask if they have missed something before.
    fn tell(&mut self, from: usize, deaf: &[usize]) {
        // A few entries in each delta.
        for delta in self.nodes[from].partition.deltas(80) {
            for to in (0..self.nodes.len()).filter(|to| *to != from && !deaf.contains(to)) {
                let applied = self.nodes[to].partition.apply(delta.clone(), self.now, &mut Effects::default());
                if matches!(applied, Applied::Missing(_)) {
                    self.tell_all(from, to);
                }
                // It may come twice.
                let again = self.nodes[to].partition.apply(delta.clone(), self.now, &mut Effects::default());
                assert_eq!(again, Applied::Known);
            }
        }
    }

    fn tell_all(&mut self, from: usize, to: usize) -> bool {
        let part = self.nodes[from].partition.part();
        self.nodes[to].partition.merge(part, self.now, &mut Effects::default())
    }

    /// All nodes tell all to all, as heartbeats lead to.
    fn heal(&mut self) {
        for from in 0..self.nodes.len() {
            self.tell(from, &[]);
            (0..self.nodes.len()).filter(|to| *to != from).for_each(|to| _ = self.tell_all(from, to));
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        for node in &mut self.nodes {
            while node.partition.expire(self.now, 3, &mut Effects::default()) {}
        }
    }

    fn look(&mut self, node: usize, room: usize) -> Vec<String> {
        let Node { partition, observers } = &mut self.nodes[node];
        observers[room].look(partition)
    }
}

fn text(person: &Person) -> (String, String) {
    (person.key().to_owned(), String::from_utf8(person.info().to_vec()).expect("a text"))
}

fn shown(people: &[Person]) -> BTreeMap<String, String> {
    people.iter().map(text).collect()
}

#[derive(Debug, Clone)]
enum Step {
    /// Joins a room if the member is not there; updates or leaves it otherwise.
    Member {
        node: usize,
        room: usize,
        member: u32,
        leaves: bool,
    },
    /// Tells what is new to all but some.
    Tell {
        node: usize,
        deaf: Vec<usize>,
    },
    TellAll {
        from: usize,
        to: usize,
    },
    /// A node takes another one for gone.
    Gone {
        at: usize,
        node: usize,
    },
    Look {
        node: usize,
        room: usize,
    },
    Wait {
        millis: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (node, room) = (0..3_usize, 0..ROOMS.len());
    prop_oneof![
        8 => (node.clone(), room.clone(), 0..6_u32, any::<bool>())
            .prop_map(|(node, room, member, leaves)| Step::Member { node, room, member, leaves }),
        3 => (node.clone(), vec(0..3_usize, 0..2)).prop_map(|(node, deaf)| Step::Tell { node, deaf }),
        1 => (node.clone(), node.clone()).prop_map(|(from, to)| Step::TellAll { from, to }),
        1 => (node.clone(), node.clone()).prop_map(|(at, node)| Step::Gone { at, node }),
        1 => (node, room).prop_map(|(node, room)| Step::Look { node, room }),
        1 => (1..1500_u64).prop_map(|millis| Step::Wait { millis }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_lost_all_nodes_come_to_the_same_people(steps in vec(step(), 0..300)) {
        let mut world = World::new(3);
        // Who is there: node, room, member. A key has members on several nodes.
        let mut here = BTreeSet::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Member { node, room, member, leaves } => {
                    let (name, key, info) = (ROOMS[room], format!("key {}", member / 2), format!("info {number}"));
                    match (here.contains(&(node, room, member)), leaves) {
                        (false, _) => {
                            here.insert((node, room, member));
                            world.join(node, name, member, &key, &info);
                        }
                        (true, true) => {
                            here.remove(&(node, room, member));
                            world.leave(node, name, member);
                        }
                        (true, false) => prop_assert!(world.update(node, name, member, &info)),
                    }
                }
                Step::Tell { node, deaf } => world.tell(node, &deaf),
                Step::TellAll { from, to } => _ = world.tell_all(from, to),
                Step::Gone { at, node } if at != node => {
                    let (node, now) = (world.nodes[node].partition.node, world.now);
                    world.nodes[at].partition.gone(node, now, &mut Effects::default());
                }
                Step::Gone { .. } => {}
                Step::Look { node, room } => _ = world.look(node, room),
                Step::Wait { millis } => world.wait(Duration::from_millis(millis)),
            }
        }
        world.heal();
        world.wait(2 * LINGER);
        for (room, name) in ROOMS.into_iter().enumerate() {
            let keys = here.iter().filter(|(_, other, _)| *other == room).map(|(.., member)| format!("key {}", member / 2));
            let keys: BTreeSet<_> = keys.collect();
            let first = {
                world.look(0, room);
                world.nodes[0].observers[room].people.clone()
            };
            prop_assert_eq!(first.keys().cloned().collect::<BTreeSet<_>>(), keys);
            for node in 0..3 {
                world.look(node, room);
                let Node { partition, observers } = &mut world.nodes[node];
                prop_assert_eq!(&observers[room].people, &first, "node {}", node);
                prop_assert_eq!(shown(partition.observe(name, LINGER, &mut Effects::default()).snapshot.people()), first.clone());
                prop_assert_eq!(partition.deadline(), None);
            }
        }
    }
}

#[test]
fn a_person_on_two_nodes_joins_once_and_leaves_once() {
    let mut world = World::new(2);
    world.join(1, "harbour", 1, "ada", "phone");
    world.tell(1, &[]);
    world.join(0, "harbour", 1, "ada", "tab");
    world.tell(0, &[]);
    for node in 0..2 {
        // The tab came later, and its node knew of the phone.
        assert_eq!(world.look(node, 0), ["joined ada phone", "updated ada tab"]);
    }
    world.leave(0, "harbour", 1);
    world.tell(0, &[]);
    world.wait(2 * LINGER);
    for node in 0..2 {
        assert_eq!(world.look(node, 0), ["updated ada phone"]);
    }
    world.leave(1, "harbour", 1);
    world.tell(1, &[]);
    world.wait(LINGER - Duration::from_millis(1));
    assert_eq!((world.look(0, 0), world.look(1, 0)), (vec![], vec![]));
    world.wait(Duration::from_millis(1));
    for node in 0..2 {
        assert_eq!(world.look(node, 0), ["left ada phone"]);
    }
}

#[test]
fn who_comes_back_on_another_node_has_not_left() {
    let mut world = World::new(2);
    world.join(0, "harbour", 1, "ada", "");
    world.tell(0, &[]);
    assert_eq!((world.look(0, 0), world.look(1, 0)), (vec!["joined ada ".to_owned()], vec!["joined ada ".to_owned()]));
    world.leave(0, "harbour", 1);
    world.tell(0, &[]);
    world.wait(LINGER / 2);
    world.join(1, "harbour", 1, "ada", "");
    world.tell(1, &[]);
    world.wait(2 * LINGER);
    assert_eq!((world.look(0, 0), world.look(1, 0)), (vec![], vec![]));
}

#[test]
fn the_people_of_a_node_that_is_gone_leave_at_once_but_for_those_who_are_elsewhere() {
    let mut world = World::new(3);
    for (member, key) in ["ada", "grace", "eve"].into_iter().enumerate() {
        world.join(0, "harbour", member as u32, key, "");
    }
    world.join(1, "harbour", 1, "ada", "");
    world.heal();
    for node in 1..3 {
        assert_eq!(world.look(node, 0).len(), 3);
    }
    let gone = world.nodes[0].partition.node;
    for node in 1..3 {
        let now = world.now;
        world.nodes[node].partition.gone(gone, now, &mut Effects::default());
        let mut seen = world.look(node, 0);
        seen.sort_unstable();
        assert_eq!(seen, ["left eve ", "left grace "]);
    }
    // It was only slow: all are back, once it has said what it has.
    world.heal();
    for node in 1..3 {
        assert_eq!(world.look(node, 0), ["reset"]);
        assert_eq!(world.nodes[node].observers[0].people.len(), 3);
    }
}

#[test]
fn an_old_part_brings_nobody_back() {
    let mut world = World::new(2);
    world.join(0, "harbour", 1, "ada", "");
    let old = world.nodes[0].partition.part();
    world.tell(0, &[]);
    world.leave(0, "harbour", 1);
    world.tell(0, &[]);
    world.wait(2 * LINGER);
    assert_eq!(world.look(1, 0), ["joined ada ", "left ada "]);
    let now = world.now;
    assert!(!world.nodes[1].partition.merge(old.clone(), now, &mut Effects::default()));
    // Nor does one's own, from somebody who hands it on.
    assert!(!world.nodes[0].partition.merge(old, now, &mut Effects::default()));
    assert_eq!((world.look(0, 0).last().map(String::as_str), world.look(1, 0)), (Some("left ada "), vec![]));
}

#[test]
fn what_changes_often_is_told_once() {
    let mut world = World::new(2);
    world.join(0, "harbour", 1, "ada", "");
    (0..100).for_each(|count| assert!(world.update(0, "harbour", 1, &count.to_string())));
    world.join(0, "pier", 2, "grace", "");
    world.leave(0, "pier", 2);
    let deltas = world.nodes[0].partition.deltas(1000);
    let [delta] = &*deltas else { panic!("{deltas:?}") };
    let said: Vec<_> = delta.said.iter().map(|said| (&*said.room, &*said.key, said.entry.is_some())).collect();
    assert_eq!(said, [("harbour", "ada", true), ("pier", "grace", false)]);
    assert_eq!((delta.after, delta.version), (0, 103));
    assert!(world.nodes[0].partition.deltas(1000).is_empty());
}

#[test]
fn a_part_that_is_told_between_many_changes_hides_none_of_them() {
    let mut world = World::new(2);
    let keys: Vec<_> = (0..100).map(|member| format!("key {member:02}")).collect();
    for (member, key) in keys.iter().enumerate() {
        world.join(0, "harbour", member as u32, key, "early");
    }
    // Another node has asked, and got the part.
    assert!(world.tell_all(0, 1));
    (0..100).for_each(|member| assert!(world.update(0, "harbour", member, "late")));
    let deltas = world.nodes[0].partition.deltas(300);
    assert!(deltas.len() > 5, "{} deltas", deltas.len());
    assert!(deltas.windows(2).all(|pair| pair[0].version == pair[1].after));
    for delta in deltas {
        let applied = world.nodes[1].partition.apply(delta, world.now, &mut Effects::default());
        assert_eq!(applied, Applied::Done);
    }
    world.look(1, 0);
    let people = &world.nodes[1].observers[0].people;
    assert!(people.len() == 100 && people.values().all(|info| info == "late"), "{people:?}");
    assert_eq!(world.nodes[1].partition.known(world.nodes[0].partition.node), Some(world.nodes[0].partition.version));
}

#[test]
fn nothing_is_kept_of_rooms_that_are_empty() {
    let mut world = World::new(2);
    for node in &mut world.nodes {
        for Observer { room, .. } in node.observers.drain(..) {
            node.partition.forget(room, &mut Effects::default());
        }
    }
    (0..100).for_each(|member| world.join(0, "harbour", member, &format!("key {}", member / 2), ""));
    world.heal();
    assert_eq!((world.nodes[0].partition.len(), world.nodes[1].partition.len()), (50, 50));
    (0..100).for_each(|member| world.leave(0, "harbour", member));
    world.heal();
    for node in &world.nodes {
        // Nobody observes the room, so nobody has lingered.
        assert_eq!((node.partition.rooms.len(), node.partition.deadline()), (0, None));
    }
}
