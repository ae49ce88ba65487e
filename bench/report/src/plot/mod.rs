//! The results as plots: processor time, memory, and time to the echo.
//!
//! Each library is shown with its best form in a scenario. axum's plain loop is shown too, since most servers use it.

mod chart;

use crate::metric::Metric;
use crate::results::{Results, write};
use crate::servers::{AXUM, FLOOR, SERVERS, SOCKEYE};
use crate::statistics::{median, quantile};
use crate::table::{figure, ratio, values};
use anyhow::Result;
use bench_load::{Latency, Measure, Outcome, Role, Scenario};
use chart::{Chart, Group, Row};
use std::path::Path;

/// A scenario and its results.
type Measured = (&'static Scenario, Results);

/// Draws each plot for which there are results.
pub(crate) fn draw(all: &[Measured], folder: &Path) -> Result<()> {
    let servers: Vec<&Measured> = all.iter().filter(|(scenario, _)| scenario.role == Role::Server).collect();
    let clients: Vec<&Measured> = all.iter().filter(|(scenario, _)| scenario.role == Role::Client).collect();
    for (name, chart) in [
        ("cpu", cpu(&servers, "server")),
        ("memory", memory(&servers, "server")),
        ("latency", latency(&servers)),
        ("client-cpu", cpu(&clients, "client")),
        ("client-memory", memory(&clients, "client")),
    ] {
        if !chart.groups.is_empty() {
            write(&folder.join(format!("{name}.svg")), &chart.svg())?;
        }
    }
    Ok(())
}

fn cpu(all: &[&Measured], measured: &str) -> Chart {
    let groups = groups(
        all,
        |scenario| scenario.measure == Measure::Cpu && scenario.threads == 1,
        |scenario, results, name| {
            let found = ratio(scenario, results, name, FLOOR).filter(|_| name != FLOOR)?;
            Some(Row {
                range: Some((found.low, found.high)),
                text: figure(found.median),
                ..Row::new(name, found.median)
            })
        },
    );
    Chart {
        title: format!("Processor time of the {measured} for each message"),
        legend: "as a multiple of bare epoll; logarithmic, less is better".to_owned(),
        // A little below the lower bound, which is then visible as a line.
        least: 0.9,
        unit: |value| format!("{value}×"),
        groups,
    }
}

fn memory(all: &[&Measured], measured: &str) -> Chart {
    let groups = groups(
        all,
        |scenario| matches!(scenario.measure, Measure::Idle { .. }),
        |scenario, results, name| {
            let values = values(results, name, Metric::main(scenario));
            let middle = median(&values)?;
            let range = Some((quantile(&values, 0.25)?, quantile(&values, 0.75)?));
            Some(Row { range, text: bytes(middle), ..Row::new(name, middle) })
        },
    );
    Chart {
        title: format!("Resident memory of the {measured} for each idle connection"),
        legend: "logarithmic, less is better".to_owned(),
        least: 64.0,
        unit: bytes,
        groups,
    }
}

fn latency(all: &[&Measured]) -> Chart {
    let is_shown = |scenario: &Scenario| matches!(scenario.measure, Measure::Latency | Measure::Pair { .. });
    let groups = groups(all, is_shown, |_, results, name| {
        let percentile = |of: fn(Latency) -> f64| {
            let values: Vec<f64> =
                results.of(name).filter_map(|(_, outcome): (_, &Outcome)| outcome.latency.map(of)).collect();
            median(&values)
        };
        let [p50, p99, p999] = [percentile(|at| at.p50)?, percentile(|at| at.p99)?, percentile(|at| at.p999)?];
        let text = format!("{}, {}, {}", figure(p50), figure(p99), figure(p999));
        Some(Row { dots: vec![p99, p999], text, ..Row::new(name, p50) })
    });
    Chart {
        title: "Time from a message to its echo".to_owned(),
        legend: "bar: median, points: 99 and 99.9 %; in µs, logarithmic, less is better".to_owned(),
        least: 5.0,
        unit: |value| if value >= 1e3 { format!("{} ms", value / 1e3) } else { format!("{value} µs") },
        groups,
    }
}

/// The scenarios that are shown, each with its servers, the best first.
fn groups(
    all: &[&Measured],
    is_shown: impl Fn(&Scenario) -> bool,
    row: impl Fn(&Scenario, &Results, &'static str) -> Option<Row>,
) -> Vec<Group> {
    let groups = all.iter().filter(|(scenario, _)| is_shown(scenario)).map(|(scenario, results)| {
        let rows = SERVERS.iter().filter_map(|server| row(scenario, results, server.name)).collect();
        Group { title: scenario.about.to_owned(), rows: best(rows) }
    });
    groups.filter(|group| !group.rows.is_empty()).collect()
}

/// The best row of each library, and the rows that are always shown, with the best first.
fn best(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| a.value.total_cmp(&b.value));
    let mut shown: Vec<Row> = Vec::new();
    for row in rows {
        let is_first = shown.iter().all(|other| library(other.name) != library(row.name));
        if is_first || [FLOOR, SOCKEYE, AXUM].contains(&row.name) {
            shown.push(row);
        }
    }
    shown
}

/// The names of forms, after the names of libraries.
const FORMS: [&str; 18] = [
    "all", "bare", "batched", "copied", "corked", "exact", "fed", "hand", "jemalloc", "lean", "lowat", "mimalloc",
    "plain", "select", "serve", "spawned", "split", "tokio",
];

/// The name of a server without that of its form.
fn library(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((library, form)) if FORMS.contains(&form) => library,
        _ => name,
    }
}

fn bytes(value: f64) -> String {
    match value {
        value if value >= 1e5 => format!("{:.0} kB", value / 1e3),
        value if value >= 1e3 => format!("{} kB", (value / 100.0).round() / 10.0),
        value => format!("{value:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chart_shows_the_best_form_of_each_library_and_the_plain_form_of_axum() {
        let rows = [("yawc-plain", 3.0), (AXUM, 9.0), ("yawc-batched", 2.0), ("axum-lean", 4.0), ("axum-batched", 5.0)];
        let names: Vec<&str> =
            best(rows.map(|(name, value)| Row::new(name, value)).into()).iter().map(|row| row.name).collect();
        assert_eq!(names, ["yawc-batched", "axum-lean", AXUM]);
        assert_eq!(library("tokio-websockets-plain"), "tokio-websockets");
        assert_eq!(library("sockeye-exact"), SOCKEYE);
        assert_eq!(library("node-ws"), "node-ws");
        assert_eq!(library("sockudo-hand"), "sockudo");
    }

    #[test]
    fn numbers_of_bytes_are_shown_with_a_unit() {
        assert_eq!(
            [bytes(300.4), bytes(1000.0), bytes(1678.0), bytes(133_400.0)],
            ["300 B", "1 kB", "1.7 kB", "133 kB"]
        );
    }
}
