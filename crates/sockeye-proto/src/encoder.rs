//! `Encoder`: messages → transmit queue.

use std::fmt;

use crate::{
    Buffer, CloseCode, CloseFrame, Closing, ClosingAction, ClosingEvent, Message, Outgoing, PayloadEncoder,
    PreparedMessage, Refusal, Refused, Violation,
    control::Control,
    dropping::Dropped,
    header::{Header, MAX_CONTROL, OpCode},
    mask,
    pool::{self, Lent},
    queue::{COPY, Queue},
};

mod writing;

pub use self::writing::Position;

/// Where the masking keys of a client come from: [RFC 6455 §5.3] wants them to be unpredictable. Any
/// `FnMut() -> [u8; 4]` is one, so that tests can use a fixed key.
///
/// [RFC 6455 §5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.3
pub trait MaskSource: Send {
    /// The key for the next frame.
    fn next_key(&mut self) -> [u8; 4];
}

impl<F: FnMut() -> [u8; 4] + Send> MaskSource for F {
    fn next_key(&mut self) -> [u8; 4] {
        self()
    }
}

/// The sending half of a connection: turns messages into a queue of bytes, in the order in which they may go out.
///
/// Write what [`slices`](Self::slices) yields and report it to [`advance`](Self::advance), however little it was.
///
/// * Data frames and the Close go out in the order in which they were queued.
/// * Pings and Pongs overtake them between two frames ([RFC 6455 §5.4]: control frames "MAY be injected in the middle of a
///   fragmented message", and a peer that waits for a Pong should not wait for megabytes).
/// * Once a Close is queued, nothing is queued any more.
///
/// [RFC 6455 §5.4]: https://www.rfc-editor.org/rfc/rfc6455#section-5.4
///
/// ```
/// use sockeye_proto::{Config, Encoder, Message};
///
/// let mut encoder = Encoder::server();
/// encoder.encode(Message::text("hi")).unwrap();
/// assert_eq!(encoder.take_bytes(), [0x81, 2, b'h', b'i']);
/// ```
pub struct Encoder {
    /// Of a client, and where there is an extension.
    transform: Option<Box<Transform>>,
    closing: Closing,
    /// While there is something to be written.
    data: Lent<Queue>,
    /// While there are Pings or Pongs to be written.
    control: Option<Box<Control>>,
    /// How many bytes are queued and not written, of both.
    buffered: usize,
    written: Position,
    /// Whether something was dropped before it was written.
    lost: bool,
}

/// What is done to payloads on their way.
#[derive(Default)]
struct Transform {
    /// Of a client; a server sends unmasked frames.
    masks: Option<Box<dyn MaskSource>>,
    extension: Option<Box<dyn PayloadEncoder>>,
}

impl Encoder {
    /// The encoder of a server, whose frames are not masked.
    pub fn server() -> Self {
        Self::new(None)
    }

    /// The encoder of a client, whose frames are masked with the keys of `masks`.
    pub fn client(masks: Box<dyn MaskSource>) -> Self {
        Self::new(Some(Box::new(Transform { masks: Some(masks), extension: None })))
    }

    fn new(transform: Option<Box<Transform>>) -> Self {
        Self {
            transform,
            closing: Closing::Open,
            data: Lent::NONE,
            control: None,
            buffered: 0,
            written: Position::default(),
            lost: false,
        }
    }

    /// Lets `extension` transform the payloads of data messages, and mark them with RSV1.
    #[must_use]
    pub fn with_extension(mut self, extension: Box<dyn PayloadEncoder>) -> Self {
        self.transform.get_or_insert_default().extension = Some(extension);
        self
    }

    /// Queues a message. A Close begins the close handshake.
    ///
    /// # Errors
    ///
    /// [`Refused`] with the message when a Close was queued before, or when the message may not be on the wire: a control
    /// frame of more than 125 bytes, a close code or reason that the RFC does not allow. The connection stays as it was.
    pub fn encode(&mut self, message: impl Into<Outgoing>) -> Result<(), Refused> {
        let message = message.into();
        match self.check(&message) {
            Ok(()) => {
                self.queue(message);
                Ok(())
            }
            Err(reason) => Err(Refused { message, reason }),
        }
    }

