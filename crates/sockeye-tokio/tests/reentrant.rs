//! Code of the application that a connection calls may call the connection back: streams and wakers.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, pending},
    io,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use common::{connect_with_capacity, connection, echo, give_away, poll_once};
use sockeye_testkit::{DEFAULT_CAPACITY, Frame, Peer, PipeEnd, opcode, pipe_with_capacity};
use sockeye_tokio::{
    Budget, Config, Connection, EndedBy, Message, Overflow, ReceiveHalf, Role, Sender, Shutdown, Stream, Timeouts,
    WebSocket, close_code,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
    task::yield_now,
    time::Instant,
};

/// What is called back, once there is a connection: a sender of it, and what is set for it.
#[derive(Clone)]
struct Back {
    budget: Budget,
    shutdown: Shutdown,
    sender: Arc<OnceLock<Sender>>,
    calls: Arc<AtomicUsize>,
}

impl Back {
    fn new() -> Self {
        Self { budget: Budget::new(1 << 20), shutdown: Shutdown::new(), sender: Arc::default(), calls: Arc::default() }
    }

    /// From here on calls have somebody to call.
    fn know(&self, sender: Sender) {
        self.sender.set(sender).unwrap();
    }

    /// A handler that makes itself known, and echoes.
    async fn known_echo(self, socket: WebSocket) {
        self.know(socket.sender());
        echo(socket).await;
    }

