//! Both ends of a connection, with a virtual clock and a stream that does what the plan says: nothing hangs, messages arrive as
//! sent and in order, and all of them arrive before a Close.

mod end;
mod log;

use std::time::Duration;

use arbitrary::Arbitrary;
use sockeye_testkit::{Control, pipe};
use sockeye_tokio::{Config, Connection, Role, Sender, Stream, WebSocket};
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
    time::Instant,
};

use crate::{deflating::Deflating, payload::Payload, plan, virtual_time::block_on};
use end::{Do, End, Finish};
use log::Log;

#[derive(Arbitrary, Debug)]
struct Plan {
    ends: [Settings; 2],
    steps: Vec<Step>,
    finish: [Finish; 2],
    /// The parameters of compression on which both ends have agreed, if any.
    deflating: Option<Deflating>,
}

#[derive(Arbitrary, Debug)]
struct Settings {
    /// The size of the write buffer, in units of 64 bytes. With 0, sending waits for the kernel.
    write_buffer: u8,
    read_buffer: Option<u8>,
    home: Home,
}

/// Where the socket is used.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// In the handler.
    Handler,
    /// In another task, after the handler has returned.
    Moved,
    /// In another task, in two halves.
    Halves,
    /// On a connection without a driver.
    Undriven,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// An operation on the socket at this end.
    Do(bool, Do),
    /// Another task sends to this end's connection, without waiting.
    TrySend(bool, Payload),
    /// Another task closes this end's connection.
    Close(bool, u16),
    Link(bool, Link),
    Advance(u16),
    /// The others run for a while.
    Yield(u8),
}

/// What happens to the stream at one end.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Link {
    WriteCapacity(u16),
    ReadChunk(u8),
    WriteChunk(u8),
    PauseReads,
    ResumeReads,
    PauseWrites,
    ResumeWrites,
    Reset,
    EndReads,
}

/// Plans with more steps than this find nothing new.
const STEPS: usize = 64;

/// What [`End`] and the plan share about one end.
struct Side {
    commands: mpsc::UnboundedSender<Do>,
    sender: Sender,
    log: Log,
    control: Control,
    home: Home,
    is_unbuffered: bool,
}

pub fn run(data: &[u8]) {
    let Some(mut plan) = plan::read::<Plan>(data) else { return };
    plan.steps.truncate(STEPS);
    block_on(play(plan));
}

async fn play(plan: Plan) {
    let start = Instant::now();
    let (left, right) = pipe();
    let controls = [left.control(), right.control()];
    let mut tasks = Vec::new();
    let mut sides = Vec::new();
    for ((settings, stream), role) in plan.ends.iter().zip([left, right]).zip([Role::Client, Role::Server]) {
        let control = stream.control();
        let (side, mut started) = open(settings, plan.deflating, Stream::boxed(stream), role, control).await;
        sides.push(side);
        tasks.append(&mut started);
    }
    let mut is_faulty = false;
    for step in plan.steps {
        is_faulty |= matches!(step, Step::Link(_, Link::Reset | Link::EndReads));
        take(step, &sides).await;
    }
    controls.iter().for_each(restore);
    // No end may wait for another one that never closes, whatever the plan does.
    let finish = match plan.finish {
        [Finish::Drain, Finish::Drain] => [Finish::Close, Finish::Drain],
        finish => finish,
    };
    for (side, finish) in sides.iter().zip(finish) {
        // The task has ended if the plan has dropped the socket.
        let _ = side.commands.send(Do::Finish(finish));
    }
    for task in tasks {
        task.await.unwrap_or_else(|error| panic!("{error}"));
    }
    let sent: usize = sides.iter().map(|side| side.log.sent_bytes()).sum();
    // An end by a deadline, or by the bound on discarded bytes, is not orderly and need not be.
    let is_orderly = !is_faulty
        && start.elapsed() < Duration::from_secs(9)
        && sent < 1 << 19
        && sides.iter().all(|side| side.home != Home::Undriven);
    for (me, peer) in [(0, 1), (1, 0)] {
        sides[me].log.judge(&sides[peer].log, is_orderly);
    }
}

