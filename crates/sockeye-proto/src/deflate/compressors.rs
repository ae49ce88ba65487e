//! The compressors of a thread. A connection uses a compressor only during one message.

use std::cell::RefCell;

use flate2::Compress;

/// The most compressors that wait in each thread, with some 300 KiB each. Without context takeover, one is enough.
const KEPT: usize = 8;

/// The settings of a compressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) level: u8,
    /// The window bits for zlib: 9 to 15.
    pub(super) window_bits: u8,
}

/// A point in the messages of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// A number that no other connection has.
    pub(super) id: u64,
    /// How many messages were compressed before this point.
    pub(super) messages: u64,
}

struct Waiting {
    kind: Kind,
    /// The point at which the compressor can continue, if any.
    point: Option<Point>,
    compress: Compress,
}

thread_local! {
    /// The compressor that was used last is at the end.
    static WAITING: RefCell<Vec<Waiting>> = const { RefCell::new(Vec::new()) };
}

/// A compressor of this kind, and whether it continues at `point`. If not, it knows no earlier messages.
pub(super) fn take(kind: Kind, point: Option<Point>) -> (Compress, bool) {
    // At the end of a thread, the list may be gone already.
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
    // A new connection must not take the compressor of another one while there is space.
    let spare = || waiting.iter().rposition(|one| one.kind == kind && one.point.is_none());
    let oldest = || waiting.iter().position(|one| one.kind == kind).filter(|_| waiting.len() >= KEPT);
    let index = going_on.or_else(spare).or_else(oldest)?;
    Some(waiting.remove(index))
}

/// Gives back a compressor that can continue at `point`, if any.
pub(super) fn give(kind: Kind, point: Option<Point>, compress: Compress) {
    let _ = WAITING.try_with(|waiting| {
        let mut waiting = waiting.borrow_mut();
        if waiting.len() >= KEPT {
            waiting.remove(0);
        }
        waiting.push(Waiting { kind, point, compress });
    });
}
