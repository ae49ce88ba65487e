//! What came out, as a table for each scenario.

use crate::metric::Metric;
use crate::servers::{AXUM, FLOOR, SERVERS};
use crate::statistics::{Estimate, estimate, median, spread};
use crate::turns::Results;
use bench_load::Scenario;
use std::fmt::Write as _;

/// The table of a scenario, in the order of the servers.
pub(crate) fn of(scenario: &Scenario, results: &Results) -> String {
    let metric = Metric::main(scenario);
    let others = Metric::others(scenario);
    let mut text = format!("\n{}: {}\n", scenario.name, scenario.about);
    let _ = write!(text, "{:<26}{:>14}{:>8}", "server", metric.unit, "spread");
    for other in others {
        let _ = write!(text, "{:>12}", other.unit);
    }
    let _ = writeln!(text, "   {:<24}{:<24}", "× floor [95 %]", format!("× {AXUM} [95 %]"));
    for server in SERVERS {
        let values = values(results, scenario, server.name, metric);
        let Some(middle) = median(&values) else { continue };
        let spread = spread(&values).unwrap_or_default() * 100.0;
        let _ = write!(text, "{:<26}{:>14}{:>6.1} %", server.name, figure(middle), spread);
        for other in others {
            let value = median(&self::values(results, scenario, server.name, *other));
            let _ = write!(text, "{:>12}", value.map(figure).unwrap_or_default());
        }
        let to = |base| ratio(results, scenario, server.name, base).map(interval).unwrap_or_default();
        let _ = writeln!(text, "   {:<24}{:<24}", to(FLOOR), to(AXUM));
    }
    // Columns are padded, and the last ones may be empty.
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Ratios of the main figure, run by run of the same turn.
pub(crate) fn ratio(results: &Results, scenario: &Scenario, server: &str, base: &str) -> Option<Estimate> {
    let of = Metric::main(scenario).of;
    let ratios: Vec<f64> = results
        .of(scenario.name, server)
        .filter_map(|(turn, outcome)| {
            let (_, base) = results.of(scenario.name, base).find(|(other, _)| *other == turn)?;
            Some(of(outcome)? / of(base)?)
        })
        .collect();
    estimate(&ratios)
}

/// A figure of each run.
pub(crate) fn values(results: &Results, scenario: &Scenario, server: &str, metric: Metric) -> Vec<f64> {
    results.of(scenario.name, server).filter_map(|(_, outcome)| (metric.of)(outcome)).collect()
}

fn interval(Estimate { median, low, high }: Estimate) -> String {
    let [median, low, high] =
        [median, low, high].map(|value| if value < 0.1 { format!("{value:.4}") } else { figure(value) });
    format!("{median} [{low}, {high}]")
}

/// Three digits or so.
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
    use crate::turns::{Machine, Run};
    use bench_load::Outcome;

    fn run(server: &'static str, turn: usize, cpu_us_per_message: f64) -> Run {
        let outcome = Outcome {
            scenario: "text-20".to_owned(),
            messages: 1,
            wall_seconds: 1.0,
            cpu_seconds: 1.0,
            system_seconds: 1.0,
            cpu_us_per_message,
            messages_per_second: 123_456.7,
            latency: None,
            idle: None,
        };
        Run { server, turn, outcome }
    }

    #[test]
    fn ratios_are_those_of_the_same_turn() {
        let machine = Machine { processor: String::new(), cores: 2, kernel: String::new() };
        let runs = vec![
            run(FLOOR, 0, 1.0),
            run(AXUM, 0, 3.0),
            run(FLOOR, 1, 10.0),
            run(AXUM, 1, 30.0),
            // Its other run has failed.
            run("sockeye", 1, 11.0),
        ];
        let results = Results { machine, quick: true, runs, failures: Vec::new() };
        let scenario = Scenario::find("text-20").unwrap();
        assert_eq!(ratio(&results, scenario, AXUM, FLOOR).map(interval).unwrap(), "3.00 [3.00, 3.00]");
        assert_eq!(ratio(&results, scenario, "sockeye", FLOOR).map(interval).unwrap(), "1.10 [1.10, 1.10]");
        assert_eq!(ratio(&results, scenario, "node-ws", FLOOR), None);
        let text = of(scenario, &results);
        assert_eq!(text.lines().count(), 1 + 1 + 1 + 3, "{text}");
        assert!(text.contains("123457"), "{text}");
    }
}
