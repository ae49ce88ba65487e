//! `Input`: received bytes that are not decoded yet.

use crate::{
    Buffer, Decoder, Error, Message, SmallMessage,
    pool::{Pool, Poolable, Pooled},
};

/// Received bytes that are not decoded yet: those after the message that was handed over last.
///
/// An `Input` is only a pointer, and owns memory only while it holds bytes or waits for a read. Reads fill a buffer from a
/// pool of the thread, and the buffer returns to the pool as soon as all of its bytes are decoded.
///
/// ```
/// use sockeye_proto::{Config, Decoder, Input, Message, Role};
///
/// let mut decoder = Decoder::new(Role::Client, Config::default());
/// let mut input = Input::pooled();
/// input.spare().extend_from_slice(&[0x81, 2, b'h', b'i', 0x81, 2, b'y', b'o']); // as a read would
/// assert_eq!(input.decode(&mut decoder), Ok(Some(Message::text("hi"))));
/// assert_eq!(input.decode(&mut decoder), Ok(Some(Message::text("yo"))));
/// assert!(input.is_empty());
/// ```
#[derive(Debug)]
pub struct Input(Pooled<Unread>);

#[derive(Debug, Default)]
struct Unread {
    bytes: Vec<u8>,
    /// How many bytes at the beginning have been decoded.
    start: usize,
}

thread_local!(static POOL: Pool<Option<Box<Unread>>> = const { Pool::new() });

impl Poolable for Unread {
    const POOL: &'static std::thread::LocalKey<Pool<Option<Box<Self>>>> = &POOL;

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
    /// An input without bytes and without memory.
    pub const fn new() -> Self {
        Self(Pooled::NONE)
    }

    /// An input without bytes, but with a pooled buffer for [`Buffer::SIZE`] bytes.
    #[inline(always)]
    pub fn pooled() -> Self {
        let mut input = Self::new();
        let bytes = &mut input.0.get_or_take().bytes;
        if bytes.capacity() == 0 {
            bytes.reserve_exact(Buffer::SIZE);
        }
        input
    }

    /// Drops the first `count` bytes, which were used otherwise than by a [`Decoder`]. The buffer returns to the pool when no
    /// bytes are left.
    ///
    /// ```
    /// use sockeye_proto::Input;
    ///
    /// let mut input = Input::pooled();
    /// input.spare().extend_from_slice(b"one, two");
    /// input.advance(5);
    /// assert_eq!(input.bytes(), b"two");
    /// ```
    ///
    /// # Panics
    ///
    /// When there are fewer bytes.
    pub fn advance(&mut self, count: usize) {
        let left = self.len();
        assert!(count <= left, "{count} bytes dropped of {left}");
        if count == left {
            *self = Self::new();
        } else if let Some(unread) = self.0.get_mut() {
            unread.start += count;
        }
    }

    /// A copy of these bytes, in memory of exactly their size.
    pub fn exact(bytes: &[u8]) -> Self {
        let mut input = Self::new();
        if !bytes.is_empty() {
            input.0.get_or_default().bytes = bytes.to_vec();
        }
        input
    }

    /// The vector to which more bytes may be appended. The caller must not change the bytes that are there.
    #[inline]
    pub fn spare(&mut self) -> &mut Vec<u8> {
        &mut self.0.get_or_default().bytes
    }

    /// Whether no bytes are left to decode.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.get().is_none_or(|unread| unread.start == unread.bytes.len())
    }

    /// How many bytes are left to decode.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// The bytes that are left to decode.
    pub fn bytes(&self) -> &[u8] {
        self.0.get().map_or(&[], |unread| &unread.bytes[unread.start..])
    }

    /// As [`spare`](Self::spare), with space for at least one more byte, for input that must be held for a while. A full
    /// vector grows by as many bytes as it has, but by at least 1 KiB and at most `most` bytes. Decoded bytes are removed
    /// once they are more than half of the vector.
    ///
    /// ```
    /// use sockeye_proto::Input;
    ///
    /// let mut input = Input::new();
    /// for _ in 0..1000 {
    ///     input.grow(2_000).extend_from_slice(&[0x81, 0]);
    /// }
    /// assert_eq!(input.len(), 2_000);
    /// ```
    pub fn grow(&mut self, most: usize) -> &mut Vec<u8> {
        /// In bytes. A smaller vector is not worth an allocation, and a read into it would get too little of a larger frame.
        const LEAST: usize = 1 << 10;

        let unread = self.0.get_or_default();
        // Each removal moves at most as many bytes as it frees, so on average a byte is moved at most once, and at most half
        // of the vector is wasted.
        if unread.start > unread.bytes.len() / 2 {
            unread.bytes.drain(..unread.start);
            unread.start = 0;
        }
        if unread.bytes.len() == unread.bytes.capacity() {
            let room = unread.bytes.len().min(most).max(LEAST.min(most)).max(1);
            unread.bytes.reserve_exact(room);
        }
        &mut unread.bytes
    }

    /// As [`Decoder::decode`]. The buffer returns to the pool as soon as all bytes are decoded, so a waiting connection
    /// holds no buffer.
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

    /// As [`Decoder::decode_whole`]. The buffer returns to the pool as soon as all bytes are decoded.
    #[inline(always)]
    pub fn decode_whole(&mut self, decoder: &mut Decoder) -> Option<SmallMessage> {
        let (message, is_last) = self.whole(decoder)?;
        if is_last {
            *self = Self::new();
        }
        Some(message)
    }

    /// As [`Decoder::decode_whole`], for bytes that have just been read. Returns the first message, or `None` if it is not
    /// of the usual kind, and the input that is left, which is usually empty.
    ///
    /// ```
    /// use sockeye_proto::{Config, Decoder, Input, Message, Role};
    ///
    /// let mut decoder = Decoder::new(Role::Client, Config::default());
    /// let mut input = Input::pooled();
    /// input.spare().extend_from_slice(&[0x81, 2, b'h', b'i', 0x81, 2, b'y', b'o']);
    /// let (message, rest) = input.into_first_whole(&mut decoder);
    /// assert_eq!(message.map(Message::from), Some(Message::text("hi")));
    /// let (message, rest) = rest.into_first_whole(&mut decoder);
    /// assert_eq!((message.map(Message::from), rest.is_empty()), (Some(Message::text("yo")), true));
    /// ```
    #[inline(always)]
    pub fn into_first_whole(mut self, decoder: &mut Decoder) -> (Option<SmallMessage>, Self) {
        let Some((message, is_last)) = self.whole(decoder) else { return (None, self) };
        if is_last {
            self.0.give_back();
        }
        (Some(message), self)
    }

    /// The next message, and whether no bytes are left after it.
    #[inline(always)]
    fn whole(&mut self, decoder: &mut Decoder) -> Option<(SmallMessage, bool)> {
        let unread = self.0.get_mut()?;
        let mut rest = &unread.bytes[unread.start..];
        let message = decoder.decode_whole(&mut rest)?;
        unread.start = unread.bytes.len() - rest.len();
        Some((message, rest.is_empty()))
    }

    /// Saves memory for a connection that does not decode for a while. If the vector has the capacity of a pooled buffer or
    /// more ([`Buffer::SIZE`]), and the bytes that are left need at most a quarter of the capacity, moves them to memory of
    /// exactly their size.
    pub fn compact(&mut self) {
        let Some(Unread { bytes, start }) = self.0.get() else { return };
        if bytes.capacity() >= Buffer::SIZE && bytes.len() - start <= bytes.capacity() / 4 {
            *self = Self::exact(&bytes[*start..]);
        }
    }
}
