//! `Decoder`: bytes → messages.

use std::sync::Arc;

use bytes::{BufMut, buf::Limit as Limited};

use crate::{
    Buffer, CloseFrame, Config, Error, Message, PayloadDecoder, Role, Violation,
    assembler::{self, Assembler, check_alone},
    header::{Header, MAX_CONTROL, MAX_HEADER, OpCode, Rules, Whole},
    mask, pool, utf8,
};

/// The receiving half of a connection: turns bytes into messages.
///
/// It consumes all that it is given and keeps what belongs to an unfinished frame, so a caller's buffer is free again
/// once [`decode`](Self::decode) returns `None`. What it keeps grows with the bytes that really arrive, never by what
/// a header declares.
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
    /// No limit has anything against a message in one frame with a shorter payload than this. At most 64 KiB.
    small: u32,
    /// Whether messages are given back soon.
    lends: bool,
    extension: Option<Box<dyn PayloadDecoder>>,
    /// While a frame or a message has begun and has not all arrived, and at the end. Most never do: they are whole in what
    /// is read, and a connection that waits between two messages has none.
    state: Option<Box<State>>,
}

/// What has arrived of a frame and of its message.
#[derive(Debug, Default)]
struct State {
    end: Option<End>,
    /// The beginning of a header that has not all arrived.
    partial: Partial,
    /// The frame whose payload has not all arrived.
    frame: Option<Frame>,
    /// The payload of an unfinished control frame.
    control: Vec<u8>,
    message: Assembler,
}

impl State {
    /// Whether nothing of it has to be kept.
    fn is_over(&self) -> bool {
        self.end.is_none() && self.partial.length == 0 && self.frame.is_none() && !self.message.is_assembling()
    }
}

/// Nothing is decoded after this.
#[derive(Debug, Clone, Copy)]
enum End {
    /// A Close was received.
    Closed,
    Failed(Error),
}

#[derive(Debug)]
struct Frame {
    header: Header,
    /// How much of the payload has arrived. At most `header.length`.
    arrived: usize,
}

impl Frame {
    fn coming(&self) -> usize {
        self.header.length as usize - self.arrived
    }
}

impl Decoder {
    /// A decoder for the end of a connection that is `role`. Many may share one [`Config`].
    pub fn new(role: Role, config: impl Into<Arc<Config>>) -> Self {
        let config = config.into();
        let rules = Rules { role, accept_unmasked: config.accept_unmasked_frames, rsv1: false };
        let longest = config.max_frame_size.min(config.max_message_size).min(usize::from(u16::MAX)) as u32;
        let small = if config.max_fragments > 0 { longest + 1 } else { 0 };
        Self { config, rules, small, lends: false, extension: None, state: None }
    }

    /// Gives RSV1 to `extension`: a message that carries it goes through the extension, and is no violation any more.
    #[must_use]
    pub fn with_extension(mut self, extension: Box<dyn PayloadDecoder>) -> Self {
        self.rules.rsv1 = true;
        self.extension = Some(extension);
        self
    }

    /// The limits and buffer sizes that it was made with.
    #[inline]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Expects small messages to be [recycled](Message::recycle) from now on: they may have room for more than they hold,
    /// and so take turns in the same memory, of whatever size they are.
    pub fn lend(&mut self) {
        self.lends = true;
    }

