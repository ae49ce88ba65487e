//! `Encoder`: messages → transmit queue.

use std::{fmt, mem};

use crate::{
    CloseCode, CloseFrame, Closing, ClosingAction, ClosingEvent, Message, Outgoing, PayloadEncoder, Refusal, Refused,
    Rsv, Violation,
    control::Control,
    extensions::PayloadEncoders,
    header::{Header, MAX_CONTROL, MAX_HEADER, OpCode},
    mask,
    pool::{self, Pooled},
    queue::{CHUNK, COPY, Dropped, Queue},
};

mod bypass;
mod masked;
mod position;
mod shared;
mod writing;

pub use self::position::Position;

/// The source of a client's masking keys. [RFC 6455 §5.3] demands unpredictable keys. Any `FnMut() -> [u8; 4]` is a source,
/// so tests can use a fixed key.
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

/// The sending half of a connection: turns messages into a queue of bytes, in the order in which the bytes may be sent.
///
/// Write what [`slices`](Self::slices) yields, and tell [`advance`](Self::advance) how many bytes were written, however few.
///
/// * Data frames and the Close go out in the order in which they were queued.
/// * Pings and Pongs overtake data between two frames ([RFC 6455 §5.4]: control frames "MAY be injected in the middle of a
///   fragmented message", and a peer that waits for a Pong should not wait for megabytes).
/// * After a Close is queued, nothing more is queued.
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
    /// Present for a client, and for a server with an extension.
    transform: Option<Box<Transform>>,
    close_state: Closing,
    /// The length of the queued Close frame in bytes; 0 as long as no Close is queued.
    close_len: u8,
    /// Exists while data is unwritten, and while a pooled buffer waits for the next frames.
    data_queue: Pooled<Queue>,
    /// Exists while Pings or Pongs are unwritten.
    control_queue: Option<Box<Control>>,
    /// How many bytes of both queues are unwritten.
    unwritten: usize,
    written_up_to: Position,
    /// Whether the stream ended before all queued bytes were written.
    lost: bool,
}

/// The masking keys and the extensions, which transform payloads before they are queued.
#[derive(Default)]
struct Transform {
    /// Present for a client only; a server sends unmasked frames.
    masks: Option<Box<dyn MaskSource>>,
    extensions: PayloadEncoders,
}

impl Encoder {
    /// Payloads of at most this many bytes are copied next to their header; longer payloads are separate slices. 4 KiB:
    /// above this size, a copy costs more than a slice.
    pub const COPIED: usize = COPY;

    /// The encoder of a server, whose frames are not masked.
    pub fn server() -> Self {
        Self::new(None)
    }

    /// The encoder of a client, whose frames are masked with the keys of `masks`.
    pub fn client(masks: Box<dyn MaskSource>) -> Self {
        Self::new(Some(Box::new(Transform { masks: Some(masks), ..Transform::default() })))
    }

    fn new(transform: Option<Box<Transform>>) -> Self {
        Self {
            transform,
            close_state: Closing::Open,
            close_len: 0,
            data_queue: Pooled::NONE,
            control_queue: None,
            unwritten: 0,
            written_up_to: Position::default(),
            lost: false,
        }
    }

    /// Lets `extension` transform the payloads of data messages, and set the reserved bits that it
    /// [claims](PayloadEncoder::rsv). Several extensions run in the order in which the opening handshake lists them.
    ///
    /// # Panics
    ///
    /// When `extension` claims no bit, or a bit that another extension has claimed.
    #[must_use]
    pub fn with_extension(mut self, extension: Box<dyn PayloadEncoder>) -> Self {
        self.transform.get_or_insert_default().extensions.add(extension);
        self
    }

    /// Queues a message. A Close begins the close handshake.
    ///
    /// # Errors
    ///
    /// [`Refused`] with the message, if a Close was queued before, or if the message must not be on the wire: a Ping or Pong
    /// of more than 125 bytes, or a close code that the RFC forbids. The connection stays as it was. A close reason that is
    /// too long is [cut](CloseFrame::MAX_REASON).
    pub fn encode(&mut self, message: impl Into<Outgoing>) -> Result<(), Refused> {
        let message = message.into();
        match self.check(&message) {
            Ok(()) => {
                self.enqueue(message);
                Ok(())
            }
            Err(reason) => Err(Refused { message, reason }),
        }
    }

    /// As [`encode`](Self::encode), for callers that do not need a refused message back.
    ///
    /// # Errors
    ///
    /// Why the message was not queued. The message is dropped.
    pub fn push(&mut self, message: Outgoing) -> Result<(), Refusal> {
        self.check(&message)?;
        self.enqueue(message);
        Ok(())
    }

