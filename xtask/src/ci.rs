//! `cargo xtask ci`: every check and test, as one list of steps.
//!
//! The order is by cost, so that what fails fast fails first, and such that a step finds what the one before it built.

use crate::flags::{AutobahnFlags, CiFlags, Client, FuzzFlags, InteropFlags};
use crate::tools::{Skip, Tool};
use crate::{Context, autobahn, bench, docs, examples, features, fuzz, interop, layers, loom, package, soak, tidy};
use anyhow::{Context as _, Result, bail};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One line of the list.
struct Step {
    name: &'static str,
    /// What it checks, for `--list`.
    checks: &'static str,
    /// What to do when it fails.
    hint: &'static str,
    /// Tools that are looked for before it starts; more may be looked for by the step itself.
    needs: &'static [Tool],
    run: fn(&Context) -> Result<()>,
}

const STEPS: &[Step] = &[
    Step {
        name: "layers",
        checks: "what each crate depends on, against the table of the design",
        hint: "`cargo xtask layers` names the arrow; remove it, or change the table in xtask/src/layers.rs and say why",
        needs: &[],
        run: layers::run,
    },
    Step {
        name: "tidy",
        checks: "file sizes, manifests, licences, links and the other rules of docs/STYLE.md",
        hint: "each line above says where and what to do",
        needs: &[Tool::Git],
        run: tidy::run,
    },
    Step {
        name: "fmt",
        checks: "formatting",
        hint: "`cargo xtask fmt` formats everything",
        needs: &[Tool::Rustfmt],
        run: |ctx| crate::fmt(ctx, true),
    },
    Step {
        name: "lint",
        checks: "clippy over every target with all features, warnings denied",
        hint: "`cargo xtask lint --fix` repairs what clippy can; an `allow` needs its `reason`",
        needs: &[Tool::Clippy],
        run: |ctx| crate::lint(ctx, false),
    },
    Step {
        name: "features",
        checks: "each feature alone, none, and all together, crate by crate",
        hint: "the list above has one command per combination that fails; often a `cfg`, or a feature of a dependency, is missing",
        needs: &[Tool::Clippy],
        run: features::run,
    },
    Step {
        name: "test",
        checks: "all tests and doctests with all features",
        hint: "`cargo xtask test NAME` runs the tests with NAME in their path",
        needs: &[],
        run: |ctx| crate::test(ctx, &["--no-fail-fast".to_owned()]),
    },
    Step {
        name: "doc",
        checks: "the documentation of all crates, warnings denied, and the links of its index page",
        hint: "`cargo xtask doc --open` shows the result",
        needs: &[],
        run: |ctx| docs::run(ctx, false),
    },
    Step {
        name: "package",
        checks: "every published crate, built from what its package contains",
        hint: "a file outside the crate's folder is not in its package; a dependency needs a version to be published",
        needs: &[],
        run: package::run,
    },
    Step {
        name: "loom",
        checks: "the models of what threads share, in every order of their steps up to a bound",
        hint: "`cargo xtask loom NAME` runs one; with LOOM_LOCATION=1 it says where each thread waits",
        needs: &[],
        run: |ctx| loom::run(ctx, &[]),
    },
    Step {
        name: "fuzz",
        checks: "each fuzz target for 5 seconds, beginning with its seeds",
        hint: "the input that broke a promise is in fuzz/artifacts; `RUSTC_BOOTSTRAP=1 SHOW_PLAN=1 cargo fuzz run TARGET FILE` shows it",
        needs: &[Tool::CargoFuzz, Tool::Cxx],
        run: |ctx| fuzz::run(ctx, &FuzzFlags { seconds: 5, target: Vec::new(), install: false }),
    },
    Step {
        name: "release",
        checks: "the examples that the next steps talk to, built with optimisations",
        hint: "it compiles in the dev profile (step test): look for `cfg(debug_assertions)`",
        needs: &[],
        run: examples::build,
    },
    Step {
        name: "shutdown",
        checks: "example-shutdown closes 2,000 live connections with 1001, twice in a row",
        hint: "`RUST_LOG=debug cargo run --release -p example-shutdown -- --connections 2000` is one run; \
               it names the limit of open files if that is too low",
        needs: &[],
        run: examples::shutdown,
    },
    Step {
        name: "soak",
        checks: "a minute of thousands of connections with bad manners: nothing lost, nothing left",
        hint: "the lines above say which client has waited for what; `cargo xtask soak --seed N` repeats its plan, and --way and \
               --fault narrow it down",
        needs: &[],
        run: soak::check,
    },
    Step {
        name: "bench",
        checks: "the workspace in bench/: formatting, clippy, tests, and a short run that measures nothing",
        hint: "`cargo fmt`, `cargo clippy` and `cargo test` work inside bench/; `cargo xtask bench --quick` runs all of it",
        needs: &[Tool::Rustfmt, Tool::Clippy],
        run: bench::check,
    },
    Step {
        name: "autobahn",
        checks: "our server role, by the Autobahn test suite",
        hint: "the cases above are described in the report whose path is printed; `--cases 6.4.*` runs a few",
        needs: &[Tool::Python27],
        run: |ctx| autobahn::run(ctx, &AutobahnFlags::default()),
    },
    Step {
        name: "autobahn-client",
        checks: "our client role, by the Autobahn test suite",
        hint: "the cases above are described in the report whose path is printed; `--cases 6.4.*` runs a few",
        needs: &[Tool::Python27],
        run: |ctx| autobahn::run(ctx, &AutobahnFlags { client: true, ..Default::default() }),
    },
    Step {
        name: "deflate",
        checks: "our server role with compression, by 60 cases of the Autobahn test suite",
        hint: "`cargo xtask autobahn --compression --cases 12.1.1` runs one; the report whose path is printed describes it",
        needs: &[Tool::Python27],
        run: |ctx| autobahn::run(ctx, &AutobahnFlags { compression: true, short: true, ..Default::default() }),
    },
    Step {
        name: "deflate-client",
        checks: "our client role with compression, by 60 cases of the Autobahn test suite",
        hint: "`cargo xtask autobahn --client --compression --cases 12.1.1` runs one; the report whose path is printed describes it",
        needs: &[Tool::Python27],
        run: |ctx| {
            autobahn::run(ctx, &AutobahnFlags { client: true, compression: true, short: true, ..Default::default() })
        },
    },
    Step {
        name: "interop-python",
        checks: "Python's websockets against example-echo",
        hint: "`cargo xtask interop --only python`; the script is xtask/interop/echo.py",
        needs: &[Tool::Python3],
        run: |ctx| interop(ctx, Client::Python),
    },
    Step {
        name: "interop-node",
        checks: "Node's ws against example-echo",
        hint: "`cargo xtask interop --only node`; the script is xtask/interop/echo.mjs",
        needs: &[Tool::Node, Tool::Npm],
        run: |ctx| interop(ctx, Client::Node),
    },
    Step {
        name: "interop-browser",
        checks: "Chromium at a page of example-echo, and in two tabs of example-chat",
        hint: "`cargo xtask interop --only browser`; screenshots and logs are under target/interop",
        needs: &[Tool::Chromium, Tool::Node, Tool::Npm],
        run: |ctx| interop(ctx, Client::Browser),
    },
];

