//! Whatever the two ends of a connection do, and whatever becomes of the stream between them, both end, and agree on how.
//!
//! The fuzz target `pair` looks at the messages of such pairs; this is about their close handshake. The relation:
//!
//! 1. An end *begins* the close handshake if a close of its own is accepted before the peer's Close has come: by `close_with`, a
//!    Close that it sends, or by dropping the socket. So each does at most once, and both may.
//! 2. A Close that an end receives has the code with which the peer has begun; and if the peer has not, the code with which the
//!    end itself has begun, since RFC 6455 §5.5.1 has the peer echo it. So an end that receives one while nobody has begun, or
//!    with any other code, is wrong.
//! 3. On a stream that works, and before any deadline, an end that goes on receiving receives a Close. So both ends of such a
//!    pair know both codes.
//! 4. Else it may be told of an error instead, once, which says what happened: the stream ended or failed (`is_abrupt`,
//!    `is_io`), or a deadline passed (`is_timeout`). Never is one told that the other broke the protocol. One may have the
//!    other's Close while the other has an error: nobody can know that what was said last has arrived.
//! 5. After either comes `None`, for ever, and nothing can be sent at either end.
//! 6. The connections end before the last deadline; where 3. holds, at once when their sockets are dropped.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::{collection::vec, option, prelude::*};
use sockeye_testkit::{Control, PipeEnd, pipe};
use sockeye_tokio::{
    CloseCode, CloseFrame, Config, Connection, Error, Message, ReceiveHalf, Role, SendHalf, Sender, Stream, WebSocket,
    close_code,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// What one end does.
#[derive(Debug, Clone)]
struct Program {
    home: Home,
    /// Of the write buffer, in bytes.
    room: usize,
    acts: Vec<Act>,
    finish: Finish,
}

/// Where the socket lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    Handler,
    /// In another task, after the handler has returned.
    Moved,
    /// There, in two halves.
    Halves,
}

#[derive(Debug, Clone)]
enum Act {
    Send(usize),
    Receive,
    Flush,
    Sleep(u64),
    CloseWith(CloseCode),
    /// By a `Sender`, which does not wait.
    CloseBySender(CloseCode),
    SendClose(Option<CloseCode>),
    /// In halves: nothing is received any more. Else the socket is dropped.
    DropReceiving,
    /// In halves: nothing is sent any more. Else the socket is dropped.
    DropSending,
}

/// How an end goes on when it is through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finish {
    Drop,
    /// Closes, and receives to the end.
    Close,
    /// Receives to the end.
    Drain,
}

/// What happens to the stream, at the client's end or at the server's.
#[derive(Debug, Clone, Copy)]
enum Link {
    Capacity(usize),
    ReadChunk(usize),
    WriteChunk(usize),
    /// Nothing is read for so long, in milliseconds.
    StallReads(u64),
    StallWrites(u64),
    Sleep(u64),
    Reset,
    EndReads,
}

/// What an end knows of the close handshake.
#[derive(Debug, Clone, Default)]
struct Seen {
    sender: Option<Sender>,
    /// The code with which it has begun, if it has.
    begun: Option<CloseCode>,
    /// How receiving has ended, if it went on until then.
    end: Option<End>,
}

#[derive(Debug, Clone)]
enum End {
    Close(Option<CloseCode>),
    Error(Error),
}

/// How long something is waited for that may be impossible. It is dropped then.
const PATIENCE: Duration = Duration::from_millis(100);

/// Less than the shortest deadline, which is the one of a close handshake.
const CALM: Duration = Duration::from_secs(9);

/// More than all deadlines one after the other.
const LONGEST: Duration = Duration::from_secs(120);

/// What takes no time, to the precision of the clock.
const AT_ONCE: Duration = Duration::from_millis(1);

/// A socket, or what is left of it.
enum Socket {
    Whole(WebSocket),
    Halves(Option<SendHalf>, Option<ReceiveHalf>),
}

struct Side {
    socket: Socket,
    sender: Sender,
    seen: Arc<Mutex<Seen>>,
}

