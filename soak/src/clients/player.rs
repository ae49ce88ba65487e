//! The list of players. Each must have had something to do in a run of a minute.

use std::{fmt, sync::atomic::AtomicU64};

use super::{Client, Run, counts::add, road::Road};

/// The task of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Player {
    /// Behaves well on a road, which may have a proxy on it that cuts packets.
    Polite(Road, bool),
    /// Compresses its messages, and gets compressed answers.
    Compresses,
    /// Sends "ping" at intervals, and answers with "pong": heartbeats of the application.
    Heartbeats,
    /// Reads messages at a number of bytes per second for the whole run, from a server that always sends more.
    Reads(u64),
    /// Reads short messages over OpenSSL, and sends Pings, whose Pongs come in between.
    Pings,
    /// Writes messages at a number of bytes per second for the whole run.
    Writes(u64),
    /// Views the log of the server, which contains events of this client.
    LooksOn,
    /// Reads broadcasts of one byte each, more slowly than they are sent.
    Broadcasts,
    /// Joins and leaves rooms, and sends to them.
    InRooms,
    /// Joins a room, and reads less than is sent there.
    SlowInRooms,
}

use Player::{Broadcasts, Compresses, Heartbeats, InRooms, LooksOn, Pings, Polite, Reads, SlowInRooms, Writes};

/// Bytes per second. The first is the slowest rate that a server must keep: its deadlines treat such a client as slow, not as
/// dead.
pub(crate) const RATES: [u64; 3] = [4 << 10, 30_000, 200_000];

pub(crate) const PLAYERS: [Player; 23] = [
    Polite(Road::Tcp, false),
    Polite(Road::Tcp, true),
    Polite(Road::Tls, false),
    Polite(Road::Tls, true),
    Polite(Road::Http2, false),
    Polite(Road::Http2, true),
    Polite(Road::Nginx, false),
    Polite(Road::Nginx, true),
    Polite(Road::OpenSsl, false),
    Polite(Road::OpenSsl, true),
    Compresses,
    Heartbeats,
    Reads(RATES[0]),
    Reads(RATES[1]),
    Reads(RATES[2]),
    Writes(RATES[0]),
    Writes(RATES[1]),
    Writes(RATES[2]),
    Pings,
    Broadcasts,
    LooksOn,
    InRooms,
    SlowInRooms,
];

/// How the sessions of well-behaved places are divided among the roads. HTTP/2 has places of its own.
pub(super) const WEIGHTS: [(Road, u32); 4] = [(Road::Tcp, 85), (Road::Tls, 8), (Road::Nginx, 5), (Road::OpenSsl, 2)];

impl Player {
    pub(crate) fn name(self) -> String {
        self.to_string()
    }

    pub(super) fn index(self) -> usize {
        PLAYERS.iter().position(|player| *player == self).unwrap_or_default()
    }

    /// What the player needs, if that does not exist everywhere.
    pub(crate) fn needs(self) -> Option<&'static str> {
        match self {
            Polite(Road::Nginx, _) => Some("nginx not found: pass --nginx PATH"),
            Polite(Road::OpenSsl, _) | Pings => Some("built without the feature `openssl`"),
            _ => None,
        }
    }
}

impl fmt::Display for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Polite(road, is_cut) => write!(f, "well-behaved, {}{}", road.name(), if *is_cut { ", cut" } else { "" }),
            Compresses => f.write_str("compression"),
            Heartbeats => f.write_str("heartbeats"),
            Reads(rate) => write!(f, "reads {} kB/s all the time", rate / 1000),
            Writes(rate) => write!(f, "writes {} kB/s all the time", rate / 1000),
            Pings => f.write_str("reads over OpenSSL, and pings"),
            LooksOn => f.write_str("log viewer"),
            Broadcasts => f.write_str("broadcasts of a byte, on a budget"),
            InRooms => f.write_str("member of rooms"),
            SlowInRooms => f.write_str("slow member of a room"),
        }
    }
}

impl Road {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Tight => "TCP, little buffers",
            Self::Tls => "TLS by rustls",
            Self::OpenSsl => "TLS by OpenSSL",
            Self::Http2 => "HTTP/2",
            Self::Nginx => "behind nginx",
        }
    }
}

impl Run {
    /// Whether this player can play here, if it is selected.
    pub(crate) fn can(&self, player: Player) -> bool {
        match player {
            Polite(road, _) => self.roads.has(road),
            Pings => self.roads.has(Road::OpenSsl),
            _ => true,
        }
    }

    /// Whether this player plays.
    pub(crate) fn plays(&self, player: Player) -> bool {
        self.can(player) && self.players.contains(&player.index())
    }

    /// One of the roads for all well-behaved places, half of the time with a proxy that cuts packets; `None` if only other
    /// players are selected.
    pub(super) fn any_road(&self, rng: &mut fastrand::Rng) -> Option<(Road, bool)> {
        let all = WEIGHTS.iter().flat_map(|(road, weight)| [(*road, false, *weight), (*road, true, *weight)]);
        let roads: Vec<_> = all.filter(|(road, is_cut, _)| self.plays(Polite(*road, *is_cut))).collect();
        let mut left = rng.u32(..roads.iter().map(|(_, _, weight)| *weight).sum::<u32>().max(1));
        for (road, is_cut, weight) in roads {
            if left < weight {
                return Some((road, is_cut));
            }
            left -= weight;
        }
        None
    }
}

impl Client {
    /// The counts of a player.
    pub(super) fn counts(&self, player: Player) -> &(AtomicU64, AtomicU64) {
        &self.run.counts.players[player.index()]
    }

    /// Counts a finished session of a player that does one thing.
    pub(super) fn played(&self, player: Player, messages: u64, outcome: anyhow::Result<()>) {
        self.run.board.is_free(self.place);
        let (sessions, received) = self.counts(player);
        add(received, messages);
        match outcome {
            Ok(()) => add(sessions, 1),
            Err(error) => {
                add(&self.run.counts.failed, 1);
                let kind = player.name();
                self.run.counts.tell(&kind, || format!("{}: after {messages} messages: {error:#}", self.name(&kind)));
            }
        }
    }
}
