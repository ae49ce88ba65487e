//! `Local` and a simple model of it do the same: random appends, repeats, reads and pauses.

use std::{collections::HashSet, ops::Range, sync::mpsc, time::Duration};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use sockeye_state::{Append, Arrival, Broker, Entry, Epoch, Keep, Local, NodeId, Page, Position, Stamp};
use tokio::time::Instant;

use crate::{now, start, topic};

const ROOMS: usize = 3;
const STAMP_AGE: Duration = Duration::from_secs(300);

#[derive(Debug, Clone)]
enum Step {
    Append { room: usize, stamp: u8, size: usize, messages: usize, age: u64, known: Known },
    Read { room: usize, after: After, most: usize },
    Pause { seconds: u64 },
}

/// What a node says that it knows.
#[derive(Debug, Clone, Copy)]
enum Known {
    Nothing,
    Top,
    AboveTop,
}

#[derive(Debug, Clone)]
enum After {
    Newest,
    /// A position that was there once.
    Seen(prop::sample::Index),
    Offset(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let known = prop_oneof![6 => Just(Known::Nothing), 3 => Just(Known::Top), 1 => Just(Known::AboveTop)];
    let after = prop_oneof![
        Just(After::Newest),
        any::<prop::sample::Index>().prop_map(After::Seen),
        (0..20_u64).prop_map(After::Offset),
    ];
    prop_oneof![
        6 => (0..ROOMS, 0..40_u8, 0..30_usize, 0..6_usize, prop_oneof![Just(1_u64), Just(20), Just(400)], known).prop_map(
            |(room, stamp, size, messages, age, known)| Step::Append { room, stamp, size, messages, age, known }
        ),
        4 => (0..ROOMS, after, 0..8_usize).prop_map(|(room, after, most)| Step::Read { room, after, most }),
        1 => prop_oneof![Just(1_u64), Just(19), Just(250), Just(1000)].prop_map(|seconds| Step::Pause { seconds }),
    ]
}

/// A room, told as simply as possible: nothing is ever removed.
#[derive(Default)]
struct Room {
    /// The lives of the history. The last may have ended.
    lives: Vec<Life>,
    stamps: Vec<(Stamp, Instant, Position)>,
}

struct Life {
    epoch: Epoch,
    messages: Vec<Bytes>,
    /// How many of them are not kept any more.
    trimmed: usize,
    ends: Instant,
}

impl Life {
    fn top(&self) -> Position {
        Position::new(self.epoch, self.messages.len() as u64)
    }

    fn entries(&self, range: Range<usize>) -> Vec<Entry> {
        let entry = |index: usize| {
            let at = Position::new(self.epoch, index as u64 + 1);
            Entry::new(index as u64, at, self.messages[index].clone())
        };
        range.map(entry).collect()
    }
}

impl Room {
    fn current(&self) -> Option<&Life> {
        self.lives.last().filter(|life| life.ends > Instant::now())
    }

    fn repeat(&self, stamp: Stamp) -> Option<Position> {
        let is_known = |known: &&(Stamp, Instant, Position)| known.0 == stamp && known.1 + STAMP_AGE > Instant::now();
        self.stamps.iter().rev().find(is_known).map(|(_, _, position)| *position)
    }

    /// Appends, with the epoch that the broker has chosen if it is a new one, and returns what arrives.
    fn append(&mut self, append: &Append, epoch: Epoch) -> Entry {
        let is_lost = |life: &Life| {
            append.known.is_some_and(|known| known.epoch == life.epoch && known.offset > life.top().offset)
        };
        if self.current().is_none_or(is_lost) {
            self.lives.push(Life { epoch, messages: Vec::new(), trimmed: 0, ends: Instant::now() });
        }
        let life = self.lives.last_mut().unwrap();
        life.messages.push(append.envelope.clone());
        life.trimmed = life.trimmed.max(life.messages.len().saturating_sub(append.keep.messages));
        life.ends = Instant::now() + append.keep.age;
        let entry = life.entries(life.messages.len() - 1..life.messages.len()).remove(0);
        self.stamps.push((append.stamp, Instant::now(), entry.at));
        entry
    }

