//! The same load for a server with one thread, with two, and with a runtime for each core.
//!
//! Messages are sent at a fixed rate: what one thread of ours can do at most is measured first, and the rate is a part of it. So
//! all have the same work, no thread is saturated, and what differs is the cost of spreading the work: processor time, context
//! switches, and futex calls, with which threads wake each other.

use crate::choice::Choice;
use crate::places::Places;
use crate::process::{Running, line, output};
use crate::results::{Machine, write};
use crate::servers::{SERVERS, SOCKEYE, Server};
use crate::statistics::{Estimate, estimate, median};
use crate::table::{figure, interval};
use crate::tracer::Tracer;
use crate::turns::{Cores, LIMIT, Split, generator, outcome};
use anyhow::{Context as _, Result, ensure};
use bench_load::{Outcome, Scenario, Switching};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The scenario whose messages are sent by default.
const SCENARIO: &str = "text-20";

/// The part of what one thread can do that is sent.
const SHARE: f64 = 0.4;

/// The runs that measure what one thread can do.
const SATURATIONS: usize = 3;

/// The part of the rate that must have come back; the rest is the precision of the start and the end of a run.
const REACHED: f64 = 0.99;

/// The limits of a run with a fixed rate. It never uses so much processor time, and ends when its time is over.
const LIMITS: [&str; 4] = ["--cpu", "1000", "--wall", "4"];

/// The same for runs that only show that everything works.
const QUICK_LIMITS: [&str; 4] = ["--cpu", "1000", "--wall", "0.5"];

/// A server, and its number of threads.
#[derive(Debug, Clone, Copy)]
struct Setup {
    server: &'static Server,
    scenario: Scenario,
    name: &'static str,
    /// The place, among all setups, of the one with a single thread of the same library.
    base: usize,
}

/// What was measured with a server.
#[derive(Debug, Serialize)]
struct Measured {
    name: &'static str,
    /// One of each turn; `None` for a run that has failed.
    runs: Vec<Option<Outcome>>,
    /// Futex calls for each message; `None` if they were not counted.
    futexes: Option<f64>,
}

/// The file with everything that was measured.
#[derive(Debug, Serialize)]
struct File<'a> {
    machine: Machine,
    quick: bool,
    scenario: &'a str,
    /// Messages per second of one thread that is saturated.
    saturation: f64,
    /// Messages per second that were sent.
    rate: f64,
    measured: &'a [Measured],
}

