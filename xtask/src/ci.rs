//! `cargo xtask ci`: every check and test, as one list of steps.
//!
//! Cheap steps come first, so that they fail first. A step can use what the step before it has built. A few steps run beside those
//! after them.

use crate::context::{Context, is_ci};
use crate::flags::{AutobahnFlags, BrokersFlags, Checks, CiFlags, CompatFlags, FuzzFlags, InteropFlags};
use crate::tools::{Skip, Tool};
use crate::{
    api, autobahn, bench, brokers, cargo, compat, doc_search, docs, examples, features, fuzz, interop, layers, loom,
    modules, msrv, package, readme, slow_peers, soak, tidy,
};
use anyhow::{Context as _, Result, bail};
use std::env;
use std::fs::{self, File};
use std::io;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use xshell::cmd;

/// One line of the list.
struct Step {
    name: &'static str,
    /// What the step checks, for `--list`.
    checks: &'static str,
    /// What to do if the step fails.
    hint: &'static str,
    /// Tools that must be found before the step starts. The step itself may need more.
    needs: &'static [Tool],
    run: fn(&Context) -> Result<()>,
}

/// The steps that run beside those after them in CI. `compat` builds in a folder of its own while `lint` and `features` compile one
/// crate after the other, which leaves a processor idle. The others run while the steps after them wait for time to pass.
const BESIDE: [&str; 8] = ["compat", "api", "loom", "package", "msrv", "slow-peers", "brokers", "interop-deploying"];

/// Those that compute beside steps in which others wait for answers: they take what these leave of the processors.
const YIELDING: [&str; 4] = ["api", "loom", "package", "msrv"];

