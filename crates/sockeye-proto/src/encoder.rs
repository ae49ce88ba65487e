//! `Encoder`: messages → transmit queue.

use std::{fmt, io::IoSlice};

use thiserror::Error;

use crate::{
    Buffer, CloseCode, CloseFrame, Closing, ClosingAction, ClosingEvent, Message, PayloadEncoder, PreparedMessage,
    Violation,
    control::Control,
    dropping::Dropped,
    header::{Header, MAX_CONTROL, OpCode},
    mask,
    pool::{self, Lent},
    queue::{COPY, Queue, Slices},
};

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

/// Something that can be sent: a message of its own, or one that is shared.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outgoing {
    /// A message that belongs to this connection.
    Message(Message),
    /// A message that is sent to many.
    Prepared(PreparedMessage),
    /// A message that no extension may transform: it is not compressed, so that its length on the wire says nothing about
    /// what is in it. In a box, so that it does not make all others longer.
    Secret(Box<Message>),
}

impl Outgoing {
    /// A message that is not compressed, whatever was agreed.
    ///
    /// Who can add text of their own to a message, and sees how long it is on the wire, learns what else is in it: the more of
    /// it they have guessed, the shorter it is compressed (as CRIME and BREACH did). So what carries a secret beside
    /// something that others have written should be sent like this.
    pub fn secret(message: Message) -> Self {
        Self::Secret(Box::new(message))
    }

    /// The message, if it belongs to this connection: `None` for one that is sent to many.
    #[inline]
    pub fn message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            Self::Secret(message) => Some(message),
            Self::Prepared(_) => None,
        }
    }
}

impl From<Message> for Outgoing {
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}

impl From<PreparedMessage> for Outgoing {
    fn from(message: PreparedMessage) -> Self {
        Self::Prepared(message)
    }
}

/// A message that was not queued, and why. It is handed back, and the connection is as it was.
#[derive(Debug, Error)]
#[error("{reason}")]
pub struct Refused {
    /// What was to be sent.
    pub message: Outgoing,
    /// Why it was not.
    pub reason: Refusal,
}

/// Why a message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// A Close has been sent or received: nothing may follow it.
    #[error("the connection is closed")]
    Closed,
    /// The message may not be on the wire.
    #[error("the message may not be sent: {0}")]
    Invalid(Violation),
}

/// A position in the stream of sent bytes, see [`Encoder::queued`] and [`Encoder::is_written`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    data: u64,
    control: u64,
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

    /// The stream takes no more for now: gives back what memory the queue does not need.
    pub fn compact(&mut self) {
        if let Some(data) = self.data.get_mut() {
            data.compact();
        }
    }

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

    /// All that [`single`](Self::single) yielded has been written.
    #[inline(always)]
    pub fn advance_all(&mut self) {
        if self.control.is_none() {
            self.written.data = self.queued_data();
            self.buffered = 0;
            self.data.give_back();
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
