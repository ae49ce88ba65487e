//! The two tasks of a client: one reads its end of the stream and answers by itself, as a browser does, the other writes.
//!
//! They use the protocol as values, without a driver. So the client appears in no metrics and in no log beside the server.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use sockeye_tokio::{
    Config, Message, Role,
    proto::{self, Decoder, Encoder, Outgoing, Refusal},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use crate::inbox::{Arrival, Inbox};

/// How many bytes may be on their way in each direction, as in the buffers of a kernel.
pub(crate) const IN_FLIGHT: usize = 64 << 10;

/// The most bytes of one read.
const READ: usize = 64 << 10;

/// The reads in each second of a client that reads slowly.
const READS_PER_SECOND: usize = 10;

/// How late a read of a client that reads slowly may be, and still count as in time.
const LATE: Duration = Duration::from_millis(10);

/// How the client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Everything at once.
    Free,
    /// This many bytes per second, and never 0.
    Rate(usize),
    Stopped,
}

/// Both halves of the protocol, with the extensions that were negotiated.
#[derive(Debug)]
pub(crate) struct Codec {
    pub(crate) encoder: Encoder,
    pub(crate) decoder: Decoder,
}

impl Codec {
    pub(crate) fn new() -> Self {
        // The server is under test, and not the limits of its client.
        let config = Config::new().max_frame_size(usize::MAX).max_message_size(usize::MAX).max_fragments(usize::MAX);
        // RFC 6455 §5.3 wants keys that cannot be predicted, because of proxies on the way. Here is none, and the same bytes in
        // each run are better.
        let mut key = 0x9E37_79B9_u32;
        let next_key = move || {
            key = key.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
            key.to_be_bytes()
        };
        Self { encoder: Encoder::client(Box::new(next_key)), decoder: Decoder::new(Role::Client, config) }
    }
}

/// The client's side of a connection. Dropping it drops the stream.
#[derive(Debug)]
pub(crate) struct Link {
    outbox: Arc<Outbox>,
    reading: watch::Sender<Reading>,
    task: AbortHandle,
}

impl Link {
    /// Starts the tasks. `read_ahead` are bytes that were read from the stream before.
    pub(crate) fn start(stream: DuplexStream, read_ahead: Bytes, codec: Codec) -> (Self, Inbox) {
        let (frames, unwritten) = mpsc::unbounded_channel();
        let (arrivals, arrived) = mpsc::unbounded_channel();
        let (reading, rules) = watch::channel(Reading::Free);
        let outbox = Arc::new(Outbox { encoder: Mutex::new(codec.encoder), frames, is_silent: AtomicBool::new(false) });
        let (read_half, write_half) = tokio::io::split(stream);
        let reader = Reader {
            stream: read_half,
            decoder: codec.decoder,
            reading: rules,
            next_read: Instant::now(),
            outbox: outbox.clone(),
            arrivals,
        };
        let task = tokio::spawn(async move {
            // The stream ends when its reader has seen the end: RFC 6455 §7.1.1 lets the server close first.
            tokio::select! {
                () = reader.run(read_ahead) => {}
                () = write(write_half, unwritten) => {}
            }
        });
        let link = Self { outbox, reading, task: task.abort_handle() };
        (link, Inbox::new(arrived))
    }

    /// Queues a message. The receiver is told when the message is written, and fails if it never will be.
    ///
    /// # Errors
    ///
    /// If the message cannot be sent, unless the reason is that the connection is closed.
    pub(crate) fn send(&self, message: impl Into<Outgoing>) -> Result<oneshot::Receiver<()>, Refusal> {
        let mut refused = None;
        let written = self.outbox.queue(|encoder| refused = encoder.push(message.into()).err());
        match refused {
            None | Some(Refusal::Closed) => Ok(written),
            Some(refusal) => Err(refusal),
        }
    }

    pub(crate) fn set_reading(&self, reading: Reading) {
        self.reading.send_replace(reading);
    }

    pub(crate) fn reading(&self) -> Reading {
        *self.reading.borrow()
    }

