//! The masking keys of the client role, from the operating system's random numbers.

mod fork;

use std::cell::RefCell;

use sockeye_proto::MaskSource;

/// How many bytes are drawn at a time: keys for 1,024 frames.
const DRAWN: usize = 4096;

/// Masking keys, from what this thread has drawn: a system call for each key would cost more than the rest of a short frame.
///
/// RFC 6455 §5.3: the key "MUST be derived from a strong source of entropy" and "MUST NOT make it simple for a
/// server/proxy to predict the masking key for a subsequent frame". The connections of a thread share what was drawn, but no key:
/// each is given away once. A process that was forked has a copy of what was not used yet, and draws anew.
pub(crate) struct RandomMasks;

thread_local! {
    /// Without a destructor, so that a connection may still be closed while the thread ends.
    static KEYS: RefCell<Keys> = const { RefCell::new(Keys::NONE) };
}

impl RandomMasks {
    pub(crate) fn boxed() -> Box<dyn MaskSource> {
        Box::new(Self)
    }
}

impl MaskSource for RandomMasks {
    fn next_key(&mut self) -> [u8; 4] {
        KEYS.with_borrow_mut(|keys| {
            keys.next(fork::generation(), |bytes| {
                // A client cannot work without random numbers for its masks. No peer can cause this panic.
                getrandom::fill(bytes).expect("the operating system has random numbers");
            })
        })
    }
}

/// What was drawn. The used part is zero.
struct Keys {
    drawn: [u8; DRAWN],
    used: usize,
    /// The [`fork::generation`] in which it was drawn.
    generation: u32,
}

impl Keys {
    const NONE: Self = Self { drawn: [0; DRAWN], used: DRAWN, generation: 0 };

    /// The next key. `fill` overwrites its argument with random bytes, and is called when nothing is left.
    #[inline]
    fn next(&mut self, generation: u32, fill: impl FnOnce(&mut [u8])) -> [u8; 4] {
        if self.used == DRAWN || self.generation != generation {
            self.draw(generation, fill);
        }
        let (key, _) = self.drawn[self.used..].split_first_chunk_mut().expect("four bytes");
        self.used += 4;
        // A used key is never needed again.
        std::mem::take(key)
    }

    #[cold]
    fn draw(&mut self, generation: u32, fill: impl FnOnce(&mut [u8])) {
        // If `fill` panics, nothing is left.
        self.used = DRAWN;
        fill(&mut self.drawn);
        (self.used, self.generation) = (0, generation);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// A source that counts, and never yields the same four bytes twice.
    fn counting(calls: &mut u32) -> impl FnMut(&mut [u8]) {
        |bytes| {
            for (index, key) in bytes.chunks_exact_mut(4).enumerate() {
                key.copy_from_slice(&(*calls * 1_000_000 + index as u32 + 1).to_be_bytes());
            }
            *calls += 1;
        }
    }

    #[test]
    fn a_thread_draws_once_for_a_thousand_keys_and_gives_none_away_twice() {
        let (mut keys, mut calls) = (Keys::NONE, 0);
        let mut given = HashSet::new();
        for expected in 1..=3 {
            for _ in 0..1024 {
                let key = keys.next(0, counting(&mut calls));
                assert!(key != [0; 4] && given.insert(key), "{key:?}");
                assert_eq!(calls, expected);
            }
            assert_eq!(keys.drawn, [0; DRAWN], "used keys are forgotten");
        }
    }

    #[test]
    fn nothing_that_was_drawn_before_a_fork_is_used_after() {
        let (mut keys, mut calls) = (Keys::NONE, 0);
        keys.next(0, counting(&mut calls));
        let expected = keys.drawn[4..8].to_vec();
        let key = keys.next(1, counting(&mut calls));
        assert_eq!(calls, 2);
        assert_ne!(key.to_vec(), expected);
    }

    #[test]
    fn connections_of_a_thread_share_what_was_drawn() {
        let (mut one, mut other) = (RandomMasks::boxed(), RandomMasks::boxed());
        KEYS.with_borrow_mut(|keys| {
            keys.next(fork::generation(), |bytes| bytes.fill(1));
            let count = (DRAWN - keys.used) / 4;
            for (index, key) in keys.drawn[DRAWN - count * 4..].chunks_exact_mut(4).enumerate() {
                key.copy_from_slice(&(index as u32).to_be_bytes());
            }
        });
        let given = [one.next_key(), other.next_key(), one.next_key(), other.next_key()];
        assert_eq!(given.map(|key| u32::from_be_bytes(key) - u32::from_be_bytes(given[0])), [0, 1, 2, 3]);
    }
}
