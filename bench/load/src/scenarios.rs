//! All scenarios, as data.

use crate::scenario::{Content, Measure, Role, Scenario};
use std::time::Duration;

const BASE: Scenario = Scenario {
    name: "",
    about: "",
    content: Content::Binary,
    size: 20,
    deflate: false,
    fragments: 1,
    connections: 1,
    in_flight: 1,
    boxed: false,
    tls: false,
    resumes: false,
    http2: None,
    threads: 1,
    role: Role::Server,
    measure: Measure::Cpu,
};

const IDLE: Measure = Measure::Idle { few: 500, many: 5_000 };
const IDLE_10K: Measure = Measure::Idle { few: 5_000, many: 10_000 };

// The second number is twice the first. So a table that grows by doubling does so exactly once, and counts with its long-term
// cost.
const OPENING_300: Measure = Measure::Opening { few: 150, many: 300 };
const OPENING_3000: Measure = Measure::Opening { few: 1_500, many: 3_000 };

/// Compressed text, back to its sender.
const DEFLATE: Scenario = Scenario { content: Content::Json, deflate: true, connections: 10, ..BASE };

/// Compressed text, from one connection to all.
const BROADCAST: Scenario = Scenario { connections: 100, measure: Measure::Broadcast, ..DEFLATE };

/// Text, from one connection to 1,000 others and itself.
const FAN: Scenario =
    Scenario { content: Content::Ascii, size: 100, connections: 1_001, measure: Measure::Fan { stalled: 0 }, ..BASE };

/// The same, with 1 % that stop to read.
const FAN_STALLED: Scenario = Scenario { measure: Measure::Fan { stalled: 10 }, ..FAN };

/// A load of clients: the generator is the server, and sends messages that the clients send back.
const CLIENT: Scenario = Scenario { role: Role::Client, ..BASE };

/// The same over TLS.
const CLIENT_TLS: Scenario = Scenario { tls: true, ..CLIENT };

/// How many messages are sent in a row.
const IN_A_ROW: usize = 16;