    /// Calls what it can, and sends a few times: what is sent may bring about the next call.
    fn call(&self) {
        let Some(sender) = self.sender.get().cloned() else { return };
        if self.calls.fetch_add(1, Ordering::Relaxed) < 50 {
            let _ = sender.push_with(Message::text("back"), Overflow::DropNewest);
            let _ = sender.try_send(Message::Ping(Vec::new()));
        }
        let _ = (sender.buffered(), sender.latency(), sender.dropped(), sender.is_closed());
        let _ = (self.budget.used(), self.shutdown.connections());
        // A `recv` or `send` of somebody else may be polled as well.
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut Box::pin(sender.flushed())).poll(&mut cx);
        let _ = Pin::new(&mut Box::pin(sender.closed())).poll(&mut cx);
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

/// A stream that calls its connection in each of its own calls.
struct Calling<S> {
    stream: S,
    back: Back,
}

impl<S: AsyncRead + Unpin> AsyncRead for Calling<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.back.call();
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Calling<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.back.call();
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.back.call();
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.back.call();
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> Drop for Calling<S> {
    fn drop(&mut self) {
        self.back.call();
    }
}

/// A client, and a connection to it over such a stream.
fn calling(capacity: usize, back: &Back) -> (Peer<PipeEnd>, Connection) {
    let (client, server) = pipe_with_capacity(capacity);
    let stream = Calling { stream: server, back: back.clone() };
    (Peer::client(client), connection(stream).budget(&back.budget).shutdown(&back.shutdown))
}

/// Reads until a frame with this payload.
async fn expect(client: &mut Peer<PipeEnd>, payload: &[u8]) {
    while client.expect_frame().await.payload != payload {}
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_call_its_connection() {
    let back = Back::new();
    let (mut client, connection) = calling(5000, &back);
    let known = back.clone();
    let task = tokio::spawn(connection.serve(|socket| known.known_echo(socket)));
    for size in [10, 3_000, 100_000] {
        client.send(Frame::binary(vec![7; size])).await;
        expect(&mut client, &vec![7; size]).await;
    }
    client.send(Frame::close(close_code::NORMAL, "bye")).await;
    expect(&mut client, b"\x03\xe8bye").await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
    assert!(back.calls() > 20, "{}", back.calls());
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_call_its_connection_without_a_driver() {
    let back = Back::new();
    let (mut client, connection) = calling(5000, &back);
    let task = tokio::spawn(back.clone().known_echo(connection.into_websocket()));
    client.send(Frame::binary(vec![7; 100_000])).await;
    expect(&mut client, &vec![7; 100_000]).await;
    client.send(Frame::close(close_code::NORMAL, "bye")).await;
    expect(&mut client, b"\x03\xe8bye").await;
    drop(client);
    task.await.unwrap();
    assert!(back.calls() > 10, "{}", back.calls());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_may_call_its_connection_when_it_is_dropped() {
    let back = Back::new();
    let (client, connection) = calling(DEFAULT_CAPACITY, &back);
    let (tell, told) = oneshot::channel();
    tokio::spawn(connection.serve(|socket| async move {
        tell.send(socket.sender()).unwrap();
        pending::<()>().await;
        drop(socket);
    }));
    let sender = told.await.unwrap();
    back.know(sender.clone());
    let before = back.calls();
    drop(client);
    for _ in 0..3 {
        let _ = sender.push(Message::text("x"));
        yield_now().await;
    }
    sender.closed().await;
    assert!(back.calls() > before);
}

/// A waker that calls the connection, when it wakes and when it is dropped.
struct CallingWaker(Back);

impl Wake for CallingWaker {
    fn wake(self: Arc<Self>) {
        self.0.call();
    }
}

impl Drop for CallingWaker {
    fn drop(&mut self) {
        self.0.call();
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_may_call_the_connection_it_waits_for() {
    let back = Back::new();
    let (mut client, connection) = connect_with_capacity(1000);
    let (socket, _task) = give_away(connection).await;
    let (sending, mut receiving) = socket.into_split();
    let sender: Sender = sending.sender();
    let waker = || Waker::from(Arc::new(CallingWaker(back.clone())));
    while sender.buffered() < 128 << 10 {
        sender.try_send(Message::binary(vec![1; 1000])).unwrap();
    }
    back.know(sender.clone());
    // Each poll has another waker, and the one before is the last of its kind.
    let mut waits: Vec<Pin<Box<dyn Future<Output = ()>>>> = vec![
        Box::pin(async { drop(receiving.recv().await) }),
        Box::pin(async { drop(sending.send(Message::text("room")).await) }),
        Box::pin(async { drop(sender.flushed().await) }),
        Box::pin(sender.closed()),
        Box::pin(sender.closing()),
    ];
    for wait in &mut waits {
        for _ in 0..3 {
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker())).is_pending());
        }
    }
    let before = back.calls();
    assert!(before >= 5, "{before}");
    // All of them are woken: by a message, by what is read, and by the end.
    client.send(Frame::text("hello")).await;
    let begun = Instant::now();
    for _ in 0..130 {
        client.expect_frame().await;
    }
    // The driver was woken whenever there was room, and not by a deadline.
    assert_eq!(begun.elapsed(), Duration::ZERO);
    sender.close_with(close_code::NORMAL, "").unwrap();
    while client.expect_frame().await.opcode != opcode::CLOSE {}
    assert!(back.calls() >= before + 5, "{} after {before}", back.calls());
}

#[tokio::test(start_paused = true)]
async fn wakers_of_a_driver_may_call_its_connection() {
    let back = Back::new();
    let (mut client, connection) = connect_with_capacity(1000);
    let known = back.clone();
    let mut driver = Box::pin(connection.timeouts(Timeouts::none()).serve(|socket| known.known_echo(socket)));
    client.send(Frame::text("one")).await;
    for _ in 0..10 {
        let waker = Waker::from(Arc::new(CallingWaker(back.clone())));
        assert!(driver.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    expect(&mut client, b"one").await;
    assert!(back.calls() >= 5, "{}", back.calls());
}

/// A stream of two functions: what a read does, and how many of so many bytes a write takes.
struct Scripted<R, W>(R, W);

impl<R, W: Unpin> AsyncRead for Scripted<R, W>
where
    R: FnMut(&mut ReadBuf<'_>) -> Poll<io::Result<()>> + Unpin,
{
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0(buf)
    }
}

impl<R: Unpin, W> AsyncWrite for Scripted<R, W>
where
    W: FnMut(&mut Context<'_>, usize) -> usize + Unpin,
{
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.1(cx, bytes.len())))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Reads these bytes, and then nothing.
fn once(bytes: Vec<u8>) -> impl FnMut(&mut ReadBuf<'_>) -> Poll<io::Result<()>> + Send + Unpin {
    let mut bytes = Some(bytes);
    move |buf| {
        let Some(bytes) = bytes.take() else { return Poll::Pending };
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

/// A connection over such a stream, from which nothing comes.
fn silent(write: impl FnMut(&mut Context<'_>, usize) -> usize + Send + Unpin + 'static) -> Connection {
    Connection::new(Stream::boxed(Scripted(|_: &mut ReadBuf<'_>| Poll::Pending, write)), Role::Server)
}

/// The task that reads is the last to hold the stream, and drops it.
#[tokio::test]
async fn a_stream_that_is_aborted_during_its_read_may_call_its_connection_when_it_is_dropped() {
    let back = Back::new();
    let known = back.clone();
    let read = move |_: &mut ReadBuf<'_>| {
        known.sender.get().unwrap().abort();
        Poll::Pending
    };
    let stream = Scripted(read, |_: &mut Context<'_>, offered: usize| offered);
    let connection = Connection::new(Stream::boxed(Calling { stream, back: back.clone() }), Role::Server);
    let ended = connection.serve(async |mut socket: WebSocket| {
        back.know(socket.sender());
        assert!(socket.recv().await.unwrap().is_err());
    });
    assert_eq!(ended.await.by(), EndedBy::Local);
    assert!(back.calls() > 1, "{}", back.calls());
}

/// During the write, the application receives an error that was read behind a message. The error drops the queue, while the stream
/// takes what was in the queue.
#[tokio::test]
async fn a_write_may_end_after_a_read_has_failed() {
    let receiver = Arc::<Mutex<Option<ReceiveHalf>>>::default();
    let received = Arc::<Mutex<String>>::default();
    let mut input = Some(Frame::text("a question").mask([1, 2, 3, 4]).bytes());
    let read = move |buf: &mut ReadBuf<'_>| {
        let Some(input) = input.take() else { return Poll::Ready(Err(io::Error::other("a bad record"))) };
        buf.put_slice(&input);
        Poll::Ready(Ok(()))
    };
    let (half_of, error_of) = (receiver.clone(), received.clone());
    let write = move |cx: &mut Context<'_>, offered: usize| {
        if let Some(mut half) = half_of.lock().unwrap().take() {
            if let Poll::Ready(Some(Err(error))) = Box::pin(half.recv()).as_mut().poll(cx) {
                *error_of.lock().unwrap() = error.to_string();
            }
        }
        offered
    };
    let connection = Connection::new(Stream::boxed(Scripted(read, write)), Role::Server);
    let ended = connection.serve(async move |socket: WebSocket| {
        let (sender, mut half) = socket.into_split();
        half.recv().await.unwrap().unwrap();
        *receiver.lock().unwrap() = Some(half);
        sender.send(Message::text("an answer")).await.unwrap();
        // Writes now: the connection's task would read first.
        assert!(sender.flushed().await.is_err());
    });
    assert_eq!(ended.await.by(), EndedBy::Stream);
    assert!(received.lock().unwrap().contains("a bad record"));
}

/// A frame that breaks a rule.
const RESERVED_OPCODE: &[u8] = b"\x83\x80\0\0\0\0";

/// The peer breaks a rule while another thread writes. The stream may take all that is queued, and nobody has asked it.
#[tokio::test(start_paused = true)]
async fn a_failure_drops_nothing_while_another_thread_calls_the_stream() {
    let read = once([&Frame::text("a question").mask([1, 2, 3, 4]).bytes(), RESERVED_OPCODE].concat());
    let ((enter, entered), (leave, left)) = (mpsc::channel(), mpsc::channel());
    let mut first_write = Some((enter, left));
    let write = move |_: &mut Context<'_>, offered: usize| {
        if let Some((enter, left)) = first_write.take() {
            enter.send(()).unwrap();
            left.recv().unwrap();
        }
        offered
    };
    let (socket, task) = give_away(Connection::new(Stream::boxed(Scripted(read, write)), Role::Server)).await;
    let (sending, mut receiving) = socket.into_split();
    let sender = sending.sender();
    receiving.recv().await.unwrap().unwrap();
    let writer = thread::spawn(move || {
        // So long that the thread writes by itself.
        let long = Message::binary(vec![1; 100_000]);
        assert!(pin!(sending.send(long)).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        sending
    });
    entered.recv().unwrap();
    sender.try_send(Message::text("more")).unwrap();
    assert!(receiving.recv().await.unwrap().unwrap_err().is_violation());
    // The connection's task finds the stream taken.
    yield_now().await;
    leave.send(()).unwrap();
    let sending = writer.join().unwrap();
    assert_eq!(task.await.unwrap().by(), EndedBy::Violation);
    assert_eq!(sender.dropped(), 0);
    drop((sending, receiving));
}

/// One poll makes only so many calls of a stream. That does not mean that the stream is full.
#[tokio::test(start_paused = true)]
async fn a_failure_drops_nothing_of_what_the_stream_takes_in_many_calls() {
    let read = once(RESERVED_OPCODE.to_vec());
    let stream = Scripted(read, |_: &mut Context<'_>, offered: usize| offered);
    let config = Config::new().max_write_buffer_size(64 << 20);
    let (tell, told) = oneshot::channel();
    let ended = Connection::new(Stream::boxed(stream), Role::Server).config(config).serve(
        async move |mut socket: WebSocket| {
            let sender = socket.sender();
            sender.try_send(Message::binary(vec![1; 32 << 20])).unwrap();
            sender.try_send(Message::text("more")).unwrap();
            assert!(socket.recv().await.unwrap().unwrap_err().is_violation());
            tell.send(sender).unwrap();
        },
    );
    assert_eq!(ended.await.by(), EndedBy::Violation);
    assert_eq!(told.await.unwrap().dropped(), 0);
}

#[tokio::test]
async fn a_stream_that_claims_more_than_it_was_offered_fails_with_the_numbers() {
    let ended = silent(|_, offered| offered + 1).serve(async |mut socket: WebSocket| {
        socket.send(Message::text("12345678")).await.unwrap();
        let error = socket.recv().await.unwrap().unwrap_err().to_string();
        assert!(error.contains("returned 11 bytes, and was called with 10"), "{error}");
    });
    assert_eq!(ended.await.by(), EndedBy::Stream);
}

/// The stream takes everything at once, and one more message is sent during each of its writes. Without an end of the poll, neither
/// the handler nor another task would run before others stop to send.
#[tokio::test]
async fn one_poll_writes_no_more_than_a_part_of_what_others_go_on_to_send() {
    const FED: usize = 10_000;
    let (sender, writes) = (Arc::<OnceLock<Sender>>::default(), Arc::<AtomicUsize>::default());
    let (feeder, count) = (sender.clone(), writes.clone());
    let connection = silent(move |_, offered| {
        if count.fetch_add(1, Ordering::Relaxed) < FED {
            feeder.get().unwrap().try_send(Message::text("more")).unwrap();
        }
        offered
    });
    let mut driver = Box::pin(connection.serve(async move |mut socket: WebSocket| {
        sender.set(socket.sender()).unwrap();
        socket.send(Message::text("one")).await.unwrap();
        pending().await
    }));
    assert!(poll_once(&mut driver).await.is_none());
    assert!((1..FED).contains(&writes.load(Ordering::Relaxed)));
    // The rest follows, since the connection has woken its task.
    let _task = tokio::spawn(driver);
    for _ in 0..FED {
        yield_now().await;
    }
    assert_eq!(writes.load(Ordering::Relaxed), FED + 1);
}
