//! `Decoder`: bytes → messages.

use bytes::{BufMut, buf::Limit as Limited};

use crate::{
    CloseFrame, Config, Error, Message, PayloadDecoder, Role,
    assembler::{Assembler, Limits},
    header::{Header, MAX_CONTROL, MAX_HEADER, OpCode, Rules},
    mask, utf8,
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
/// let mut decoder = Decoder::new(Role::Client, &Config::default());
/// let mut input = &[0x81, 5, b'h', b'e', b'l'][..]; // cut short
/// assert_eq!(decoder.decode(&mut input), Ok(None));
/// let mut input = &b"lo"[..];
/// assert_eq!(decoder.decode(&mut input), Ok(Some(Message::text("hello"))));
/// ```
#[derive(Debug)]
pub struct Decoder {
    rules: Rules,
    limits: Limits,
    extension: Option<Box<dyn PayloadDecoder>>,
    /// The beginning of a header that has not all arrived.
    partial: Partial,
    /// While a frame or a message has begun and has not all arrived. Most never do: they are whole in what is read, and
    /// a connection that waits between two messages has none.
    unfinished: Option<Box<Unfinished>>,
    end: Option<End>,
}

/// What has arrived of a frame and of its message.
#[derive(Debug, Default)]
struct Unfinished {
    /// The frame whose payload has not all arrived.
    frame: Option<Frame>,
    /// The payload of an unfinished control frame.
    control: Vec<u8>,
    message: Assembler,
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
    /// A decoder for the end of a connection that is `role`.
    pub fn new(role: Role, config: &Config) -> Self {
        Self {
            rules: Rules { role, accept_unmasked: config.accept_unmasked_frames, rsv1: false },
            limits: Limits::new(config),
            extension: None,
            partial: Partial::default(),
            unfinished: None,
            end: None,
        }
    }

    /// Gives RSV1 to `extension`: a message that carries it goes through the extension, and is no violation any more.
    #[must_use]
    pub fn with_extension(mut self, extension: Box<dyn PayloadDecoder>) -> Self {
        self.rules.rsv1 = true;
        self.extension = Some(extension);
        self
    }

    /// Takes bytes off the front of `input` until a message is complete. `None` means that all of it was taken.
    ///
    /// After a Close, whatever follows is taken and dropped (RFC 6455 §1.4).
    ///
    /// # Errors
    ///
    /// What the peer did wrong. The error is latched: every later call returns it again.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        let result = match self.end {
            None => self.step(input),
            Some(End::Closed) => Ok(None),
            Some(End::Failed(error)) => Err(error),
        };
        match &result {
            Ok(Some(Message::Close(_))) => self.end(End::Closed),
            Err(error) => self.end(End::Failed(*error)),
            _ => {}
        }
        if self.end.is_some() {
            *input = &[];
        }
        result
    }

    /// The allocation of a large message in progress, limited to what its frame still brings. Bytes that a read puts there
    /// need not be copied once more; call [`decode`](Self::decode) afterwards, with an empty input, to have them counted.
    /// `None` when a shared buffer serves better.
    pub fn direct(&mut self) -> Option<Limited<&mut Vec<u8>>> {
        if self.end.is_some() {
            return None;
        }
        let unfinished = self.unfinished.as_mut()?;
        let coming = unfinished.frame.as_ref().filter(|frame| !frame.header.opcode.is_control())?.coming();
        // What an earlier read put there and nobody has had counted yet.
        let coming = coming - unfinished.message.unsettled();
        let payload = unfinished.message.direct(coming)?;
        // The vector would grow by itself when it is full, but never beyond what the frame brings.
        let room = (payload.capacity() - payload.len()).min(coming);
        Some(payload.limit(room))
    }

    /// Whether a message has begun that is not complete.
    pub fn is_assembling(&self) -> bool {
        self.unfinished.as_ref().is_some_and(|unfinished| unfinished.message.is_assembling())
    }

    /// How many bytes of an incomplete message are held.
    pub fn held(&self) -> usize {
        self.unfinished.as_ref().map_or(0, |unfinished| unfinished.message.held())
    }

    fn end(&mut self, end: End) {
        self.end = Some(end);
        self.unfinished = None;
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            let message = if self.unfinished.as_ref().is_some_and(|unfinished| unfinished.frame.is_some()) {
                match self.go_on(input)? {
                    Progress::Message(message) => message,
                    Progress::Frame => continue,
                    Progress::Starved => return Ok(None),
                }
            } else {
                let Some(header) = self.partial.header(input, self.rules)? else { return Ok(None) };
                let Some(message) = self.begin(header, input)? else { continue };
                message
            };
            return Ok(Some(message));
        }
    }

    /// Judges a header, and hands over at once what is complete: the usual case is a small frame in a full buffer.
    fn begin(&mut self, header: Header, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        let whole = header.length <= input.len() as u64;
        if header.opcode.is_control() && whole {
            return control(header.opcode, plain(&header, input)).map(Some);
        }
        if header.opcode.is_data_start() && whole && header.fin && !header.rsv1 && !self.is_assembling() {
            self.limits.check_alone(header.length)?;
            let payload = plain(&header, input);
            return Ok(Some(match header.opcode {
                OpCode::Text => Message::Text(utf8::whole(payload)?),
                _ => Message::Binary(payload),
            }));
        }
        let unfinished = self.unfinished.get_or_insert_default();
        if header.opcode.is_control() {
            unfinished.control.reserve_exact(MAX_CONTROL.min(header.length as usize));
        } else {
            unfinished.message.begin(&header, &self.limits)?;
        }
        unfinished.frame = Some(Frame { header, arrived: 0 });
        Ok(None)
    }

    /// Takes what `input` has of the unfinished frame.
    fn go_on(&mut self, input: &mut &[u8]) -> Result<Progress, Error> {
        let Some(unfinished) = &mut self.unfinished else { return Ok(Progress::Frame) };
        let Unfinished { frame: slot @ Some(_), control: control_payload, message } = &mut **unfinished else {
            return Ok(Progress::Frame);
        };
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
        let mut extension = self.extension.as_deref_mut();
        if header.opcode.is_control() {
            mask::copy(control_payload, piece, header.mask.unwrap_or_default(), offset);
        } else if !piece.is_empty() {
            message.push(piece, header.mask, offset, coming, extension.as_deref_mut(), self.limits.message)?;
        }
        if coming > 0 {
            return Ok(Progress::Starved);
        }
        *slot = None;
        let done = if header.opcode.is_control() {
            control(header.opcode, std::mem::take(control_payload))?
        } else if header.fin {
            message.finish(extension, self.limits.message)?
        } else {
            return Ok(Progress::Frame);
        };
        if !message.is_assembling() {
            self.unfinished = None;
        }
        Ok(Progress::Message(done))
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
    let piece = take(input, header.length as usize);
    let mut payload = Vec::with_capacity(piece.len());
    match header.mask {
        Some(key) => mask::copy(&mut payload, piece, key, 0),
        None => payload.extend_from_slice(piece),
    }
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
    /// Takes a header off the front of `input`, or all of it when that is not enough for one.
    fn header(&mut self, input: &mut &[u8], rules: Rules) -> Result<Option<Header>, Error> {
        if self.length == 0
            && let Some((header, length)) = Header::parse(input, rules)?
        {
            *input = &input[length..];
            return Ok(Some(header));
        }
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
