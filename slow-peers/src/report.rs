//! The table: a line for each case, and how many have passed.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::{Context as _, Result};
use rustix::param::clock_ticks_per_second;

use crate::{
    cases::Case,
    server::Board,
    verdict::{Bound, Outcome, Verdict, bound_of},
};

/// Prints all cases, and returns whether none has failed.
pub(crate) fn print(
    board: &Board,
    rcvbufs: &HashMap<usize, u32>,
    outcomes: &HashMap<usize, Outcome>,
    left: usize,
    time: Duration,
) -> Result<bool> {
    println!(
        "\n{:<33} {:<13} {:>12}  {:<8} {:<75} {:>8}  bound",
        "case", "transport", "rcvbuf, KiB", "expected", "what happened", "after"
    );
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for case in &board.cases {
        let Some(outcome) = outcomes.get(&case.id) else { continue };
        let Outcome { verdict, what, after } = outcome;
        let mark = match verdict {
            Verdict::Passed => {
                passed += 1;
                String::new()
            }
            Verdict::Failed => {
                failed += 1;
                "FAILED: ".to_owned()
            }
            Verdict::Skipped => {
                skipped += 1;
                "skipped: ".to_owned()
            }
        };
        let rcvbuf = rcvbufs.get(&case.id).map_or("-".to_owned(), |rcvbuf| (rcvbuf >> 10).to_string());
        let rcvbuf = format!("{} -> {rcvbuf}", case.rcvbuf >> 10);
        let after = after.map_or("-".to_owned(), |after| format!("{:.1} s", after.as_secs_f64()));
        let bound = match bound_of(case, &board.record(case.id)) {
            _ if *verdict == Verdict::Skipped => "-".to_owned(),
            None => "the whole run".to_owned(),
            Some(Bound { earliest, latest }) => {
                format!("{:.0} to {:.1} s", earliest.as_secs_f64(), latest.as_secs_f64())
            }
        };
        println!(
            "{:<33} {:<13} {rcvbuf:>12}  {:<8} {:<75} {after:>8}  {bound}",
            case.play.to_string(),
            case.transport.to_string(),
            if case.play.must_live() { "lives" } else { "goes" },
            mark + what,
        );
    }
    let mark = if left == 0 { "" } else { "FAILED: " };
    *(if left == 0 { &mut passed } else { &mut failed }) += 1;
    println!("{:<33} {:<13} {:>12}  {:<8} {mark}{left} connections", "afterwards", "all", "-", "none");

    // The kernel doubles the requested size.
    let is_capped = |case: &&Case| rcvbufs.get(&case.id).is_some_and(|rcvbuf| *rcvbuf < 2 * case.rcvbuf);
    if board.cases.iter().any(|case| is_capped(&case)) {
        println!("\nreceive buffers are smaller than asked for: net.core.rmem_max has a limit that only root may pass");
    }
    println!(
        "\n{:.1} s, of which {:.1} s of a processor, peers included",
        time.as_secs_f64(),
        processor()?.as_secs_f64()
    );
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(failed == 0)
}

/// The processor time of this process and of all its children that have ended.
fn processor() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").context("cannot read how busy this process was")?;
    // The third field comes after the name, which is in brackets. Fields 14 to 17 are needed.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}
