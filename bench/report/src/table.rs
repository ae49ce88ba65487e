//! The results, as a table for each scenario and as one JSON file.

use crate::metric::{Metric, stalled_p99};
use crate::results::{Machine, Results, write};
use crate::servers::{AXUM, FLOORS, SERVERS, SOCKEYE, TUNGSTENITE, base};
use crate::statistics::{Estimate, estimate, median, spread};
use anyhow::{Context as _, Result};
use bench_load::{Measure, Role, Scenario};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// A run that has used less than this share of its processor time was ended by the time limit.
const ENOUGH: f64 = 0.99;

/// The table of a scenario, in the order of the servers.
pub(crate) fn of(scenario: &Scenario, results: &Results) -> String {
    let metric = Metric::main(scenario);
    let others = Metric::others(scenario);
    let mut text = format!("\n{}: {}\n", scenario.name, scenario.about);
    let _ = write!(text, "{:<26}{:>14}{:>8}", "server", metric.unit, "spread");
    for other in others {
        let _ = write!(text, "{:>12}", other.unit);
    }
    // What users have now.
    let present = if scenario.role == Role::Client { TUNGSTENITE } else { AXUM };
    let base = base(scenario);
    let heads = [format!("× {base} [95 %]"), format!("× {present} [95 %]"), format!("{SOCKEYE} / it [95 %]")];
    let _ = writeln!(text, "   {:<24}{:<24}{:<24}", heads[0], heads[1], heads[2]);
    let mut notes = Vec::new();
    for server in SERVERS {
        let values = values(results, server.name, metric);
        let Some(middle) = median(&values) else { continue };
        let spread = spread(&values).unwrap_or_default() * 100.0;
        let short = short(scenario, results, server.name);
        let mark = if short.is_some() { " †" } else { "" };
        notes.extend(short);
        let _ = write!(text, "{:<26}{:>14}{spread:>6.1} %", format!("{}{mark}", server.name), figure(middle));
        for other in others {
            let value = other.shown(&self::values(results, server.name, *other));
            let _ = write!(text, "{:>12}", value.map(figure).unwrap_or_default());
        }
        let ratio = |one, base| ratio(scenario, results, one, base).map(interval).unwrap_or_default();
        let [floor, now, ours] = [ratio(server.name, base), ratio(server.name, present), ratio(SOCKEYE, server.name)];
        let _ = writeln!(text, "   {floor:<24}{now:<24}{ours:<24}");
    }
    notes.iter().for_each(|note| text.extend(["† ", note, "\n"]));
    for server in SERVERS {
        if let Some(ratio) = stalled(results, server.name) {
            let (name, ratio) = (server.name, interval(ratio));
            let _ = writeln!(
                text,
                "{name}: while some receivers read nothing, the p99 of the others is {ratio} of that before"
            );
        }
    }
    below(scenario, results).iter().for_each(|note| text.extend(["fault of the floor: ", note, "\n"]));
    if scenario.threads > 1 {
        text.push_str("Not for comparison with anything: the load generator may share the servers' cores.\n");
    }
    // Columns are padded, and the last ones may be empty.
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A note that runs of a server ended before they had used their processor time.
fn short(scenario: &Scenario, results: &Results, server: &str) -> Option<String> {
    if results.quick || !matches!(scenario.measure, Measure::Cpu | Measure::Fan { stalled: 0 }) {
        return None;
    }
    let times: Vec<f64> = results.of(server).map(|(_, outcome)| outcome.cpu_seconds).collect();
    let count = times.iter().filter(|time| **time < results.cpu_goal * ENOUGH).count();
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    let goal = results.cpu_goal;
    (count > 0).then(|| {
        format!(
            "{server}: {count} of {} runs used less than {goal} s of processor time; the least was {least:.2} s",
            times.len()
        )
    })
}

/// A note for each server that takes less than every floor that was measured, by more than the interval: then the floor is not
/// what the kernel costs.
fn below(scenario: &Scenario, results: &Results) -> Vec<String> {
    if results.quick {
        return Vec::new();
    }
    let servers = SERVERS.iter().filter(|server| !FLOORS.contains(&server.name));
    let notes = servers.filter_map(|server| {
        let ratios: Vec<(&str, Estimate)> =
            FLOORS.iter().filter_map(|floor| Some((*floor, ratio(scenario, results, server.name, floor)?))).collect();
        let is_below = !ratios.is_empty() && ratios.iter().all(|(_, ratio)| ratio.high < 1.0);
        let ratios: Vec<String> =
            ratios.into_iter().map(|(floor, ratio)| format!("{} of {floor}", interval(ratio))).collect();
        is_below.then(|| format!("{} takes {}", server.name, ratios.join(" and ")))
    });
    notes.collect()
}

/// Ratios of the main figure, between runs of the same turn.
pub(crate) fn ratio(scenario: &Scenario, results: &Results, server: &str, base: &str) -> Option<Estimate> {
    let of = Metric::main(scenario).of;
    let ratios: Vec<f64> = results
        .of(server)
        .filter_map(|(turn, outcome)| {
            let (_, base) = results.of(base).find(|(other, _)| *other == turn)?;
            Some(of(outcome)? / of(base)?)
        })
        .collect();
    estimate(&ratios)
}

/// How much longer the others' p99 is while some receivers read nothing. The two parts of each run are a pair.
fn stalled(results: &Results, server: &str) -> Option<Estimate> {
    let ratios: Vec<f64> = results.of(server).filter_map(|(_, outcome)| stalled_p99(outcome)).collect();
    estimate(&ratios)
}

/// One figure of each run.
pub(crate) fn values(results: &Results, server: &str, metric: Metric) -> Vec<f64> {
    results.of(server).filter_map(|(_, outcome)| (metric.of)(outcome)).collect()
}

/// The contents of the tables, for programs.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    scenario: &'static str,
    about: &'static str,
    machine: &'a Machine,
    servers: BTreeMap<&'static str, Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    runs: usize,
    /// Medians, by the name of the figure; for some figures, the worst run's.
    medians: BTreeMap<&'static str, f64>,
    spread: Option<f64>,
    /// The spread of the scenario's main figure.
    to_floor: Option<Estimate>,
    to_axum_plain: Option<Estimate>,
    /// The ratio of our figure to this server's.
    sockeye_to_it: Option<Estimate>,
    /// The others' p99 while some receivers read nothing, as a multiple of that before.
    stalled_p99: Option<Estimate>,
    /// Whether the time limit ended runs before they had used enough processor time.
    short_runs: bool,
}

