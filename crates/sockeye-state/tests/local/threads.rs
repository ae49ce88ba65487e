//! Threads that do everything at once, with a budget that is too small.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    thread,
};

use sockeye_state::{Arrival, Broker, Epoch, Keep, Local, Topic};

use crate::{HOUR, append, finish, start, topic};

const THREADS: u64 = 4;
const STEPS: u64 = 3_000;
const ROOMS: u64 = 8;

/// What has arrived for a node: of each topic the last offset of each epoch.
type Seen = Arc<Mutex<HashMap<(Topic, Epoch), u64>>>;

/// Checks that each message comes after those before it, and names the one before if nothing came between.
fn start_checked(broker: &Local, seen: &Seen) -> Local {
    let seen = Arc::clone(seen);
    start(broker, move |arrival| {
        let Arrival::Appended { topic, entry, .. } = arrival else { return };
        let before = seen.lock().unwrap().insert((topic, entry.at.epoch), entry.at.offset);
        assert!(before.unwrap_or(0) <= entry.after && entry.after < entry.at.offset, "{entry:?} after {before:?}");
    })
}

#[test]
fn threads_that_do_everything_at_once_neither_lock_up_nor_lose_count() {
    let broker = Local::new().memory(30_000);
    let all: Seen = Seen::default();
    let observer = start_checked(&broker, &all);
    finish(observer.subscribe((0..ROOMS).map(|room| topic(&room.to_string())).collect())).unwrap();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let broker = broker.clone();
            thread::spawn(move || {
                let seen = Seen::default();
                let mut node = start_checked(&broker, &seen);
                let (mut random, mut appended) = (thread + 1, 0);
                for step in 0..STEPS {
                    // Xorshift: the steps of a thread are the same in each run.
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let room = topic(&(random >> 8).rem_euclid(ROOMS).to_string());
                    match random >> 40 & 15 {
                        0..=7 => {
                            let stamp = thread * STEPS + step;
                            let envelope = vec![0; (random >> 20 & 1023) as usize];
                            finish(node.append(append(&room, stamp, envelope, Keep::new(10, HOUR)))).unwrap();
                            appended += 1;
                        }
                        8 | 9 => finish(node.subscribe(vec![room])).unwrap(),
                        10 => finish(node.unsubscribe(vec![room])).unwrap(),
                        11 => finish(node.publish(room, "x".into())).unwrap(),
                        12 | 13 => drop(finish(node.read(room, None, 20)).unwrap()),
                        14 => drop(finish(node.tops(vec![room])).unwrap()),
                        _ => {
                            finish(node.stop());
                            node = start_checked(&broker, &seen);
                        }
                    }
                }
                appended
            })
        })
        .collect();
    let appended: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();

    let seen: u64 = all.lock().unwrap().values().sum();
    assert_eq!(seen, appended, "the last offsets of all epochs together are the number of appends");
    let broker = broker.memory(0);
    assert_eq!(broker.memory_used(), 0, "nothing is counted that is not there");
}
