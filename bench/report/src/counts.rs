//! Figures that do not depend on the machine's state: system calls and instructions for each message, delivery, opening or
//! fan-out.
//!
//! Each server runs twice under a tracer, with different numbers of messages. The work to start, to open connections and to end
//! is in both runs, and not in the difference. If openings or fan-outs are counted, their number differs instead.

use crate::choice::Choice;
use crate::places::Places;
use crate::process::{Running, line};
use crate::results::{Machine, write};
use crate::servers::{SERVERS, Server};
use crate::tracer::{Counted, Tracer};
use crate::turns::{Cores, LIMIT, generator, outcome};
use anyhow::{Context as _, Result, ensure};
use bench_load::{Measure, SCENARIOS, Scenario};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The default scenarios.
const SCENARIOS_COUNTED: [&str; 27] = [
    "text-20",
    "binary-16k",
    "pipelined-binary-32",
    "pipelined-text-32",
    "boxed-text-20",
    "boxed-pipelined-text-32",
    "tls-text-20",
    "tls-pipelined-text-32",
    "tls-binary-16k",
    "binary-1m",
    "wide-1m",
    "fan-out-16k",
    "fan-100",
    "fan-100-row",
    "fan-1k",
    "fan-1k-row",
    "opening-300",
    "opening-3000",
    "client-text-20",
    "client-pipelined-text-32",
    "client-binary-16k",
    "client-binary-1m",
    "client-opening-300",
    "client-tls-text-20",
    "client-tls-pipelined-text-32",
    "client-tls-opening-300",
    "client-tls-resumed-300",
];

/// Rounds of everything in flight on all connections, in the first run and in the second.
const FEW: u64 = 10;
const MANY: u64 = 110;

/// The same for rooms, where a round has thousands of deliveries.
const FEW_ROOM: u64 = 4;
const MANY_ROOM: u64 = 24;

/// The same for runs that only show that everything works.
const QUICK_MANY: u64 = 20;

/// All counts, on one machine.
#[derive(Debug, Serialize, Deserialize)]
struct Counts {
    machine: Machine,
    /// By scenario, and then by server.
    counts: BTreeMap<String, BTreeMap<String, Count>>,
}

/// The counts for each message, or for each opening or fan-out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    /// The number of messages, openings or fan-outs by which the two runs differ.
    messages: u64,
    /// System calls except `epoll_wait`; `None` without strace.
    calls: Option<f64>,
    epoll_waits: Option<f64>,
    /// System calls that read, of `calls`.
    reads: Option<f64>,
    /// System calls that write, of `calls`.
    writes: Option<f64>,
    /// Instructions in user space; `None` without valgrind.
    instructions: Option<f64>,
}

