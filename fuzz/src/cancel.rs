//! Futures that are dropped after any of their polls: nothing is lost, nothing arrives twice, nothing is half done.

use std::{future::poll_fn, pin::pin, task::Poll};

use arbitrary::Arbitrary;
use sockeye_testkit::{Control, pipe_with_capacity};
use sockeye_tokio::{Config, Connection, Message, PreparedMessage, Role, Stream, WebSocket, close_code};
use tokio::{sync::oneshot, task::yield_now};

use crate::{payload::Payload, plan, virtual_time::block_on};

#[derive(Arbitrary, Debug)]
struct Plan {
    server_sends: bool,
    capacity: Size,
    read_chunk: Size,
    write_chunk: Size,
    /// The write buffer of the sender, in units of 32 bytes.
    write_buffer: u8,
    sender: Home,
    receiver: Home,
    messages: Vec<(Way, Payload)>,
    /// How often each future is polled before it is dropped. The list is used in a loop.
    send_polls: Vec<u8>,
    recv_polls: Vec<u8>,
    /// Whether the end is a `close` whose future may be dropped too, or a drop of the socket.
    closes: bool,
}

/// The length of a piece of the stream, in bytes. Half of the lengths cut every header.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Size {
    Small(u8),
    Large(u16),
}

impl Size {
    fn bytes(self) -> usize {
        1 + match self {
            Self::Small(bytes) => usize::from(bytes % 32),
            Self::Large(bytes) => usize::from(bytes),
        }
    }
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    Handler,
    Moved,
    Undriven,
}

#[derive(Arbitrary, Debug)]
enum Way {
    Send,
    Prepared,
    Sender,
    Flushed,
    Ping,
}

/// Plans with more messages than this find nothing new.
const MESSAGES: usize = 24;

pub fn run(data: &[u8]) {
    let Some(mut plan) = plan::read::<Plan>(data) else { return };
    plan.messages.truncate(MESSAGES);
    block_on(play(plan));
}

/// The kinds of sending connection.
#[derive(Clone, Copy)]
struct How {
    /// A dropped `send` may have queued its message while it was waiting for the kernel.
    may_be_queued: bool,
    is_driven: bool,
    closes: bool,
}

async fn play(plan: Plan) {
    let (mut left, mut right) = pipe_with_capacity(plan.capacity.bytes());
    if plan.server_sends {
        std::mem::swap(&mut left, &mut right);
    }
    let role = |server| if server { Role::Server } else { Role::Client };
    for control in [left.control(), right.control()] {
        chunks(&control, &plan);
    }
    let config = Config::new().write_buffer_size(usize::from(plan.write_buffer) * 32);
    let how = How {
        may_be_queued: config.get_write_buffer_size() == 0 || plan.sender == Home::Undriven,
        is_driven: plan.sender != Home::Undriven,
        // Without a driver a drop ends the stream without a Close.
        closes: plan.closes || plan.sender == Home::Undriven,
    };
    let sender = Connection::new(Stream::boxed(left), role(plan.server_sends)).config(config);
    let receiver = Connection::new(Stream::boxed(right), role(!plan.server_sends));

    let polls = Polls::new(&plan.recv_polls);
    let (mut tasks, received) = at(plan.receiver, receiver, move |socket| receive(socket, polls));
    let polls = Polls::new(&plan.send_polls);
    let piece = plan.capacity.bytes().min(plan.read_chunk.bytes()).min(plan.write_chunk.bytes());
    let numbered = plan.messages.into_iter().enumerate();
    let messages = numbered.map(|(i, (way, payload))| (way, message(i, &payload, piece))).collect();
    let (more, sent) = at(plan.sender, sender, move |socket| send(socket, messages, polls, how));
    tasks.extend(more);
    for task in tasks {
        task.await.unwrap_or_else(|error| panic!("{error}"));
    }
    let done = "a task that has ended has said what it did";
    judge(&sent.await.expect(done), &received.await.expect(done));
}

fn chunks(control: &Control, plan: &Plan) {
    control.set_read_chunk(plan.read_chunk.bytes());
    control.set_write_chunk(plan.write_chunk.bytes());
}

/// A unique message that goes through the stream in a few dozen pieces.
fn message(number: usize, payload: &Payload, piece: usize) -> Message {
    let most = piece * 24;
    let mut bytes = payload.bytes();
    bytes.truncate(most);
    match payload {
        Payload::Text(text) if text.len() <= most => Message::Text(format!("{number:04}{text}")),
        _ => Message::Binary([&(number as u32).to_be_bytes()[..], &bytes].concat()),
    }
}

type Task = tokio::task::JoinHandle<()>;

