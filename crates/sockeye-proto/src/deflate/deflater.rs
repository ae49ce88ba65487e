//! The compressing end.

use std::sync::atomic::{AtomicU64, Ordering};

use flate2::{Compress, FlushCompress};

use super::{
    COMPRESSED, Compression, TAIL, WindowBits,
    compressors::{self, Kind, Knowledge, Point},
    history::History,
};
use crate::{PayloadEncoder, Rsv, SharedKey};

/// Compresses the messages of one connection. Holds no compressor between two messages.
#[derive(Debug)]
pub(super) struct Deflater {
    kind: Kind,
    threshold: usize,
    /// Present with context takeover.
    context: Option<Context>,
}

#[derive(Debug)]
struct Context {
    point: Point,
    /// The last bytes of the messages that were sent compressed: only these are in the peer's window.
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
    fn rsv(&self) -> Rsv {
        COMPRESSED
    }

    fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> bool {
        // RFC 7692 §6: "An endpoint MAY (...) send messages uncompressed"; an empty payload cannot become shorter.
        if payload.len() < self.threshold.max(1) {
            return false;
        }
        let (mut compress, continues) =
            compressors::take(self.kind, self.context.as_ref().map(|context| context.point));
        if let Some(context) = self.context.as_ref().filter(|_| !continues) {
            if context.history.parts().any(|part| compress.set_dictionary(part).is_err()) {
                // This fails only between the two ends of a message, and none has begun. If it does fail, an uncompressed
                // message is correct as well.
                return false;
            }
        }
        let start = output.len();
        // With a full flush, the compressor forgets all strings that it has seen: it clears its table of them, through which
        // alone it finds anything in its window. The window still holds the message, but nothing leads there, so the next
        // message, which may be of another connection, cannot refer to it. A `reset` ensures no more than this (it leaves the
        // window as it is, too), and clears the unused memory for symbols a second time.
        let flush = if self.context.is_some() { FlushCompress::Sync } else { FlushCompress::Full };
        let outcome = deflate(&mut compress, payload, output, flush);
        if outcome != Some(true) {
            output.truncate(start);
        }
        let Some(is_shorter) = outcome else { return false };
        let knowledge = match &mut self.context {
            None => Knowledge::Nothing,
            Some(context) if is_shorter => {
                context.point.messages += 1;
                context.history.push(payload);
                Knowledge::Until(context.point)
            }
            // A payload that is not sent compressed does not enter the peer's window. The compressor has seen it, so it must
            // not continue at a point of this connection.
            Some(_) => Knowledge::Useless,
        };
        compressors::give(self.kind, knowledge, compress);
        is_shorter
    }

    fn restart(&mut self) {
        if let Some(context) = &mut self.context {
            // No compressor has been given back for this point, so the next message finds none that continues here.
            context.point.messages += 1;
            context.history.clear();
        }
    }

    fn shared_key(&self) -> Option<SharedKey> {
        // Both numbers fit into four bits: there are at most 15 window bits, and the level is at most 9.
        let kind = u64::from(self.kind.level) << 4 | u64::from(self.kind.window_bits);
        self.context.is_none().then(|| SharedKey::new::<Self>((self.threshold as u64) << 8 | kind))
    }
}

/// Appends the compressed payload, and returns whether it is shorter than `payload`. Returns `None` if the compressor has
/// failed and cannot be used any more.
///
/// Compresses to the end, even when it is already clear that nothing is gained: a compressor that is stopped earlier keeps
/// some output, and a `reset` leaves this output for the next message. Little time is lost, since it becomes clear only near
/// the end.
fn deflate(compress: &mut Compress, payload: &[u8], output: &mut Vec<u8>, flush: FlushCompress) -> Option<bool> {
    let start = output.len();
    let mut rest = payload;
    loop {
        if output.len() == output.capacity() {
            output.reserve((payload.len() / 4).max(4 << 10));
        }
        let before = compress.total_in();
        // RFC 7692 §7.2.1: a flush appends "an empty DEFLATE block with no compression"; all but its header is removed.
        compress.compress_vec(rest, output, flush).ok()?;
        rest = &rest[(compress.total_in() - before) as usize..];
        // A compressor with more output would have filled all the space.
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
