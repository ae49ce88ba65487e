//! A peer that writes messages at its pace. It reads all the time, and answers Pings between its frames.

use std::{cell::RefCell, collections::VecDeque};

use anyhow::{Result, bail};
use slow_peers::pace::{Meter, Pace};
use sockeye_testkit::Frame;
use tokio::{select, sync::Notify, time::Instant};

use super::{
    connect::Io,
    incoming::Heard,
    talk::{Ear, Mouth, finish, split},
};
use crate::{cases::Case, control::What, payload};

/// How much a peer in steps writes at once: a part of a long message.
const BURST: u64 = 256 << 10;

/// The Pings that have arrived and were not answered.
#[derive(Default)]
struct Pings {
    payloads: RefCell<VecDeque<Vec<u8>>>,
    came: Notify,
}

/// Uploads messages at its pace until `end`, and then the rest of the last message and the end.
pub(super) async fn run(stream: Box<dyn Io>, case: &Case, pace: Pace, end: Instant) -> Result<What> {
    let (mut ear, mut mouth) = split(stream);
    let pings = Pings::default();
    let (messages, bytes) = select! {
        heard = listen(&mut ear, &pings) => match heard? {},
        written = write(&mut mouth, case, Meter::new(pace, BURST, end), &pings) => written?,
    };
    finish(&mut ear, &mut mouth, &payload::end(messages)).await?;
    Ok(What::Done { messages, bytes })
}

/// What never comes.
enum Never {}

/// Reads the server's bytes, in which only Pings may come.
async fn listen(ear: &mut Ear, pings: &Pings) -> Result<Never> {
    loop {
        match ear.hear().await? {
            Heard::Ping(payload) => {
                pings.payloads.borrow_mut().push_back(payload);
                pings.came.notify_one();
            }
            other => bail!("during an upload comes {other:?}"),
        }
    }
}

/// Returns the numbers of messages and bytes.
async fn write(mouth: &mut Mouth, case: &Case, mut meter: Meter, pings: &Pings) -> Result<(u64, u64)> {
    let (mut messages, mut bytes) = (0, 0);
    while !meter.is_over() {
        let frame = Frame::binary(payload::up(case.id, messages)).bytes();
        let mut written = 0;
        while written < frame.len() {
            let most = select! {
                most = meter.turn() => most,
                // An answer cannot be sent within a frame.
                () = pings.came.notified(), if written == 0 => {
                    answer(mouth, pings).await?;
                    continue;
                }
            };
            let some = &frame[written..frame.len().min(written + most)];
            let moved = mouth.write(some).await?;
            mouth.flush().await?;
            meter.moved(moved);
            written += moved;
        }
        answer(mouth, pings).await?;
        messages += 1;
        bytes += written as u64;
    }
    Ok((messages, bytes))
}

async fn answer(mouth: &mut Mouth, pings: &Pings) -> Result<()> {
    loop {
        let Some(payload) = pings.payloads.borrow_mut().pop_front() else { return Ok(()) };
        mouth.say(Frame::pong(payload)).await?;
    }
}
