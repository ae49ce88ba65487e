//! What does not change with the machine's mood: system calls and instructions for each message.
//!
//! Each server runs twice under a tracer, with a different number of messages; what it does to start, to open connections
//! and to end is in both, and not in the difference.

use crate::choice::Choice;
use crate::process::Running;
use crate::results::{Machine, write};
use crate::servers::{Places, SERVERS, Server};
use crate::tracer::{Counted, Tracer};
use crate::turns::{Cores, load};
use anyhow::{Context as _, Result, ensure};
use bench_load::{Measure, SCENARIOS, Scenario};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Where nothing else is asked for.
const SCENARIOS_COUNTED: [&str; 3] = ["text-20", "pipelined-binary-32", "pipelined-text-32"];

/// Rounds of everything in flight on all connections, in the first run and in the second.
const FEW: u64 = 10;
const MANY: u64 = 110;

/// The same where nothing is shown but that it works.
const QUICK_MANY: u64 = 20;

/// All that was counted, on one machine.
#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    machine: Machine,
    /// By scenario, and then by server.
    counts: BTreeMap<String, BTreeMap<String, Count>>,
}

/// For each message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    /// Messages in which the two runs differ.
    messages: u64,
    /// System calls but for `epoll_wait`; `None` without strace.
    calls: Option<f64>,
    epoll_waits: Option<f64>,
    /// In user space; `None` without valgrind.
    instructions: Option<f64>,
}

