//! The exit status, and the last line on stderr.

use std::process::ExitCode;

use sockeye::{CloseCode, ConnectError, Ended, EndedBy};

/// The table for `--help`.
pub(crate) const HELP: &str = "\
Exit status:
  0       closed with 1000, with 1001 or without a code, or by the end of stdin
  1       stdin or stdout cannot be used
  2       the arguments cannot be used
  3 4 5   no connection: the network, the proxy or the server is to blame
  12-24   closed with 1002 to 1014: the code less 990
  16      the connection was lost without a Close, or the server has not answered ours
  30 40   closed with 3000 to 3999, or with 4000 to 4999";

const LOCAL: u8 = 1;
const ARGUMENTS: u8 = 2;
const NETWORK: u8 = 3;
const PROXY: u8 = 4;
const SERVER: u8 = 5;
/// RFC 6455 §7.4.1 has 1006 for an end without a Close.
const LOST: u8 = 16;

/// Why the program has no end of a connection to tell about.
pub(crate) enum Failure {
    Connect(ConnectError),
    Arguments(anyhow::Error),
    Local(anyhow::Error),
}

impl Failure {
    /// Says what was wrong and whom to blame.
    pub(crate) fn report(&self) -> ExitCode {
        let (status, whom) = match self {
            Self::Local(_) => (LOCAL, "this machine"),
            Self::Arguments(_) => (ARGUMENTS, "the arguments"),
            Self::Connect(error) if error.is_caller() => (ARGUMENTS, "the arguments"),
            Self::Connect(error) if error.is_network() => (NETWORK, "the network"),
            Self::Connect(error) if error.is_proxy() => (PROXY, "the proxy"),
            Self::Connect(_) => (SERVER, "the server"),
        };
        match self {
            Self::Connect(error) => {
                eprintln!("error: {error}");
                eprintln!("to blame: {whom}, when the stage was {}", error.stage());
                if let Some(delay) = error.retry_after() {
                    eprintln!("try again in {} s", delay.as_secs());
                }
            }
            Self::Arguments(error) | Self::Local(error) => {
                eprintln!("error: {error:#}");
                eprintln!("to blame: {whom}");
            }
        }
        ExitCode::from(status)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

/// Says how the connection has ended, unless it ended well.
pub(crate) fn report(ended: &Ended) -> ExitCode {
    let whose = match ended.by() {
        EndedBy::Peer => "the server closed",
        EndedBy::Local if !ended.is_clean() => {
            eprintln!("error: the server has not answered the Close");
            return ExitCode::from(LOST);
        }
        EndedBy::Local => return ExitCode::SUCCESS,
        _ => "the connection was closed",
    };
    let status = if ended.is_abrupt() { LOST } else { of_code(ended.code()) };
    if status != 0 {
        let mut line = match ended.code() {
            Some(code) => format!("{whose} with {code}"),
            None => "the connection was lost".to_owned(),
        };
        if !ended.reason().is_empty() {
            // The server may have written it.
            line += &format!(" ({})", ended.reason().escape_debug());
        }
        if let Some(error) = ended.error() {
            line += &format!(": {error}");
        }
        eprintln!("error: {line}");
    }
    ExitCode::from(status)
}

/// The exit status for the code of a Close.
fn of_code(code: Option<CloseCode>) -> u8 {
    match code {
        None | Some(1000 | 1001) => 0,
        // It is at most 24.
        Some(code @ 1002..=1014) => u8::try_from(code - 990).unwrap_or(LOST),
        Some(3000..=3999) => 30,
        Some(4000..=4999) => 40,
        // RFC 6455 §7.4.2 has no such code, and the crate closes with 1002 for it.
        Some(_) => 12,
    }
}

#[cfg(test)]
mod tests {
    use super::of_code;

    #[test]
    fn the_code_of_a_close_decides_the_exit_status() {
        for (code, status) in [
            (None, 0),
            (Some(1000), 0),
            (Some(1001), 0),
            (Some(1002), 12),
            (Some(1011), 21),
            (Some(1014), 24),
            (Some(3000), 30),
            (Some(3999), 30),
            (Some(4000), 40),
            (Some(4999), 40),
        ] {
            assert_eq!(of_code(code), status, "{code:?}");
        }
    }
}
