//! Random joins, leaves and messages on several nodes, beside a list of who should get what.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::collections::BTreeSet;

use sockeye_state::{Hub, Member};
use support::{Client, nodes::nodes, register, texts_by_now};

const ROOMS: [&str; 5] = ["harbour", "pier", "lighthouse", "quay", "beach"];

/// A member, and what the model knows of it.
struct Person {
    node: usize,
    client: Client,
    member: Member<&'static str>,
    rooms: BTreeSet<&'static str>,
    expected: Vec<String>,
}

struct World {
    hubs: [Hub<&'static str>; 3],
    people: Vec<Person>,
    random: fastrand::Rng,
    count: usize,
}

impl World {
    async fn step(&mut self) {
        let node = self.random.usize(..3);
        let one = self.random.usize(..self.people.len());
        let room = ROOMS[self.random.usize(..ROOMS.len())];
        let text = format!("message {}", self.count);
        self.count += 1;
        let hub = self.hubs[node].clone();
        match self.random.u8(..9) {
            0 | 1 => {
                self.people[one].member.join(room).await.unwrap();
                self.people[one].rooms.insert(room);
            }
            2 => {
                self.people[one].member.leave(room).await;
                self.people[one].rooms.remove(room);
            }
            3 => {
                hub.member(self.people[one].member.id()).join(room).unwrap();
                self.people[one].rooms.insert(room);
            }
            4 => {
                hub.member(self.people[one].member.id()).leave(room);
                self.people[one].rooms.remove(room);
            }
            5 => {
                hub.member(self.people[one].member.id()).send(text.as_str());
                self.people[one].expected.push(text);
            }
            6 => {
                let here = self.expect(node, &text, |person| person.rooms.contains(room));
                assert_eq!(hub.room(room).send(text), here);
            }
            7 => {
                let except = self.people[one].member.id();
                let is_for = |person: &Person| person.rooms.contains(room) && person.member.id() != except;
                let here = self.expect(node, &text, is_for);
                assert_eq!(hub.room(room).except(except).volatile(text), here);
            }
            _ => {
                let others: Vec<_> = ROOMS.into_iter().filter(|_| self.random.bool()).collect();
                let is_for = |person: &Person| others.iter().any(|room| person.rooms.contains(room));
                let here = self.expect(node, &text, is_for);
                assert_eq!(hub.to(&others).send(text), here);
            }
        }
    }

    /// Notes a message, and returns how many people of the node it is for.
    fn expect(&mut self, node: usize, text: &str, is_for: impl Fn(&Person) -> bool) -> usize {
        let mut here = 0;
        for person in self.people.iter_mut().filter(|person| is_for(person)) {
            person.expected.push(text.to_owned());
            here += usize::from(person.node == node);
        }
        here
    }

    async fn check(&mut self) {
        for person in &mut self.people {
            let texts = texts_by_now(&mut person.client, &person.member).await;
            assert_eq!(texts, std::mem::take(&mut person.expected), "on node {}", person.node);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn everybody_gets_what_is_for_them_once_on_whatever_node() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let hubs = nodes().await;
    let mut people = Vec::new();
    for number in 0..9 {
        let (client, member) = register(&hubs[number % 3], "somebody").await;
        people.push(Person { node: number % 3, client, member, rooms: BTreeSet::new(), expected: Vec::new() });
    }
    let mut world = World { hubs, people, random: fastrand::Rng::with_seed(seed), count: 0 };
    for _ in 0..600 {
        world.step().await;
        world.check().await;
    }
    for hub in &world.hubs {
        let stats = hub.stats();
        assert_eq!((stats.gaps, stats.publish_failed, stats.refused), (0, 0, 0));
    }
}
