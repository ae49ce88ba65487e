//! The server: a separate process, so that its memory can be counted to the byte.

mod app;
mod deadlines;
mod faulty;
mod log;
mod measure;
mod news;
mod rooms;
mod round;
mod sabotage;
mod secure;
mod steady;
mod ways;

pub(crate) use self::app::{
    BROADCASTS, HEARTBEATS, LOG, MEMBERS, SLOW_MEMBERS, deflate_path, receives_path, sends_path,
};
pub(crate) use self::deadlines::{DEADLINES, Deadline};
pub(crate) use self::faulty::{FAULTY, FIRST, NOW, faulty_path};
pub(crate) use self::rooms::{FIRST_SMALL, LARGE, LATEST, ROOMS, Wish};
pub(crate) use self::sabotage::Sabotage;
pub(crate) use self::steady::{BEAT, ENOUGH, Lengths, that_were};
pub(crate) use self::ways::{GOODBYE, WAYS, checked_path, late_path, path};

use std::io::{BufRead as _, Write as _, stdin, stdout};

use anyhow::{Context as _, Result};

use crate::{
    control::{Answer, Order},
    limits,
};
use log::Viewers;
use round::Round;

/// Executes the orders on its standard input, until the input ends.
pub(crate) fn run(threads: usize, sabotage: Option<Sabotage>) -> Result<()> {
    measure::count_panics();
    let viewers = Viewers::log();
    limits::raise()?;
    let mut round: Option<Round> = None;
    for line in stdin().lock().lines() {
        let order = serde_json::from_str(&line.context("cannot read an order")?).context("no such order")?;
        let (mut addresses, mut drained, mut budget, mut rooms) = (None, None, None, None);
        match (order, &mut round) {
            (Order::Open, round) => {
                let opened = round.insert(Round::open(threads, &viewers, sabotage)?);
                addresses = Some(opened.addresses.clone());
            }
            (Order::Drain, Some(round)) => {
                drained = Some(round.drain());
                budget = Some(round.budget());
                rooms = Some(round.rooms());
            }
            (Order::Close, round) => {
                if let Some(round) = round.take() {
                    round.close();
                }
            }
            (Order::Sample | Order::Drain, _) => {}
        }
        // Measured before anything is allocated for the answer.
        let mut sample = measure::sample()?;
        if let Some(round) = &round {
            sample.connections = round.connections();
            sample.admitted = round.admitted();
            sample.tasks = round.tasks();
        }
        let answer = serde_json::to_string(&Answer { addresses, drained, budget, rooms, sample })?;
        let mut out = stdout().lock();
        writeln!(out, "{answer}").and_then(|()| out.flush()).context("cannot answer")?;
    }
    Ok(())
}