/// All scenarios, in the order in which they are run and shown.
pub static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "text-20",
        about: "100 connections, 1 in flight, 20 B text",
        content: Content::Ascii,
        connections: 100,
        ..BASE
    },
    Scenario {
        name: "text-1k",
        about: "100 connections, 1 in flight, 1 KiB ASCII text",
        content: Content::Ascii,
        size: 1 << 10,
        connections: 100,
        ..BASE
    },
    Scenario {
        name: "wide-1k",
        about: "100 connections, 1 in flight, 1 KiB non-ASCII text",
        content: Content::Wide,
        size: 1 << 10,
        connections: 100,
        ..BASE
    },
    Scenario {
        name: "binary-16k",
        about: "10 connections, 1 in flight, 16 KiB binary",
        size: 16 << 10,
        connections: 10,
        ..BASE
    },
    Scenario {
        name: "pipelined-binary-32",
        about: "16 connections, 64 in flight, 32 B binary",
        size: 32,
        connections: 16,
        in_flight: 64,
        ..BASE
    },
    Scenario {
        name: "pipelined-text-32",
        about: "16 connections, 64 in flight, 32 B text",
        content: Content::Ascii,
        size: 32,
        connections: 16,
        in_flight: 64,
        ..BASE
    },
    Scenario {
        name: "boxed-text-20",
        about: "100 connections, 1 in flight, 20 B text, over streams in a box",
        content: Content::Ascii,
        connections: 100,
        boxed: true,
        ..BASE
    },
    Scenario {
        name: "boxed-pipelined-text-32",
        about: "16 connections, 64 in flight, 32 B text, over streams in a box",
        content: Content::Ascii,
        size: 32,
        connections: 16,
        in_flight: 64,
        boxed: true,
        ..BASE
    },
    Scenario {
        name: "tls-text-20",
        about: "100 connections, 1 in flight, 20 B text, over TLS",
        content: Content::Ascii,
        connections: 100,
        tls: true,
        ..BASE
    },
    Scenario {
        name: "tls-pipelined-text-32",
        about: "16 connections, 64 in flight, 32 B text, over TLS",
        content: Content::Ascii,
        size: 32,
        connections: 16,
        in_flight: 64,
        tls: true,
        ..BASE
    },
    Scenario {
        name: "tls-binary-16k",
        about: "10 connections, 1 in flight, 16 KiB binary, over TLS",
        size: 16 << 10,
        connections: 10,
        tls: true,
        ..BASE
    },
    Scenario {
        name: "binary-1m",
        about: "4 connections, 1 in flight, 1 MiB binary",
        size: 1 << 20,
        connections: 4,
        ..BASE
    },
    Scenario {
        name: "wide-1m",
        about: "4 connections, 1 in flight, 1 MiB non-ASCII text",
        content: Content::Wide,
        size: 1 << 20,
        connections: 4,
        ..BASE
    },
    Scenario {
        name: "fragments-4",
        about: "100 connections, 1 in flight, 1 KiB binary in 4 fragments",
        size: 1 << 10,
        fragments: 4,
        connections: 100,
        ..BASE
    },
    Scenario {
        name: "threads-2",
        about: "100 connections, 1 in flight, 20 B text, server on 2 threads",
        content: Content::Ascii,
        connections: 100,
        threads: 2,
        ..BASE
    },
    Scenario {
        name: "h2-text-20",
        about: "100 WebSockets on 10 connections of HTTP/2, 1 in flight, 20 B text",
        content: Content::Ascii,
        connections: 100,
        http2: Some(10),
        ..BASE
    },
    Scenario {
        name: "fan-out-16k",
        about: "16 KiB binary that the server keeps, to 50 connections",
        size: 16 << 10,
        connections: 50,
        measure: Measure::FanOut,
        ..BASE
    },
    Scenario { name: "fan-100", about: "from one to 1,000 receivers, 100 B text, one at a time", ..FAN },
    Scenario {
        name: "fan-100-row",
        about: "from one to 1,000 receivers, 100 B text, 16 in a row",
        in_flight: IN_A_ROW,
        ..FAN
    },
    Scenario { name: "fan-1k", about: "from one to 1,000 receivers, 1 KiB text, one at a time", size: 1 << 10, ..FAN },
    Scenario {
        name: "fan-1k-row",
        about: "from one to 1,000 receivers, 1 KiB text, 16 in a row",
        size: 1 << 10,
        in_flight: IN_A_ROW,
        ..FAN
    },
    Scenario {
        name: "fan-100-stalled",
        about: "from one to 1,000 receivers, 100 B text, one at a time, 10 read nothing",
        ..FAN_STALLED
    },
    Scenario {
        name: "fan-100-row-stalled",
        about: "from one to 1,000 receivers, 100 B text, 16 in a row, 10 read nothing",
        in_flight: IN_A_ROW,
        ..FAN_STALLED
    },
    Scenario {
        name: "fan-1k-stalled",
        about: "from one to 1,000 receivers, 1 KiB text, one at a time, 10 read nothing",
        size: 1 << 10,
        ..FAN_STALLED
    },
    Scenario {
        name: "fan-1k-row-stalled",
        about: "from one to 1,000 receivers, 1 KiB text, 16 in a row, 10 read nothing",
        size: 1 << 10,
        in_flight: IN_A_ROW,
        ..FAN_STALLED
    },
    Scenario {
        name: "latency-16",
        about: "1 connection, 16 B binary, time to the echo",
        size: 16,
        measure: Measure::Latency,
        ..BASE
    },
    Scenario {
        name: "pair-apart",
        about: "two 20 B messages 1 ms apart, time from the second to its echo",
        in_flight: 2,
        measure: Measure::Pair { gap: Some(Duration::from_millis(1)) },
        ..BASE
    },
    Scenario {
        name: "pair-at-once",
        about: "two 20 B messages in one write, time to the second echo",
        in_flight: 2,
        measure: Measure::Pair { gap: None },
        ..BASE
    },
    Scenario {
        name: "opening-300",
        about: "opening one connection while 150 to 300 are open",
        measure: OPENING_300,
        ..BASE
    },
    Scenario {
        name: "opening-3000",
        about: "opening one connection while 1,500 to 3,000 are open",
        measure: OPENING_3000,
        ..BASE
    },
    Scenario { name: "idle-20", about: "memory of an idle connection, after one 20 B message", measure: IDLE, ..BASE },
    Scenario {
        name: "idle-16k",
        about: "memory of an idle connection, after one 16 KiB message",
        size: 16 << 10,
        measure: IDLE,
        ..BASE
    },
    Scenario {
        name: "deflate-100",
        about: "10 connections, 1 in flight, 100 B of JSON, compressed",
        size: 100,
        ..DEFLATE
    },
    Scenario {
        name: "deflate-1k",
        about: "10 connections, 1 in flight, 1 KiB of JSON, compressed",
        size: 1 << 10,
        ..DEFLATE
    },
    Scenario {
        name: "deflate-16k",
        about: "10 connections, 1 in flight, 16 KiB of JSON, compressed",
        size: 16 << 10,
        ..DEFLATE
    },
    Scenario {
        name: "deflate-1m",
        about: "4 connections, 1 in flight, 1 MiB of JSON, compressed",
        size: 1 << 20,
        connections: 4,
        ..DEFLATE
    },
    Scenario {
        name: "broadcast-deflate-100",
        about: "from one to 100 connections, 100 B of JSON, compressed",
        size: 100,
        ..BROADCAST
    },
    Scenario {
        name: "broadcast-deflate-1k",
        about: "from one to 100 connections, 1 KiB of JSON, compressed",
        size: 1 << 10,
        ..BROADCAST
    },
    Scenario {
        name: "broadcast-deflate-16k",
        about: "from one to 100 connections, 16 KiB of JSON, compressed",
        size: 16 << 10,
        ..BROADCAST
    },
    Scenario {
        name: "broadcast-deflate-1m",
        about: "from one to 100 connections, 1 MiB of JSON, compressed",
        size: 1 << 20,
        ..BROADCAST
    },
    Scenario {
        name: "idle-deflate-1k",
        about: "memory of an idle connection, after one compressed message of 1 KiB",
        size: 1 << 10,
        measure: Measure::Idle { few: 500, many: 2_500 },
        ..DEFLATE
    },
    Scenario {
        name: "client-text-20",
        about: "clients: 100 connections, 1 in flight, 20 B text",
        content: Content::Ascii,
        connections: 100,
        ..CLIENT
    },
    Scenario {
        name: "client-pipelined-text-32",
        about: "clients: 16 connections, 64 in flight, 32 B text",
        content: Content::Ascii,
        size: 32,
        connections: 16,
        in_flight: 64,
        ..CLIENT
    },
    Scenario {
        name: "client-binary-16k",
        about: "clients: 10 connections, 1 in flight, 16 KiB binary",
        size: 16 << 10,
        connections: 10,
        ..CLIENT
    },
    Scenario {
        name: "client-binary-1m",
        about: "clients: 4 connections, 1 in flight, 1 MiB binary",
        size: 1 << 20,
        connections: 4,
        ..CLIENT
    },
    Scenario {
        name: "client-opening-300",
        about: "clients: opening one connection while 150 to 300 are open",
        measure: OPENING_300,
        ..CLIENT
    },
    Scenario {
        name: "client-opening-3000",
        about: "clients: opening one connection while 1,500 to 3,000 are open",
        measure: OPENING_3000,
        ..CLIENT
    },
    Scenario {
        name: "client-idle-20",
        about: "clients: memory of an idle connection, after one 20 B message",
        measure: IDLE,
        ..CLIENT
    },
    Scenario {
        name: "client-idle-10k",
        about: "clients: 10,000 connections in one process, after one 20 B message each",
        measure: IDLE_10K,
        ..CLIENT
    },
    Scenario {
        name: "client-tls-text-20",
        about: "clients: 100 connections, 1 in flight, 20 B text, over TLS",
        content: Content::Ascii,
        connections: 100,
        ..CLIENT_TLS
    },
    Scenario {
        name: "client-tls-pipelined-text-32",
        about: "clients: 16 connections, 64 in flight, 32 B text, over TLS",
        content: Content::Ascii,
        size: 32,
        connections: 16,
        in_flight: 64,
        ..CLIENT_TLS
    },
    Scenario {
        name: "client-tls-binary-16k",
        about: "clients: 10 connections, 1 in flight, 16 KiB binary, over TLS",
        size: 16 << 10,
        connections: 10,
        ..CLIENT_TLS
    },
    Scenario {
        name: "client-tls-binary-1m",
        about: "clients: 4 connections, 1 in flight, 1 MiB binary, over TLS",
        size: 1 << 20,
        connections: 4,
        ..CLIENT_TLS
    },
    Scenario {
        name: "client-tls-opening-300",
        about: "clients: opening one connection over TLS while 150 to 300 are open, without resumption",
        measure: OPENING_300,
        ..CLIENT_TLS
    },
    Scenario {
        name: "client-tls-resumed-300",
        about: "clients: opening one connection over TLS while 150 to 300 are open, with a server that lets sessions resume",
        resumes: true,
        measure: OPENING_300,
        ..CLIENT_TLS
    },
    Scenario {
        name: "client-tls-idle-20",
        about: "clients: memory of an idle connection over TLS, after one 20 B message",
        resumes: true,
        measure: IDLE,
        ..CLIENT_TLS
    },
    Scenario {
        name: "client-tls-idle-10k",
        about: "clients: 10,000 connections over TLS in one process, after one 20 B message each",
        resumes: true,
        measure: IDLE_10K,
        ..CLIENT_TLS
    },
];