/// The scenarios that were asked for, or those that are about the cost of a small message.
pub(crate) fn scenarios(only: &[&'static Scenario]) -> Result<Vec<&'static Scenario>> {
    if only.is_empty() {
        return Ok(SCENARIOS.iter().filter(|scenario| SCENARIOS_COUNTED.contains(&scenario.name)).collect());
    }
    for scenario in only {
        ensure!(
            matches!(scenario.measure, Measure::Cpu),
            "nothing is counted under {}: it has no bounded number of messages",
            scenario.name
        );
        ensure!(
            scenario.threads == 1,
            "nothing is counted under {}: with several threads it is another number each time",
            scenario.name
        );
    }
    Ok(only.to_vec())
}

/// Counts, prints, and writes `counts.json`; whether every run worked.
pub(crate) fn run(
    scenarios: &[&Scenario],
    choice: &Choice,
    places: &Places,
    cores: &Cores,
    quick: bool,
    out: &Path,
) -> Result<bool> {
    let mut tracers = Vec::new();
    for tracer in [Tracer::Strace, Tracer::Callgrind] {
        match tracer.missing() {
            None => tracers.push(tracer),
            Some(why) => eprintln!("{why}"),
        }
    }
    ensure!(!tracers.is_empty(), "nothing can be counted");

    let machine = Machine::this(cores.count());
    let file = out.join("counts.json");
    let mut counts = earlier(&file, &machine);
    let mut all_worked = true;
    for scenario in scenarios {
        let by_server = counts.entry(scenario.name.to_owned()).or_default();
        for server in choice.servers(scenario) {
            eprintln!("{}: {}", scenario.name, server.name);
            let mut count = Count::default();
            for tracer in &tracers {
                if *tracer == Tracer::Callgrind && !server.is_native() {
                    eprintln!(
                        "without the instructions of {}: valgrind does not run what makes its code as it goes",
                        server.name
                    );
                    continue;
                }
                let counted = difference(*tracer, scenario, server, places, cores, quick, out);
                match counted.with_context(|| format!("{} under {} in {tracer:?}", server.name, scenario.name)) {
                    Ok(counted) => counted.into(&mut count),
                    Err(error) => {
                        eprintln!("failed: {error:#}");
                        all_worked = false;
                    }
                }
            }
            by_server.insert(server.name.to_owned(), count);
        }
        print!("{}", table(scenario, by_server));
    }
    let json = serde_json::to_string_pretty(&Counts { machine, counts }).context("cannot write down the counts")?;
    write(&file, &(json + "\n"))?;
    println!("\ncounts: {}", file.display());
    Ok(all_worked)
}

/// What was counted before on this very machine; of other servers and scenarios it still holds.
fn earlier(file: &Path, machine: &Machine) -> BTreeMap<String, BTreeMap<String, Count>> {
    let counts = fs::read_to_string(file).ok().and_then(|json| serde_json::from_str::<Counts>(&json).ok());
    counts.filter(|counts| counts.machine == *machine).map(|counts| counts.counts).unwrap_or_default()
}

/// What one tracer found, for each message.
struct PerMessage {
    tracer: Tracer,
    messages: u64,
    main: f64,
    waits: f64,
}

impl PerMessage {
    fn into(self, count: &mut Count) {
        count.messages = self.messages;
        match self.tracer {
            Tracer::Strace => (count.calls, count.epoll_waits) = (Some(self.main), Some(self.waits)),
            Tracer::Callgrind => count.instructions = Some(self.main),
        }
    }
}

fn difference(
    tracer: Tracer,
    scenario: &Scenario,
    server: &Server,
    places: &Places,
    cores: &Cores,
    quick: bool,
    out: &Path,
) -> Result<PerMessage> {
    let round = (scenario.connections * scenario.in_flight) as u64;
    let once = |rounds: u64| once(tracer, scenario, server, places, cores, rounds * round, out);
    let (few, many) = (FEW, if quick { QUICK_MANY } else { MANY });
    let (first, second) = (once(few)?, once(many)?);
    let messages = (many - few) * round;
    let each = |of: fn(&Counted) -> u64| (of(&second) as f64 - of(&first) as f64) / messages as f64;
    Ok(PerMessage { tracer, messages, main: each(|counted| counted.main), waits: each(|counted| counted.waits) })
}

/// A fresh server under a tracer, and exactly so many messages.
fn once(
    tracer: Tracer,
    scenario: &Scenario,
    server: &Server,
    places: &Places,
    cores: &Cores,
    messages: u64,
    out: &Path,
) -> Result<Counted> {
    let file = out.join(format!("{}.{}", server.name, if tracer == Tracer::Strace { "strace" } else { "callgrind" }));
    let log = out.join(format!("{}.log", server.name));
    let split = cores.split(scenario.threads);
    let command = tracer.around(&places.command(server, scenario)?, &file)?;
    let (running, url) = Running::start(command, &split.server, &log)?;
    let limit = messages.to_string();
    let limits = ["--warm-up", "0", "--cpu", "1000", "--wall", "100", "--messages", &limit];
    let outcome = load(scenario, places, &split, &running, &url, &limits)?;
    ensure!(outcome.messages == messages, "{} of {messages} messages came back in time", outcome.messages);
    running.end()?;
    let counted = tracer.counted(&file)?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    Ok(counted)
}

fn table(scenario: &Scenario, counts: &BTreeMap<String, Count>) -> String {
    let mut text = format!("\n{}: {}\n", scenario.name, scenario.about);
    let _ =
        writeln!(text, "{:<26}{:>14}{:>18}{:>24}", "server", "calls/msg", "epoll_wait/msg", "user instructions/msg");
    for server in SERVERS {
        let Some(count) = counts.get(server.name) else { continue };
        let figure = |value: Option<f64>, digits| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        let (calls, waits) = (figure(count.calls, 3), figure(count.epoll_waits, 3));
        let _ = writeln!(text, "{:<26}{calls:>14}{waits:>18}{:>24}", server.name, figure(count.instructions, 0));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_messages_are_counted_unless_told() {
        let names: Vec<&str> = scenarios(&[]).unwrap().iter().map(|scenario| scenario.name).collect();
        assert_eq!(names, SCENARIOS_COUNTED);
        let idle = Scenario::find("idle-20").unwrap();
        assert!(scenarios(&[idle]).unwrap_err().to_string().contains("idle-20"));
    }

    #[test]
    fn what_was_not_counted_is_a_dash() {
        let scenario = Scenario::find("text-20").unwrap();
        let count = Count { messages: 10, calls: Some(2.0), epoll_waits: Some(0.0514), instructions: None };
        let text = table(scenario, &BTreeMap::from([("floor".to_owned(), count)]));
        let line: Vec<&str> = text.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(line, ["floor", "2.000", "0.051", "-"]);
    }
}
