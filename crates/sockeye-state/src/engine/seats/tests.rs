//! `Seats` beside a plain list that does the same slowly.

use proptest::{collection::vec, prelude::*};

use super::{Key, SeatIndex, Seats};

#[derive(Debug, Clone)]
enum Step {
    Add(Key),
    Take(Key),
    /// Puts a mark at the end, as a message does.
    Mark,
    /// Forgets the first mark.
    Unmark,
    Compact,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..40u32;
    let step = prop_oneof![
        6 => key.clone().prop_map(Step::Add),
        4 => key.prop_map(Step::Take),
        1 => Just(Step::Mark),
        1 => Just(Step::Unmark),
        2 => Just(Step::Compact),
    ];
    vec(step, 0..200)
}

proptest! {
    /// Whoever joined before a mark stays before it, nobody is lost or doubled, and each is found by its key.
    #[test]
    fn members_stay_on_their_side_of_a_mark(steps in steps()) {
        let mut seats = Seats::default();
        let mut marks: Vec<SeatIndex> = Vec::new();
        // For each mark, the members before it.
        let mut before: Vec<Vec<Key>> = Vec::new();
        let mut present: Vec<Key> = Vec::new();
        for step in steps {
            match step {
                Step::Add(key) => {
                    let added = seats.add(key, key * 10);
                    prop_assert_eq!(added.is_ok(), !present.contains(&key));
                    if added.is_ok() {
                        present.push(key);
                    }
                }
                Step::Take(key) => {
                    let was_here = present.contains(&key);
                    prop_assert_eq!(seats.take(key), was_here.then_some(key * 10));
                    present.retain(|other| *other != key);
                    before.iter_mut().for_each(|keys| keys.retain(|other| *other != key));
                }
                Step::Mark => {
                    marks.push(seats.end());
                    before.push(present.clone());
                }
                Step::Unmark if !marks.is_empty() => {
                    marks.remove(0);
                    before.remove(0);
                }
                Step::Unmark => {}
                Step::Compact => {
                    seats.compact(marks.iter_mut());
                    prop_assert_eq!(seats.end() as usize, present.len());
                    prop_assert!(!seats.has_dead());
                }
            }
            prop_assert_eq!(seats.len(), present.len());
            for (mark, keys) in marks.iter().zip(&before) {
                prop_assert_eq!(sorted(seats.range(0..*mark).map(|(_, key, _)| key)), sorted(keys.iter().copied()));
            }
            for key in 0..40 {
                prop_assert_eq!(seats.contains(key), present.contains(&key));
            }
            let all: Vec<_> = seats.range(0..seats.end()).map(|(seat, key, _)| (*seat, key)).collect();
            prop_assert!(all.iter().all(|(seat, key)| *seat == key * 10));
            prop_assert_eq!(sorted(all.into_iter().map(|(_, key)| key)), sorted(present.iter().copied()));
        }
    }
}

fn sorted(keys: impl Iterator<Item = Key>) -> Vec<Key> {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    keys
}