    /// Queues a text or binary message of at most [`COPIED`](Self::COPIED) bytes, for a caller that writes soon. The frame
    /// goes into a pooled buffer, which returns to the pool when all data is written. For most messages this is cheapest.
    ///
    /// Takes the payload out of `message`, and returns the length of the frame. Does nothing and returns `None` if the message is
    /// of another kind or longer, if this encoder has an extension, or after a Close.
    // The message is lent: one that is handed over would be copied for that, by several instructions for each of its words.
    #[inline(always)]
    pub fn push_small(&mut self, message: &mut Outgoing) -> Option<usize> {
        if self.transform.is_some() {
            return self.push_small_masked(message);
        }
        if !self.close_state.may_send() {
            return None;
        }
        let (opcode, payload) = take_small(message)?;
        let length = self.push_frame(opcode, None, &payload);
        pool::recycle(payload);
        Some(length)
    }

    /// Queues a frame in a pooled buffer. Returns the length of the frame.
    #[inline(always)]
    fn push_frame(&mut self, opcode: OpCode, mask: Option<[u8; 4]>, payload: &[u8]) -> usize {
        let queue = self.data_queue.get_or_take();
        queue.use_pooled_buffer();
        let length = queue.frame(opcode, mask, payload);
        self.unwritten += length;
        length
    }

    fn enqueue(&mut self, message: Outgoing) {
        match message {
            Outgoing::Message(message) => self.enqueue_message(message, false),
            Outgoing::Secret(message) => self.enqueue_message(*message, true),
            Outgoing::Prepared(message) => self.enqueue_prepared(message),
            Outgoing::Shared(message) => self.enqueue_shared(message),
        }
    }

    fn enqueue_message(&mut self, message: Message, is_secret: bool) {
        match message {
            Message::Text(text) if is_secret => self.untransformed(OpCode::Text, text.into_bytes()),
            Message::Binary(data) if is_secret => self.untransformed(OpCode::Binary, data),
            Message::Text(text) => self.enqueue_data(OpCode::Text, text.into_bytes()),
            Message::Binary(data) => self.enqueue_data(OpCode::Binary, data),
            Message::Ping(data) => self.enqueue_control(OpCode::Ping, &data),
            Message::Pong(data) => self.enqueue_control(OpCode::Pong, &data),
            Message::Close(frame) => self.on(ClosingEvent::LocalClose, frame.as_ref()),
        }
    }

    /// Queues the answer to a Ping, unless the connection is closing. Pongs are sent in order while fewer than 16 KiB of
    /// control frames are unsent. Beyond that, only the latest Pong is kept, as [RFC 6455 §5.5.3] allows, so a flood of
    /// Pings has a constant cost.
    ///
    /// [RFC 6455 §5.5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
    pub fn pong(&mut self, payload: &[u8]) {
        if !self.close_state.may_send() {
            return;
        }
        // RFC 6455 §5.5.3: a Pong "must have identical Application data as found in the message body of the Ping frame";
        // "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous Ping frame(s),
        // the endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame."
        match &mut self.control_queue {
            Some(control) if control.is_full() => control.defer(payload),
            _ => self.enqueue_control(OpCode::Pong, payload),
        }
    }

    /// Answers the peer's Close: queues a Close, unless one of ours was queued before, or the stream has ended.
    ///
    /// The answer repeats the peer's code and reason: by [RFC 6455 §5.5.1] it "typically echos the status code it received".
    /// Some clients report the answer to their application, instead of the Close that they have sent.
    ///
    /// [RFC 6455 §5.5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
    pub fn peer_closed(&mut self, frame: Option<&CloseFrame>) {
        self.on(ClosingEvent::PeerClose, frame);
    }

    /// The peer broke the protocol or a limit: queues a Close that says so, unless one was queued or the stream has ended.
    pub fn fail(&mut self, code: CloseCode, reason: &str) {
        self.on(ClosingEvent::Violation, Some(&CloseFrame::new(code, reason)));
    }

    /// The peer has ended its direction of the stream without a Close. Nothing more is queued. Queued bytes can still be
    /// written, and the peer may read them.
    pub fn peer_ended(&mut self) {
        self.on(ClosingEvent::End, None);
    }

    /// The stream ended or failed: nothing more can be written, and all queued bytes are dropped.
    pub fn ended(&mut self) {
        self.on(ClosingEvent::End, None);
        self.lost |= self.unwritten > 0;
        self.data_queue = Pooled::NONE;
        self.control_queue = None;
        self.unwritten = 0;
    }

    /// How far the close handshake has come.
    pub fn closing(&self) -> Closing {
        self.close_state
    }

