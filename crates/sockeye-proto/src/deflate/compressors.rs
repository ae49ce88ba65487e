//! The compressors of a thread, which it lends for the time of one message.

use std::cell::RefCell;

use flate2::Compress;

/// At most so many wait in each thread, with some 300 KiB each. Without context takeover one is enough.
const KEPT: usize = 8;

/// What a compressor was set up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) level: u8,
    /// What zlib is asked for: 9 to 15.
    pub(super) window_bits: u8,
}

/// A point in the messages of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// Of no other connection.
    pub(super) id: u64,
    /// How many messages were compressed before.
    pub(super) messages: u64,
}

struct Waiting {
    kind: Kind,
    /// The point at which it goes on, if any.
    point: Option<Point>,
    compress: Compress,
}

thread_local! {
    /// The one that was used last is the last.
    static WAITING: RefCell<Vec<Waiting>> = const { RefCell::new(Vec::new()) };
}

/// A compressor of this kind, and whether it goes on at `point`: else it knows of nothing before.
pub(super) fn take(kind: Kind, point: Option<Point>) -> (Compress, bool) {
    // At the end of a thread there may be none any more.
    let waiting = WAITING.try_with(|waiting| pick(&mut waiting.borrow_mut(), kind, point)).ok().flatten();
    match waiting {
        Some(Waiting { compress, point: Some(at), .. }) if point == Some(at) => (compress, true),
        Some(Waiting { mut compress, .. }) => {
            compress.reset();
            (compress, false)
        }
        None => {
            let level = flate2::Compression::new(kind.level.into());
            (Compress::new_with_window_bits(level, false, kind.window_bits), false)
        }
    }
}

fn pick(waiting: &mut Vec<Waiting>, kind: Kind, point: Option<Point>) -> Option<Waiting> {
    let going_on = point.and_then(|point| waiting.iter().rposition(|one| one.kind == kind && one.point == Some(point)));
    // A connection that comes for the first time must not take another one's place while there is room.
    let spare = || waiting.iter().rposition(|one| one.kind == kind && one.point.is_none());
    let oldest = || waiting.iter().position(|one| one.kind == kind).filter(|_| waiting.len() >= KEPT);
    let index = going_on.or_else(spare).or_else(oldest)?;
    Some(waiting.remove(index))
}

/// Gives a compressor back, which goes on at `point`, or nowhere.
pub(super) fn give(kind: Kind, point: Option<Point>, compress: Compress) {
    let _ = WAITING.try_with(|waiting| {
        let mut waiting = waiting.borrow_mut();
        if waiting.len() >= KEPT {
            waiting.remove(0);
        }
        waiting.push(Waiting { kind, point, compress });
    });
}
