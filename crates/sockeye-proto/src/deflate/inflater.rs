//! The inflating end.

use std::thread::LocalKey;

use flate2::{Decompress, FlushDecompress, Status};

use super::{COMPRESSED, TAIL, WindowBits, guard::Guard, history::History, output::Output};
use crate::{
    Error, PayloadDecoder, Rsv, Violation,
    pool::{Pool, Poolable, Pooled},
};

/// Up to this many bytes, an incomplete message is kept compressed. A decompressor takes more memory, and must not be lent
/// to a peer that sends a little and then waits.
const KEPT: usize = 16 << 10;

/// An empty block with the BFINAL bit, and padding.
const LAST: [u8; 2] = [0x03, 0x00];

/// Inflates the messages of one connection. Holds a decompressor only while a large message is arriving.
#[derive(Debug)]
pub(super) struct Inflater {
    max_ratio: u32,
    /// Present with context takeover.
    history: Option<History>,
    message: Option<Box<Unfinished>>,
}

#[derive(Debug, Default)]
struct Unfinished {
    /// The compressed bytes, as long as they are few and none of them has been inflated.
    kept: Vec<u8>,
    work: Option<Work>,
}

impl Inflater {
    pub(super) fn new(window: WindowBits, keeps_context: bool, max_ratio: u32) -> Self {
        let history = keeps_context.then(|| History::new(1 << window.zlib()));
        Self { max_ratio, history, message: None }
    }
}

impl PayloadDecoder for Inflater {
    fn rsv(&self) -> Rsv {
        COMPRESSED
    }

    fn push(&mut self, piece: &[u8], max: usize) -> Result<(), Error> {
        let Unfinished { kept, work } = &mut **self.message.get_or_insert_default();
        if work.is_none() {
            if kept.len() + piece.len() <= KEPT {
                kept.extend_from_slice(piece);
                return Ok(());
            }
            let work = work.insert(Work::new(self.history.as_ref(), Output::default())?);
            work.feed(&std::mem::take(kept), max, self.max_ratio)?;
        }
        match work {
            Some(work) => work.feed(piece, max, self.max_ratio),
            None => Ok(()),
        }
    }

    fn finish(&mut self, piece: &[u8], max: usize) -> Result<Vec<u8>, Error> {
        let Unfinished { kept, work } = self.message.take().map(|message| *message).unwrap_or_default();
        let mut work = match work {
            Some(work) => work,
            None => Work::new(self.history.as_ref(), Output::pooled())?,
        };
        work.feed(&kept, max, self.max_ratio)?;
        work.feed(piece, max, self.max_ratio)?;
        let payload = work.finish(max, self.max_ratio)?;
        if let Some(history) = &mut self.history {
            history.push(&payload);
        }
        Ok(payload)
    }
}

/// A decompressor that is inflating a message, and what it has yielded.
#[derive(Debug)]
struct Work {
    stream: Pooled<Stream>,
    output: Output,
    guard: Guard,
    /// Whether the last byte that was taken was the end of a final block.
    is_at_end: bool,
}

impl Work {
    fn new(history: Option<&History>, output: Output) -> Result<Self, Error> {
        let mut stream = Pooled::<Stream>::NONE;
        let decompress = &mut stream.get_or_take().0;
        for part in history.into_iter().flat_map(History::parts) {
            // Setting a dictionary cannot fail before the first byte. A second one follows the first.
            decompress.set_dictionary(part).map_err(|_| Violation::InvalidDeflate)?;
        }
        Ok(Self { stream, output, guard: Guard::default(), is_at_end: false })
    }

    fn feed(&mut self, mut piece: &[u8], max: usize, max_ratio: u32) -> Result<(), Error> {
        while !piece.is_empty() {
            let (now, rest) = piece.split_at(piece.len().min(self.guard.room()));
            self.inflate(now, max)?;
            self.guard.took(now.len(), self.output.total(), max_ratio)?;
            piece = rest;
        }
        Ok(())
    }

    /// Inflates until all input is taken and all of its output is in `output`. Fails if the message grows beyond `max`
    /// bytes.
    fn inflate(&mut self, mut input: &[u8], max: usize) -> Result<(), Error> {
        let decompress = &mut self.stream.get_or_take().0;
        loop {
            let (taken, total) = (decompress.total_in(), self.output.total());
            let room = self.output.room(max);
            let before = room.len();
            let status = decompress.decompress_vec(input, room, FlushDecompress::Sync);
            let yielded = room.len() - before;
            // The bytes are counted first: those that were inflated before an error count as well.
            let has_capacity = self.output.count(yielded, max)?;
            // RFC 7692 §8.2 refers to RFC 6455 for how to fail: nothing can be done with such a message.
            let status = status.map_err(|_| Violation::InvalidDeflate)?;
            let took = (decompress.total_in() - taken) as usize;
            input = &input[took..];
            self.is_at_end = false;
            if status == Status::StreamEnd {
                // RFC 7692 §7.2.1: an endpoint MAY use "DEFLATE blocks with the "BFINAL" bit set to 1"; "The next DEFLATE block
                // follows the padded data if any."
                decompress.reset(false);
                self.guard.ended(self.output.total())?;
                self.is_at_end = input.is_empty();
                if input.is_empty() {
                    return Ok(());
                }
            } else if input.is_empty() && has_capacity {
                return Ok(());
            } else if took == 0 && self.output.total() == total {
                // There was space, and zlib neither took input nor yielded output. It does not do this, but the loop must
                // not run for ever.
                return Err(Violation::InvalidDeflate.into());
            }
        }
    }

    fn finish(mut self, max: usize, max_ratio: u32) -> Result<Vec<u8>, Error> {
        self.guard.ratio(self.output.total(), max_ratio)?;
        // By RFC 7692 §7.2.3.6, an empty message is one octet on the wire. A payload without any octet is taken for an empty
        // message too, since it can mean nothing else. A message that ends with a final block, without the block that a
        // sender removes, is complete as well.
        if !self.guard.is_new() && !self.is_at_end {
            let total = self.output.total();
            // RFC 7692 §7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload of the message." The
            // empty final block after them ends the stream, but only where a block can begin, so a message that was cut
            // short is detected. The next message has its own stream.
            let [a, b, c, d] = TAIL;
            let [first, second] = LAST;
            // This final block is ours, so the guard must not count it.
            self.guard = Guard::default();
            let ended = self.inflate(&[a, b, c, d, first, second], max);
            if ended.is_err() || self.output.total() != total || !self.is_at_end {
                return Err(Violation::InvalidDeflate.into());
            }
        }
        Ok(self.output.into_payload())
    }
}

/// A decompressor in its initial state. It always has the largest window, so that all decompressors of a thread are alike; a
/// window larger than the peer's does no harm.
#[derive(Debug)]
struct Stream(Decompress);

thread_local!(static POOL: Pool<Option<Box<Stream>>> = const { Pool::new() });

impl Default for Stream {
    fn default() -> Self {
        Self(Decompress::new(false))
    }
}

impl Poolable for Stream {
    const POOL: &'static LocalKey<Pool<Option<Box<Self>>>> = &POOL;

    fn reset(&mut self) -> bool {
        self.0.reset(false);
        true
    }
}
