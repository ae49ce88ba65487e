//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;

/// Checks, builds and shows this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every check and test, and end with counts
    Ci(CiFlags),
    /// Run all tests and doctests with all features
    Test {
        /// Handed to `cargo test`: a filter, `-p NAME`, `-- --nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run clippy over everything, warnings denied
    Lint {
        /// Let clippy change the code where it can
        #[arg(long)]
        fix: bool,
    },
    /// Format the code
    Fmt {
        /// Only say what would change, and fail if anything would
        #[arg(long)]
        check: bool,
    },
    /// Build the documentation of every crate, warnings denied
    Doc {
        /// Open the index page in a browser
        #[arg(long)]
        open: bool,
    },
    /// Compare what each crate depends on with the table of the design
    Layers,
    /// Check the rules that no compiler knows: file sizes, manifests, links, licences
    Tidy,
    /// Check each feature of each crate alone, none of them, and all together
    Features,
    /// Pack every published crate and build it from its package
    Package,
    /// Run the Autobahn test suite against example-echo, or against our client
    Autobahn(AutobahnFlags),
    /// Let clients that others wrote talk to example-echo and example-chat
    Interop(InteropFlags),
    /// Let libFuzzer look for what breaks a promise of the library
    Fuzz(FuzzFlags),
    /// Let thousands of clients with bad manners at a server, and see what is left of them
    Soak(SoakFlags),
    /// Try out the orders in which the threads of a connection may come, with loom
    Loom {
        /// Handed to the tests: a filter, `--nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the tests of sockeye-proto under Miri, which finds undefined behaviour; takes minutes
    Miri(MiriFlags),
    /// Measure example-echo beside other libraries' echo servers, all in turns
    Bench(BenchFlags),
    /// Build the chat and serve it
    Demo(DemoFlags),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without CI in the environment nothing is installed on this machine: a step whose tool is missing \
    is skipped, and the summary says which and why. With CI set, what is missing is installed, a skip counts as a \
    failure, and all steps run even after a failure."
)]
pub(crate) struct CiFlags {
    /// Print the steps, in order, and run none
    #[arg(long)]
    pub(crate) list: bool,
    /// Run only this step; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Run the remaining steps after a failure (always so where CI is set)
    #[arg(long)]
    pub(crate) keep_going: bool,
}

#[derive(Debug, Default, Args)]
pub(crate) struct AutobahnFlags {
    /// Test our client role against Autobahn's server, instead of our server against its client
    #[arg(long)]
    pub(crate) client: bool,
    /// With permessage-deflate, and so with all 517 cases: 10 to 20 minutes, nearly all of them the suite's own
    #[arg(long)]
    pub(crate) compression: bool,
    /// Of these only the 60 that `ci` runs: sub-cases 1, 2, 3, 4 and 11 of each group that is about compression
    #[arg(long, requires = "compression")]
    pub(crate) short: bool,
    /// Only these cases, as in `6.4.*`; the number of cases is not checked then
    #[arg(long, value_name = "PATTERN")]
    pub(crate) cases: Vec<String>,
    /// Install what is missing on this machine
    #[arg(long)]
    pub(crate) install: bool,
}

#[derive(Debug, Default, Args)]
pub(crate) struct InteropFlags {
    /// Only this client; may be given several times
    #[arg(long, value_name = "CLIENT")]
    pub(crate) only: Vec<Client>,
    /// Install what is missing on this machine
    #[arg(long)]
    pub(crate) install: bool,
}

/// A client that somebody else wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    /// Python's `websockets`
    Python,
    /// Node's `ws`
    Node,
    /// Chromium, at a page of example-echo and in two tabs of example-chat
    Browser,
}

#[derive(Debug, Args)]
#[command(after_help = "A run begins with fuzz/seeds and with what earlier runs have found, which is in target/fuzz.")]
pub(crate) struct FuzzFlags {
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    pub(crate) seconds: u32,
    /// Only this target; may be given several times
    #[arg(long, value_name = "TARGET")]
    pub(crate) target: Vec<String>,
    /// Install what is missing on this machine
    #[arg(long)]
    pub(crate) install: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Prints what was held, what was injected and what is left, and writes it to target/soak. It fails when a \
    message of a well-behaved client is lost, or when a task, a descriptor, a connection or memory is left."
)]
pub(crate) struct SoakFlags {
    /// How long the run takes, without building
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    pub(crate) minutes: f64,
    /// The plan of an earlier run, which has printed this
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// At most so many connections at once
    #[arg(long, default_value_t = 3000, value_name = "N")]
    pub(crate) connections: usize,
    /// Only ways to echo with this in their name
    #[arg(long, value_name = "PART")]
    pub(crate) way: Option<String>,
    /// Only faults with this in their name
    #[arg(long, value_name = "PART")]
    pub(crate) fault: Option<String>,
}

impl Default for SoakFlags {
    fn default() -> Self {
        Self { minutes: 1.0, seed: None, connections: 3000, way: None, fault: None }
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "Miri comes with nightly toolchains alone: `cargo +nightly miri` is taken unless the toolchain in use has it."
)]
pub(crate) struct MiriFlags {
    /// Install what is missing on this machine
    #[arg(long)]
    pub(crate) install: bool,
    /// Handed to `cargo miri test`: `--test NAME`, a filter, `-- --nocapture`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Default, Args)]
#[command(
    after_help = "Prints a table for each scenario, and writes target/bench: the results of each scenario, which a later \
    run of it replaces, and what is drawn from all that are there. A run of everything takes many hours, and one with \
    `--peers best` about one. Nothing else should run on the machine meanwhile."
)]
pub(crate) struct BenchFlags {
    /// Short runs: proves that everything works; the figures are worth nothing
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only this scenario; may be given several times
    #[arg(long, value_name = "SCENARIO")]
    pub(crate) only: Vec<String>,
    /// Only these servers, beside example-echo and the floor; `best` are those of each scenario that stand out
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) peers: Vec<String>,
    /// Runs of each server in each scenario; 21, or 3 with --quick
    #[arg(long, value_name = "N")]
    pub(crate) reps: Option<usize>,
    /// Count system calls (needs strace) and instructions (needs valgrind) for each message; no time is measured
    #[arg(long, conflicts_with = "reps")]
    pub(crate) counts: bool,
    /// Run nothing: print and draw what came out before
    #[arg(long, conflicts_with_all = ["quick", "peers", "reps", "counts"])]
    pub(crate) redraw: bool,
    /// Draw the plots of docs/PERFORMANCE.md, in docs/img, instead of those in target/bench
    #[arg(long, conflicts_with_all = ["quick", "counts"])]
    pub(crate) plots: bool,
    /// Print the scenarios and the servers, and run nothing
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoFlags {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "IP:PORT")]
    pub(crate) addr: SocketAddr,
    /// Build with optimisations, which takes minutes
    #[arg(long)]
    pub(crate) release: bool,
}