/// The selected scenarios, or the default ones.
pub(crate) fn scenarios(only: &[&'static Scenario]) -> Result<Vec<&'static Scenario>> {
    if only.is_empty() {
        return Ok(SCENARIOS.iter().filter(|scenario| SCENARIOS_COUNTED.contains(&scenario.name)).collect());
    }
    for scenario in only {
        ensure!(
            matches!(
                scenario.measure,
                Measure::Cpu | Measure::FanOut | Measure::Fan { stalled: 0 } | Measure::Opening { .. }
            ),
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

/// Counts, prints, and writes `counts.json`. Returns whether every run worked.
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

/// The earlier counts of this machine, which are still valid for other servers and scenarios.
fn earlier(file: &Path, machine: &Machine) -> BTreeMap<String, BTreeMap<String, Count>> {
    let counts = fs::read_to_string(file).ok().and_then(|json| serde_json::from_str::<Counts>(&json).ok());
    counts.filter(|counts| counts.machine == *machine).map(|counts| counts.counts).unwrap_or_default()
}

/// The count of one tracer, for each message, opening or fan-out.
struct PerMessage {
    tracer: Tracer,
    messages: u64,
    main: f64,
    waits: f64,
    reads: f64,
    writes: f64,
}

impl PerMessage {
    fn into(self, count: &mut Count) {
        count.messages = self.messages;
        match self.tracer {
            Tracer::Strace | Tracer::Futexes => {
                (count.calls, count.epoll_waits) = (Some(self.main), Some(self.waits));
                (count.reads, count.writes) = (Some(self.reads), Some(self.writes));
            }
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
    let once = |messages: u64| once(tracer, scenario, server, places, cores, messages, out);
    let (few, many) = match scenario.measure {
        Measure::Opening { few, many } => (0, (many - few) as u64),
        Measure::Fan { .. } => {
            (FEW_ROOM * round(scenario), if quick { FEW_ROOM + 1 } else { MANY_ROOM } * round(scenario))
        }
        _ => (FEW * round(scenario), if quick { QUICK_MANY } else { MANY } * round(scenario)),
    };
    let (first, second) = (once(few)?, once(many)?);
    let messages = (many - few) / Unit::of(scenario).messages;
    let each = |of: fn(&Counted) -> u64| (of(&second) as f64 - of(&first) as f64) / messages as f64;
    Ok(PerMessage {
        tracer,
        messages,
        main: each(|counted| counted.main),
        waits: each(|counted| counted.waits),
        reads: each(|counted| counted.reads),
        writes: each(|counted| counted.writes),
    })
}

/// The messages of a round: everything in flight on all connections.
fn round(scenario: &Scenario) -> u64 {
    (scenario.connections * scenario.in_flight) as u64
}

/// Runs a new server under a tracer with exactly this number of messages, or openings. The server ends before its connections
/// do, so that closing them is not counted.
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
    let mut load = generator(scenario, places, &split, &running, &url)?;
    load.args(["--warm-up", "0", "--cpu", "1000", "--wall", "100", "--hold", "--messages", &limit]);
    let outcome = outcome(&line(&mut load, LIMIT, || running.end())?)?;
    let came = outcome.messages;
    ensure!(came == messages, "{came} of {messages} ({}) came back in time", scenario.name);
    let counted = tracer.counted(&file)?;
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    Ok(counted)
}

/// What is counted under a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unit {
    name: &'static str,
    /// How many messages, as the load generator counts them, are one of it.
    messages: u64,
}

impl Unit {
    fn of(scenario: &Scenario) -> Self {
        match scenario.measure {
            Measure::Opening { .. } => Self { name: "opening", messages: 1 },
            Measure::FanOut => Self { name: "fan-out", messages: scenario.connections as u64 },
            Measure::Fan { .. } => Self { name: "delivery", messages: 1 },
            _ => Self { name: "msg", messages: 1 },
        }
    }
}

fn table(scenario: &Scenario, counts: &BTreeMap<String, Count>) -> String {
    let mut text = format!("\n{}: {}\n", scenario.name, scenario.about);
    let each = Unit::of(scenario).name;
    let heads = ["calls", "epoll_wait", "user instructions"].map(|head| format!("{head}/{each}"));
    let _ = write!(text, "{:<26}{:>16}{:>22}{:>28}", "server", heads[0], heads[1], heads[2]);
    let is_room = matches!(scenario.measure, Measure::Fan { .. });
    text.push_str(match () {
        () if scenario.is_large() => "     reads/MiB    writes/MiB\n",
        // All messages that are sent in a row, to all receivers.
        () if is_room => "   writes/round\n",
        () => "\n",
    });
    for server in SERVERS {
        let Some(count) = counts.get(server.name) else { continue };
        let figure = |value: Option<f64>, digits| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        let (calls, waits) = (figure(count.calls, 3), figure(count.epoll_waits, 3));
        let _ = write!(text, "{:<26}{calls:>16}{waits:>22}{:>28}", server.name, figure(count.instructions, 0));
        if scenario.is_large() {
            let [reads, writes] =
                [count.reads, count.writes].map(|calls| figure(calls.map(|calls| calls / scenario.mebibytes()), 2));
            let _ = write!(text, "{reads:>14}{writes:>14}");
        }
        if is_room {
            let _ = write!(text, "{:>15}", figure(count.writes.map(|writes| writes * round(scenario) as f64), 0));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_scenarios_are_counted_unless_others_are_named() {
        let names: Vec<&str> = scenarios(&[]).unwrap().iter().map(|scenario| scenario.name).collect();
        assert_eq!(names, SCENARIOS_COUNTED);
        let idle = Scenario::find("idle-20").unwrap();
        assert!(scenarios(&[idle]).unwrap_err().to_string().contains("idle-20"));
    }

    #[test]
    fn a_fan_out_is_counted_once_for_all_its_connections() {
        let unit = |name| Unit::of(Scenario::find(name).unwrap());
        assert_eq!(unit("fan-out-16k"), Unit { name: "fan-out", messages: 50 });
        assert_eq!(unit("pipelined-text-32"), Unit { name: "msg", messages: 1 });
        assert_eq!(unit("fan-100-row"), Unit { name: "delivery", messages: 1 });
        assert_eq!(unit("opening-300"), Unit { name: "opening", messages: 1 });
    }

    #[test]
    fn a_figure_that_was_not_counted_is_a_dash_in_the_table() {
        let scenario = Scenario::find("text-20").unwrap();
        let (calls, epoll_waits, reads, writes) = (Some(2.0), Some(0.0514), Some(1.25), Some(0.75));
        let count = Count { messages: 10, calls, epoll_waits, reads, writes, instructions: None };
        let last = |scenario| {
            let text = table(scenario, &BTreeMap::from([("floor".to_owned(), count)]));
            text.lines().last().unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(last(scenario), ["floor", "2.000", "0.051", "-"]);
        // The steps of a large message, for each MiB.
        let large = Scenario::find("binary-1m").unwrap();
        assert_eq!(last(large), ["floor", "2.000", "0.051", "-", "1.25", "0.75"]);
        // A round to 1,001 receivers, with 16 messages for each.
        let room = Scenario::find("fan-100-row").unwrap();
        assert_eq!(last(room), ["floor", "2.000", "0.051", "-", "12012"]);
    }
}