impl Side {
    fn new(socket: WebSocket, halves: bool, seen: Arc<Mutex<Seen>>) -> Self {
        let sender = socket.sender();
        seen.lock().unwrap().sender = Some(sender.clone());
        let socket = if halves {
            let (sending, receiving) = socket.into_split();
            Socket::Halves(Some(sending), Some(receiving))
        } else {
            Socket::Whole(socket)
        };
        Self { socket, sender, seen }
    }

    async fn run(mut self, acts: Vec<Act>, finish: Finish) {
        for act in acts {
            self = match self.act(act).await {
                Some(side) => side,
                None => return,
            };
        }
        match finish {
            Finish::Drop => return self.leave(),
            Finish::Close => self.close_with(close_code::NORMAL).await,
            Finish::Drain => {}
        }
        while self.can_receive() && self.seen.lock().unwrap().end.is_none() {
            self.receive().await;
        }
        if self.can_receive() {
            self.receive().await;
        }
        self.leave();
    }

    /// Returns itself, unless there is nothing left.
    async fn act(mut self, act: Act) -> Option<Self> {
        match act {
            Act::Send(len) => _ = timeout(PATIENCE, self.send(Message::binary(vec![0; len]))).await,
            Act::Receive => _ = timeout(PATIENCE, self.receive()).await,
            Act::Flush => _ = timeout(PATIENCE, self.sender.flushed()).await,
            Act::Sleep(ms) => sleep(Duration::from_millis(ms)).await,
            Act::CloseWith(code) => _ = timeout(PATIENCE, self.close_with(code)).await,
            Act::CloseBySender(code) => self.close_by_sender(code),
            Act::SendClose(code) => {
                let close = Message::Close(code.map(|code| CloseFrame::new(code, "")));
                if let Ok(Ok(())) = timeout(PATIENCE, self.send(close)).await {
                    self.begins(code.unwrap_or(close_code::STATUS));
                }
            }
            Act::DropReceiving => match &mut self.socket {
                Socket::Halves(Some(_), receiving) => drop(receiving.take()),
                _ => {
                    return {
                        self.leave();
                        None
                    };
                }
            },
            Act::DropSending => match &mut self.socket {
                Socket::Halves(sending, Some(_)) => drop(sending.take()),
                _ => {
                    return {
                        self.leave();
                        None
                    };
                }
            },
        }
        Some(self)
    }

    /// A close of this end's own was accepted.
    fn begins(&self, code: CloseCode) {
        let before = self.seen.lock().unwrap().begun.replace(code);
        assert_eq!(before, None, "closed twice, the second time with {code}");
    }

    fn can_receive(&self) -> bool {
        !matches!(self.socket, Socket::Halves(_, None))
    }

    /// Drops what is left, which closes unless something did before.
    fn leave(self) {
        if !self.sender.is_closed() {
            self.begins(close_code::NORMAL);
        }
    }

    async fn close_with(&mut self, code: CloseCode) {
        // Nothing comes between this and the first poll, in which it closes.
        let begins = !self.sender.is_closed() && close_code::is_valid_on_wire(code);
        match &mut self.socket {
            Socket::Whole(socket) => {
                if begins {
                    self.seen.lock().unwrap().begun = Some(code);
                }
                _ = socket.close_with(code, "").await;
            }
            Socket::Halves(..) => self.close_by_sender(code),
        }
    }