    fn read(&self, after: Option<Position>, most: usize) -> Page {
        let Some(life) = self.current() else { return Page::new(Vec::new(), None, after.is_none(), true) };
        let all = life.messages.len();
        let (first, is_contiguous) = match after {
            None => (life.trimmed.max(all.saturating_sub(most)), true),
            Some(after) if after.epoch != life.epoch || after.offset > all as u64 => (life.trimmed, false),
            Some(after) => ((after.offset as usize).max(life.trimmed), after.offset as usize >= life.trimmed),
        };
        let end = all.min(first + most);
        Page::new(life.entries(first..end), Some(life.top()), is_contiguous, end == all)
    }
}

async fn run(steps: Vec<Step>) {
    let (sender, arrivals) = mpsc::channel();
    let node = start(&Local::new(), move |arrival| sender.send(arrival).unwrap());
    let topics: Vec<_> = (0..ROOMS).map(|room| topic(&room.to_string())).collect();
    now(node.subscribe(topics.clone())).unwrap();
    let mut rooms: Vec<Room> = (0..ROOMS).map(|_| Room::default()).collect();
    let (mut seen, mut epochs) = (Vec::<Position>::new(), HashSet::<Epoch>::new());

    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Append { room: index, stamp, size, messages, age, known } => {
                let room = &mut rooms[index];
                let stamp = Stamp::of_node(NodeId::from_u64(1), stamp.into());
                let keep = Keep::new(messages, Duration::from_secs(age));
                let top = room.current().map(Life::top);
                let known = match known {
                    Known::Nothing => None,
                    Known::Top => top,
                    Known::AboveTop => top.map(|top| Position::new(top.epoch, top.offset + 1)),
                };
                let envelope = Bytes::from(vec![number as u8; size]);
                let append = Append::new(topics[index].clone(), envelope, stamp, keep).known(known);
                let position = now(node.append(append.clone())).unwrap();
                if let Some(first) = room.repeat(stamp) {
                    assert_eq!(position, first, "a repeat");
                } else {
                    let lives = room.lives.len();
                    let entry = room.append(&append, position.epoch);
                    assert_eq!(position, entry.at);
                    assert_eq!(
                        room.lives.len() > lives,
                        epochs.insert(position.epoch),
                        "each life has an epoch of its own"
                    );
                    let Ok(Arrival::Appended { topic, entry: arrived, .. }) = arrivals.try_recv() else {
                        panic!("what is appended arrives")
                    };
                    assert_eq!((topic, arrived), (topics[index].clone(), entry));
                    seen.push(position);
                }
            }
            Step::Read { room, after, most } => {
                let after = match after {
                    After::Newest => None,
                    After::Seen(index) => (!seen.is_empty()).then(|| *index.get(&seen)),
                    After::Offset(offset) => rooms[room].current().map(|life| Position::new(life.epoch, offset)),
                };
                let page = now(node.read(topics[room].clone(), after, most)).unwrap();
                assert_eq!(page, rooms[room].read(after, most), "after {after:?}");
            }
            Step::Pause { seconds } => tokio::time::advance(Duration::from_secs(seconds)).await,
        }
        let tops: Vec<_> = rooms.iter().map(|room| room.current().map(Life::top)).collect();
        assert_eq!(now(node.tops(topics.clone())).unwrap(), tops);
        assert!(arrivals.try_recv().is_err(), "nothing else arrives");
    }
}

/// Appends and reads with a small budget: `(room, size, whether it is a read)`.
async fn run_with_budget(budget: usize, steps: Vec<(usize, usize, bool)>) {
    let node = start(&Local::new().memory(budget), |_| {});
    let topics: Vec<_> = (0..10).map(|room| topic(&room.to_string())).collect();
    // When a room that has a history was used last.
    let mut used = vec![None::<usize>; topics.len()];
    // What a reader of each room has seen last.
    let mut positions = vec![None::<Position>; topics.len()];
    for (number, (room, size, is_read)) in steps.into_iter().enumerate() {
        let topic = topics[room].clone();
        if is_read {
            let page = now(node.read(topic, positions[room], 100)).unwrap();
            if let (Some(seen), true) = (positions[room], page.is_contiguous) {
                let mut after = seen.offset;
                for entry in page.entries {
                    assert_eq!((entry.at.epoch, entry.after), (seen.epoch, after), "no silent hole");
                    after = entry.at.offset;
                }
                assert_eq!(page.top, Some(Position::new(seen.epoch, after)));
            }
            positions[room] = page.top.or(positions[room]);
            if page.top.is_some() {
                used[room] = Some(number);
            }
        } else {
            let stamp = Stamp::of_node(NodeId::from_u64(1), number as u64);
            let keep = Keep::new(20, Duration::from_secs(3600));
            now(node.append(Append::new(topic, vec![0; size].into(), stamp, keep))).unwrap();
            used[room] = Some(number);
        }
        // A look at the tops would be a use of each room.
        assert!(node.memory_used() <= budget, "{} bytes of {budget}", node.memory_used());
    }
    let tops = now(node.tops(topics.clone())).unwrap();
    let last_uses = |is_left: bool| {
        let uses = tops.iter().zip(&used).filter(move |(top, _)| top.is_some() == is_left);
        uses.filter_map(|(_, used)| *used)
    };
    let (evicted, left) = (last_uses(false).max(), last_uses(true).min());
    assert!(left.is_none() || evicted < left, "evicted in the order of use: {used:?}, {tops:?}");
}

proptest! {
    #[test]
    fn local_does_what_a_simple_model_does(steps in vec(step(), 0..150)) {
        runtime().block_on(run(steps));
    }

    #[test]
    fn any_budget_is_kept_without_silent_holes(
        budget in 20_000..200_000_usize,
        steps in vec((0..10_usize, prop_oneof![0..100_usize, 0..20_000_usize], prop::bool::weighted(0.3)), 0..200),
    ) {
        runtime().block_on(run_with_budget(budget, steps));
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}
