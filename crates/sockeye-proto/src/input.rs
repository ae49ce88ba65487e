//! `Input`: bytes that were received and not decoded yet.

use crate::{
    Buffer, Decoder, Error, Message,
    pool::{Lendable, Lent, Pool},
};

/// Bytes that were received and not decoded: the messages behind the one that was handed over last.
///
/// While it is empty it is a pointer and owns nothing. What is read comes into a buffer that the thread lends, and that
/// goes back as soon as all of it is decoded.
///
/// ```
/// use sockeye_proto::{Config, Decoder, Input, Message, Role};
///
/// let mut decoder = Decoder::new(Role::Client, Config::default());
/// let mut input = Input::lent();
/// input.spare().extend_from_slice(&[0x81, 2, b'h', b'i', 0x81, 2, b'y', b'o']); // as a read would
/// assert_eq!(input.decode(&mut decoder), Ok(Some(Message::text("hi"))));
/// assert_eq!(input.decode(&mut decoder), Ok(Some(Message::text("yo"))));
/// assert!(input.is_empty());
/// ```
#[derive(Debug)]
pub struct Input(Lent<Unread>);

#[derive(Debug, Default)]
struct Unread {
    bytes: Vec<u8>,
    /// How many of them were decoded.
    start: usize,
}

thread_local!(static POOL: Pool<Box<Unread>> = const { Pool::new() });

impl Lendable for Unread {
    const POOL: &'static std::thread::LocalKey<Pool<Box<Self>>> = &POOL;

    #[inline]
    fn reset(&mut self) -> bool {
        self.bytes.clear();
        self.start = 0;
        self.bytes.capacity() == Buffer::SIZE
    }
}

impl Default for Input {
    fn default() -> Self {
        Self::new()
    }
}

impl Input {
    /// No bytes, and no memory.
    pub const fn new() -> Self {
        Self(Lent::NONE)
    }

    /// No bytes yet, with room for [`Buffer::SIZE`] of them that the thread lends.
    #[inline(always)]
    pub fn lent() -> Self {
        let mut input = Self::new();
        let bytes = &mut input.0.get_or_lend().bytes;
        if bytes.capacity() == 0 {
            bytes.reserve_exact(Buffer::SIZE);
        }
        input
    }

    /// These bytes, in memory of just their size.
    pub fn exact(bytes: &[u8]) -> Self {
        let mut input = Self::new();
        if !bytes.is_empty() {
            input.0.get_or_default().bytes = bytes.to_vec();
        }
        input
    }

    /// Where more bytes may be appended.
    #[inline]
    pub fn spare(&mut self) -> &mut Vec<u8> {
        &mut self.0.get_or_default().bytes
    }

    /// Whether there are no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.get().is_none_or(|unread| unread.start == unread.bytes.len())
    }

    /// As [`Decoder::decode`]. The buffer goes back as soon as all of it is decoded: a connection that waits holds none.
    ///
    /// # Errors
    ///
    /// As for [`Decoder::decode`].
    pub fn decode(&mut self, decoder: &mut Decoder) -> Result<Option<Message>, Error> {
        let Some(unread) = self.0.get_mut() else { return decoder.decode(&mut &[][..]) };
        let mut rest = &unread.bytes[unread.start..];
        let result = decoder.decode(&mut rest);
        unread.start = unread.bytes.len() - rest.len();
        if rest.is_empty() {
            *self = Self::new();
        }
        result
    }

    /// As [`Decoder::decode_whole`], and the buffer goes back as soon as all of it is decoded.
    #[inline]
    pub fn decode_whole(&mut self, decoder: &mut Decoder) -> Option<Message> {
        let message = self.whole(decoder)?;
        if self.is_empty() {
            *self = Self::new();
        }
        Some(message)
    }

    /// As [`Decoder::decode_whole`], for what has just been read: the first message, if it is such a one, and what is left, which
    /// is mostly nothing.
    ///
    /// ```
    /// use sockeye_proto::{Config, Decoder, Input, Message, Role};
    ///
    /// let mut decoder = Decoder::new(Role::Client, Config::default());
    /// let mut input = Input::lent();
    /// input.spare().extend_from_slice(&[0x81, 2, b'h', b'i', 0x81, 2, b'y', b'o']);
    /// let (message, rest) = input.into_first_whole(&mut decoder);
    /// assert_eq!(message, Some(Message::text("hi")));
    /// let (message, rest) = rest.into_first_whole(&mut decoder);
    /// assert_eq!((message, rest.is_empty()), (Some(Message::text("yo")), true));
    /// ```
    #[inline(always)]
    pub fn into_first_whole(mut self, decoder: &mut Decoder) -> (Option<Message>, Self) {
        let message = self.whole(decoder);
        if message.is_some() && self.is_empty() {
            self.0.give_back();
        }
        (message, self)
    }

    #[inline(always)]
    fn whole(&mut self, decoder: &mut Decoder) -> Option<Message> {
        let unread = self.0.get_mut()?;
        let mut rest = &unread.bytes[unread.start..];
        let message = decoder.decode_whole(&mut rest)?;
        unread.start = unread.bytes.len() - rest.len();
        Some(message)
    }

    /// Moves a small rest of a lent buffer to memory of its own size, for a connection that does not decode for a while.
    pub fn compact(&mut self) {
        if let Some(Unread { bytes, start }) = self.0.get()
            && bytes.capacity() == Buffer::SIZE
            && bytes.len() - start <= Buffer::SIZE / 4
        {
            *self = Self::exact(&bytes[*start..]);
        }
    }
}
