//! The servers and clients that are measured, as data. A library has the same name in both roles.

use bench_load::{Measure, Role, Scenario};

/// One server, or client, in one form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) program: Program,
    /// Whether the server is measured even if only others are selected.
    pub(crate) always: bool,
    /// The loads under which it is among the three best servers, not counting ours and axum's plain loop, and counting only the
    /// best form of each library; sockudo-ws and Bun come in addition, since ours is to be compared with them in any case.
    pub(crate) best: &'static [Kind],
}

/// Loads under which the same servers are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Small messages, one after the other.
    Small,
    /// Small messages, many at once.
    Pipelined,
    /// Messages that fill buffers.
    Large,
    /// No messages: idle connections cost memory.
    Idle,
    /// Compressed messages of any kind.
    Compressed,
}

/// Every kind of load that axum can be under.
const ALL: [Kind; 4] = [Kind::Small, Kind::Pipelined, Kind::Large, Kind::Idle];

/// The same without connections that do nothing.
const BUSY: [Kind; 3] = [Kind::Small, Kind::Pipelined, Kind::Large];

impl Kind {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        match scenario.measure {
            _ if scenario.deflate => Self::Compressed,
            Measure::Idle { .. } => Self::Idle,
            _ if scenario.in_flight > 1 => Self::Pipelined,
            _ if scenario.size >= 16 << 10 => Self::Large,
            _ => Self::Small,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Program {
    /// One of this workspace, in this form.
    Own {
        binary: &'static str,
        form: &'static str,
    },
    /// The library's example.
    Sockeye,
    Node,
    Bun,
}

/// All other servers are shown as multiples of this one.
pub(crate) const FLOOR: &str = "floor";

/// The floor for large messages, which waits for the rest of a frame before it reads again.
const LOWAT: &str = "floor-lowat";

/// What the kernel costs: no other server should take less than all of these.
pub(crate) const FLOORS: [&str; 2] = [FLOOR, LOWAT];

/// Ratios to this one are shown too: it is what users have now.
pub(crate) const AXUM: &str = "axum-plain";

/// Ours.
pub(crate) const SOCKEYE: &str = "sockeye";

/// Ours, set to compress even messages that are shorter than its threshold.
pub(crate) const ALL_COMPRESSED: &str = "sockeye-all";

/// Ours with a runtime for each thread, which differs only with several threads.
pub(crate) const PER_CORE: &str = "sockeye-per-core";

/// Ours with axum's exact types.
pub(crate) const EXACT: &str = "sockeye-exact";

/// Ours, used as programs use a socket besides the plain loop.
const SPAWNED: &str = "sockeye-spawned";
const SPLIT: &str = "sockeye-split";
const SELECT: &str = "sockeye-select";

/// Ours on other allocators than the system's.
const ALLOCATORS: [&str; 2] = ["sockeye-jemalloc", "sockeye-mimalloc"];

/// Ours as a client whose handler runs in the task of the connection (`Opened::serve`).
const SERVE: &str = "sockeye-serve";

/// Ours, which sends each connection a copy of the same message.
const COPIED: &str = "sockeye-copied";

/// The servers that accept WebSockets over HTTP/2.
const HTTP2: [&str; 2] = [SOCKEYE, AXUM];

/// The servers with a boxed stream: ours, and the floor, to which it makes no difference.
const BOXED: [&str; 3] = [FLOOR, SOCKEYE, EXACT];

/// The loop of the floor on tokio, and over TLS on tokio-rustls.
pub(crate) const BARE_TLS: &str = "floor-tokio";

/// The servers that speak TLS, each with rustls.
const TLS: [&str; 4] = [FLOOR, SOCKEYE, BARE_TLS, AXUM];

/// The documented client of tokio-tungstenite, which most clients use now.
pub(crate) const TUNGSTENITE: &str = "tungstenite-plain";

/// The same client without Nagle's algorithm, with a small read buffer, and over TLS with one configuration for all connections.
const TUNGSTENITE_LEAN: &str = "tungstenite-lean";

/// What is measured as a client over TLS, each with rustls. The other libraries leave TLS to their users.
const TLS_CLIENTS: [&str; 5] = [BARE_TLS, SOCKEYE, SERVE, TUNGSTENITE, TUNGSTENITE_LEAN];

/// What is measured as a client.
const CLIENTS: [&str; 12] = [
    FLOOR,
    BARE_TLS,
    SOCKEYE,
    SERVE,
    TUNGSTENITE,
    TUNGSTENITE_LEAN,
    "tokio-websockets-plain",
    "tokio-websockets-batched",
    "fastwebsockets-plain",
    "fastwebsockets-bare",
    "yawc-plain",
    "yawc-batched",
];

/// The clients whose opening handshake is made by hand. It says nothing about their libraries.
const HANDMADE: [&str; 2] = ["tokio-websockets-batched", "fastwebsockets-bare"];

/// The servers that can compress.
const COMPRESSING: [&str; 5] = [SOCKEYE, ALL_COMPRESSED, "yawc-plain", "yawc-batched", "node-ws"];

/// The servers that broadcast messages to all connections.
const BROADCASTING: [&str; 4] = [SOCKEYE, ALL_COMPRESSED, "yawc-batched", "node-ws"];

/// The servers that send one kept message to all connections.
const FANNING_OUT: [&str; 3] = [SOCKEYE, COPIED, EXACT];

/// The form of axum's rooms without Nagle's algorithm, and with a small read buffer.
const LEAN: &str = "axum-lean";

/// Bun's server, which is built on uWebSockets.
const BUN: &str = "bun";

/// The servers with rooms, where a message of one connection goes to all. axum's have the shape of its chat example.
const ROOMS: [&str; 5] = [FLOOR, SOCKEYE, AXUM, LEAN, BUN];

/// Ours does not compress shorter messages by default.
const THRESHOLD: usize = 1024;

/// The servers that can use several threads.
const THREADED: [&str; 3] = [SOCKEYE, PER_CORE, AXUM];

const fn peer(name: &'static str, about: &'static str, binary: &'static str, form: &'static str) -> Server {
    Server { name, about, program: Program::Own { binary, form }, always: false, best: &[] }
}

/// What the others are multiples of. Clients over TLS have no floor on bare epoll: what tokio-rustls costs is not theirs to
/// change.
pub(crate) fn base(scenario: &Scenario) -> &'static str {
    if scenario.tls && scenario.role == Role::Client { BARE_TLS } else { FLOOR }
}

impl Server {
    const fn always(self) -> Self {
        Self { always: true, ..self }
    }

