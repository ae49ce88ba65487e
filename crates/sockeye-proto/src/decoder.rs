//! `Decoder`: turns bytes into messages.

use std::sync::Arc;

use bytes::{BufMut, buf::Limit as Limited};

use crate::{
    Buffer, CloseFrame, Config, Error, Message, PayloadDecoder, Role, Rsv, SmallMessage,
    assembler::{self, Assembler, check_alone},
    extensions::PayloadDecoders,
    header::{Header, MAX_CONTROL, OpCode, Rules, SmallFrame},
    mask, pool, utf8,
};

mod partial;
mod unfinished;

use self::partial::Partial;

/// The receiving half of a connection: turns bytes into messages.
///
/// The decoder takes all bytes that it is given and keeps those of an unfinished frame, so the caller can reuse its buffer
/// once [`decode`](Self::decode) has returned `None`. The kept memory grows with the bytes that really arrive, never with
/// the length that a header declares.
///
/// ```
/// use sockeye_proto::{Config, Decoder, Message, Role};
///
/// let mut decoder = Decoder::new(Role::Client, Config::default());
/// let mut input = &[0x81, 5, b'h', b'e', b'l'][..]; // cut short
/// assert_eq!(decoder.decode(&mut input), Ok(None));
/// let mut input = &b"lo"[..];
/// assert_eq!(decoder.decode(&mut input), Ok(Some(Message::text("hello"))));
/// ```
#[derive(Debug)]
pub struct Decoder {
    config: Arc<Config>,
    rules: Rules,
    /// A message in one frame whose payload has fewer bytes than this exceeds no limit. At most 64 KiB.
    small: u32,
    /// The most spare capacity of a small message.
    surplus: u32,
    /// Whether data frames are discarded.
    discards: bool,
    /// Whether part of a data frame was discarded since `take_discarded`.
    has_discarded: bool,
    extensions: PayloadDecoders,
    /// Exists while a frame or a message is incomplete, and after decoding has ended. Most frames are complete in one read,
    /// so a connection that waits between two messages has no state.
    state: Option<Box<State>>,
}

/// What has arrived of an incomplete frame and its message, and why decoding has ended.
#[derive(Debug, Default)]
struct State {
    end: Option<End>,
    /// The beginning of an incomplete header.
    partial: Partial,
    /// The frame with an incomplete payload. After a failure, the frame at fault, if some of its payload is still to come.
    frame: Option<Frame>,
    /// The payload of an unfinished control frame.
    control: Vec<u8>,
    message: Assembler,
}

impl State {
    /// Whether the state need not be kept.
    fn is_over(&self) -> bool {
        self.end.is_none() && self.partial.length == 0 && self.frame.is_none() && !self.message.is_assembling()
    }
}

/// Why nothing is decoded any more.
#[derive(Debug, Clone, Copy)]
enum End {
    /// A Close was received.
    Closed,
    Failed(Error),
}

#[derive(Debug)]
struct Frame {
    header: Header,
    /// How many bytes of the payload have arrived. At most `header.length`.
    arrived: usize,
}

impl Frame {
    fn remaining(&self) -> usize {
        self.header.length as usize - self.arrived
    }
}

impl Decoder {
    /// The role of this end of the connection.
    pub fn role(&self) -> Role {
        self.rules.role
    }

    /// A decoder for the end of a connection that has this role. Many decoders may share one [`Config`].
    pub fn new(role: Role, config: impl Into<Arc<Config>>) -> Self {
        let config = config.into();
        let rules = Rules { role, accept_unmasked: config.accept_unmasked_frames, claimed: Rsv::NONE };
        let longest = config.max_frame_size.min(config.max_message_size).min(usize::from(u16::MAX)) as u32;
        let small = if config.max_fragments > 0 { longest + 1 } else { 0 };
        Self {
            config,
            rules,
            small,
            surplus: pool::SURPLUS,
            discards: false,
            has_discarded: false,
            extensions: PayloadDecoders::default(),
            state: None,
        }
    }

    /// Gives `extension` the reserved bits that it [claims](PayloadDecoder::rsv): a message with one of these bits goes
    /// through the extension and is not a violation. Add several in the order in which the opening handshake lists them.
    ///
    /// # Panics
    ///
    /// When `extension` claims no bit, or a bit that another extension has claimed.
    #[must_use]
    pub fn with_extension(mut self, extension: Box<dyn PayloadDecoder>) -> Self {
        self.rules.claimed = self.extensions.add(extension, self.rules.claimed);
        self
    }

