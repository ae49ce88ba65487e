//! Random joins, leaves and sends against a simple model of who must get what; and the same on many threads at once.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{collections::HashSet, thread};

use proptest::{collection::vec, prelude::*};
use sockeye_state::{Hub, Member, Overflow};
use support::{Client, register, texts_until};
use tokio::task::yield_now;

const ROOMS: [&str; 3] = ["harbour", "lighthouse", "pier"];

/// More than 64, so that a drain of a full room takes several turns.
const MEMBERS: usize = 80;

/// What happens in a hub, one after the other.
#[derive(Debug, Clone)]
enum Step {
    /// The members from one number to another join or leave.
    Join(usize, usize, usize),
    Leave(usize, usize, usize),
    Send(usize),
    Except(usize, usize),
    /// To several rooms.
    To(Vec<usize>),
    /// Drains and connections go on for some turns.
    Yield(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (room, member) = (0..ROOMS.len(), 0..MEMBERS);
    prop_oneof![
        3 => (room.clone(), member.clone(), member.clone()).prop_map(|(room, from, to)| Step::Join(room, from, to)),
        2 => (room.clone(), member.clone(), member.clone()).prop_map(|(room, from, to)| Step::Leave(room, from, to)),
        6 => room.clone().prop_map(Step::Send),
        2 => (room.clone(), member).prop_map(|(room, member)| Step::Except(room, member)),
        2 => vec(room, 1..4).prop_map(Step::To),
        3 => (1..4_usize).prop_map(Step::Yield),
    ]
}

/// A message of the model.
struct Sent {
    rooms: Vec<usize>,
    /// Who was in the rooms, and was not excepted.
    to: HashSet<usize>,
    /// Of these, who has left none of the rooms since.
    stayed: HashSet<usize>,
}

#[derive(Default)]
struct Model {
    rooms: [HashSet<usize>; ROOMS.len()],
    sent: Vec<Sent>,
}

impl Model {
    fn leave(&mut self, room: usize, member: usize) {
        self.rooms[room].remove(&member);
        // A message to several rooms may still come by another one. Nothing says by which room it comes.
        for sent in self.sent.iter_mut().filter(|sent| sent.rooms.contains(&room)) {
            sent.stayed.remove(&member);
        }
    }

    /// Returns how many members the message is for.
    fn send(&mut self, rooms: &[usize], except: Option<usize>) -> usize {
        let all = rooms.iter().flat_map(|room| self.rooms[*room].iter().copied());
        let to: HashSet<usize> = all.filter(|member| Some(*member) != except).collect();
        let count = to.len();
        self.sent.push(Sent { rooms: rooms.to_vec(), stayed: to.clone(), to });
        count
    }

    /// What a member got must be what it had to get, once, and in the order of each room.
    fn check(&self, member: usize, got: &[usize]) {
        let once: HashSet<usize> = got.iter().copied().collect();
        assert_eq!(once.len(), got.len(), "member {member} got something twice: {got:?}");
        for (number, sent) in self.sent.iter().enumerate() {
            let (may, must, has) = (sent.to.contains(&member), sent.stayed.contains(&member), once.contains(&number));
            assert!(may || !has, "message {number} was not for member {member}, who got {got:?}");
            assert!(has || !must, "member {member} did not get message {number}, but {got:?}");
        }
        for (room, name) in ROOMS.iter().enumerate() {
            let of_room = got.iter().filter(|number| self.sent[**number].rooms == [room]);
            assert!(of_room.is_sorted(), "member {member} got {got:?}, not in the order of {name}");
        }
    }
}

async fn play(steps: Vec<Step>) {
    let hub = Hub::new();
    let mut members: Vec<(Client, Member<usize>)> = Vec::new();
    for index in 0..MEMBERS {
        members.push(register(&hub, index).await);
    }
    let mut model = Model::default();
    for step in steps {
        let text = model.sent.len().to_string();
        match step {
            Step::Join(room, from, to) => {
                for (_, member) in members.get(from..=to).unwrap_or_default() {
                    member.join(ROOMS[room]).await.unwrap();
                    model.rooms[room].insert(*member.value());
                }
            }
            Step::Leave(room, from, to) => {
                for (_, member) in members.get(from..=to).unwrap_or_default() {
                    member.leave(ROOMS[room]).await;
                    model.leave(room, *member.value());
                }
            }
            Step::Send(room) => assert_eq!(hub.room(ROOMS[room]).send(text), model.send(&[room], None)),
            Step::Except(room, member) => {
                let others = hub.room(ROOMS[room]).except(members[member].1.id());
                assert_eq!(others.send(text), model.send(&[room], Some(member)));
            }
            Step::To(rooms) => {
                let sent = hub.to(rooms.iter().map(|room| ROOMS[*room])).send(text);
                assert_eq!(sent, model.send(&rooms, None));
            }
            Step::Yield(turns) => settle(turns).await,
        }
        for (room, name) in ROOMS.iter().enumerate() {
            assert_eq!(hub.room(name).len(), model.rooms[room].len());
        }
    }
    // More turns than all drains together can take.
    settle(2000).await;
    hub.broadcast("end");
    for (client, member) in &mut members {
        let got = texts_until(client, "end").await;
        let got: Vec<usize> = got.iter().map(|text| text.parse().unwrap()).collect();
        model.check(*member.value(), &got);
    }
    drop(members);
    assert_eq!((hub.len(), hub.stats().rooms), (0, 0));
}

async fn settle(turns: usize) {
    for _ in 0..turns {
        yield_now().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn each_member_gets_what_the_model_says(steps in vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(steps));
    }
}

#[test]
fn many_threads_join_leave_and_send_and_the_counts_agree() {
    const TURNS: usize = 3000;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let hub = runtime.block_on(Hub::builder().overflow(Overflow::DropOldest).build()).unwrap();
    // Rooms are often empty, and often have many members.
    let threads: Vec<_> = [1, 1, 12, 30]
        .into_iter()
        .enumerate()
        .map(|(seed, count)| {
            let (hub, handle) = (hub.clone(), runtime.handle().clone());
            thread::spawn(move || {
                let mut members: Vec<(Client, Member<()>)> =
                    (0..count).map(|_| handle.block_on(register(&hub, ()))).collect();
                // Every second thread is in the runtime, whose tasks serve large rooms.
                let _entered = (seed % 2 == 0).then(|| handle.enter());
                let mut random = seed as u64 + 1;
                let mut next = |most: usize| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (random >> 33) as usize % most
                };
                let mut addressed = 0;
                for turn in 0..TURNS {
                    // All members of the thread leave from time to time.
                    if next(200) == 0 {
                        for (_, member) in &members {
                            ROOMS.iter().for_each(|room| _ = hub.member(member.id()).leave(room));
                        }
                    }
                    let (member, room) = (members[next(count)].1.id(), ROOMS[next(ROOMS.len())]);
                    match next(5) {
                        0 | 1 => assert_eq!(hub.member(member).join(room).unwrap(), 1),
                        2 => _ = hub.member(member).leave(room),
                        _ => addressed += hub.room(room).send(format!("{turn}")) as u64,
                    }
                }
                members.clear();
                addressed
            })
        })
        .collect();
    let addressed: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();

    // All drains end with the runtime.
    drop(runtime);
    let stats = hub.stats();
    assert_eq!((hub.len(), stats.members, stats.rooms), (0, 0, 0));
    let delivered = stats.queued + stats.dropped + stats.closed;
    assert!(delivered > 0 && delivered <= addressed, "{stats:?}, {addressed} addressed");
}