    /// As [`encode`](Self::encode), for callers that have no use for a message that is refused.
    ///
    /// # Errors
    ///
    /// Why the message, which is dropped, was not queued.
    #[inline]
    pub fn push(&mut self, message: Outgoing) -> Result<(), Refusal> {
        match message {
            Outgoing::Message(Message::Text(text)) if self.closing.may_send() => {
                self.data(OpCode::Text, text.into_bytes());
                Ok(())
            }
            Outgoing::Message(Message::Binary(data)) if self.closing.may_send() => {
                self.data(OpCode::Binary, data);
                Ok(())
            }
            other => self.push_any(other),
        }
    }

    fn push_any(&mut self, message: Outgoing) -> Result<(), Refusal> {
        self.check(&message)?;
        self.queue(message);
        Ok(())
    }

    fn queue(&mut self, message: Outgoing) {
        match message {
            Outgoing::Message(message) => self.message(message, false),
            Outgoing::Secret(message) => self.message(*message, true),
            Outgoing::Prepared(message) => self.prepared(message),
        }
    }

    fn message(&mut self, message: Message, is_secret: bool) {
        match message {
            Message::Text(text) if is_secret => self.untransformed(OpCode::Text, text.into_bytes()),
            Message::Binary(data) if is_secret => self.untransformed(OpCode::Binary, data),
            Message::Text(text) => self.data(OpCode::Text, text.into_bytes()),
            Message::Binary(data) => self.data(OpCode::Binary, data),
            Message::Ping(data) => self.control(OpCode::Ping, &data),
            Message::Pong(data) => self.control(OpCode::Pong, &data),
            Message::Close(frame) => self.on(ClosingEvent::LocalClose, frame.as_ref()),
        }
    }

    /// Queues the answer to a Ping. Pongs go out in order while fewer than 16 KiB of control frames are unsent; beyond
    /// that only the latest is kept, as [RFC 6455 §5.5.3] allows, so that a flood of Pings costs a constant.
    ///
    /// [RFC 6455 §5.5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
    pub fn pong(&mut self, payload: &[u8]) {
        if !self.closing.may_send() {
            return;
        }
        // RFC 6455 §5.5.3: a Pong "must have identical Application data as found in the message body of the Ping frame";
        // "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous Ping frame(s),
        // the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame."
        match &mut self.control {
            Some(control) if control.is_full() => control.keep(payload),
            _ => self.control(OpCode::Pong, payload),
        }
    }

    /// The peer's Close was received: queues the answer to it, unless a Close of ours went before.
    ///
    /// [RFC 6455 §5.5.1]: the answer "typically echos the status code it received".
    ///
    /// [RFC 6455 §5.5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
    pub fn peer_closed(&mut self, frame: Option<&CloseFrame>) {
        let echo = frame.map(|frame| CloseFrame::new(frame.code, ""));
        self.on(ClosingEvent::PeerClose, echo.as_ref());
    }

