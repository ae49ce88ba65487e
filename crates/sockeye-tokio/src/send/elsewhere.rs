//! Queuing and writing in a task other than the driver's.

use std::io::{self, IoSlice};

use sockeye_proto::Outgoing;

use super::{Send, take};
use crate::Error;

/// Enough slices for a few large messages. Longer queues take more calls.
const SLICES: usize = 8;

impl Send {
    /// Like [`encode`](Self::encode), for a message of another task than the handler's. If it is written `soon`, a small message
    /// uses a pooled buffer. Takes the payload out of the message, or the whole message.
    #[inline]
    pub(crate) fn encode_elsewhere(&mut self, message: &mut Outgoing, soon: bool) -> Result<(), Error> {
        let before = self.unpaid;
        if soon { self.encode_soon_written(message) } else { self.encode(take(message)) }?;
        self.unpaid_elsewhere = self.unpaid_elsewhere.saturating_add(self.unpaid.wrapping_sub(before));
        Ok(())
    }

    /// Writes what the kernel takes of the queue now. Returns whether that was all. Otherwise the driver must be woken: it waits
    /// for the stream, and it alone ends a connection whose stream has failed. Only for a `TcpStream`.
    ///
    /// A socket is written only under the send lock, so the bytes go out in the order of the queue, whoever writes them.
    #[inline]
    pub(crate) fn write_now(&mut self) -> bool {
        // The usual case, as in `poll_write`.
        let single = if self.rare.is_none() { self.encoder.single() } else { None };
        if let (Some(bytes), Some(stream)) = (single.filter(|bytes| !bytes.is_empty()), &self.stream) {
            let written = stream.try_write_slices(&[IoSlice::new(bytes)]);
            if matches!(written, Ok(written) if written == bytes.len()) {
                self.encoder.advance_all();
            } else if !self.goes_on_after(written) {
                return false;
            }
        }
        self.encoder.buffered() == 0 || self.write_slices_now()
    }

    #[inline(never)]
    fn write_slices_now(&mut self) -> bool {
        while self.encoder.buffered() > 0 {
            let Some(stream) = self.stream.as_ref() else { return false };
            let mut slices = [IoSlice::new(&[]); SLICES];
            let used = self.encoder.slices(&mut slices);
            let written = stream.try_write_slices(&slices[..used]);
            if !self.goes_on_after(written) {
                return false;
            }
        }
        true
    }

    /// Whether more may be written after a write with this result.
    fn goes_on_after(&mut self, written: io::Result<usize>) -> bool {
        match written {
            Ok(written) => self.wrote(Ok(written)).is_ok(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
            Err(error) => {
                self.keep(error);
                false
            }
        }
    }
}