    /// Takes bytes off the front of `input` until a message is complete. `None` means that all of it was taken.
    ///
    /// After a Close, whatever follows is taken and dropped (RFC 6455 §1.4).
    ///
    /// # Errors
    ///
    /// What the peer did wrong. The error is latched: every later call returns it again.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        match self.decode_whole(input) {
            Some(message) => Ok(Some(message)),
            None => self.decode_any(input),
        }
    }

    /// The next message, if it is what most are: a text or binary message of less than 64 KiB in one frame, all of which is
    /// in `input`. `None` says nothing, and takes nothing: [`decode`](Self::decode) knows.
    ///
    /// Its payload takes the place of one that was sent before, or [recycled](Message::recycle), if it fits there.
    #[inline(always)]
    pub fn decode_whole(&mut self, input: &mut &[u8]) -> Option<Message> {
        if self.state.is_some() {
            return None;
        }
        let frame = Whole::parse(input, self.rules.role)?;
        if frame.payload.len() >= self.small as usize {
            return None;
        }
        let length = frame.payload.len();
        let mut payload = if self.lends { pool::lent_payload(length) } else { pool::payload(length) };
        // Without a mask it is one of zeros: it is a look at each byte that tells whether it is ASCII.
        let is_ascii = mask::fill(&mut payload, frame.payload, frame.mask.unwrap_or_default(), 0);
        if frame.is_text && !is_ascii {
            // What is wrong with it is found once more, and told, on the long way.
            payload = utf8::whole(payload).ok()?.into_bytes();
        }
        *input = frame.rest;
        Some(if frame.is_text { Message::Text(utf8::valid(payload)) } else { Message::Binary(payload) })
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
            Err(error) => _ = self.fail(*error, input),
            Ok(Some(Message::Close(_))) => self.end(End::Closed, input),
            Ok(_) if self.state.as_ref().is_some_and(|state| state.is_over()) => self.state = None,
            Ok(_) => {}
        }
        decoded
    }

    /// The allocation of a large message in progress, limited to what its frame still brings. Bytes that a read puts there
    /// need not be copied once more; call [`decode`](Self::decode) afterwards, with an empty input, to have them counted.
    /// `None` when a shared buffer serves better.
    pub fn direct(&mut self) -> Option<Limited<&mut Vec<u8>>> {
        let state = self.state.as_mut().filter(|state| state.end.is_none())?;
        let coming = state.frame.as_ref().filter(|frame| !frame.header.opcode.is_control())?.coming();
        // What an earlier read put there and nobody has had counted yet.
        let coming = coming - state.message.unsettled();
        let payload = state.message.direct(coming)?;
        // The vector would grow by itself when it is full, but never beyond what the frame brings.
        let room = (payload.capacity() - payload.len()).min(coming);
        Some(payload.limit(room))
    }

    /// Whether nothing has begun that is not complete, and nothing has ended it: the next byte begins a frame, which is the
    /// first of its message.
    #[inline]
    pub fn is_between_messages(&self) -> bool {
        self.state.is_none()
    }

    /// How many bytes have arrived of what has begun and is not complete, a message or the frame that would begin one. `None`
    /// between two messages, and when all is over.
    pub fn unfinished(&self) -> Option<u64> {
        let state = self.state.as_ref().filter(|state| state.end.is_none())?;
        let held = state.message.held() + state.control.len() + usize::from(state.partial.length);
        Some(held as u64)
    }

    /// Whether a message has begun that is not complete.
    pub fn is_assembling(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.message.is_assembling())
    }

    /// How many bytes of an incomplete message are held; of one that goes through an extension, how many have arrived.
    pub fn held(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.message.held())
    }

    /// Whether messages may go through an [extension](Self::with_extension), which may make them longer than what arrives.
    pub fn is_extended(&self) -> bool {
        self.extension.is_some()
    }

    /// Drops what is held of an unfinished message: no more bytes will come. How decoding has ended, if it has, stays.
    pub fn abandon(&mut self) {
        if self.state.as_ref().is_some_and(|state| state.end.is_none()) {
            self.state = None;
            // It may hold what has come of a message. Without it RSV1 means nothing.
            self.extension = None;
            self.rules.rsv1 = false;
        }
    }

    #[cold]
    fn fail(&mut self, error: Error, input: &mut &[u8]) -> Error {
        self.end(End::Failed(error), input);
        error
    }

    fn end(&mut self, end: End, input: &mut &[u8]) {
        *input = &[];
        **self.state.get_or_insert_default() = State { end: Some(end), ..State::default() };
        // It may hold what has come of a message.
        self.extension = None;
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            let message = if self.state.as_ref().is_some_and(|state| state.frame.is_some()) {
                match self.go_on(input)? {
                    Progress::Message(message) => message,
                    Progress::Frame => continue,
                    Progress::Starved => return Ok(None),
                }
            } else {
                let Some(header) = self.header(input)? else { return Ok(None) };
                let Some(message) = self.begin(header, input)? else { continue };
                message
            };
            return Ok(Some(message));
        }
    }

    /// Takes a header off the front of `input`, or all of it when that is not enough for one.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Error> {
        if input.is_empty() {
            return Ok(None);
        }
        if self.state.as_ref().is_none_or(|state| state.partial.length == 0)
            && let Some((header, length)) = Header::parse(input, self.rules)?
        {
            *input = &input[length..];
            return Ok(Some(header));
        }
        self.state.get_or_insert_default().partial.complete(input, self.rules)
    }

    /// Judges a header, and hands over at once what is complete.
    fn begin(&mut self, header: Header, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        let whole = header.length <= input.len() as u64;
        if header.opcode.is_control() && whole {
            return control(header.opcode, plain(&header, input)).map(Some);
        }
        if header.opcode.is_data_start() && whole && header.fin && !self.is_assembling() {
            check_alone(&header, &self.config)?;
            if header.rsv1 {
                return self.transformed(&header, input).map(Some);
            }
            let payload = plain(&header, input);
            return Ok(Some(match header.opcode {
                OpCode::Text => Message::Text(utf8::whole(payload)?),
                _ => Message::Binary(payload),
            }));
        }
        let state = self.state.get_or_insert_default();
        if header.opcode.is_control() {
            state.control.reserve_exact(MAX_CONTROL.min(header.length as usize));
        } else {
            state.message.begin(&header, &self.config)?;
        }
        state.frame = Some(Frame { header, arrived: 0 });
        Ok(None)
    }

    /// A message in one frame, all of which is in `input`, that goes through the extension.
    fn transformed(&mut self, header: &Header, input: &mut &[u8]) -> Result<Message, Error> {
        let wire = take(input, header.length as usize);
        // A header with RSV1 is a violation where there is none.
        let Some(extension) = &mut self.extension else { return Err(Violation::ReservedBits.into()) };
        let max = self.config.max_message_size;
        let payload = match header.mask {
            Some(key) if wire.len() <= Buffer::SIZE => {
                let mut plain = Buffer::pooled();
                mask::copy(&mut plain, wire, key, 0);
                extension.finish(&plain, max)?
            }
            Some(_) => {
                assembler::unmasked(wire, header.mask, 0, |piece| extension.push(piece, max))?;
                extension.finish(&[], max)?
            }
            None => extension.finish(wire, max)?,
        };
        assembler::transformed(header.opcode == OpCode::Text, payload)
    }

    /// Takes what `input` has of the unfinished frame.
    fn go_on(&mut self, input: &mut &[u8]) -> Result<Progress, Error> {
        let Some(state) = &mut self.state else { return Ok(Progress::Frame) };
        let State { frame: slot, control: control_payload, message, .. } = &mut **state;
        let Some(frame) = slot else { return Ok(Progress::Frame) };
        let settled = message.unsettled();
        if settled > 0 {
            message.settle(frame.header.mask, frame.arrived)?;
            frame.arrived += settled;
        }
        let piece = take(input, frame.coming());
        let (header, offset) = (frame.header, frame.arrived);
        frame.arrived += piece.len();
        let coming = frame.coming();
        let max = self.config.max_message_size;
        let mut extension = self.extension.as_deref_mut();
        if header.opcode.is_control() {
            mask::copy(control_payload, piece, header.mask.unwrap_or_default(), offset);
        } else if !piece.is_empty() {
            message.push(piece, header.mask, offset, coming, extension.as_deref_mut(), max)?;
        }
        if coming > 0 {
            return Ok(Progress::Starved);
        }
        *slot = None;
        Ok(Progress::Message(if header.opcode.is_control() {
            control(header.opcode, std::mem::take(control_payload))?
        } else if header.fin {
            message.finish(extension, max)?
        } else {
            return Ok(Progress::Frame);
        }))
    }
}

/// How far [`Decoder::go_on`] has come.
enum Progress {
    /// A message is complete.
    Message(Message),
    /// A frame is complete, but not its message.
    Frame,
    /// The frame goes on beyond the input.
    Starved,
}

/// The payload of a frame all of which is in `input`, unmasked, at its exact size.
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

/// Takes at most `most` bytes off the front.
fn take<'a>(input: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (front, rest) = input.split_at(most.min(input.len()));
    *input = rest;
    front
}

/// The beginning of a header that a read has cut in two.
#[derive(Debug, Default)]
struct Partial {
    bytes: [u8; MAX_HEADER],
    /// Less than a whole header.
    length: u8,
}

impl Partial {
    /// Takes what is missing of the header, or all of `input` when that is not enough.
    fn complete(&mut self, input: &mut &[u8], rules: Rules) -> Result<Option<Header>, Error> {
        // At most 14 rounds for a header that came in pieces.
        while let [first, rest @ ..] = *input {
            self.bytes[usize::from(self.length)] = *first;
            self.length += 1;
            *input = rest;
            if let Some((header, _)) = Header::parse(&self.bytes[..usize::from(self.length)], rules)? {
                self.length = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }
}
