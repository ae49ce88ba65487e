//! The compressing end.

use std::sync::atomic::{AtomicU64, Ordering};

use flate2::{Compress, FlushCompress};

use super::{
    Compression, TAIL, WindowBits,
    compressors::{self, Kind, Point},
    history::History,
};
use crate::PayloadEncoder;

/// Compresses the messages of one connection. It holds no compressor.
#[derive(Debug)]
pub(super) struct Deflater {
    kind: Kind,
    threshold: usize,
    /// With context takeover.
    context: Option<Context>,
}

#[derive(Debug)]
struct Context {
    point: Point,
    /// Of what was sent compressed: that is what the peer's window holds.
    history: History,
}

impl Deflater {
    pub(super) fn new(compression: &Compression, window: WindowBits, keeps_context: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let context = keeps_context.then(|| Context {
            point: Point { id: NEXT.fetch_add(1, Ordering::Relaxed), messages: 0 },
            history: History::new(1 << window.bits()),
        });
        let kind = Kind { level: compression.level, window_bits: window.zlib() };
        Self { kind, threshold: compression.threshold, context }
    }
}

impl PayloadEncoder for Deflater {
    fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> bool {
        // RFC 7692 §6: "An endpoint MAY (...) send messages uncompressed"; nothing becomes shorter than nothing.
        if payload.len() < self.threshold.max(1) {
            return false;
        }
        let (mut compress, goes_on) = compressors::take(self.kind, self.context.as_ref().map(|context| context.point));
        if !goes_on
            && let Some(context) = &self.context
            && !context.history.bytes().is_empty()
            && compress.set_dictionary(context.history.bytes()).is_err()
        {
            // It fails for a stream that has begun, which this one has not. Sent as it is, the message is right as well.
            return false;
        }
        let start = output.len();
        let outcome = deflate(&mut compress, payload, output);
        if outcome != Some(true) {
            output.truncate(start);
        }
        let Some(is_shorter) = outcome else { return false };
        let point = self.context.as_mut().filter(|_| is_shorter).map(|context| {
            context.point.messages += 1;
            context.history.push(payload);
            context.point
        });
        // What was not sent is not in the peer's window, and so this compressor must not go on from there.
        compressors::give(self.kind, point, compress);
        is_shorter
    }

    fn restart(&mut self) {
        if let Some(context) = &mut self.context {
            // Of no number before, so that no compressor is found that goes on there.
            context.point.messages += 1;
            context.history.clear();
        }
    }

    fn shared_key(&self) -> Option<u64> {
        // A window of 15 bits, a level of 9.
        let kind = u64::from(self.kind.level) << 4 | u64::from(self.kind.window_bits);
        self.context.is_none().then_some((self.threshold as u64) << 8 | kind)
    }
}

/// Appends the compressed payload, and tells whether that is shorter. `None` if it has failed, after which the compressor is of no
/// use.
///
/// It goes on to the end also when it is clear that nothing is gained, which is near the end: a compressor that is given up in
/// between keeps some of what it had to say, and a `reset` leaves that there for the next message.
fn deflate(compress: &mut Compress, payload: &[u8], output: &mut Vec<u8>) -> Option<bool> {
    let start = output.len();
    let mut rest = payload;
    loop {
        if output.len() == output.capacity() {
            output.reserve((payload.len() / 4).max(4 << 10));
        }
        let before = compress.total_in();
        // RFC 7692 §7.2.1: a flush appends "an empty DEFLATE block with no compression", of which all but its header goes.
        compress.compress_vec(rest, output, FlushCompress::Sync).ok()?;
        rest = &rest[(compress.total_in() - before) as usize..];
        // While it has more to say, it uses all the room that there is.
        if rest.is_empty() && output.len() < output.capacity() {
            break;
        }
    }
    // RFC 7692 §7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end. After this step, the last octet of
    // the compressed data contains (possibly part of) the DEFLATE header bits with the "BTYPE" bits set to 00."
    let body = output[start..].strip_suffix(&TAIL)?.len();
    output.truncate(start + body);
    Some(body < payload.len())
}