/// How a step ended.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
    NotRun,
}

/// Whether this is a run of continuous integration.
pub(crate) fn is_set() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

pub(crate) fn run(ctx: &Context, flags: &CiFlags) -> Result<ExitCode> {
    let steps = select(&flags.only)?;
    if flags.list {
        for step in steps {
            println!("{:<16} {}", step.name, step.checks);
        }
        return Ok(ExitCode::SUCCESS);
    }

    // In CI the next try costs a whole run, so that one should find everything there is to find.
    let keep_going = flags.keep_going || is_set();
    let start = Instant::now();
    let mut results: Vec<(&Step, Outcome, Duration)> = Vec::new();
    let mut stopped = false;
    for step in steps {
        let (outcome, time) = if stopped { (Outcome::NotRun, Duration::ZERO) } else { run_step(ctx, step) };
        stopped |= !keep_going && matches!(outcome, Outcome::Failed(_));
        results.push((step, outcome, time));
    }
    Ok(if summarize(&results, start.elapsed()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All steps, or those named, in the order of the list.
fn select(only: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = only.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!("there is no step `{unknown}`; the steps are {}", names.join(", "));
    }
    Ok(STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect())
}

fn run_step(ctx: &Context, step: &Step) -> (Outcome, Duration) {
    let Step { name, checks, .. } = step;
    eprintln!("\n=== {name}: {checks}");
    let start = Instant::now();
    let result = step.needs.iter().try_for_each(|tool| tool.require(ctx).map(drop)).and_then(|()| (step.run)(ctx));
    let time = start.elapsed();
    let outcome = match result {
        Ok(()) => Outcome::Passed,
        Err(error) => match error.downcast_ref::<Skip>() {
            // Where everything may be installed, nothing is missing for a good reason.
            Some(skip) if !is_set() => Outcome::Skipped(skip.to_string()),
            _ => Outcome::Failed(format!("{error:#}")),
        },
    };
    let (ended, why) = match &outcome {
        Outcome::Passed => ("passed", None),
        Outcome::Failed(why) => ("FAILED", Some(why)),
        Outcome::Skipped(why) => ("skipped", Some(why)),
        Outcome::NotRun => ("not run", None),
    };
    eprintln!("=== {name}: {ended} in {}", seconds(time));
    if let Some(why) = why {
        eprintln!("    {why}");
    }
    (outcome, time)
}

/// Prints the table, each failure with its command and a hint, and the counts; whether nothing failed.
fn summarize(results: &[(&Step, Outcome, Duration)], total: Duration) -> bool {
    let count = |is: fn(&Outcome) -> bool| results.iter().filter(|(_, outcome, _)| is(outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));

    println!("\n=== summary, {} in all", seconds(total));
    for (step, outcome, time) in results {
        match outcome {
            Outcome::Passed => println!("  passed   {:<16} {:>8}", step.name, seconds(*time)),
            Outcome::Failed(_) => println!("  FAILED   {:<16} {:>8}", step.name, seconds(*time)),
            Outcome::Skipped(why) => println!("  skipped  {:<16} {:>8}  {why}", step.name, ""),
            Outcome::NotRun => {
                println!("  not run  {:<16} {:>8}  after a failure; --keep-going runs it", step.name, "")
            }
        }
    }
    for (step, outcome, _) in results {
        if let Outcome::Failed(why) = outcome {
            println!("\n{} failed: {why}", step.name);
            println!("  again: cargo xtask ci --only {}", step.name);
            println!("  hint:  {}", step.hint);
        }
    }
    let passed = count(|outcome| matches!(outcome, Outcome::Passed));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    failed == 0
}

fn interop(ctx: &Context, client: Client) -> Result<()> {
    interop::run(ctx, &InteropFlags { only: vec![client], install: false })
        .context("a client that others wrote disagrees")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_selected_in_the_order_of_the_list() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
            select(&only).unwrap().iter().map(|step| step.name).collect()
        };
        assert_eq!(names(&["fmt", "layers"]), ["layers", "fmt"]);
        assert_eq!(names(&[]).len(), STEPS.len());
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_names_there_are() {
        let error = select(&["tets".to_owned()]).map(drop).unwrap_err().to_string();
        assert!(error.contains("`tets`") && error.contains("test, doc"), "{error}");
    }

    #[test]
    fn every_step_has_a_name_of_its_own_and_a_hint() {
        for (index, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..index].iter().all(|other| other.name != step.name), "{} is there twice", step.name);
            assert!(!step.hint.is_empty() && !step.checks.is_empty(), "{}", step.name);
        }
    }
}
