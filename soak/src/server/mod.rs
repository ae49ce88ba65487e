//! The server: a process of its own, so that what it holds can be counted to the byte.

mod app;
mod deadlines;
mod faulty;
mod measure;
mod round;
mod sabotage;
mod ways;

pub(crate) use self::deadlines::{DEADLINES, Deadline};
pub(crate) use self::faulty::{FAULTY, FIRST, NOW, faulty_path};
pub(crate) use self::round::LISTENERS;
pub(crate) use self::sabotage::Sabotage;
pub(crate) use self::ways::{GOODBYE, WAYS, late_path, path};

use std::io::{BufRead as _, Write as _, stdin, stdout};

use anyhow::{Context as _, Result};

use crate::{
    control::{Answer, Order},
    limits,
};
use round::Round;

/// Does what its standard input says, until that ends.
pub(crate) fn run(threads: usize, sabotage: Option<Sabotage>) -> Result<()> {
    measure::count_panics();
    limits::raise()?;
    let mut round: Option<Round> = None;
    for line in stdin().lock().lines() {
        let order = serde_json::from_str(&line.context("cannot read an order")?).context("no such order")?;
        let (mut addresses, mut drained) = (Vec::new(), None);
        match (order, &mut round) {
            (Order::Open, round) => {
                let opened = round.insert(Round::open(threads, sabotage)?);
                addresses.clone_from(&opened.addresses);
            }
            (Order::Drain, Some(round)) => drained = Some(round.drain()),
            (Order::Close, round) => {
                if let Some(round) = round.take() {
                    round.close();
                }
            }
            (Order::Sample | Order::Drain, _) => {}
        }
        // Before anything is allocated for the answer.
        let mut sample = measure::sample()?;
        if let Some(round) = &round {
            sample.connections = round.connections();
            sample.admitted = round.admitted();
            sample.tasks = round.tasks();
        }
        let answer = serde_json::to_string(&Answer { addresses, drained, sample })?;
        let mut out = stdout().lock();
        writeln!(out, "{answer}").and_then(|()| out.flush()).context("cannot answer")?;
    }
    Ok(())
}
