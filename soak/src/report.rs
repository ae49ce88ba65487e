//! The report of a run: a table for people, and JSON for programs.

use std::fs;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    clients::{FAULTS, Group, LEAVES, PLAYERS, STATES, read},
    control::{Budgeted, Roomed, Sample},
    director::{Round, Settings},
    server::WAYS,
    verdict::{Leaks, may_keep, most_connections},
};

pub(crate) fn print(settings: &Settings, round: &Round, problems: &[String]) {
    load(round);
    players(round);
    faults(round);
    end(round);
    for told in round.run.counts.told() {
        println!("\n{told}");
    }
    if problems.is_empty() {
        println!("\npassed");
    } else {
        println!();
        for problem in problems {
            println!("FAILED: {problem}");
        }
        println!(
            "to repeat this plan: cargo xtask soak --seed {} --connections {}",
            settings.seed, settings.connections
        );
    }
}

fn load(round: &Round) {
    let counts = &round.run.counts;
    let samples = &round.load.samples;
    let [connections, tasks, sockets] = [
        |sample: &Sample, _: &Sample| sample.connections,
        |sample: &Sample, _: &Sample| sample.tasks,
        |sample: &Sample, open: &Sample| sample.descriptors.saturating_sub(open.descriptors),
    ]
    .map(|of| spread(samples.iter().map(|sample| of(sample, &round.open))));
    let sessions: u64 = counts.ways.iter().map(|(sessions, _)| read(sessions)).sum();
    let messages: u64 = counts.ways.iter().map(|(_, messages)| read(messages)).sum();
    let seconds = round.load.time.as_secs_f64();

    println!("\nload for {seconds:.0} s{:>35} {:>9}", "maximum", "mean");
    println!("  WebSockets open            {:>18} {:>9}", number(connections.0), number(connections.1));
    println!("  sockets open               {:>18} {:>9}", number(sockets.0), number(sockets.1));
    println!("  tasks                      {:>18} {:>9}", number(tasks.0), number(tasks.1));
    println!("  sessions of well-behaved clients {:>12}", number(sessions as usize));
    println!(
        "  messages echoed            {:>18} {:>9}/s",
        number(messages as usize),
        number((messages as f64 / seconds) as usize)
    );
    println!(
        "  bytes echoed               {:>18} {:>9}/s",
        bytes(read(&counts.bytes)),
        bytes((read(&counts.bytes) as f64 / seconds) as u64)
    );
    println!("  Pings answered             {:>18}", number(read(&counts.pongs) as usize));
    println!("  processor time of the server {:>14.1} s", round.load.cpu.as_secs_f64());
    println!(
        "  resident memory            {:>18}",
        bytes(samples.iter().map(|sample| sample.resident).max().unwrap_or_default())
    );

    println!("\nways to echo                                  sessions   messages");
    for (way, (sessions, messages)) in WAYS.iter().zip(&counts.ways) {
        println!("  {:<42} {:>9} {:>10}", way.name, number(read(sessions) as usize), number(read(messages) as usize));
    }
}

fn players(round: &Round) {
    println!("\nkinds of clients                              sessions   messages");
    for (player, (sessions, messages)) in PLAYERS.iter().zip(&round.run.counts.players) {
        if let Some(needs) = player.needs().filter(|_| !round.run.can(*player)) {
            println!("  {:<42} skipped: {needs}", player.name());
        } else if round.run.plays(*player) {
            let [sessions, messages] = [sessions, messages].map(|count| number(read(count) as usize));
            println!("  {:<42} {sessions:>9} {messages:>10}", player.name());
        }
    }
    let Budgeted { limit, slack, looks, most, passed, excess, when, longest, evicted, broadcasts } = round.budget;
    println!("\nmemory budget of the broadcast readers");
    println!("  limit, and the allowed excess       {:>10} + {}", bytes(limit as u64), bytes(slack as u64));
    println!("  maximum used                       {:>10}", bytes(most as u64));
    println!("  checks                             {:>10}", number(looks as usize));
    println!("    that found it exceeded           {:>10}", number(passed as usize));
    if passed > 0 {
        println!(
            "    largest excess                   {:>10}, {:.1} s after the start",
            bytes(excess as u64),
            when as f64 / 1e3
        );
        println!("    longest time exceeded            {longest:>10} ms");
    }
    println!("  evictions                          {:>10}", number(evicted as usize));
    let counts = &round.run.counts;
    println!("    readers closed with 1013         {:>10}", number(read(&counts.told_to_go) as usize));
    println!("    readers without a Close          {:>10}", number(read(&counts.dropped) as usize));
    println!("  broadcasts                         {:>10}", number(broadcasts as usize));
    let Roomed { members, rooms, sent, delivered, refused, disconnected, displaced } = round.rooms;
    println!("\nrooms");
    println!("  messages                           {:>10}", number(sent as usize));
    println!("    deliveries                       {:>10}", number(delivered as usize));
    println!("    refused messages                 {:>10}", number(refused as usize));
    println!("    dropped for newer ones           {:>10}", number(displaced as usize));
    println!("  slow members disconnected          {:>10}", number(disconnected as usize));
    println!("    members closed with 1013         {:>10}", number(read(&counts.members_told_to_go) as usize));
    println!("    members without a Close          {:>10}", number(read(&counts.members_dropped) as usize));
    println!("  members left at the end            {:>10}", number(members));
    println!("  rooms left at the end              {:>10}", number(rooms));
}

