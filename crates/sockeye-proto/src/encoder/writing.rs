//! The queue as the caller writes it: which bytes are next, and how far it has come.

use std::io::IoSlice;

use super::Encoder;
use crate::{
    header::OpCode,
    pool::Lent,
    queue::{Queue, Slices},
};

/// A position in the stream of sent bytes, see [`Encoder::queued`] and [`Encoder::is_written`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    pub(super) data: u64,
    control: u64,
}

impl Encoder {
    /// At most how many slices the whole queue takes.
    pub fn pieces(&self) -> usize {
        // The control frames go between two parts of the data.
        self.data.get().map_or(0, Queue::pieces) + if self.control.is_some() { 2 } else { 0 }
    }

    /// Everything that is queued, if it is in one piece: [`slices`](Self::slices) for the usual case.
    #[inline]
    pub fn single(&self) -> Option<&[u8]> {
        if self.control.is_some() { None } else { self.data.get()?.single() }
    }

    /// Fills `slices` with what goes next, and returns how many were filled; 0 means that nothing is queued.
    pub fn slices<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut out = Slices::new(slices);
        let begun = match (&self.control, self.data.get_mut()) {
            (Some(_), Some(data)) => data.begun(),
            _ => 0,
        };
        let data = self.data.get();
        if begun > 0
            && let Some(data) = data
        {
            data.slices(0, begun, &mut out);
        }
        let has_room = self.control.as_ref().is_none_or(|control| out.push(control.unsent()));
        if has_room && let Some(data) = data {
            data.slices(begun, usize::MAX, &mut out);
        }
        out.used()
    }

    /// The first `n` bytes of what [`slices`](Self::slices) yielded have been written.
    ///
    /// # Panics
    ///
    /// When `n` is more than that.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.buffered, "{n} bytes written of {}", self.buffered);
        if self.control.is_none() {
            return self.advance_data(n);
        }
        let mut data = n;
        if let Some(control) = &mut self.control {
            let begun = self.data.get_mut().map_or(0, Queue::begun).min(n);
            let written = (n - begun).min(control.unsent().len());
            control.advance(written);
            self.buffered -= written;
            self.written.control += written as u64;
            data -= written;
        }
        if data > 0 {
            self.advance_data(data);
        }
        self.settle_control();
    }

    /// All that [`single`](Self::single) yielded has been written.
    #[inline(always)]
    pub fn advance_all(&mut self) {
        if self.control.is_none() {
            self.written.data = self.queued_data();
            self.buffered = 0;
            self.data.give_back();
        }
    }

    #[inline]
    fn advance_data(&mut self, n: usize) {
        let is_rest = n < self.data_len();
        match self.data.get_mut() {
            Some(data) if is_rest => {
                self.written.data += (n + data.gap.pass(n)) as u64;
                self.buffered -= n;
                data.advance(n);
            }
            _ => self.data_is_written(),
        }
    }

    /// All of the data has been written, and what was dropped behind any of it counts.
    #[inline]
    fn data_is_written(&mut self) {
        self.written.data = self.queued_data();
        self.buffered -= self.data_len();
        // Back to the pool, or freed: an idle connection holds nothing.
        self.data = Lent::NONE;
    }

    /// After some were written: a Pong that was kept has room now, or there is nothing left to keep.
    fn settle_control(&mut self) {
        let Some(control) = &mut self.control else { return };
        if !control.is_full()
            && let Some(payload) = control.take_kept()
        {
            self.control(OpCode::Pong, &payload);
        } else if control.unsent().is_empty() {
            self.control = None;
        }
    }

    /// Takes all queued bytes at once, for callers that have no use for slices.
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

    /// The stream takes no more for now: gives back what memory the queue does not need.
    pub fn compact(&mut self) {
        if let Some(data) = self.data.get_mut() {
            data.compact();
        }
    }

    /// How many bytes have been written in all. What was [dropped](Self::drop_oldest) before counts as well.
    pub fn written(&self) -> u64 {
        self.written.data + self.written.control
    }

    /// How many bytes of data frames have been queued in all, and of Closes.
    #[inline(always)]
    pub fn queued_data(&self) -> u64 {
        let gap = self.data.get().map_or(0, |data| data.gap.bytes());
        self.written.data + (self.data_len() + gap) as u64
    }

    /// The position behind everything that is queued now. What was dropped when the stream ended counts as well, so that it
    /// is never reached.
    pub fn queued(&self) -> Position {
        Position {
            data: self.queued_data() + u64::from(self.lost),
            control: self.written.control + self.control_len() as u64,
        }
    }

    /// Whether everything up to `position` has been written.
    pub fn is_written(&self, position: Position) -> bool {
        self.written.data >= position.data && self.written.control >= position.control
    }
}
