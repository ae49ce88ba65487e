//! How a caller writes the queue: which bytes are next, and how many have been written.

use std::io::IoSlice;

use super::{Encoder, Position};
use crate::{
    header::OpCode,
    pool::Pooled,
    queue::{PayloadSlice, Queue, Slices},
};

impl Encoder {
    /// An upper bound on the number of slices that the whole queue takes.
    pub fn pieces(&self) -> usize {
        // Control frames take one slice, and may cut one piece of the data in two.
        self.data_queue.get().map_or(0, Queue::pieces) + if self.control_queue.is_some() { 2 } else { 0 }
    }

    /// All queued bytes, if they are in one piece: the usual case of [`slices`](Self::slices). `None` if there are several
    /// pieces, or Pings or Pongs. If nothing is queued, `None` or an empty slice.
    #[inline]
    pub fn single(&self) -> Option<&[u8]> {
        if self.control_queue.is_some() { None } else { self.data_queue.get()?.single() }
    }

    /// Fills `slices` with the next bytes to write, and returns how many slices were filled; 0 means that nothing is queued.
    pub fn slices<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut out = Slices::new(slices);
        let begun = match (&self.control_queue, self.data_queue.get_mut()) {
            (Some(_), Some(data)) => data.begun(),
            _ => 0,
        };
        let data = self.data_queue.get();
        if begun > 0 {
            if let Some(data) = data {
                data.slices(0, begun, &mut out);
            }
        }
        let has_capacity = self.control_queue.as_ref().is_none_or(|control| out.push(control.unsent()));
        if has_capacity {
            if let Some(data) = data {
                data.slices(begun, usize::MAX, &mut out);
            }
        }
        out.used()
    }

    /// Appends the next bytes to `output`, at most `most`, for a stream that may take bytes even when it reports that it is
    /// not ready. Until [`advance`](Self::advance), the data frames among these bytes count as begun: nothing goes before
    /// them, none of them is dropped, and the next offer repeats them, whatever its `most` is. OpenSSL requires this, because a record that it could
    /// not write contains them already.
    ///
    /// Pings and Pongs come last in an offer, so later ones can go behind them. The next offer may contain more of them.
    ///
    /// ```
    /// use sockeye_proto::{Encoder, Message};
    ///
    /// let mut encoder = Encoder::server();
    /// encoder.encode(Message::text("hi")).unwrap();
    /// let mut offered = Vec::new();
    /// encoder.offer(1024, &mut offered);
    /// encoder.pong(b"");
    /// assert_eq!(encoder.take_bytes(), b"\x81\x02hi\x8a\x00");
    /// ```
    pub fn offer(&mut self, most: usize, output: &mut Vec<u8>) {
        let mut room = most;
        if let Some(data) = self.data_queue.get_mut() {
            let Some(left) = data.offer(room, self.control_queue.is_some(), output) else { return };
            room = left;
        }
        if let Some(control) = &self.control_queue {
            let unsent = control.unsent();
            output.extend_from_slice(&unsent[..room.min(unsent.len())]);
        }
    }

    /// Offers the same bytes as [`offer`](Self::offer) without a copy, if that is possible: the header of a long message is written,
    /// and its payload fills the offer, or is all that is queued.
    ///
    /// ```
    /// use sockeye_proto::{Encoder, Message};
    ///
    /// let mut encoder = Encoder::server();
    /// encoder.encode(Message::binary(vec![7; 100_000])).unwrap();
    /// assert!(encoder.offer_in_place(50_000).is_none());
    /// encoder.advance(10);
    /// assert_eq!(&*encoder.offer_in_place(50_000).unwrap(), vec![7; 50_000]);
    /// ```
    pub fn offer_in_place(&mut self, most: usize) -> Option<PayloadSlice> {
        if self.control_queue.is_some() { None } else { self.data_queue.get_mut()?.offer_in_place(most) }
    }

    /// The first `n` bytes of what [`slices`](Self::slices) yielded have been written.
    ///
    /// # Panics
    ///
    /// When `n` is more than what is queued.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.unwritten, "{n} bytes written of {}", self.unwritten);
        if self.control_queue.is_none() {
            return self.advance_data(n);
        }
        let mut data = n;
        if let Some(control) = &mut self.control_queue {
            let begun = self.data_queue.get_mut().map_or(0, Queue::begun).min(n);
            let written = (n - begun).min(control.unsent().len());
            control.advance(written);
            self.unwritten -= written;
            self.written_up_to.control += written as u64;
            data -= written;
        }
        if data > 0 {
            self.advance_data(data);
        }
        self.finish_control();
    }

    /// All bytes that [`single`](Self::single) yielded have been written. Has no effect while Pings or Pongs are queued.
    #[inline(always)]
    pub fn advance_all(&mut self) {
        if self.control_queue.is_none() {
            self.written_up_to.data = self.queued_data();
            self.unwritten = 0;
            self.data_queue.give_back();
        }
    }

    #[inline]
    fn advance_data(&mut self, n: usize) {
        let is_rest = n < self.data_len();
        match self.data_queue.get_mut() {
            Some(data) if is_rest => {
                self.written_up_to.data += (n + data.pass_gap(n)) as u64;
                self.unwritten -= n;
                data.advance(n);
            }
            _ => self.data_is_written(),
        }
    }

    /// All data has been written. Messages that were dropped after it count as written.
    #[inline]
    fn data_is_written(&mut self) {
        self.written_up_to.data = self.queued_data();
        self.unwritten -= self.data_len();
        // The queue is given back to the pool or freed: an idle connection has none.
        self.data_queue = Pooled::NONE;
    }

    /// Called after Pings and Pongs were written: queues the deferred Pong if there is space for it, or frees the queue of
    /// control frames if it is empty.
    fn finish_control(&mut self) {
        let Some(control) = &mut self.control_queue else { return };
        let deferred = if control.is_full() { None } else { control.take_deferred() };
        if let Some(payload) = deferred {
            self.enqueue_control(OpCode::Pong, &payload);
        } else if control.unsent().is_empty() {
            self.control_queue = None;
        }
    }

    /// Takes all queued bytes at once, for callers that do not need slices. The bytes count as written.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.buffered());
        loop {
            let mut slices = [IoSlice::new(&[]); 16];
            let used = self.slices(&mut slices);
            if used == 0 {
                return bytes;
            }
            let before = bytes.len();
            slices[..used].iter().for_each(|slice| bytes.extend_from_slice(slice));
            let taken = bytes.len() - before;
            self.advance(taken);
        }
    }

    /// Frees memory that the queue does not need. Call this when the stream takes no more for now.
    pub fn compact(&mut self) {
        if let Some(data) = self.data_queue.get_mut() {
            data.compact();
        }
    }

    /// How many bytes have been written in total. Bytes that were [dropped](Self::drop_oldest) count as well, once all bytes
    /// before them have been written.
    pub fn written(&self) -> u64 {
        self.written_up_to.data + self.written_up_to.control
    }

    /// As [`written`](Self::written), but only the bytes of data frames and Closes.
    pub fn written_data(&self) -> u64 {
        self.written_up_to.data
    }

    /// How many bytes go out before a Ping or Pong that is queued now: the rest of a begun frame, and the queued control
    /// frames.
    pub fn ahead_of_control(&mut self) -> u64 {
        (self.data_queue.get_mut().map_or(0, Queue::begun) + self.control_len()) as u64
    }

    /// How many bytes of data frames and Closes have been queued in total. Bytes that were lost when the stream ended do not
    /// count.
    #[inline(always)]
    pub fn queued_data(&self) -> u64 {
        let gap = self.data_queue.get().map_or(0, Queue::gap_bytes);
        self.written_up_to.data + (self.data_len() + gap) as u64
    }

    /// The position after everything that is queued now. If the stream ended before all bytes were written, a position that
    /// is never reached.
    pub fn queued(&self) -> Position {
        Position {
            data: self.queued_data() + u64::from(self.lost),
            control: self.written_up_to.control + self.control_len() as u64,
        }
    }

    /// How many bytes of data frames and Closes before `position` are unwritten. Dropped bytes count until all bytes before
    /// them have been written.
    pub fn unwritten_before(&self, position: Position) -> u64 {
        position.data.saturating_sub(self.written_up_to.data)
    }

    /// Whether everything up to `position` has been written.
    pub fn is_written(&self, position: Position) -> bool {
        self.written_up_to.data >= position.data && self.written_up_to.control >= position.control
    }
}