const STEPS: &[Step] = &[
    Step {
        name: "layers",
        checks: "what each crate depends on, against the table of the design; circles among the files of a crate",
        hint: "`cargo xtask layers` names the dependency; remove it, or change the table in xtask/src/layers.rs and say why",
        needs: &[],
        run: |ctx| layers::run(ctx).and_then(|()| modules::run(ctx)),
    },
    Step {
        name: "tidy",
        checks: "file sizes, manifests, licences, links and the other rules of docs/STYLE.md",
        hint: "each line above names a place and what to do there",
        needs: &[Tool::Git],
        run: tidy::run,
    },
    Step {
        name: "fmt",
        checks: "formatting",
        hint: "`cargo xtask fmt` formats everything",
        needs: &[Tool::Rustfmt],
        run: |ctx| cargo::fmt(ctx, true),
    },
    Step {
        name: "compat",
        checks: "WebSocket tests that others wrote for axum 0.8, with sockeye-axum-exact or patch/axum in axum's place",
        hint: "`cargo xtask compat`; the sources are under target/compat; after a new axum, `cargo xtask compat --update` locks it",
        needs: &[Tool::Cxx],
        run: |ctx| compat::run(ctx, &CompatFlags::default()),
    },
    Step {
        name: "lint",
        checks: "clippy on every target with all features; warnings are errors",
        hint: "`cargo xtask lint --fix` fixes what clippy can fix; an `allow` needs a `reason`",
        needs: &[Tool::Clippy],
        run: |ctx| cargo::lint(ctx, false),
    },
    Step {
        name: "features",
        checks: "each crate with each feature alone, with none, and with all of them",
        hint: "the list above has a command for each combination that fails; often a `cfg` or a feature of a dependency is missing",
        needs: &[Tool::Clippy],
        run: features::run,
    },
    Step {
        name: "api",
        checks: "every declaration of axum::extract::ws, against sockeye-axum-exact; the guide's page of the differences",
        hint: "mend sockeye-exact, or give a reason in xtask/src/api/reasons.rs; `cargo xtask api --write` writes the page",
        needs: &[],
        run: |ctx| api::run(ctx, false),
    },
    Step {
        name: "loom",
        checks: "the models of shared state, in every order of the threads' steps up to a bound",
        hint: "`cargo xtask loom NAME` runs one model; with LOOM_LOCATION=1 it prints where each thread waits",
        needs: &[],
        run: |ctx| loom::run(ctx, &[]),
    },
    Step {
        name: "test",
        checks: "all tests and doctests with all features",
        hint: "`cargo xtask test NAME` runs the tests with NAME in their path",
        needs: &[],
        run: |ctx| cargo::test(ctx, &["--no-fail-fast".to_owned()]),
    },
    Step {
        name: "doc",
        checks: "the documentation of all crates, with all features and with fewer; its index page; the guide's copy in docs/guide",
        hint: "`cargo xtask doc --open` shows the result, and writes docs/guide; for a link to what a feature hides, see \
               crates/sockeye/src/guide.rs",
        needs: &[],
        run: docs::check,
    },
    Step {
        name: "doc-search",
        checks: "what people type into the search of the documentation finds the right page first, in Chromium",
        hint: "the lines above say what was found; an alias on a page of the guide is in crates/sockeye/src/guide.rs",
        needs: &[Tool::Chromium, Tool::Node, Tool::Npm],
        run: doc_search::run,
    },
    Step {
        name: "readme",
        checks: "the first listing of README.md, alone with its dependencies in edition 2021: it compiles, and echoes",
        hint: "the package is target/readme",
        needs: &[],
        run: readme::run,
    },
    Step {
        name: "fuzz",
        checks: "each fuzz target for 5 seconds, starting with its seeds",
        hint: "the input that failed is in fuzz/artifacts; `RUSTC_BOOTSTRAP=1 SHOW_PLAN=1 cargo fuzz run TARGET FILE` shows it",
        needs: &[Tool::CargoFuzz, Tool::Cxx],
        run: |ctx| fuzz::run(ctx, &FuzzFlags { seconds: 5, target: Vec::new(), install: false }),
    },
    Step {
        name: "examples",
        checks: "the build of the examples that the next steps use, with optimisations",
        hint: "the step `test` has built them in the dev profile: look for `cfg(debug_assertions)`",
        needs: &[],
        run: examples::build,
    },
    Step {
        name: "shutdown",
        checks: "example-shutdown closes 2,000 live connections with 1001, twice in a row",
        hint: "`RUST_LOG=debug cargo run --release -p example-shutdown -- --connections 2000` does one run; \
               it reports the limit of open files if that is too low",
        needs: &[],
        run: examples::shutdown,
    },
    Step {
        name: "soak",
        checks: "a minute of thousands of connections that misbehave: no message is lost, and nothing is leaked",
        hint: "the lines above say which client waited for what; `cargo xtask soak --seed N` repeats the run's plan, and --way and \
               --fault narrow it down",
        needs: &[],
        run: soak::check,
    },
    Step {
        name: "bench",
        checks: "the workspace in bench/: formatting, clippy, tests, and a short run without useful figures",
        hint: "`cargo fmt`, `cargo clippy` and `cargo test` work inside bench/; `cargo xtask bench --quick` runs all of it",
        needs: &[Tool::Rustfmt, Tool::Clippy],
        run: bench::check,
    },
    Step {
        name: "package",
        checks: "every published crate, built from the contents of its package",
        hint: "a file outside the crate's folder is not in its package; a dependency needs a version to be published",
        needs: &[],
        run: package::run,
    },
    Step {
        name: "msrv",
        checks: "every published crate, compiled with the oldest Rust that it promises",
        hint: "write it without what is newer; a dependency that needs a newer Rust is lowered by `cargo update NAME --precise VERSION`",
        needs: &[Tool::OldestRust],
        run: msrv::run,
    },
    Step {
        name: "slow-peers",
        checks: "4 minutes of slow peers, which must stay connected, and of dead peers, which must be disconnected in time",
        hint: "the table above says what happened to each peer, and when; `cargo xtask slow-peers --only PART` runs the cases \
               with PART in their name",
        needs: &[],
        run: slow_peers::check,
    },
    Step {
        name: "brokers",
        checks: "the contract of brokers on this process, Redis and Valkey, and what nodes make of a broker that fails",
        hint: "`cargo xtask brokers --only PART` runs the tests with PART in their names; a server's log is in its temporary folder",
        needs: &[Tool::RedisServer, Tool::Python3],
        run: |ctx| brokers::run(ctx, &BrokersFlags::default()),
    },
    Step {
        name: "interop-deploying",
        checks: "the configurations of nginx, HAProxy and Caddy in the guide's page Deploying, with 70 s of silence and a shutdown",
        hint: "`cargo xtask interop --only deploying`; the script is xtask/interop/deploying.mjs, logs are under target/interop",
        needs: &[Tool::Nginx, Tool::Haproxy, Tool::Caddy, Tool::Node, Tool::Npm],
        run: |ctx| interop(ctx, Checks::Deploying),
    },
    Step {
        name: "autobahn",
        checks: "our server role, with the Autobahn test suite",
        hint: "the cases above are described in the report whose path is printed; `--cases 6.4.*` runs a few",
        needs: &[Tool::Python27],
        run: |ctx| autobahn::run(ctx, &AutobahnFlags::default()),
    },
    Step {
        name: "autobahn-client",
        checks: "our client role, with the Autobahn test suite",
        hint: "the cases above are described in the report whose path is printed; `--cases 6.4.*` runs a few",
        needs: &[Tool::Python27],
        run: |ctx| autobahn::run(ctx, &AutobahnFlags { client: true, ..Default::default() }),
    },
    Step {
        name: "deflate",
        checks: "our server role with compression, with 60 cases of the Autobahn test suite",
        hint: "`cargo xtask autobahn --compression --cases 12.1.1` runs one case; the printed path leads to the report on it",
        needs: &[Tool::Python27],
        run: |ctx| autobahn::run(ctx, &AutobahnFlags { compression: true, short: true, ..Default::default() }),
    },
    Step {
        name: "deflate-client",
        checks: "our client role with compression, with 60 cases of the Autobahn test suite",
        hint: "`cargo xtask autobahn --client --compression --cases 12.1.1` runs one case; the printed path leads to the report on it",
        needs: &[Tool::Python27],
        run: |ctx| {
            autobahn::run(ctx, &AutobahnFlags { client: true, compression: true, short: true, ..Default::default() })
        },
    },
    Step {
        name: "interop-python",
        checks: "Python's websockets against example-echo, and against example-tls over TLS 1.2 and 1.3",
        hint: "`cargo xtask interop --only python`; the script is xtask/interop/echo.py",
        needs: &[Tool::Python3],
        run: |ctx| interop(ctx, Checks::Python),
    },
    Step {
        name: "interop-node",
        checks: "Node's ws against example-echo, and against example-tls over TLS 1.2 and 1.3",
        hint: "`cargo xtask interop --only node`; the script is xtask/interop/echo.mjs",
        needs: &[Tool::Node, Tool::Npm],
        run: |ctx| interop(ctx, Checks::Node),
    },
    Step {
        name: "interop-browser",
        checks: "Chromium with the page of example-echo, and with example-tls over HTTP/2",
        hint: "`cargo xtask interop --only browser`; screenshots and logs are under target/interop",
        needs: &[Tool::Chromium, Tool::Node, Tool::Npm],
        run: |ctx| interop(ctx, Checks::Browser),
    },
    Step {
        name: "interop-firefox",
        checks: "Firefox sees a clean close for every close code of example-echo, directly and through nginx",
        hint: "`cargo xtask interop --only firefox`; the script is xtask/interop/firefox-closing.mjs, logs are under target/interop",
        needs: &[Tool::Firefox, Tool::Nginx, Tool::Node, Tool::Npm],
        run: |ctx| interop(ctx, Checks::Firefox),
    },
    Step {
        name: "interop-rooms",
        checks: "sockeye-rooms.js in Node, Chromium and Firefox; example-chat in two browsers, with a cut network and a restart",
        hint: "`cargo xtask interop --only rooms`; the cases are xtask/interop/rooms-cases.mjs, screenshots are under target/interop",
        needs: &[Tool::Chromium, Tool::Firefox, Tool::Node, Tool::Npm],
        run: |ctx| interop(ctx, Checks::Rooms),
    },
    Step {
        name: "interop-nodes",
        checks: "example-chat on two servers with one Redis, in Chromium: a server and Redis are killed, and each line comes once",
        hint: "`cargo xtask interop --only nodes`; the script is xtask/interop/nodes-browser.mjs, screenshots are under target/interop",
        needs: &[Tool::Chromium, Tool::Node, Tool::Npm, Tool::RedisServer],
        run: |ctx| interop(ctx, Checks::Nodes),
    },
    Step {
        name: "interop-closing",
        checks: "nine clients receive 1009 in the middle of a message that is too long, directly and through nginx",
        hint: "`cargo xtask interop --only closing`; `--control patient` shows that each of the clients can receive it",
        needs: &[Tool::Nginx, Tool::Node, Tool::Npm, Tool::Python3, Tool::Gorilla, Tool::Java],
        run: |ctx| interop(ctx, Checks::Closing),
    },
    Step {
        name: "shutdown-nginx",
        checks: "example-shutdown closes 40 clients behind nginx with 1001, cleanly on both ends, twice in a row",
        hint: "`cargo xtask interop --only shutdown`; the script is xtask/interop/shutdown.mjs, logs are under target/interop",
        needs: &[Tool::Nginx, Tool::Node, Tool::Npm],
        run: |ctx| interop(ctx, Checks::Shutdown),
    },
    Step {
        name: "interop-client",
        checks: "example-client with servers of Python and Node, behind nginx and HAProxy with TLS, and through Squid and tinyproxy",
        hint: "`cargo xtask interop --only client`; the servers are xtask/interop/servers.py and servers.mjs",
        needs: &[
            Tool::Nginx,
            Tool::Haproxy,
            Tool::Squid,
            Tool::Tinyproxy,
            Tool::Openssl,
            Tool::Python3,
            Tool::Node,
            Tool::Npm,
        ],
        run: |ctx| interop(ctx, Checks::Client),
    },
    Step {
        name: "interop-networks",
        checks: "example-client where the look-up, an address, TLS or the server is silent, and where the cable is pulled",
        hint: "`cargo xtask interop --only networks`; the script is xtask/interop/networks.py",
        needs: &[Tool::Python3],
        run: |ctx| interop(ctx, Checks::Networks),
    },
];