/// One end, and its tasks.
async fn open(
    settings: &Settings,
    deflating: Option<Deflating>,
    stream: Stream,
    role: Role,
    control: Control,
) -> (Side, Vec<tokio::task::JoinHandle<()>>) {
    let write_buffer_size = usize::from(settings.write_buffer) * 64;
    let mut config = Config::new().write_buffer_size(write_buffer_size).max_write_buffer_size(write_buffer_size + 4096);
    if let Some(size) = settings.read_buffer {
        config = config.read_buffer_size(size.into());
    }
    let is_unbuffered = write_buffer_size == 0;
    let home = settings.home;
    let (commands, queue) = mpsc::unbounded_channel();
    let log = Log::new(role == Role::Client);
    let mut connection = Connection::new(stream, role).config(config);
    if let Some(deflating) = deflating {
        let (agreed, compression) = (deflating.parameters(), deflating.compression());
        connection = connection.extension(agreed.encoder(role, &compression), agreed.decoder(role, &compression));
    }
    // Whether a dropped `send` may still have queued its message.
    let may_be_queued = is_unbuffered || home == Home::Undriven;
    let end = End::new(queue, log.clone(), may_be_queued);
    let (give, taken) = oneshot::channel::<Sender>();
    let mut tasks = Vec::new();
    match home {
        Home::Handler => {
            let serving = connection.serve(move |socket| {
                let _ = give.send(socket.sender());
                end.run(socket)
            });
            tasks.push(tokio::spawn(async move { drop(serving.await) }));
        }
        Home::Moved | Home::Halves => {
            let (move_out, moved) = oneshot::channel::<WebSocket>();
            let serving = connection.serve(|socket| async move { drop(move_out.send(socket)) });
            tasks.push(tokio::spawn(async move { drop(serving.await) }));
            tasks.push(tokio::spawn(async move {
                let socket = moved.await.expect("a handler runs when its connection is polled");
                let _ = give.send(socket.sender());
                if home == Home::Halves { end.run_halves(socket).await } else { end.run(socket).await }
            }));
        }
        Home::Undriven => {
            let socket = connection.into_websocket();
            let _ = give.send(socket.sender());
            tasks.push(tokio::spawn(end.run(socket)));
        }
    }
    let sender = taken.await.expect("the socket was there");
    (Side { commands, sender, log, control, home, is_unbuffered }, tasks)
}

async fn take(step: Step, sides: &[Side]) {
    let at = |right: bool| &sides[usize::from(right)];
    match step {
        Step::Do(right, act) => _ = at(right).commands.send(act),
        Step::TrySend(right, payload) => {
            let side = at(right);
            // `send` then awaits between queueing and returning, so that the log would have another order.
            if !side.is_unbuffered && side.home != Home::Undriven {
                let message = side.log.next(&payload);
                if side.sender.try_send(message.clone()).is_ok() {
                    side.log.sent(message, true);
                }
            }
        }
        Step::Close(right, code) => {
            if at(right).sender.close_with(code, "from elsewhere").is_ok() {
                at(right).log.closed(code);
            }
        }
        Step::Link(right, link) => change(&at(right).control, link),
        Step::Advance(ms) => tokio::time::advance(Duration::from_millis(ms.into())).await,
        Step::Yield(times) => {
            for _ in 0..times % 16 {
                yield_now().await;
            }
        }
    }
}

fn change(control: &Control, link: Link) {
    match link {
        Link::WriteCapacity(bytes) => control.set_write_capacity(bytes.into()),
        Link::ReadChunk(bytes) => control.set_read_chunk(usize::from(bytes).max(1)),
        Link::WriteChunk(bytes) => control.set_write_chunk(usize::from(bytes).max(1)),
        Link::PauseReads => control.pause_reads(),
        Link::ResumeReads => control.resume_reads(),
        Link::PauseWrites => control.pause_writes(),
        Link::ResumeWrites => control.resume_writes(),
        Link::Reset => control.reset(),
        Link::EndReads => control.end_reads(),
    }
}

/// The stream works again.
fn restore(control: &Control) {
    control.set_write_capacity(64 << 10);
    control.set_read_chunk(usize::MAX);
    control.set_write_chunk(usize::MAX);
    control.resume_reads();
    control.resume_writes();
}