    /// The peer broke the protocol or a limit: queues the Close that says so, unless one went before.
    pub fn fail(&mut self, code: CloseCode, reason: &str) {
        let mut end = reason.len().min(MAX_CONTROL - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        self.on(ClosingEvent::Violation, Some(&CloseFrame::new(code, &reason[..end])));
    }

    /// The peer has ended its direction of the stream without a Close. Nothing is queued any more; what was can still be
    /// written, and may be read.
    pub fn peer_ended(&mut self) {
        self.on(ClosingEvent::End, None);
    }

    /// The stream ended or failed: nothing can be written any more, and what is queued is dropped.
    pub fn ended(&mut self) {
        self.on(ClosingEvent::End, None);
        self.lost |= self.buffered > 0;
        self.data = Lent::NONE;
        self.control = None;
        self.buffered = 0;
    }

    /// How far the close handshake has come.
    pub fn closing(&self) -> Closing {
        self.closing
    }

    /// How many bytes are queued and not written.
    #[inline]
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    #[inline]
    fn data_len(&self) -> usize {
        self.buffered - self.control_len()
    }

    #[inline]
    fn control_len(&self) -> usize {
        self.control.as_ref().map_or(0, |control| control.unsent().len())
    }

    /// Lends a pooled buffer for the small frames to come. Worth it when the queue is written soon, as when a handler
    /// answers what it has just received; elsewhere the queue grows by what it holds.
    #[inline]
    pub fn lend_buffer(&mut self) {
        self.data.get_or_lend().lend_buffer();
    }

    /// Makes room for `wanted` bytes, if there are as many: drops the oldest text and binary messages, whole ones, of which
    /// nothing has been written. What has been begun is finished, so that the stream of messages goes on behind the gap.
    /// Pings and Pongs stay, and once a Close is queued nothing is dropped. Where messages may refer to those before them, as
    /// with the context takeover of permessage-deflate, all go that can, since those behind a gap could not be read.
    ///
    /// What was dropped counts as written for [`is_written`](Self::is_written), when all before it has been.
    ///
    /// ```
    /// use sockeye_proto::{Encoder, Message};
    ///
    /// let mut encoder = Encoder::server();
    /// for text in ["one", "two", "three"] {
    ///     encoder.encode(Message::text(text)).unwrap();
    /// }
    /// assert_eq!(encoder.drop_oldest(1).messages, 1);
    /// assert_eq!(encoder.take_bytes(), b"\x81\x03two\x81\x05three");
    /// ```
    pub fn drop_oldest(&mut self, wanted: usize) -> Dropped {
        let (true, Some(data)) = (self.closing.may_send(), self.data.get_mut()) else { return Dropped::default() };
        let begun = data.begun();
        let extension = self.transform.as_deref_mut().and_then(|transform| transform.extension.as_deref_mut());
        let dropped = match extension.filter(|extension| wanted > 0 && extension.shared_key().is_none()) {
            // What is queued behind the oldest may refer to it, so that it is of no use without.
            Some(extension) => {
                let dropped = data.drop_oldest(usize::MAX);
                extension.restart();
                dropped
            }
            None => data.drop_oldest(wanted),
        };
        data.gap.widen(begun, dropped.bytes);
        self.buffered -= dropped.bytes;
        self.written.data += data.gap.pass(0) as u64;
        if self.data_len() == 0 {
            self.data = Lent::NONE;
        }
        dropped
    }

    /// Whether `message` could be queued now.
    ///
    /// # Errors
    ///
    /// Why it could not.
    #[inline]
    pub fn check(&self, message: &Outgoing) -> Result<(), Refusal> {
        if !self.closing.may_send() {
            return Err(Refusal::Closed);
        }
        match message.message() {
            // RFC 6455 §5.5: "All control frames MUST have a payload length of 125 bytes or less".
            Some(Message::Ping(data) | Message::Pong(data)) if data.len() > MAX_CONTROL => {
                Err(Refusal::Invalid(Violation::OversizedControl))
            }
            Some(Message::Close(Some(frame))) => frame.check().map_err(Refusal::Invalid),
            _ => Ok(()),
        }
    }

    fn on(&mut self, event: ClosingEvent, frame: Option<&CloseFrame>) {
        let (next, action) = self.closing.on(event);
        self.closing = next;
        if action != ClosingAction::Nothing {
            // The Pong that waits for room goes now or never: nothing may follow a Close.
            if let Some(payload) = self.control.as_mut().and_then(|control| control.take_kept()) {
                self.control(OpCode::Pong, &payload);
            }
            let mut body = Vec::new();
            if let Some(frame) = frame {
                frame.write(&mut body);
            }
            self.copied(OpCode::Close, false, &body);
        }
    }

    #[inline]
    fn data(&mut self, opcode: OpCode, payload: Vec<u8>) {
        if payload.len() <= COPY && self.transform.is_none() {
            self.copied(opcode, false, &payload);
            return pool::keep(payload);
        }
        self.data_any(opcode, payload);
    }

    fn data_any(&mut self, opcode: OpCode, payload: Vec<u8>) {
        if let Some(extension) = self.transform.as_mut().and_then(|transform| transform.extension.as_mut()) {
            // RFC 7692 §6.1: a message is transformed first, and what comes of it is the payload of its frames.
            let mut transformed = Buffer::pooled();
            if extension.encode(&payload, &mut transformed) {
                pool::keep(payload);
                return match transformed.len() {
                    ..=COPY => self.copied(opcode, true, &transformed),
                    _ => self.moved(opcode, true, transformed.to_vec()),
                };
            }
        }
        self.untransformed(opcode, payload);
    }

    /// A message as it is, whatever extension there may be.
    fn untransformed(&mut self, opcode: OpCode, payload: Vec<u8>) {
        if payload.len() > COPY {
            return self.moved(opcode, false, payload);
        }
        self.copied(opcode, false, &payload);
        pool::keep(payload);
    }

    fn moved(&mut self, opcode: OpCode, rsv1: bool, mut payload: Vec<u8>) {
        let header = self.header(opcode, rsv1, payload.len());
        if let Some(key) = header.mask {
            mask::apply(&mut payload, key, 0);
        }
        let queue = self.data.get_or_default();
        self.buffered += queue.inline(|output| header.write(output)) + payload.len();
        queue.payload(payload);
    }

    #[inline]
    fn copied(&mut self, opcode: OpCode, rsv1: bool, payload: &[u8]) {
        let header = self.header(opcode, rsv1, payload.len());
        self.buffered += self.data.get_or_default().inline(|output| write(output, header, payload));
    }

    fn prepared(&mut self, message: PreparedMessage) {
        let message = match self.transform.as_deref_mut() {
            None => message,
            Some(Transform { masks: None, extension: Some(extension) }) if !message.is_secret() => {
                let Some(key) = extension.shared_key() else {
                    return self.data_any(message.opcode(), message.payload().to_vec());
                };
                message.transformed(key, |payload, output| extension.encode(payload, output)).unwrap_or(message)
            }
            Some(Transform { masks: None, .. }) => message,
            // RFC 6455 §5.3: each frame of a client has a key of its own, so its bytes cannot be shared.
            Some(_) if message.is_secret() => {
                return self.untransformed(message.opcode(), message.payload().to_vec());
            }
            Some(_) => return self.data_any(message.opcode(), message.payload().to_vec()),
        };
        self.buffered += message.frame().len();
        self.data.get_or_default().prepared(message);
    }

    fn control(&mut self, opcode: OpCode, payload: &[u8]) {
        let header = self.header(opcode, false, payload.len());
        let control = self.control.get_or_insert_default();
        self.buffered += control.push(|output| write(output, header, payload));
    }

    #[inline]
    fn header(&mut self, opcode: OpCode, rsv1: bool, length: usize) -> Header {
        // RFC 6455 §5.1: "a client MUST mask all frames that it sends to the server"; "A server MUST NOT mask any frames
        // that it sends to the client." §5.3: "The client MUST pick a fresh masking key".
        let masks = self.transform.as_mut().and_then(|transform| transform.masks.as_mut());
        let mask = masks.map(|masks| masks.next_key());
        Header { fin: true, rsv1, opcode, mask, length: length as u64 }
    }
}

/// Appends a whole frame.
#[inline]
fn write(output: &mut Vec<u8>, header: Header, payload: &[u8]) {
    header.write(output);
    match header.mask {
        Some(key) => mask::copy(output, payload, key, 0),
        None => output.extend_from_slice(payload),
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("closing", &self.closing)
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}