/// How a step ended.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
    NotRun,
}

pub(crate) fn run(ctx: &Context, flags: &CiFlags) -> Result<ExitCode> {
    let steps = select(&flags.only)?;
    if flags.list {
        for step in steps {
            println!("{:<16} {}", step.name, step.checks);
        }
        return Ok(ExitCode::SUCCESS);
    }

    // In CI the next try costs a whole run, so one run should find all failures.
    let keep_going = flags.keep_going || is_ci();
    let start = Instant::now();
    // On a clean checkout nothing is compiled a second time, and what cargo keeps for that costs time and gigabytes.
    let _once = is_ci().then(|| ctx.sh.push_env("CARGO_INCREMENTAL", "0"));
    let before = if is_ci() { git_status(ctx) } else { String::new() };
    let mut results: Vec<(&Step, Outcome, Duration)> = Vec::new();
    let mut stopped = false;
    let mut beside = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        // A single step is what this process runs beside the others, or what somebody looks at.
        if is_ci() && BESIDE.contains(&step.name) && index + 1 < steps.len() {
            match Beside::start(ctx, step) {
                Ok(started) => beside.push(started),
                Err(error) => results.push((step, Outcome::Failed(format!("{error:#}")), Duration::ZERO)),
            }
            continue;
        }
        let (outcome, time) = if stopped { (Outcome::NotRun, Duration::ZERO) } else { run_step(ctx, step) };
        stopped |= !keep_going && matches!(outcome, Outcome::Failed(_));
        results.push((step, outcome, time));
    }
    results.extend(beside.into_iter().map(Beside::end));
    if is_ci() {
        results.push(unchanged(ctx, &before));
    }
    Ok(if summarize(&results, start.elapsed()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All steps, or the named ones, in the order of the list. Fails if there is no step with a given name.
fn select(only: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = only.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!("there is no step `{unknown}`; the steps are {}", names.join(", "));
    }
    Ok(STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect())
}

/// The last line of a run in CI: no step may change a file that git knows, such as a lock file.
const UNCHANGED: &Step = &Step {
    name: "unchanged",
    checks: "no step has changed, added or removed a file outside of the ignored folders",
    hint: "the files above are written by a step; commit what it writes, or make it write below target/",
    needs: &[],
    run: |_| Ok(()),
};

fn unchanged(ctx: &Context, before: &str) -> (&'static Step, Outcome, Duration) {
    let after = git_status(ctx);
    let outcome = match after == before {
        true => Outcome::Passed,
        false => Outcome::Failed(format!("before the steps, git status said:\n{before}\nand after them:\n{after}")),
    };
    (UNCHANGED, outcome, Duration::ZERO)
}

fn git_status(ctx: &Context) -> String {
    let sh = &ctx.sh;
    // Without git, as in an archive of the sources, nothing is compared.
    cmd!(sh, "git status --porcelain").quiet().ignore_stderr().read().unwrap_or_default()
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
            // In CI everything may be installed, so a missing tool is a failure.
            Some(skip) if !is_ci() => Outcome::Skipped(skip.to_string()),
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

/// A step that runs in a process of its own, beside the steps after it.
struct Beside {
    step: &'static Step,
    log: PathBuf,
    ending: JoinHandle<(io::Result<ExitStatus>, Duration)>,
}

impl Beside {
    /// Starts `cargo xtask ci --only STEP`. Its output goes to a file. Its tools are installed before that: two processes cannot
    /// install packages at the same time.
    fn start(ctx: &Context, step: &'static Step) -> Result<Self> {
        step.needs.iter().try_for_each(|tool| tool.require(ctx).map(drop))?;
        if step.name == "slow-peers" {
            slow_peers::require_tools(ctx)?;
        }
        let folder = ctx.workspace.target.join("ci");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let log = folder.join(format!("{}.log", step.name));
        let output = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let program = env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(&program);
        if cfg!(unix) && YIELDING.contains(&step.name) {
            command = Command::new("nice");
            command.arg(&program);
        }
        command.args(["ci", "--only", step.name]).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        eprintln!("\n=== {}: runs beside the next steps, with its output in {}", step.name, log.display());
        let start = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let ending = thread::spawn(move || (child.wait(), start.elapsed()));
        Ok(Self { step, log, ending })
    }

    /// Waits for the end, and prints the output.
    fn end(self) -> (&'static Step, Outcome, Duration) {
        let Self { step, log, ending } = self;
        let (ended, time) = ending.join().unwrap_or_else(|panic| resume_unwind(panic));
        eprintln!("\n=== {}: output", step.name);
        match fs::read(&log) {
            Ok(output) => eprint!("{}", String::from_utf8_lossy(&output)),
            Err(error) => eprintln!("cannot read {}: {error}", log.display()),
        }
        let outcome = match ended {
            Ok(status) if status.success() => Outcome::Passed,
            Ok(status) => Outcome::Failed(format!("it ended with {status}; its output is above")),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        (step, outcome, time)
    }
}

/// Prints the table, each failure with its command and a hint, and the counts. Returns whether nothing failed.
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

fn interop(ctx: &Context, checks: Checks) -> Result<()> {
    interop::run(ctx, &InteropFlags { only: vec![checks], ..Default::default() })
        .context("a client that others wrote disagrees")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_ci_are_selected_in_the_order_of_the_list() {
        let names = |only: &[&str]| -> Vec<&str> {
            let only: Vec<String> = only.iter().map(|&name| name.to_owned()).collect();
            select(&only).unwrap().iter().map(|step| step.name).collect()
        };
        assert_eq!(names(&["fmt", "layers"]), ["layers", "fmt"]);
        assert_eq!(names(&[]).len(), STEPS.len());
    }

    #[test]
    fn an_unknown_step_of_ci_is_refused_with_the_names_there_are() {
        let error = select(&["tets".to_owned()]).map(drop).unwrap_err().to_string();
        assert!(error.contains("`tets`") && error.contains("test, doc"), "{error}");
    }

    #[test]
    fn every_step_of_ci_has_its_own_name_and_a_hint() {
        for (index, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..index].iter().all(|other| other.name != step.name), "{} is there twice", step.name);
            assert!(!step.hint.is_empty() && !step.checks.is_empty(), "{}", step.name);
        }
        assert!(BESIDE.iter().chain(&YIELDING).all(|name| STEPS.iter().any(|step| step.name == *name)));
    }
}