    /// Ends all answers that the client gives by itself.
    pub(crate) fn silence(&self) {
        self.outbox.is_silent.store(true, Ordering::Relaxed);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is sent, by the test and by the answers of the reading task, in one order.
#[derive(Debug)]
struct Outbox {
    encoder: Mutex<Encoder>,
    frames: mpsc::UnboundedSender<Frames>,
    is_silent: AtomicBool,
}

/// Whole frames, and who wants to know when they are written.
#[derive(Debug)]
struct Frames(Vec<u8>, oneshot::Sender<()>);

impl Outbox {
    fn queue(&self, encode: impl FnOnce(&mut Encoder)) -> oneshot::Receiver<()> {
        let (done, written) = oneshot::channel();
        // Frames enter the channel under the lock, so that they keep the order of the encoder.
        let mut encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut encoder);
        let _ = self.frames.send(Frames(encoder.take_bytes(), done));
        written
    }

    fn answer(&self, encode: impl FnOnce(&mut Encoder)) {
        if !self.is_silent.load(Ordering::Relaxed) {
            self.queue(encode);
        }
    }
}

async fn write(mut stream: WriteHalf<DuplexStream>, mut unwritten: mpsc::UnboundedReceiver<Frames>) {
    while let Some(Frames(bytes, done)) = unwritten.recv().await {
        if stream.write_all(&bytes).await.is_err() {
            break;
        }
        let _ = done.send(());
    }
    drop(unwritten);
    // The server takes nothing more, but what it has sent can still be read.
    std::future::pending().await
}

struct Reader {
    stream: ReadHalf<DuplexStream>,
    decoder: Decoder,
    reading: watch::Receiver<Reading>,
    /// When a slow client has finished what it has read.
    next_read: Instant,
    outbox: Arc<Outbox>,
    arrivals: mpsc::UnboundedSender<Arrival>,
}

impl Reader {
    async fn run(mut self, read_ahead: Bytes) {
        let mut bytes = read_ahead.to_vec();
        loop {
            if let Err(error) = self.decode(&bytes) {
                let _ = self.arrivals.send(Arrival::Violation(error));
                break;
            }
            bytes.clear();
            if !matches!(self.read(&mut bytes).await, Ok(1..)) {
                break;
            }
        }
        let _ = self.arrivals.send(Arrival::End);
    }

    fn decode(&mut self, mut bytes: &[u8]) -> Result<(), proto::Error> {
        while let Some(message) = self.decoder.decode(&mut bytes)? {
            match &message {
                Message::Ping(payload) => self.outbox.answer(|encoder| encoder.pong(payload)),
                Message::Close(frame) => self.outbox.answer(|encoder| encoder.peer_closed(frame.as_ref())),
                _ => {}
            }
            let _ = self.arrivals.send(Arrival::Message(message));
        }
        Ok(())
    }

    /// Reads as the test has set. Returns how many bytes were read, and 0 at the end of the stream.
    async fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let reading = *self.reading.borrow_and_update();
            let most = match reading {
                Reading::Free => READ,
                Reading::Rate(rate) => (rate / READS_PER_SECOND).clamp(1, READ),
                Reading::Stopped => 0,
            };
            bytes.reserve(most);
            let mut limited = (&mut self.stream).take(most as u64);
            let read = async {
                if matches!(reading, Reading::Rate(_)) {
                    sleep_until(self.next_read).await;
                }
                limited.read_buf(bytes).await
            };
            tokio::select! {
                // First, so that no byte is read after a test has stopped the reading.
                biased;
                changed = self.reading.changed() => if changed.is_err() {
                    return Ok(0);
                },
                read = read, if most > 0 => {
                    let read = read?;
                    if let Reading::Rate(rate) = reading {
                        // From when this read was due, so that late wake-ups do not add up; but what was not there to read
                        // gives no right to read faster later.
                        let due = self.next_read.max(Instant::now() - LATE);
                        self.next_read = due + Duration::from_secs_f64(read as f64 / rate as f64);
                    }
                    return Ok(read);
                }
            }
        }
    }
}
