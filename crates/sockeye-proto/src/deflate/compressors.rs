//! The compressors of a thread. A connection uses a compressor only during one message.

use std::cell::RefCell;

use flate2::Compress;

/// The most unused compressors that each thread keeps. Each of them takes some 300 KiB. Without context takeover, one is
/// enough.
const KEPT: usize = 8;

/// The settings of a compressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) level: u8,
    /// The window bits for zlib: 9 to 15.
    pub(super) window_bits: u8,
}

/// A point between two compressed messages of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// The number of the connection, which no other connection has.
    pub(super) id: u64,
    /// How many messages of the connection were compressed before this point.
    pub(super) messages: u64,
}

/// What a compressor that is given back still knows of the messages that it has compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// Nothing: its last message ended with a full flush, so no later message refers to this message or to any before.
    Nothing,
    /// The messages before this point, and no others. It can continue there.
    Until(Point),
    /// Messages that no later one may refer to. It must be reset before its next message.
    Useless,
}

struct Waiting {
    kind: Kind,
    knowledge: Knowledge,
    compress: Compress,
}

thread_local! {
    /// The unused compressors, from the one that was used first to the one that was used last.
    static WAITING: RefCell<Vec<Waiting>> = const { RefCell::new(Vec::new()) };
}

/// Takes or makes a compressor of this kind. Returns it together with whether it continues at `point`; if not, the
/// compressor knows no earlier messages.
pub(super) fn take(kind: Kind, point: Option<Point>) -> (Compress, bool) {
    // While a thread ends, the list may be gone already.
    let waiting = WAITING.try_with(|waiting| pick(&mut waiting.borrow_mut(), kind, point)).ok().flatten();
    match waiting {
        Some(Waiting { compress, knowledge: Knowledge::Until(at), .. }) if point == Some(at) => (compress, true),
        Some(Waiting { compress, knowledge: Knowledge::Nothing, .. }) => (compress, false),
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
    let going_on = point.map(Knowledge::Until);
    let going_on = waiting.iter().rposition(|one| one.kind == kind && Some(one.knowledge) == going_on);
    // While there is space for another compressor, a connection must not take one that can continue for another connection.
    let spare = || waiting.iter().rposition(|one| one.kind == kind && !matches!(one.knowledge, Knowledge::Until(_)));
    let oldest = || waiting.iter().position(|one| one.kind == kind).filter(|_| waiting.len() >= KEPT);
    let index = going_on.or_else(spare).or_else(oldest)?;
    Some(waiting.remove(index))
}

/// Gives back a compressor with this knowledge. Frees the compressor that was used longest ago if there are enough.
pub(super) fn give(kind: Kind, knowledge: Knowledge, compress: Compress) {
    let _ = WAITING.try_with(|waiting| {
        let mut waiting = waiting.borrow_mut();
        if waiting.len() >= KEPT {
            waiting.remove(0);
        }
        waiting.push(Waiting { kind, knowledge, compress });
    });
}