    /// The limits and buffer sizes of this decoder.
    #[inline]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Tells the decoder that small messages, of at most 4 KiB, will be [recycled](Message::recycle) from now on. These
    /// messages then share memory one after the other, so their payloads may have up to 4 KiB of spare capacity.
    pub fn enable_reuse(&mut self) {
        self.surplus = pool::REUSED;
    }

    /// Takes bytes off the front of `input` until a message is complete. `None` means that all bytes were taken before that.
    ///
    /// After a Close, all further bytes are taken and dropped (RFC 6455 §1.4).
    ///
    /// # Errors
    ///
    /// What the peer did wrong. The error is latched: every later call returns the same error, unless later frames are
    /// [discarded](Self::discard).
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        match self.decode_whole(input) {
            Some(message) => Ok(Some(message.into())),
            None => self.decode_any(input),
        }
    }

    /// The next message, if it is of the usual kind: a text or binary message of less than 64 KiB in one frame that is
    /// complete in `input`. Otherwise takes no bytes and returns `None`: call [`decode`](Self::decode) then.
    ///
    /// If it fits, the payload reuses the memory of a payload that was sent or [recycled](Message::recycle) before.
    #[inline(always)]
    pub fn decode_whole(&mut self, input: &mut &[u8]) -> Option<SmallMessage> {
        if self.state.is_some() {
            return None;
        }
        let frame = SmallFrame::parse(input, self.rules.role)?;
        if frame.payload.len() >= self.small as usize {
            return None;
        }
        let mut payload = pool::payload(frame.payload.len(), self.surplus);
        // An unmasked payload gets a mask of zeros: the same pass over the bytes shows whether they are ASCII.
        let is_ascii = mask::fill(&mut payload, frame.payload, frame.mask.unwrap_or_default(), 0);
        if frame.is_text && !is_ascii && !utf8::is_valid(&payload) {
            // `decode` finds the invalid bytes once more, and reports the error.
            return None;
        }
        *input = frame.rest;
        Some(SmallMessage::new(frame.is_text, payload))
    }

    fn decode_any(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        if let Some(end) = self.state.as_ref().and_then(|state| state.end) {
            *input = &[];
            return match end {
                End::Closed => Ok(None),
                End::Failed(error) => Err(error),
            };
        }
        let decoded = self.step(input);
        match &decoded {
            Err(error) => self.fail(*error, input),
            Ok(Some(Message::Close(_))) => self.end(End::Closed, input),
            Ok(_) if self.state.as_ref().is_some_and(|state| state.is_over()) => self.state = None,
            Ok(_) => {}
        }
        decoded
    }

    /// The memory of a large incomplete message, limited to the missing bytes of its frame. A read into it saves a copy.
    /// Call [`decode`](Self::decode) with an empty input afterwards, so that the bytes are counted. `None` if a shared
    /// buffer is better.
    pub fn direct(&mut self) -> Option<Limited<&mut Vec<u8>>> {
        let state = self.state.as_mut().filter(|state| state.end.is_none())?;
        let remaining = state.frame.as_ref().filter(|frame| !frame.header.opcode.is_control())?.remaining();
        // An earlier read may have put bytes into the message that are not counted yet.
        let remaining = remaining - state.message.still_masked();
        let payload = state.message.direct(remaining)?;
        // Without a limit, a full vector would grow by itself, and a read could take bytes beyond the frame.
        let room = (payload.capacity() - payload.len()).min(remaining);
        Some(payload.limit(room))
    }

    /// Whether no frame or message is incomplete, and decoding has not ended: the next byte begins the first frame of a
    /// message.
    #[inline]
    pub fn is_between_messages(&self) -> bool {
        self.state.is_none()
    }

    /// Whether messages may go through an [extension](Self::with_extension), which may make them longer than the bytes that
    /// arrive.
    pub fn is_extended(&self) -> bool {
        !self.extensions.is_empty()
    }

    /// Drops the held bytes of an incomplete message, since no more will come. If decoding has ended, its result stays the same.
    pub fn abandon(&mut self) {
        if self.state.as_ref().is_some_and(|state| state.end.is_none()) {
            self.state = None;
            // The extensions may hold parts of a message. Without extensions, no reserved bit has a meaning.
            self.extensions = PayloadDecoders::default();
            self.rules.claimed = Rsv::NONE;
        }
    }

    /// Discards all further data frames: only their headers are read, and their payloads are not kept, unmasked, inflated or
    /// checked. Control frames are yielded as before, so that the peer's Close is not missed.
    ///
    /// After an error, decoding continues with the frame after the one at fault, if it is still clear where that frame
    /// begins. Returns whether more frames can be decoded: `false` after a Close, and after the peer has broken the framing.
    ///
    /// ```
    /// use sockeye_proto::{Config, Decoder, Message, Role};
    ///
    /// let mut decoder = Decoder::new(Role::Client, Config::default());
    /// let mut input = &[0x81, 2, 0xFF, b'x', 0x82, 1, b'y', 0x88, 0][..]; // a text that is not UTF-8, and what follows
    /// assert!(decoder.decode(&mut input).is_err());
    /// assert!(decoder.discard());
    /// assert_eq!(decoder.decode(&mut input), Ok(Some(Message::Close(None))));
    /// ```
    pub fn discard(&mut self) -> bool {
        self.discards = true;
        // With this limit, no message is short enough for `decode_whole`.
        self.small = 0;
        self.extensions = PayloadDecoders::default();
        let Some(state) = &mut self.state else { return true };
        match state.end {
            Some(End::Failed(error)) if error.leaves_framing() => state.end = None,
            Some(_) => return false,
            None => {}
        }
        // Bytes that were read straight into the message have arrived as well.
        let still_masked = state.message.still_masked();
        if let Some(frame) = &mut state.frame {
            frame.arrived += still_masked;
        }
        state.message = Assembler::default();
        if state.is_over() {
            self.state = None;
        }
        true
    }

    /// A second decoder that continues from the state of this one, but [discards](Self::discard) data frames. It can look
    /// for a Close in bytes that this decoder still has to decode. `None` if no more frames can be decoded.
    ///
    /// ```
    /// use sockeye_proto::{Config, Decoder, Message, Role};
    ///
    /// let mut decoder = Decoder::new(Role::Client, Config::default());
    /// assert_eq!(decoder.decode(&mut &[0x82, 3, b'a'][..]), Ok(None)); // a message, cut short
    /// let mut beside = decoder.beside().unwrap();
    /// assert_eq!(beside.decode(&mut &[b'b', b'c', 0x88, 0][..]), Ok(Some(Message::Close(None))));
    /// assert_eq!(decoder.decode(&mut &b"bc"[..]), Ok(Some(Message::binary("abc"))));
    /// ```
    #[must_use]
    pub fn beside(&self) -> Option<Self> {
        let state = self.state.as_ref().map(|state| {
            // Bytes that were read straight into the message have arrived as well.
            let still_masked = state.message.still_masked();
            let arrived = |frame: &Frame| Frame { header: frame.header, arrived: frame.arrived + still_masked };
            Box::new(State {
                end: state.end,
                partial: state.partial,
                frame: state.frame.as_ref().map(arrived),
                control: state.control.clone(),
                message: Assembler::default(),
            })
        });
        let mut beside = Self { rules: self.rules, state, ..Self::new(self.rules.role, self.config.clone()) };
        beside.discard().then_some(beside)
    }

    /// Whether part of a data frame was [discarded](Self::discard) since the last call.
    pub fn take_discarded(&mut self) -> bool {
        std::mem::take(&mut self.has_discarded)
    }

    #[cold]
    fn fail(&mut self, error: Error, input: &mut &[u8]) {
        let frame = self.state.as_mut().and_then(|state| state.frame.take());
        self.end(End::Failed(error), input);
        if let Some(state) = &mut self.state {
            state.frame = frame;
        }
    }

    fn end(&mut self, end: End, input: &mut &[u8]) {
        if !matches!(end, End::Failed(error) if error.leaves_framing()) {
            *input = &[];
        }
        **self.state.get_or_insert_default() = State { end: Some(end), ..State::default() };
        // The extensions may hold parts of a message.
        self.extensions = PayloadDecoders::default();
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            let message = if self.state.as_ref().is_some_and(|state| state.frame.is_some()) {
                match self.resume_frame(input)? {
                    Progress::Message(message) => message,
                    Progress::Frame => continue,
                    Progress::NeedInput => return Ok(None),
                }
            } else {
                // Not after the beginning of a header: the rest of one can look like a whole frame.
                while self.discards && !self.is_amid_header() {
                    let Some(frame) = SmallFrame::parse(input, self.rules.role) else { break };
                    *input = frame.rest;
                    self.has_discarded = true;
                }
                let Some(header) = self.header(input)? else { return Ok(None) };
                let Some(message) = self.begin(header, input)? else { continue };
                message
            };
            return Ok(Some(message));
        }
    }

    fn is_amid_header(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.partial.length > 0)
    }

    /// Takes a header off the front of `input`, or all of `input` if the header is incomplete.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Error> {
        if input.is_empty() {
            return Ok(None);
        }
        if !self.is_amid_header() {
            if let Some((header, length)) = Header::parse(input, self.rules)? {
                *input = &input[length..];
                return Ok(Some(header));
            }
        }
        self.state.get_or_insert_default().partial.complete(input, self.rules)
    }

    /// Checks a header, and hands over the message at once if it is complete.
    fn begin(&mut self, header: Header, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        let whole = header.length <= input.len() as u64;
        if header.opcode.is_control() && whole {
            return control(header.opcode, plain(&header, input)).map(Some);
        }
        if !self.discards && header.opcode.is_data_start() && whole && header.fin && !self.is_assembling() {
            if let Err(error) = check_alone(&header, &self.config) {
                self.state.get_or_insert_default().frame = Some(Frame { header, arrived: 0 });
                return Err(error);
            }
            if !header.rsv.is_empty() {
                return self.transformed(&header, input).map(Some);
            }
            let payload = plain(&header, input);
            return Ok(Some(match header.opcode {
                OpCode::Text => Message::Text(utf8::whole(payload)?),
                _ => Message::Binary(payload),
            }));
        }
        let state = self.state.get_or_insert_default();
        state.frame = Some(Frame { header, arrived: 0 });
        if header.opcode.is_control() {
            state.control.reserve_exact(MAX_CONTROL.min(header.length as usize));
        } else if !self.discards {
            state.message.begin(&header, &self.config)?;
        }
        Ok(None)
    }

    /// Takes a message in one frame that is complete in `input`, and lets the extensions restore it.
    fn transformed(&mut self, header: &Header, input: &mut &[u8]) -> Result<Message, Error> {
        let wire = take(input, header.length as usize);
        let (extensions, rsv) = (&mut self.extensions, header.rsv);
        let max = self.config.max_message_size;
        let payload = match header.mask {
            Some(key) if wire.len() <= Buffer::SIZE => {
                let mut plain = Buffer::pooled();
                mask::copy(&mut plain, wire, key, 0);
                extensions.finish(rsv, &plain, max)?
            }
            Some(_) => {
                assembler::unmasked(wire, header.mask, 0, |piece| extensions.push(rsv, piece, max))?;
                extensions.finish(rsv, &[], max)?
            }
            None => extensions.finish(rsv, wire, max)?,
        };
        assembler::transformed(header.opcode == OpCode::Text, payload)
    }

    /// Takes the bytes of the unfinished frame off the front of `input`.
    fn resume_frame(&mut self, input: &mut &[u8]) -> Result<Progress, Error> {
        let Some(state) = &mut self.state else { return Ok(Progress::Frame) };
        let State { frame: slot, control: control_payload, message, .. } = &mut **state;
        let Some(frame) = slot else { return Ok(Progress::Frame) };
        let in_place = message.still_masked();
        if in_place > 0 {
            let offset = frame.arrived;
            frame.arrived += in_place;
            message.unmask_in_place(frame.header.mask, offset)?;
        }
        let piece = take(input, frame.remaining());
        let (header, offset) = (frame.header, frame.arrived);
        frame.arrived += piece.len();
        let remaining = frame.remaining();
        let max = self.config.max_message_size;
        let extensions = &mut self.extensions;
        if header.opcode.is_control() {
            mask::copy(control_payload, piece, header.mask.unwrap_or_default(), offset);
        } else if self.discards {
            self.has_discarded |= !piece.is_empty();
        } else if !piece.is_empty() {
            message.push(piece, header.mask, offset, remaining, extensions, max)?;
        }
        if remaining > 0 {
            return Ok(Progress::NeedInput);
        }
        *slot = None;
        Ok(Progress::Message(if header.opcode.is_control() {
            control(header.opcode, std::mem::take(control_payload))?
        } else if header.fin && !self.discards {
            message.finish(extensions, max)?
        } else {
            return Ok(Progress::Frame);
        }))
    }
}

/// How far [`Decoder::resume_frame`] has come.
enum Progress {
    /// A message is complete.
    Message(Message),
    /// A frame is complete, but not its message.
    Frame,
    /// The frame continues beyond the input.
    NeedInput,
}

/// The unmasked payload of a frame that is complete in `input`, in memory of exactly its size.
fn plain(header: &Header, input: &mut &[u8]) -> Vec<u8> {
    let wire = take(input, header.length as usize);
    let mut payload = Vec::with_capacity(wire.len());
    mask::copy(&mut payload, wire, header.mask.unwrap_or_default(), 0);
    payload
}

fn control(opcode: OpCode, payload: Vec<u8>) -> Result<Message, Error> {
    Ok(match opcode {
        OpCode::Ping => Message::Ping(payload),
        OpCode::Pong => Message::Pong(payload),
        _ => Message::Close(CloseFrame::parse(&payload)?),
    })
}

/// Takes at most `most` bytes off the front of `input`.
fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (front, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    front
}