fn faults(round: &Round) {
    let counts = &round.run.counts;
    let count = |index: usize| number(read(&counts.faults[index]) as usize);
    let of_group = |group: Group| FAULTS.iter().enumerate().filter(move |(_, fault)| fault.group == group);

    println!("\nfaults injected: {} in all", number(all_faults(round) as usize));
    print!("  {:<38}", "the client leaves");
    LEAVES.iter().for_each(|leave| print!(" {:>10}", leave.name()));
    println!();
    for (row, state) in STATES.iter().enumerate() {
        print!("    {:<36}", state.name());
        for leave in LEAVES {
            let cell = of_group(Group::Leave(leave)).nth(row).map(|(index, _)| count(index));
            print!(" {:>10}", cell.unwrap_or_default());
        }
        println!();
    }
    for (title, group) in [
        ("the client misbehaves within the rules", Group::Manners),
        ("the client breaks a rule", Group::Violation),
        ("the client misses a deadline", Group::Deadline),
        ("the handler fails", Group::Handler),
    ] {
        println!("  {title}");
        for (index, fault) in of_group(group) {
            println!("    {:<36} {:>10}", fault.name, count(index));
        }
    }
    println!("  {:<38} {:>10}", "connection storms", number(read(&counts.storms) as usize));
    println!("    {:<36} {:>10}", "connections in storms", number(read(&counts.stormed) as usize));
}

fn end(round: &Round) {
    let Round { before, open, after, end, drained, .. } = round;
    let counts = &round.run.counts;
    let leaks = Leaks::of(round);
    println!("\nat the end: all clients have left, except {} that wait for the shutdown", number(round.stayed));
    println!("  processor time while all clients are idle {:>5} ms of 1 s", round.idle.as_millis());
    println!(
        "  drained: {} closed with 1001, {} lost, {} aborted",
        number(drained.closed),
        drained.lost,
        drained.aborted
    );
    println!("\n                          before      serving     drained    runtime gone");
    let row = |name: &str, of: fn(&Sample) -> String| {
        println!("  {name:<18} {:>12} {:>12} {:>11} {:>15}", of(before), of(open), of(after), of(end));
    };
    row("connections", |sample| number(sample.connections));
    row("slots taken", |sample| number(sample.admitted));
    row("tasks", |sample| number(sample.tasks));
    row("descriptors", |sample| number(sample.descriptors));
    row("threads", |sample| number(sample.threads));
    row("heap", |sample| bytes(sample.heap));
    row("  allocations", |sample| number(sample.allocations as usize));
    row("resident", |sample| bytes(sample.resident));
    println!("  allowed heap growth after the drain, for pools and tables: {}", bytes(may_keep(round)));

    println!("\nresult");
    println!("  messages lost                      {:>10}", number(read(&counts.lost) as usize));
    println!("  failed sessions                    {:>10}", number(read(&counts.failed) as usize));
    println!("  wrong answers to misbehaviour      {:>10}", number(read(&counts.unexpected) as usize));
    println!("  unexpected panics                  {:>10}", number(end.panics));
    println!("  leaked connections                 {:>10}", number(leaks.connections));
    println!("  leaked slots of the limits         {:>10}", number(leaks.places));
    println!("  leaked tasks                       {:>10}", number(leaks.tasks));
    println!("  leaked descriptors                 {:>10}", number(leaks.descriptors));
    println!("  leaked bytes                       {:>10}", number((leaks.kept + leaks.heap) as usize));
}