/// The selected scenario, or the default one.
pub(crate) fn scenario(only: &[&'static Scenario]) -> Result<&'static Scenario> {
    let scenario = match only {
        [] => Scenario::find(SCENARIO).context("the default scenario is gone")?,
        [scenario] => scenario,
        _ => anyhow::bail!("--many-cores takes one scenario at a time (--only)"),
    };
    let fits =
        scenario.can_be_offered() && !scenario.boxed && !scenario.tls && !scenario.deflate && scenario.threads == 1;
    ensure!(fits, "{} does not go together with several threads and a fixed rate", scenario.name);
    Ok(scenario)
}

/// Measures, prints, and writes `many-cores.json`. Returns whether every run worked.
pub(crate) fn run(
    scenario: &'static Scenario,
    choice: &Choice,
    places: &Places,
    cores: &Cores,
    reps: usize,
    quick: bool,
    out: &Path,
) -> Result<bool> {
    let saturation = saturation(scenario, places, &cores.split(1), quick, out)?;
    let rate = (saturation * SHARE).round();
    eprintln!("one thread can do {saturation:.0} messages in a second; {rate:.0} are sent");

    let split = cores.many();
    let load = Load { places, split: &split, rate, quick, out };
    let setups = setups(scenario, choice);
    let mut measured: Vec<Measured> =
        setups.iter().map(|setup| Measured { name: setup.name, runs: Vec::new(), futexes: None }).collect();
    let mut all_worked = true;
    for turn in 0..reps {
        eprintln!("turn {} of {reps}", turn + 1);
        for (setup, measured) in setups.iter().zip(&mut measured) {
            let run = load.run(setup).with_context(|| format!("{}, turn {turn}", setup.name));
            all_worked &= run.is_ok();
            measured.runs.push(run.inspect_err(|error| eprintln!("failed: {error:#}")).ok());
        }
    }
    match Tracer::Futexes.missing() {
        Some(why) => eprintln!("{why}"),
        None => {
            for (setup, measured) in setups.iter().zip(&mut measured) {
                match load.futexes(setup) {
                    Ok(futexes) => measured.futexes = Some(futexes),
                    Err(error) => eprintln!("{}: futex calls are not counted: {error:#}", setup.name),
                }
            }
        }
    }

    let bases: Vec<usize> = setups.iter().map(|setup| setup.base).collect();
    print!("{}", table(scenario, rate, &measured, &bases, split.is_shared));
    let file = out.join("many-cores.json");
    let machine = Machine::this(cores.count());
    let all = File { machine, quick, scenario: scenario.name, saturation, rate, measured: &measured };
    write(&file, &(serde_json::to_string_pretty(&all).context("cannot write down the results")? + "\n"))?;
    println!("\nresults: {}", file.display());
    Ok(all_worked)
}

/// Messages per second of ours with one thread that has always something to do.
fn saturation(scenario: &Scenario, places: &Places, split: &Split, quick: bool, out: &Path) -> Result<f64> {
    let ours = SERVERS.iter().find(|server| server.name == SOCKEYE).context("our own server is gone")?;
    let mut rates = Vec::new();
    for _ in 0..if quick { 1 } else { SATURATIONS } {
        let (running, url) = Running::start(places.command(ours, scenario)?, &split.server, &out.join("sockeye.log"))?;
        let limits = if quick { ["--cpu", "0.2", "--wall", "1"] } else { ["--cpu", "2", "--wall", "8"] };
        let mut load = generator(scenario, places, split, &running, &url)?;
        rates.push(outcome(&output(load.args(limits), LIMIT)?)?.messages_per_second);
    }
    median(&rates).context("nothing was measured")
}

/// Each selected server with one thread and with two, or with a runtime for each core.
fn setups(scenario: &Scenario, choice: &Choice) -> Vec<Setup> {
    let two = Scenario { threads: 2, ..*scenario };
    let mut setups: Vec<Setup> = Vec::new();
    for server in choice.servers(&two) {
        let base = setups.len();
        if server.is_per_core() {
            // It comes after ours, whose first setup is the very first one.
            setups.push(Setup { server, scenario: two, name: server.name, base: 0 });
        } else if let Some([one_name, two_name]) = server.threaded_names() {
            setups.push(Setup { server, scenario: *scenario, name: one_name, base });
            setups.push(Setup { server, scenario: two, name: two_name, base });
        }
    }
    setups
}

/// How load is sent.
struct Load<'a> {
    places: &'a Places,
    split: &'a Split,
    rate: f64,
    quick: bool,
    out: &'a Path,
}

impl Load<'_> {
    fn run(&self, setup: &Setup) -> Result<Outcome> {
        let command = self.places.command(setup.server, &setup.scenario)?;
        let log = self.out.join(format!("{}.log", setup.server.name));
        let (running, url) = Running::start(command, &self.split.server, &log)?;
        let mut load = generator(&setup.scenario, self.places, self.split, &running, &url)?;
        outcome(&output(load.args(self.arguments()).args(["--warm-up", "0.3"]), LIMIT)?)
    }

    /// Futex calls for each message, in a run of its own, with what the server does until the first one.
    fn futexes(&self, setup: &Setup) -> Result<f64> {
        let (file, log) = (self.out.join("many-cores.strace"), self.out.join(format!("{}.log", setup.server.name)));
        let command = Tracer::Futexes.around(&self.places.command(setup.server, &setup.scenario)?, &file)?;
        let (running, url) = Running::start(command, &self.split.server, &log)?;
        let mut load = generator(&setup.scenario, self.places, self.split, &running, &url)?;
        load.args(self.arguments()).args(["--warm-up", "0", "--hold"]);
        let outcome = outcome(&line(&mut load, LIMIT, || running.end())?)?;
        let counted = Tracer::Futexes.counted(&file)?;
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        Ok(counted.futexes as f64 / outcome.messages.max(1) as f64)
    }

    fn arguments(&self) -> Vec<String> {
        let limits: &[&str] = if self.quick { &QUICK_LIMITS } else { &LIMITS };
        let rate = ["--rate".to_owned(), self.rate.to_string()];
        limits.iter().map(|limit| (*limit).to_owned()).chain(rate).collect()
    }
}

/// All figures for each message, and their multiples of those with one thread.
fn table(scenario: &Scenario, rate: f64, measured: &[Measured], bases: &[usize], is_shared: bool) -> String {
    let mut text =
        format!("\n{}, {rate:.0} messages in a second, whether earlier ones are back or not\n", scenario.about);
    let heads = ["CPU µs/msg", "× 1 thread [95 %]", "waits/msg", "×", "preempted/msg", "futex/msg", "×", "p99 µs"];
    let [cpu, ratio, waits, times, preempted, futexes, more_times, p99] = heads;
    let _ = writeln!(
        text,
        "{:<26}{cpu:>12}   {ratio:<22}{waits:>11}{times:>8}{preempted:>15}{futexes:>11}{more_times:>8}{p99:>10}",
        "server"
    );
    let mut notes = Vec::new();
    for (one, base) in measured.iter().zip(bases) {
        let base = &measured[*base];
        let Some(cpu) = one.median(|run| Some(run.cpu_us_per_message)) else { continue };
        let waits = |measured: &Measured| measured.switching(|switching| switching.voluntary);
        let cells = [
            shown(waits(one)),
            times_of(waits(one), waits(base)),
            shown(one.switching(|switching| switching.involuntary)),
            shown(one.futexes),
            times_of(one.futexes, base.futexes),
            one.median(|run| Some(run.latency?.p99)).map_or("-".to_owned(), figure),
        ];
        let [waits, times, preempted, futexes, more_times, p99] = cells;
        let ratio = one.ratio(base).map(interval).unwrap_or_default();
        let _ = writeln!(
            text,
            "{:<26}{:>12}   {ratio:<22}{waits:>11}{times:>8}{preempted:>15}{futexes:>11}{more_times:>8}{p99:>10}",
            one.name,
            figure(cpu)
        );
        notes.extend(one.below(rate));
    }
    notes.iter().for_each(|note| text.extend([note, "\n"]));
    if is_shared {
        text.push_str("Not for comparison with anything else: the load generator shares the servers' cores.\n");
    }
    text
}