    const fn best(self, best: &'static [Kind]) -> Self {
        Self { best, ..self }
    }

    /// Whether the server is a compiled program, and not one with a just-in-time compiler.
    pub(crate) fn is_native(&self) -> bool {
        !matches!(self.program, Program::Node | Program::Bun)
    }

    /// The names of the server with one thread and with two; `None` if it always has the same number.
    pub(crate) fn threaded_names(&self) -> Option<[&'static str; 2]> {
        match self.name {
            SOCKEYE => Some(["sockeye, 1 thread", "sockeye, 2 threads"]),
            AXUM => Some(["axum-plain, 1 thread", "axum-plain, 2 threads"]),
            _ => None,
        }
    }

    /// Whether the server has a runtime for each core.
    pub(crate) fn is_per_core(&self) -> bool {
        self.name == PER_CORE
    }

    /// Whether the server is measured under this load.
    pub(crate) fn takes_part(&self, scenario: &Scenario) -> bool {
        let is_client = scenario.role == Role::Client;
        let is_another = match self.name {
            LOWAT => scenario.is_large() && scenario.role == Role::Server,
            PER_CORE => scenario.threads > 1,
            ALL_COMPRESSED => scenario.deflate && scenario.size < THRESHOLD,
            // Types only matter where messages are.
            EXACT => matches!(scenario.measure, Measure::Cpu | Measure::FanOut),
            // The task does not matter to a large message, nor to an opening.
            SPAWNED | SPLIT | SELECT => scenario.measure == Measure::Cpu && scenario.size < 16 << 10,
            // Where the memory of a message is large, or stays.
            name if ALLOCATORS.contains(&name) => {
                scenario.is_large() || matches!(scenario.measure, Measure::Idle { .. })
            }
            BARE_TLS => is_client || scenario.tls,
            SERVE => is_client,
            // Each of its connections keeps the roots of the machine: gigabytes in all.
            TUNGSTENITE if scenario.tls => !matches!(scenario.measure, Measure::Idle { many: 10_000.., .. }),
            name if is_client && HANDMADE.contains(&name) => !matches!(scenario.measure, Measure::Opening { .. }),
            // Its kernel buffers grow so much that a receiver that reads nothing is noticed late.
            LEAN => !matches!(scenario.measure, Measure::Fan { stalled: 1.. }),
            COPIED => scenario.measure == Measure::FanOut,
            _ => true,
        };
        let can = |is_needed: bool, able: &[&str]| !is_needed || able.contains(&self.name);
        is_another
            && can(is_client, &CLIENTS)
            && can(scenario.threads > 1, &THREADED)
            && can(scenario.http2.is_some(), &HTTP2)
            && can(scenario.boxed, &BOXED)
            && can(scenario.tls, if is_client { &TLS_CLIENTS } else { &TLS })
            && can(scenario.deflate, &COMPRESSING)
            && can(scenario.measure == Measure::Broadcast, &BROADCASTING)
            && can(scenario.measure == Measure::FanOut, &FANNING_OUT)
            && can(matches!(scenario.measure, Measure::Fan { .. }), &ROOMS)
    }
}

/// All servers, in the order of a turn.
pub(crate) static SERVERS: &[Server] = &[
    peer(FLOOR, "bare epoll, validates nothing: what the kernel costs", "floor", "floor").always(),
    peer(LOWAT, "the same, waits for the rest of a frame (SO_RCVLOWAT); only for large messages", "floor", "lowat")
        .always(),
    peer(BARE_TLS, "the floor's loop on tokio and tokio-rustls; only over TLS and as a client", "floor-tls", "plain")
        .always(),
    Server { program: Program::Sockeye, ..peer(SOCKEYE, "example-echo: the plain loop", "", "") }.always(),
    Server {
        program: Program::Sockeye,
        ..peer(PER_CORE, "the same, a single-threaded runtime on each core; only for several threads", "", "")
    }
    .always(),
    Server {
        program: Program::Sockeye,
        ..peer(ALL_COMPRESSED, "the same, which compresses short messages too; only for those", "", "")
    }
    .always(),
    peer(SERVE, "ours as a client, with the handler in the task of the connection (Opened::serve)", "client", SERVE)
        .always(),
    peer(EXACT, "ours with axum's exact types: the plain loop", "exact", "plain"),
    peer(SPAWNED, "ours, with the socket in a task of its own", "tasks", "spawned"),
    peer(SPLIT, "ours, with a task for each half, and a channel between them", "tasks", "split"),
    peer(SELECT, "ours, in a `select!` over the socket and a channel", "tasks", "select"),
    peer(ALLOCATORS[0], "ours on jemalloc; only for large messages, and for memory", "jemalloc", "plain"),
    peer(ALLOCATORS[1], "the same on mimalloc", "mimalloc", "plain"),
    peer(COPIED, "ours, a copy of the message for each connection; only for a fan-out", "fan-out", "copied"),
    peer(AXUM, "axum::extract::ws, the plain loop", "axum", "plain").best(&ALL),
    peer("axum-batched", "axum::extract::ws, one flush for what came together", "axum", "batched"),
    peer(LEAN, "the same with an 8 KiB read buffer", "axum", "lean"),
    peer(TUNGSTENITE, "tokio-tungstenite, the plain loop", "tokio-tungstenite", "plain"),
    peer("tungstenite-batched", "tokio-tungstenite, one flush for what came together", "tokio-tungstenite", "batched"),
    peer(TUNGSTENITE_LEAN, "the same with an 8 KiB read buffer", "tokio-tungstenite", "lean").best(&[Kind::Pipelined]),
    peer("tokio-websockets-plain", "tokio-websockets, the plain loop", "tokio-websockets", "plain")
        .best(&[Kind::Small, Kind::Large]),
    peer("tokio-websockets-batched", "one flush for what came together", "tokio-websockets", "batched")
        .best(&[Kind::Idle]),
    peer("fastwebsockets-plain", "fastwebsockets, its echo server (FragmentCollector)", "fastwebsockets", "plain")
        .best(&[Kind::Idle]),
    peer("fastwebsockets-bare", "the same on the TcpStream itself", "fastwebsockets", "bare")
        .best(&[Kind::Small, Kind::Large]),
    peer("fastwebsockets-corked", "the same with one write for what came together", "fastwebsockets", "corked"),
    peer("yawc-plain", "yawc, the plain loop", "yawc", "plain").best(&[Kind::Idle, Kind::Compressed]),
    peer("yawc-batched", "yawc on the TcpStream itself, one flush for what came together", "yawc", "batched")
        .best(&[Kind::Pipelined, Kind::Compressed]),
    peer("wtx-plain", "wtx, its echo server", "wtx", "plain").best(&[Kind::Large]),
    peer("wtx-corked", "the same with one write for what came together", "wtx", "corked")
        .best(&[Kind::Small, Kind::Pipelined]),
    peer("sockudo-plain", "sockudo-ws, the plain loop behind its server", "sockudo", "plain"),
    peer(
        "sockudo-fed",
        "sockudo-ws on the TcpStream itself, feed, and one flush for what came together",
        "sockudo",
        "fed",
    )
    .best(&[Kind::Large]),
    peer("sockudo-hand", "sockudo-ws by hand: its protocol, and one vectored write", "sockudo", "hand").best(&BUSY),
    Server { program: Program::Bun, ..peer(BUN, "Bun's server (Bun.serve)", "", "") }.best(&BUSY),
    Server { program: Program::Node, ..peer("node-ws", "Node's ws", "", "") }.best(&[Kind::Compressed]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use bench_load::SCENARIOS;

    #[test]
    fn each_kind_of_load_has_four_best_servers_and_axum_is_one() {
        for kind in ALL {
            let (extra, best): (Vec<&str>, Vec<&str>) = SERVERS
                .iter()
                .filter(|server| server.best.contains(&kind))
                .map(|server| server.name)
                .partition(|name| *name == "bun" || name.starts_with("sockudo"));
            assert!(best.len() == 4 && best.contains(&AXUM), "{kind:?}: {best:?}");
            let is_busy = BUSY.contains(&kind);
            assert_eq!((extra.contains(&"bun"), extra.contains(&"sockudo-hand")), (is_busy, is_busy), "{kind:?}");
        }
    }

    #[test]
    fn servers_with_other_types_tasks_or_copies_take_part_where_that_matters() {
        let servers = |name| -> Vec<&str> {
            let scenario = Scenario::find(name).unwrap();
            let ours = SERVERS.iter().filter(|server| server.name == FLOOR || server.name.starts_with(SOCKEYE));
            ours.filter(|server| server.takes_part(scenario)).map(|server| server.name).collect()
        };
        for name in ["text-20", "pipelined-text-32"] {
            assert_eq!(servers(name), [FLOOR, SOCKEYE, EXACT, SPAWNED, SPLIT, SELECT], "{name}");
        }
        for name in ["binary-16k", "boxed-text-20"] {
            assert_eq!(servers(name), [FLOOR, SOCKEYE, EXACT], "{name}");
        }
        assert_eq!(servers("fan-out-16k"), [SOCKEYE, EXACT, COPIED]);
        for name in ["opening-300", "idle-20", "latency-16", "h2-text-20"] {
            assert!(!servers(name).contains(&EXACT), "{name}");
        }
    }

    #[test]
    fn servers_with_rooms_take_part_in_a_fan_out_to_a_room() {
        for scenario in SCENARIOS.iter().filter(|scenario| matches!(scenario.measure, Measure::Fan { .. })) {
            let servers = SERVERS.iter().filter(|server| server.takes_part(scenario)).map(|server| server.name);
            let is_stalled = matches!(scenario.measure, Measure::Fan { stalled: 1.. });
            let rooms = ROOMS.into_iter().filter(|name| !(is_stalled && *name == LEAN));
            assert!(servers.eq(rooms), "{}", scenario.name);
        }
    }

    #[test]
    fn servers_that_speak_tls_take_part_over_tls() {
        for scenario in SCENARIOS.iter().filter(|scenario| scenario.tls) {
            let servers = SERVERS.iter().filter(|server| server.takes_part(scenario)).map(|server| server.name);
            let expected: &[&str] = match scenario.role {
                Role::Server => &[FLOOR, BARE_TLS, SOCKEYE, AXUM],
                Role::Client if scenario.name == "client-tls-idle-10k" => &[BARE_TLS, SOCKEYE, SERVE, TUNGSTENITE_LEAN],
                Role::Client => &TLS_CLIENTS,
            };
            assert_eq!(servers.collect::<Vec<_>>(), expected, "{}", scenario.name);
        }
        let bare = SERVERS.iter().find(|server| server.name == BARE_TLS).unwrap();
        let is_bare = |scenario: &Scenario| scenario.tls || scenario.role == Role::Client;
        assert!(SCENARIOS.iter().all(|scenario| is_bare(scenario) || !bare.takes_part(scenario)));
    }

    #[test]
    fn libraries_with_a_client_take_part_as_clients() {
        let clients = |name| -> Vec<&str> {
            let scenario = Scenario::find(name).unwrap();
            SERVERS.iter().filter(|server| server.takes_part(scenario)).map(|server| server.name).collect()
        };
        let (mut all, mut expected) = (clients("client-text-20"), CLIENTS.to_vec());
        all.sort_unstable();
        expected.sort_unstable();
        assert_eq!(all, expected);
        assert!(HANDMADE.iter().all(|name| !clients("client-opening-300").contains(name)));
        let serve = SERVERS.iter().find(|server| server.name == SERVE).unwrap();
        assert!(!serve.takes_part(Scenario::find("text-20").unwrap()));
    }

    #[test]
    fn the_second_floor_is_measured_with_large_messages() {
        let with_lowat: Vec<&str> = SCENARIOS
            .iter()
            .filter(|scenario| SERVERS.iter().any(|server| server.name == LOWAT && server.takes_part(scenario)))
            .map(|scenario| scenario.name)
            .collect();
        assert_eq!(with_lowat, ["binary-1m", "wide-1m"]);
    }

    #[test]
    fn no_two_servers_have_the_same_name() {
        let mut names: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SERVERS.len());
        assert!(THREADED.iter().chain(&FLOORS).all(|name| names.contains(name)));
    }
}