    fn close_by_sender(&self, code: CloseCode) {
        let was_open = !self.sender.is_closed();
        let closed = self.sender.close_with(code, "elsewhere");
        match closed {
            Ok(()) if was_open => self.begins(code),
            // The connection was closing already.
            Ok(()) => {}
            Err(error) if error.is_invalid() => assert!(!close_code::is_valid_on_wire(code), "{code}"),
            Err(error) => assert!(!was_open, "{error}"),
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        match &mut self.socket {
            Socket::Whole(socket) => socket.send(message).await,
            Socket::Halves(Some(sending), _) => sending.send(message).await,
            Socket::Halves(None, _) => self.sender.send(message).await,
        }
    }

    async fn receive(&mut self) {
        let received = match &mut self.socket {
            Socket::Whole(socket) => socket.recv().await,
            Socket::Halves(_, Some(receiving)) => receiving.recv().await,
            Socket::Halves(_, None) => return,
        };
        let mut seen = self.seen.lock().unwrap();
        let end = match received {
            None => return assert!(seen.end.is_some(), "receiving ended without a word"),
            Some(Ok(Message::Close(frame))) => End::Close(frame.map(|frame| frame.code)),
            Some(Ok(message)) => return assert!(seen.end.is_none(), "{message:?} came after the end"),
            Some(Err(error)) => End::Error(error),
        };
        assert!(seen.end.is_none(), "{end:?} came after the end");
        seen.end = Some(end);
    }
}

/// Serves one end. The driver, and the task of a socket that was moved.
fn start(
    end: PipeEnd,
    role: Role,
    program: Program,
    seen: Arc<Mutex<Seen>>,
    running: mpsc::Sender<()>,
) -> [JoinHandle<()>; 2] {
    let config = Config::new().write_buffer_size(program.room);
    let connection = Connection::new(Stream::boxed(end), role).config(config);
    let Program { home, acts, finish, .. } = program;
    if home == Home::Handler {
        let handler = move |socket| async move {
            Side::new(socket, false, seen).run(acts, finish).await;
            drop(running);
        };
        return [tokio::spawn(async move { drop(connection.serve(handler).await) }), tokio::spawn(async {})];
    }
    let (give, taken) = oneshot::channel();
    let serving = connection.serve(|socket| async move { drop(give.send(socket)) });
    let driver = tokio::spawn(async move { drop(serving.await) });
    let task = tokio::spawn(async move {
        Side::new(taken.await.unwrap(), home == Home::Halves, seen).run(acts, finish).await;
        drop(running);
    });
    [driver, task]
}

async fn break_in(controls: [Control; 2], links: Vec<(bool, Link)>) {
    for (right, link) in links {
        let control = &controls[usize::from(right)];
        match link {
            Link::Capacity(bytes) => control.set_write_capacity(bytes),
            Link::ReadChunk(bytes) => control.set_read_chunk(bytes),
            Link::WriteChunk(bytes) => control.set_write_chunk(bytes),
            Link::StallReads(ms) => {
                control.pause_reads();
                sleep(Duration::from_millis(ms)).await;
                control.resume_reads();
            }
            Link::StallWrites(ms) => {
                control.pause_writes();
                sleep(Duration::from_millis(ms)).await;
                control.resume_writes();
            }
            Link::Sleep(ms) => sleep(Duration::from_millis(ms)).await,
            Link::Reset => control.reset(),
            Link::EndReads => control.end_reads(),
        }
    }
    controls.iter().for_each(restore);
}

/// The stream works again, unless it was reset or has ended.
fn restore(control: &Control) {
    control.set_write_capacity(64 << 10);
    control.set_read_chunk(usize::MAX);
    control.set_write_chunk(usize::MAX);
    control.resume_reads();
    control.resume_writes();
}

/// Plays both ends, and says what each has seen, and whether the stream and the clock were kind to them.
async fn play(mut programs: [Program; 2], links: Vec<(bool, Link)>) -> ([Seen; 2], bool) {
    if programs.iter().all(|program| program.finish == Finish::Drain) {
        // Each would wait for the other for ever, as it should.
        programs[0].finish = Finish::Close;
    }
    let is_whole = !links.iter().any(|(_, link)| matches!(link, Link::Reset | Link::EndReads));
    let (left, right) = pipe();
    let controls = [left.control(), right.control()];
    let seen: [Arc<Mutex<Seen>>; 2] = Default::default();
    let began = Instant::now();
    let link = tokio::spawn(break_in(controls.clone(), links));
    let (running, mut over) = mpsc::channel(1);
    let [client, server] = programs;
    let mut tasks = Vec::from(start(left, Role::Client, client, seen[0].clone(), running.clone()));
    tasks.extend(start(right, Role::Server, server, seen[1].clone(), running));
    timeout(LONGEST, over.recv()).await.expect("all deadlines have passed, and somebody still waits");

    link.abort();
    controls.iter().for_each(restore);
    let is_calm = is_whole && began.elapsed() < CALM;
    let within = if is_calm { AT_ONCE } else { LONGEST };
    for task in tasks {
        timeout(within, task).await.expect("a connection outlives its socket").unwrap();
    }
    let seen = seen.map(|seen| seen.lock().unwrap().clone());
    assert!(seen.iter().flat_map(|seen| &seen.sender).all(Sender::is_closed), "an end that is over can still send");
    (seen, is_calm)
}

/// Whether what `me` has seen fits to what `peer` has.
fn judge(me: &Seen, peer: &Seen, is_calm: bool) -> Result<(), TestCaseError> {
    match &me.end {
        Some(End::Close(code)) => {
            let expected = peer.begun.or(me.begun);
            prop_assert_eq!(Some(code.unwrap_or(close_code::STATUS)), expected);
        }
        Some(End::Error(error)) => {
            prop_assert!(!is_calm, "told of an error without a reason: {}", error);
            prop_assert!(error.is_abrupt() || error.is_io() || error.is_timeout(), "told of {}", error);
        }
        // Nobody has received to the end.
        None => {}
    }
    Ok(())
}

fn code() -> impl Strategy<Value = CloseCode> {
    prop_oneof![4 => 4000..4005_u16, 1 => Just(close_code::NORMAL), 1 => Just(close_code::STATUS)]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..3000_usize).prop_map(Act::Send),
        4 => Just(Act::Receive),
        1 => Just(Act::Flush),
        2 => (0..300_u64).prop_map(Act::Sleep),
        1 => code().prop_map(Act::CloseWith),
        1 => code().prop_map(Act::CloseBySender),
        1 => option::of(code()).prop_map(Act::SendClose),
        1 => Just(Act::DropReceiving),
        1 => Just(Act::DropSending),
    ]
}