fn shown(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.3}"))
}

/// A multiple, if there is something to multiply.
fn times_of(value: Option<f64>, base: Option<f64>) -> String {
    match (value, base) {
        (Some(value), Some(base)) if base > 0.0 => figure(value / base),
        _ => "-".to_owned(),
    }
}

impl Measured {
    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.runs.iter().flatten()
    }

    fn median(&self, of: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        median(&self.outcomes().filter_map(of).collect::<Vec<f64>>())
    }

    fn switching(&self, of: impl Fn(&Switching) -> f64) -> Option<f64> {
        self.median(|run| run.switching.as_ref().map(&of))
    }

    /// The multiple of processor time, between runs of the same turn.
    fn ratio(&self, base: &Self) -> Option<Estimate> {
        let pairs = self.runs.iter().zip(&base.runs).filter_map(|(one, base)| Some((one.as_ref()?, base.as_ref()?)));
        estimate(&pairs.map(|(one, base)| one.cpu_us_per_message / base.cpu_us_per_message).collect::<Vec<f64>>())
    }

    /// A note that not all messages came back that were due: then the load was not the same.
    fn below(&self, rate: f64) -> Option<String> {
        let rates: Vec<f64> = self.outcomes().map(|run| run.messages_per_second).collect();
        let count = rates.iter().filter(|reached| **reached < rate * REACHED).count();
        let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
        (count > 0).then(|| {
            format!(
                "{}: the rate was not reached in {count} of {} runs; {least:.0} messages in a second were the least",
                self.name,
                rates.len()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cpu_us_per_message: f64, voluntary: f64, messages_per_second: f64) -> Option<Outcome> {
        Some(Outcome {
            scenario: SCENARIO.to_owned(),
            messages: 1_000,
            wall_seconds: 1.0,
            cpu_seconds: 1.0,
            system_seconds: 1.0,
            cpu_us_per_message,
            messages_per_second,
            received_per_message: None,
            reads_per_message: None,
            latency: None,
            idle: None,
            resumed: None,
            stalled: None,
            offered_per_second: Some(1_000.0),
            switching: Some(Switching { voluntary, involuntary: 0.5 }),
        })
    }

    #[test]
    fn figures_are_multiples_of_those_with_one_thread() {
        let one = Measured { name: "one", runs: vec![run(2.0, 0.1, 999.0), run(4.0, 0.1, 999.0)], futexes: Some(0.0) };
        let two = Measured { name: "two", runs: vec![run(3.0, 0.4, 999.0), run(6.0, 0.4, 999.0)], futexes: Some(0.25) };
        let text = table(scenario(&[]).unwrap(), 1_000.0, &[one, two], &[0, 0], false);
        let cells = |line: usize| text.lines().nth(line).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(cells(3), ["one", "3.00", "1.00", "[1.00,", "1.00]", "0.100", "1.00", "0.500", "0.000", "-", "-"]);
        assert_eq!(cells(4), ["two", "4.50", "1.50", "[1.50,", "1.50]", "0.400", "4.00", "0.500", "0.250", "-", "-"]);
        assert_eq!(text.lines().count(), 5, "{text}");
    }

    #[test]
    fn a_rate_that_was_not_reached_is_said_and_failed_runs_are_left_out() {
        let one = Measured { name: "one", runs: vec![run(2.0, 0.1, 700.0), None, run(2.0, 0.1, 995.0)], futexes: None };
        let text = table(scenario(&[]).unwrap(), 1_000.0, &[one], &[0], true);
        assert!(text.contains("one: the rate was not reached in 1 of 2 runs; 700 messages in a second"), "{text}");
        assert!(text.contains("shares the servers' cores"), "{text}");
    }

    #[test]
    fn only_scenarios_that_fit_are_sent_at_a_fixed_rate() {
        assert_eq!(scenario(&[]).unwrap().name, SCENARIO);
        let of = |name| scenario(&[Scenario::find(name).unwrap()]);
        assert_eq!(of("text-1k").unwrap().name, "text-1k");
        for name in
            ["pipelined-text-32", "h2-text-20", "boxed-text-20", "tls-text-20", "threads-2", "deflate-1k", "idle-20"]
        {
            assert!(of(name).unwrap_err().to_string().contains(name), "{name}");
        }
    }
}