/// Writes the figures of all tables to one file.
pub(crate) fn summarize(all: &[(&'static Scenario, Results)], file: &Path) -> Result<()> {
    let summaries: Vec<Summary<'_>> = all
        .iter()
        .map(|(scenario, results)| {
            let servers =
                SERVERS.iter().filter_map(|server| Some((server.name, line(scenario, results, server.name)?)));
            let servers = servers.collect();
            Summary { scenario: scenario.name, about: scenario.about, machine: &results.machine, servers }
        })
        .collect();
    let json = serde_json::to_string_pretty(&summaries).context("cannot write down the summary")?;
    write(file, &(json + "\n"))
}

fn line(scenario: &Scenario, results: &Results, server: &str) -> Option<Line> {
    let main = Metric::main(scenario);
    let runs = values(results, server, main);
    let metrics = [main].into_iter().chain(Metric::others(scenario).iter().copied());
    let medians: BTreeMap<_, _> =
        metrics.filter_map(|metric| Some((metric.unit, metric.shown(&values(results, server, metric))?))).collect();
    (!runs.is_empty()).then(|| Line {
        runs: runs.len(),
        medians,
        spread: spread(&runs),
        to_floor: ratio(scenario, results, server, base(scenario)),
        to_axum_plain: ratio(scenario, results, server, AXUM),
        sockeye_to_it: ratio(scenario, results, SOCKEYE, server),
        stalled_p99: stalled(results, server),
        short_runs: short(scenario, results, server).is_some(),
    })
}

pub(crate) fn interval(Estimate { median, low, high }: Estimate) -> String {
    let [median, low, high] =
        [median, low, high].map(|value| if value < 0.1 { format!("{value:.4}") } else { figure(value) });
    format!("{median} [{low}, {high}]")
}

/// About three digits.
pub(crate) fn figure(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Run;
    use crate::servers::FLOOR;
    use bench_load::{Latency, Outcome, Stalled};

    fn run(server: &str, turn: usize, cpu_us_per_message: f64) -> Run {
        let outcome = Outcome {
            scenario: "text-20".to_owned(),
            messages: 1,
            wall_seconds: 1.0,
            cpu_seconds: if server == AXUM { 1.5 } else { 2.0 },
            system_seconds: 1.0,
            cpu_us_per_message,
            messages_per_second: 123_456.7,
            received_per_message: None,
            reads_per_message: None,
            latency: None,
            idle: None,
            resumed: None,
            stalled: None,
            offered_per_second: None,
            switching: None,
        };
        Run { server: server.to_owned(), turn, outcome }
    }

    fn results() -> Results {
        let runs = vec![
            run(FLOOR, 0, 1.0),
            run(AXUM, 0, 3.0),
            run(FLOOR, 1, 10.0),
            run(AXUM, 1, 30.0),
            // The server's other run has failed.
            run("sockeye", 1, 11.0),
        ];
        let machine = Machine { processor: String::new(), cores: 2, kernel: String::new() };
        let scenario = "text-20".to_owned();
        Results { scenario, machine, quick: false, cpu_goal: 2.0, runs, failures: Vec::new() }
    }

    #[test]
    fn a_ratio_is_of_two_values_of_the_same_turn() {
        let results = results();
        let scenario = Scenario::find("text-20").unwrap();
        assert_eq!(ratio(scenario, &results, AXUM, FLOOR).map(interval).unwrap(), "3.00 [3.00, 3.00]");
        assert_eq!(ratio(scenario, &results, "sockeye", FLOOR).map(interval).unwrap(), "1.10 [1.10, 1.10]");
        assert_eq!(ratio(scenario, &results, "node-ws", FLOOR), None);
        let text = of(scenario, &results);
        assert_eq!(text.lines().count(), 1 + 1 + 1 + 3 + 1, "{text}");
        assert!(text.contains("123457"), "{text}");
    }

    #[test]
    fn the_steps_of_large_messages_are_shown_with_those_of_the_worst_process() {
        let scenario = Scenario::find("binary-1m").unwrap();
        let mut results = results();
        results.scenario = "binary-1m".to_owned();
        results.runs = (0..5).map(|turn| run(FLOOR, turn, 300.0)).collect();
        for (run, reads) in results.runs.iter_mut().zip([2.0, 3.0, 11.0, 2.5, 2.0]) {
            run.outcome.scenario = "binary-1m".to_owned();
            run.outcome.cpu_us_per_message += reads;
            run.outcome.reads_per_message = Some(reads);
        }
        let text = of(scenario, &results);
        let cells: Vec<&str> = text.lines().nth(3).unwrap().split_whitespace().collect();
        assert_eq!(cells[..7], ["floor", "302", "0.3", "%", "311", "2.50", "11.0"], "{text}");
    }

    #[test]
    fn the_p99_beside_receivers_that_read_nothing_is_compared_with_that_before_in_the_same_run() {
        let scenario = Scenario::find("fan-100-stalled").unwrap();
        let mut results = results();
        let latency = |p99| Latency { samples: 1, p50: p99 / 2.0, p99, p999: p99, max: p99 };
        for (run, (p99, before)) in results.runs.iter_mut().zip([(20.0, 10.0), (9.0, 9.0), (60.0, 20.0), (8.0, 8.0)]) {
            run.outcome.latency = Some(latency(p99));
            run.outcome.stalled = Some(Stalled { receivers: 10, closed: 10, bytes: 2048.0, before: latency(before) });
        }
        let text = of(scenario, &results);
        let line = |server| format!("{server}: while some receivers read nothing, the p99 of the others is ");
        assert!(text.contains(&format!("{}2.50 [2.00, 3.00] of that before", line(FLOOR))), "{text}");
        assert!(text.contains(&format!("{}1.00 [1.00, 1.00] of that before", line(AXUM))), "{text}");
        // Nothing was measured for the fifth run, of another server.
        assert!(!text.contains(&line(SOCKEYE)), "{text}");
    }

    #[test]
    fn a_server_below_every_floor_is_a_fault_of_the_floor() {
        let scenario = Scenario::find("text-20").unwrap();
        let mut results = results();
        assert!(below(scenario, &results).is_empty());
        results.runs.push(run("sockeye", 0, 0.5));
        // One of its two ratios is above 1.
        assert!(below(scenario, &results).is_empty());
        results.runs.retain(|run| run.server != "sockeye");
        results.runs.extend([run("sockeye", 0, 0.5), run("sockeye", 1, 6.0)]);
        let fault = "fault of the floor: sockeye takes 0.55 [0.50, 0.60] of floor\n";
        assert!(of(scenario, &results).contains(fault), "{}", of(scenario, &results));
        // A second floor explains it.
        results.runs.extend([run("floor-lowat", 0, 0.4), run("floor-lowat", 1, 6.0)]);
        assert!(below(scenario, &results).is_empty());
        results.runs.retain(|run| run.server != "floor-lowat");
        results.quick = true;
        assert!(below(scenario, &results).is_empty());
    }

    #[test]
    fn a_table_marks_servers_whose_runs_used_too_little_processor_time() {
        let scenario = Scenario::find("text-20").unwrap();
        let mut results = results();
        let text = of(scenario, &results);
        assert!(text.contains("axum-plain †") && text.contains("axum-plain: 2 of 2 runs used less than 2 s"), "{text}");
        assert!(!text.contains("floor †"), "{text}");
        results.quick = true;
        assert!(!of(scenario, &results).contains('†'));
    }
}