fn program() -> impl Strategy<Value = Program> {
    let home = prop_oneof![Just(Home::Handler), Just(Home::Moved), Just(Home::Halves)];
    let room = prop_oneof![Just(1), Just(2000), Just(128 << 10)];
    let finish = prop_oneof![Just(Finish::Drop), Just(Finish::Close), Just(Finish::Drain)];
    (home, room, vec(act(), 0..10), finish).prop_map(|(home, room, acts, finish)| Program { home, room, acts, finish })
}

fn link() -> impl Strategy<Value = (bool, Link)> {
    let link = prop_oneof![
        2 => prop_oneof![Just(1), Just(100), Just(5000)].prop_map(Link::Capacity),
        2 => prop_oneof![Just(1), Just(50)].prop_map(Link::ReadChunk),
        2 => prop_oneof![Just(1), Just(50)].prop_map(Link::WriteChunk),
        2 => (1..500_u64).prop_map(Link::StallReads),
        2 => (1..500_u64).prop_map(Link::StallWrites),
        3 => (1..500_u64).prop_map(Link::Sleep),
    ];
    // What breaks the stream, or outlasts a deadline.
    let fault = prop_oneof![
        Just(Link::Reset),
        Just(Link::EndReads),
        (9_000..60_000_u64).prop_map(Link::StallReads),
        (9_000..60_000_u64).prop_map(Link::StallWrites),
    ];
    (any::<bool>(), prop_oneof![15 => link, 1 => fault])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    #[test]
    fn both_ends_of_a_connection_end_and_agree_on_how(
        client in program(),
        server in program(),
        links in vec(link(), 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (seen, is_calm) = runtime.block_on(play([client, server], links));
        judge(&seen[0], &seen[1], is_calm)?;
        judge(&seen[1], &seen[0], is_calm)?;
    }
}