    /// How many bytes are queued and not written, headers included.
    #[inline]
    pub fn buffered(&self) -> usize {
        self.unwritten
    }

    /// How many bytes of memory are charged for the queue: [`buffered`](Self::buffered), and 64 for each piece of the queue
    /// outside its tail, in which small frames lie in a row. Shared messages are charged in full, since this queue may be
    /// the last that keeps them.
    #[inline]
    pub fn held(&self) -> usize {
        self.unwritten + self.data_queue.get().map_or(0, Queue::overhead)
    }

    #[inline]
    fn data_len(&self) -> usize {
        self.unwritten - self.control_len()
    }

    #[inline]
    fn control_len(&self) -> usize {
        self.control_queue.as_ref().map_or(0, |control| control.unsent().len())
    }

    /// Uses a pooled buffer for the next small frames. This is worth it if the queue is written soon, for example by a
    /// handler that answers a message. Without this call, the memory of the queue grows with its content.
    #[inline]
    pub fn use_pooled_buffer(&mut self) {
        self.data_queue.get_or_take().use_pooled_buffer();
    }

    /// Drops the oldest whole text and binary messages of which nothing has been written, until `wanted` of the
    /// [held](Self::held) bytes are freed or no such message is left. A begun frame is finished, so the stream stays valid
    /// after the gap. Pings and Pongs stay, and after a Close is queued nothing is dropped. If messages may refer to earlier
    /// ones (context takeover), all these messages are dropped, since the peer could not inflate those after a gap.
    ///
    /// Dropped messages count as written for [`is_written`](Self::is_written), once all bytes before them have been written.
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
        let (true, Some(data)) = (self.close_state.may_send(), self.data_queue.get_mut()) else {
            return Dropped::default();
        };
        let begun = data.begun();
        let extensions = self.transform.as_deref_mut().map(|transform| &mut transform.extensions);
        let dropped = match extensions.filter(|extensions| wanted > 0 && extensions.has_context()) {
            // Later messages may refer to the dropped ones, and are useless without them.
            Some(extensions) => {
                let dropped = data.drop_until(|_, _| false);
                extensions.restart();
                dropped
            }
            None => data.drop_until(|bytes, chunks| bytes + chunks * CHUNK >= wanted),
        };
        self.dropped(begun, dropped);
        dropped
    }

    /// Drops all text and binary messages of which nothing has been written, so that the queued Close goes next. This is for
    /// a peer that has broken a rule, and need only be told so. A begun frame is finished.
    ///
    /// Returns what was dropped, and the position before it. A caller that [waits](Self::queued) for data up to a position
    /// [behind](Position::is_behind) this one waits for lost data. `None` if no Close is queued, or nothing can be dropped.
    ///
    /// ```
    /// use sockeye_proto::{Encoder, Message, close_code};
    ///
    /// let mut encoder = Encoder::server();
    /// encoder.encode(Message::text("never read")).unwrap();
    /// encoder.fail(close_code::PROTOCOL, "");
    /// let (dropped, _) = encoder.drop_data().unwrap();
    /// assert_eq!(dropped.messages, 1);
    /// assert_eq!(encoder.take_bytes(), b"\x88\x02\x03\xea");
    /// ```
    pub fn drop_data(&mut self) -> Option<(Dropped, Position)> {
        let close_len = usize::from(self.close_len);
        let data_len = self.data_len();
        let data = self.data_queue.get_mut().filter(|_| close_len > 0)?;
        let begun = data.begun();
        // The Close is the last frame. Part of it may be written already.
        let wanted = data_len.saturating_sub(begun + close_len);
        if wanted == 0 {
            return None;
        }
        let end = self.written_up_to.data + (begun + data.dropped_within(begun)) as u64;
        let dropped = data.drop_until(|bytes, _| bytes >= wanted);
        let before = Position { data: end, control: self.written_up_to.control };
        self.dropped(begun, dropped);
        Some((dropped, before))
    }

    /// How many text and binary messages are queued whose last byte is unwritten: so many are lost if the stream ends now.
    ///
    /// ```
    /// use sockeye_proto::{Encoder, Message};
    ///
    /// let mut encoder = Encoder::server();
    /// encoder.encode(Message::text("one")).unwrap();
    /// encoder.encode(Message::text("two")).unwrap();
    /// encoder.advance(1);
    /// assert_eq!(encoder.unwritten_messages(), 2);
    /// encoder.advance(4);
    /// assert_eq!(encoder.unwritten_messages(), 1);
    /// ```
    pub fn unwritten_messages(&mut self) -> usize {
        let frames = self.data_queue.get_mut().map_or(0, Queue::unwritten_frames);
        // The Close is the last frame.
        frames.saturating_sub(usize::from(self.close_len > 0))
    }

    /// Corrects the counts after messages were dropped. `begun` bytes are left of the frame before them.
    fn dropped(&mut self, begun: usize, dropped: Dropped) {
        let Some(data) = self.data_queue.get_mut() else { return };
        data.widen_gap(begun, dropped.bytes);
        self.unwritten -= dropped.bytes;
        self.written_up_to.data += data.pass_gap(0) as u64;
        if self.data_len() == 0 {
            self.data_queue = Pooled::NONE;
        }
    }

    /// Whether `message` could be queued now. Nothing is queued.
    ///
    /// # Errors
    ///
    /// Why the message could not be queued.
    #[inline]
    pub fn check(&self, message: &Outgoing) -> Result<(), Refusal> {
        if !self.close_state.may_send() {
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
        let (next, action) = self.close_state.on(event);
        self.close_state = next;
        if action != ClosingAction::Nothing {
            // The deferred Pong is queued now or never: no frame may follow a Close.
            if let Some(payload) = self.control_queue.as_mut().and_then(|control| control.take_deferred()) {
                self.enqueue_control(OpCode::Pong, &payload);
            }
            let mut body = Vec::new();
            if let Some(frame) = frame {
                frame.write(&mut body);
            }
            let before = self.unwritten;
            self.copied(OpCode::Close, Rsv::NONE, &body);
            // At most 131 bytes: a header with a masking key, and the longest payload of a control frame.
            self.close_len = (self.unwritten - before) as u8;
        }
    }

    fn enqueue_data(&mut self, opcode: OpCode, payload: Vec<u8>) {
        // RFC 7692 §6.1: a message is transformed first, and the result is the payload of its frames.
        let transformed = self.transform.as_mut().and_then(|transform| transform.extensions.encode(&payload));
        if let Some((rsv, transformed)) = transformed {
            pool::recycle(payload);
            return match transformed.len() {
                ..=COPY => self.copied(opcode, rsv, &transformed),
                _ => self.moved(opcode, rsv, transformed.to_vec()),
            };
        }
        self.untransformed(opcode, payload);
    }

    /// Queues a message that no extension transforms.
    fn untransformed(&mut self, opcode: OpCode, payload: Vec<u8>) {
        if payload.len() > COPY {
            return self.moved(opcode, Rsv::NONE, payload);
        }
        self.copied(opcode, Rsv::NONE, &payload);
        pool::recycle(payload);
    }

    fn moved(&mut self, opcode: OpCode, rsv: Rsv, mut payload: Vec<u8>) {
        let header = self.header(opcode, rsv, payload.len());
        if let Some(key) = header.mask {
            mask::apply(&mut payload, key, 0);
        }
        let queue = self.data_queue.get_or_default();
        self.unwritten += queue.inline(MAX_HEADER, |output| header.write(output)) + payload.len();
        queue.payload(payload);
    }

    #[inline]
    fn copied(&mut self, opcode: OpCode, rsv: Rsv, payload: &[u8]) {
        let header = self.header(opcode, rsv, payload.len());
        let most = MAX_HEADER + payload.len();
        self.unwritten += self.data_queue.get_or_default().inline(most, |output| header.write_frame(output, payload));
    }

    fn enqueue_control(&mut self, opcode: OpCode, payload: &[u8]) {
        let header = self.header(opcode, Rsv::NONE, payload.len());
        let control = self.control_queue.get_or_insert_default();
        self.unwritten += control.push(|output| header.write_frame(output, payload));
    }

    #[inline]
    fn header(&mut self, opcode: OpCode, rsv: Rsv, length: usize) -> Header {
        // RFC 6455 §5.1: "a client MUST mask all frames that it sends to the server"; "A server MUST NOT mask any frames
        // that it sends to the client." §5.3: "The client MUST pick a fresh masking key".
        let masks = self.transform.as_mut().and_then(|transform| transform.masks.as_mut());
        let mask = masks.map(|masks| masks.next_key());
        Header { fin: true, rsv, opcode, mask, length: length as u64 }
    }
}

/// Takes the payload out of a text or binary message of at most [`COPY`] bytes.
#[inline(always)]
fn take_small(message: &mut Outgoing) -> Option<(OpCode, Vec<u8>)> {
    match message {
        Outgoing::Message(Message::Text(text)) if text.len() <= COPY => {
            Some((OpCode::Text, mem::take(text).into_bytes()))
        }
        Outgoing::Message(Message::Binary(data)) if data.len() <= COPY => Some((OpCode::Binary, mem::take(data))),
        _ => None,
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("closing", &self.close_state)
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}