/// Writes `report.json` into the folder of the results.
pub(crate) fn write(settings: &Settings, round: &Round, problems: &[String]) -> Result<()> {
    let counts = &round.run.counts;
    let samples = &round.load.samples;
    let leaks = Leaks::of(round);
    let ways: Vec<Value> = WAYS
        .iter()
        .zip(&counts.ways)
        .map(|(way, (sessions, messages))| json!({ "way": way.name, "sessions": read(sessions), "messages": read(messages) }))
        .collect();
    let players: Vec<Value> = PLAYERS
        .iter()
        .zip(&counts.players)
        .map(|(player, (sessions, messages))| {
            json!({
                "player": player.name(),
                "plays": round.run.plays(*player),
                "sessions": read(sessions),
                "messages": read(messages),
            })
        })
        .collect();
    let faults: Vec<Value> = FAULTS
        .iter()
        .zip(&counts.faults)
        .map(|(fault, count)| json!({ "group": fault.group.name(), "fault": fault.name, "injected": read(count) }))
        .collect();
    let report = json!({
        "seed": settings.seed,
        "seconds": settings.time.as_secs_f64(),
        "connections": settings.connections,
        "threads": settings.threads,
        "passed": problems.is_empty(),
        "problems": problems,
        "told": counts.told(),
        "load": {
            "seconds": round.load.time.as_secs_f64(),
            "most_connections": most_connections(round),
            "mean_connections": spread(samples.iter().map(|sample| sample.connections)).1,
            "bytes": read(&counts.bytes),
            "pongs": read(&counts.pongs),
            "server_cpu_seconds": round.load.cpu.as_secs_f64(),
            "ports_waited_for": read(&counts.put_off),
            "samples": samples,
        },
        "ways": ways,
        "players": players,
        "budget": round.budget,
        "rooms": round.rooms,
        "members_told_to_go": read(&counts.members_told_to_go),
        "members_dropped": read(&counts.members_dropped),
        "told_to_go": read(&counts.told_to_go),
        "dropped": read(&counts.dropped),
        "faults": faults,
        "faults_injected": all_faults(round),
        "storms": read(&counts.storms),
        "storm_connects": read(&counts.stormed),
        "messages_lost": read(&counts.lost),
        "sessions_failed": read(&counts.failed),
        "unexpected": read(&counts.unexpected),
        "idle_cpu_milliseconds": round.idle.as_millis() as u64,
        "stayed": round.stayed,
        "drained": round.drained,
        "server": { "before": round.before, "serving": round.open, "drained": round.after, "end": round.end },
        "leaks": {
            "connections": leaks.connections,
            "places": leaks.places,
            "tasks": leaks.tasks,
            "descriptors": leaks.descriptors,
            "bytes_after_drain": leaks.kept,
            "bytes": leaks.heap,
        },
    });
    fs::create_dir_all(&settings.out)?;
    fs::write(settings.out.join("report.json"), serde_json::to_string_pretty(&report)? + "\n")?;
    Ok(())
}

/// Each connect of a storm counts too.
fn all_faults(round: &Round) -> u64 {
    let counts = &round.run.counts;
    counts.faults.iter().map(read).sum::<u64>() + read(&counts.stormed)
}

/// The maximum and the mean.
fn spread(values: impl Iterator<Item = usize>) -> (usize, usize) {
    let (mut most, mut sum, mut count) = (0, 0, 0);
    for value in values {
        (most, sum, count) = (most.max(value), sum + value, count + 1);
    }
    (most, sum / count.max(1))
}

/// A number with a comma after each three digits.
fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_report_have_separators_and_units() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 10_240, 20 << 20].map(bytes), ["0 B", "10.0 KiB", "20.0 MiB"]);
    }

    #[test]
    fn the_spread_of_no_values_is_zero() {
        assert_eq!(spread([].into_iter()), (0, 0));
        assert_eq!(spread([1, 5, 3].into_iter()), (5, 3));
    }
}
