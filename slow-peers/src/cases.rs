//! The cases: what a peer does, over which transport, and with how large a receive buffer.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use slow_peers::pace::Pace;

/// One peer and its connection.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Case {
    /// Its number in the matrix, and in the path that its peer requests.
    pub(crate) id: usize,
    pub(crate) play: Play,
    pub(crate) transport: Transport,
    /// The `SO_RCVBUF` that the peer asks its kernel for, in bytes.
    pub(crate) rcvbuf: u32,
}

/// What the peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Play {
    /// Reads what a server sends as fast as it can.
    Reads(Pace),
    /// Uploads messages to a handler that receives.
    Uploads(Pace),
    /// Uploads messages as fast as it can, to a handler that [sleeps](BUSY) after each.
    UploadsToBusy,
    /// Is stopped by a signal: its kernel goes on, but nothing reads.
    Stopped(Traffic),
    /// Is cut off from the network: not even its kernel answers.
    CutOff(Traffic),
    /// Neither reads nor answers.
    Silent,
    /// Does not finish a message, and neither reads nor answers.
    SilentInMessage,
}

/// What the server sends to a peer that must be disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Traffic {
    /// A message of [`TICK_SIZE`] every [`TICK`].
    Ticker,
    /// Nothing.
    Idle,
}

/// The transport below the WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    /// A stream of HTTP/2, and the windows of the peer for it and for its connection, in bytes.
    Http2(u32),
}

/// How long a busy handler sleeps after each message: more than `keep_alive`, `pong`, `fragment` or `write`.
pub(crate) const BUSY: Duration = Duration::from_secs(40);

/// The ticker: 10 KiB per second.
pub(crate) const TICK: Duration = Duration::from_millis(100);
pub(crate) const TICK_SIZE: usize = 1024;

/// The slowest reader that must be kept: the deadlines of the library treat it as slow, not as dead.
const SLOWEST: u64 = 4 << 10;

const PLAYS: [Play; 16] = [
    Play::Reads(Pace::Rate(SLOWEST)),
    Play::Reads(Pace::Rate(30_000)),
    Play::Reads(Pace::Rate(200_000)),
    Play::Reads(Pace::Steps),
    Play::Reads(Pace::Slowing(Duration::from_secs(2), 30_000)),
    Play::Uploads(Pace::Rate(4_000)),
    Play::Uploads(Pace::Rate(30_000)),
    Play::Uploads(Pace::Rate(200_000)),
    Play::Uploads(Pace::Steps),
    Play::UploadsToBusy,
    Play::Stopped(Traffic::Ticker),
    Play::Stopped(Traffic::Idle),
    Play::CutOff(Traffic::Ticker),
    Play::CutOff(Traffic::Idle),
    Play::Silent,
    Play::SilentInMessage,
];

/// The initial window of RFC 9113, which is less than a message; a window that a slow reader opens repeatedly, but less often
/// than any deadline; and one that takes it minutes. A reader sends no update until it has read half of its window.
const TRANSPORTS: [Transport; 5] =
    [Transport::Tcp, Transport::Tls, Transport::Http2(65_535), Transport::Http2(256 << 10), Transport::Http2(1 << 20)];

const RCVBUFS: [u32; 2] = [64 << 10, 2 << 20];

/// All cases with `part` in their name.
pub(crate) fn matrix(part: &str) -> Vec<Case> {
    let part = part.to_lowercase();
    let all = PLAYS.into_iter().flat_map(|play| {
        let over = move |transport| RCVBUFS.map(|rcvbuf| Case { id: 0, play, transport, rcvbuf });
        TRANSPORTS.into_iter().flat_map(over)
    });
    let wanted = all.filter(|case| case.to_string().to_lowercase().contains(&part));
    wanted.enumerate().map(|(id, case)| Case { id, ..case }).collect()
}

impl Play {
    /// Whether the server must keep the peer for the whole run. Otherwise it must disconnect it.
    pub(crate) fn must_live(self) -> bool {
        matches!(self, Self::Reads(_) | Self::Uploads(_) | Self::UploadsToBusy)
    }

    pub(crate) fn traffic(self) -> Traffic {
        match self {
            Self::Stopped(traffic) | Self::CutOff(traffic) => traffic,
            _ => Traffic::Idle,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { play, transport, rcvbuf, .. } = self;
        write!(f, "{play}, {transport}, {} KiB", rcvbuf >> 10)
    }
}

impl fmt::Display for Play {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reads(pace) => write!(f, "reads {pace}"),
            Self::Uploads(pace) => write!(f, "uploads {pace}"),
            Self::UploadsToBusy => f.write_str("uploads to a busy handler"),
            Self::Stopped(traffic) => write!(f, "stopped, {traffic}"),
            Self::CutOff(traffic) => write!(f, "cut off, {traffic}"),
            Self::Silent => f.write_str("silent"),
            Self::SilentInMessage => f.write_str("silent in a message"),
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ticker => "with a ticker",
            Self::Idle => "idle",
        })
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("TCP"),
            Self::Tls => f.write_str("TLS"),
            Self::Http2(window) if window.is_multiple_of(1 << 20) => write!(f, "HTTP/2 {} MiB", window >> 20),
            Self::Http2(window) => write!(f, "HTTP/2 {} KiB", window.div_ceil(1024)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_case_of_the_matrix_has_its_own_name_and_place() {
        let cases = matrix("");
        assert_eq!(cases.len(), PLAYS.len() * TRANSPORTS.len() * RCVBUFS.len());
        assert!(cases.iter().enumerate().all(|(index, case)| case.id == index));
        assert_eq!(cases.iter().map(Case::to_string).collect::<HashSet<_>>().len(), cases.len());
    }

    #[test]
    fn a_part_of_a_name_selects_the_cases_that_have_it() {
        let tcp = matrix("reads 4 KiB/s, tcp");
        assert_eq!(tcp.iter().map(|case| (case.id, case.rcvbuf >> 10)).collect::<Vec<_>>(), [(0, 64), (1, 2048)]);
        assert_eq!(matrix("no such case").len(), 0);
    }
}