/// Runs `work` on the socket of `connection`, with or without a driver, and returns its result at the end.
fn at<F, Fut>(home: Home, connection: Connection, work: F) -> (Vec<Task>, oneshot::Receiver<Fut::Output>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output: Send> + Send + 'static,
{
    let (done, output) = oneshot::channel();
    let work = move |socket| async move { _ = done.send(work(socket).await) };
    let tasks = match home {
        Home::Handler => vec![tokio::spawn(async move { drop(connection.serve(work).await) })],
        Home::Undriven => vec![tokio::spawn(work(connection.into_websocket()))],
        Home::Moved => {
            let (give, taken) = oneshot::channel();
            let serving = connection.serve(|socket| async move { drop(give.send(socket)) });
            let driver = tokio::spawn(async move { drop(serving.await) });
            let worker = tokio::spawn(async move {
                work(taken.await.expect("a handler runs when its connection is polled")).await;
            });
            vec![driver, worker]
        }
    };
    (tasks, output)
}

/// How often futures are polled, one after the other.
struct Polls {
    counts: Vec<u8>,
    next: usize,
    /// How many futures were dropped in a row. Each next one is polled more often, so that one is ready in the end.
    dropped: usize,
}

impl Polls {
    fn new(counts: &[u8]) -> Self {
        Self { counts: counts.to_vec(), next: 0, dropped: 0 }
    }

    /// The output of `future`, or `None` if it was dropped before.
    async fn limit<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let count = self.counts.get(self.next % self.counts.len().max(1)).map_or(1, |count| usize::from(*count % 8));
        self.next += 1;
        let mut left = count + self.dropped / 64;
        let mut future = pin!(future);
        let output = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                left -= 1;
                Poll::Pending
            }
        })
        .await;
        if output.is_some() {
            self.dropped = 0;
        } else {
            self.dropped += 1;
            yield_now().await;
        }
        output
    }
}

/// The sent messages, and whether each was sent for certain.
async fn send(
    mut socket: WebSocket,
    messages: Vec<(Way, Message)>,
    mut polls: Polls,
    how: How,
) -> Vec<(Message, bool)> {
    let (sender, mut log) = (socket.sender(), Vec::new());
    for (way, message) in messages {
        if let Way::Flushed = way {
            let _ = polls.limit(socket.flushed()).await;
        }
        if let Way::Ping = way {
            let _ = polls.limit(socket.send(Message::Ping("?".into()))).await;
        }
        loop {
            let tried = message.clone();
            let sent = match way {
                // Without a driver the socket has to be polled.
                Way::Sender if how.is_driven => polls.limit(sender.send(tried)).await,
                Way::Prepared => polls.limit(socket.send_prepared(prepare(&tried))).await,
                Way::Send | Way::Sender | Way::Flushed | Way::Ping => polls.limit(socket.send(tried)).await,
            };
            match sent {
                Some(sent) => {
                    sent.unwrap_or_else(|error| panic!("{error}: nobody has closed"));
                    log.push((message, true));
                    break;
                }
                None if how.may_be_queued => {
                    log.push((message, false));
                    break;
                }
                // The message was not queued, so it is sent again.
                None => yield_now().await,
            }
        }
    }
    if how.closes {
        // The first poll queues it, whatever happens to the future.
        let closed = polls.limit(socket.close_with(close_code::AWAY, "done")).await;
        closed.unwrap_or(Ok(())).unwrap_or_else(|error| panic!("{error}"));
        assert!(sender.is_closed());
        while socket.recv().await.is_some() {}
    }
    log
}

fn prepare(message: &Message) -> PreparedMessage {
    match message {
        Message::Text(text) => PreparedMessage::text(text),
        other => PreparedMessage::binary(other.as_bytes()),
    }
}

/// All data messages up to the Close, which must come.
async fn receive(mut socket: WebSocket, mut polls: Polls) -> Vec<Message> {
    let mut received = Vec::new();
    loop {
        match polls.limit(socket.recv()).await {
            Some(Some(Ok(Message::Close(_)))) => break,
            Some(Some(Ok(message))) => received.extend(message.is_data().then_some(message)),
            Some(Some(Err(error))) => panic!("{error} after {received:?}"),
            Some(None) => panic!("no Close after {received:?}"),
            None => {}
        }
    }
    // Without a driver the answer is written only while the socket is polled.
    let _ = socket.flushed().await;
    assert!(socket.recv().await.is_none(), "something came after the Close");
    received
}

/// Everything must have arrived once and in order, except what may not have been sent.
fn judge(sent: &[(Message, bool)], received: &[Message]) {
    let mut left = sent.iter();
    for message in received {
        loop {
            match left.next() {
                Some((next, _)) if next == message => break,
                Some((_, false)) => {}
                other => panic!("received {message:?} where {other:?} is next; sent {sent:?}"),
            }
        }
    }
    let lost = left.find(|(_, surely)| *surely);
    assert!(lost.is_none(), "{lost:?} was lost; received {received:?}");
}
