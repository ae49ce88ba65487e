//! Runs the tests one after another, as the standard runner does: its programs cannot be started as something else.

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    process::exit,
    time::Instant,
};

use crate::{line_7, line_10};

type Test = fn() -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! tests {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((stringify!($name), || Box::pin($module::$name()))),*]
    };
}

const TESTS: &[(&str, Test)] = tests![
    line_7::line_7_the_people_of_a_killed_node_have_left_within_7_s_and_its_clients_go_on_elsewhere,
    line_7::line_7_after_a_partition_both_sides_agree_within_3_s,
    line_7::line_7_a_stopped_node_is_back_within_3_s_and_leaves_no_ghost,
    line_7::line_7_random_joins_leaves_and_kills_end_in_equal_sets,
    line_10::line_10_the_bytes_of_version_1_are_understood_beside_nodes_of_this_version,
    line_10::line_10_a_clock_that_is_an_hour_ahead_changes_nothing,
];

/// Runs those with one of the arguments in their names, or all.
pub(crate) fn run() {
    let parts: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let chosen = TESTS.iter().filter(|(name, _)| parts.is_empty() || parts.iter().any(|part| name.contains(part)));
    let mut failed = Vec::new();
    let (start, mut passed) = (Instant::now(), 0);
    for (name, test) in chosen {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test())));
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        match outcome {
            Ok(()) => passed += 1,
            Err(_) => failed.push(name),
        }
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {passed} passed; {} failed; finished in {:.2?}\n",
        failed.len(),
        start.elapsed()
    );
    if !failed.is_empty() {
        println!("failures:");
        failed.iter().for_each(|name| println!("    {name}"));
        exit(101);
    }
}