impl Scenario {
    /// The scenario of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own() {
        for scenario in SCENARIOS {
            let namesakes = SCENARIOS.iter().filter(|other| other.name == scenario.name);
            assert_eq!(namesakes.count(), 1, "{}", scenario.name);
        }
    }

    #[test]
    fn the_settings_of_every_scenario_go_together() {
        for scenario in SCENARIOS {
            let Scenario { name, size, deflate, fragments, connections, in_flight, boxed, tls, http2, .. } = scenario;
            let Scenario { threads, role, measure, resumes, .. } = scenario;
            let is_client = *role == Role::Client;
            let has_clients = matches!(measure, Measure::Cpu | Measure::Idle { .. } | Measure::Opening { .. });
            assert!(!is_client || has_clients && !deflate && !boxed && http2.is_none() && *threads == 1, "{name}");
            assert_eq!(is_client, name.starts_with("client-"));
            assert!(http2.is_none_or(|tcp| connections % tcp == 0 && *measure == Measure::Cpu), "{name}");
            assert!(!boxed || http2.is_none() && !deflate && *threads == 1, "{name}");
            let has_tls = is_client || *measure == Measure::Cpu;
            assert!(!tls || http2.is_none() && !boxed && *threads == 1 && has_tls, "{name}");
            assert!(!resumes || *tls && is_client, "{name}");
            assert!(!deflate || http2.is_none() && *fragments == 1, "{name}");
            assert!(*threads >= 1, "{name}");
            assert!(*fragments >= 1 && size >= fragments, "{name}");
            assert!(*connections >= 1 && *in_flight >= 1, "{name}");
            match measure {
                Measure::Pair { .. } => assert_eq!((*connections, *in_flight), (1, 2), "{name}"),
                Measure::Idle { few, many } => assert!(few < many && *in_flight == 1, "{name}"),
                Measure::Opening { few, many } => {
                    assert!(1 <= *few && 2 * few == *many && *in_flight == 1 && *threads == 1, "{name}");
                    assert!(*size < 126, "{name}: its echo has a short header");
                }
                Measure::Latency => assert_eq!((*connections, *in_flight), (1, 1), "{name}"),
                Measure::Fan { stalled } => {
                    assert!(
                        http2.is_none() && !boxed && !tls && !deflate && *fragments == 1 && *threads == 1,
                        "{name}"
                    );
                    assert!(2 * stalled < *connections, "{name}");
                }
                Measure::Broadcast => assert_eq!(*in_flight, 1, "{name}"),
                Measure::FanOut => {
                    assert!(*in_flight == 1 && http2.is_none() && !deflate && *fragments == 1, "{name}");
                    assert_eq!(scenario.content, Content::Binary, "{name}: a text asks for it");
                }
                Measure::Cpu => {}
            }
        }
    }
}
