//! What all measured servers share: their options, the line with their address, and their end.

#![forbid(unsafe_code)]

pub mod frames;
mod mask;
pub mod opening;
mod order;
pub mod tls;

pub use mask::{Arch, mask};
pub use order::Order;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;

/// The options of a server's command line: `--addr IP:PORT`, `--form NAME`, `--threads N`, `--compression LEVEL` and
/// `--roots FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where to listen; port 0 takes any free port.
    pub addr: SocketAddr,
    /// The variant of the server's code. Default: the first one that it has.
    pub form: &'static str,
    /// The number of threads. Default: 1.
    pub threads: NonZero<usize>,
    /// The level of compression for clients that offer it, with each message compressed by itself. Default: no compression.
    pub compression: Option<u8>,
    /// The certificates that a client trusts, in PEM. Default: it opens connections without TLS.
    pub roots: Option<PathBuf>,
}

impl Options {
    /// Reads the command line of a server that comes in these `forms`.
    ///
    /// From here on the process ends with its parent, so that no server outlives its measurement, and may open as many files as its
    /// hard limit allows.
    ///
    /// # Errors
    ///
    /// When an option is unknown, lacks its value, or has an invalid one.
    pub fn from_arguments(forms: &[&'static str]) -> Result<Self> {
        set_parent_process_death_signal(Some(Signal::TERM))
            .context("cannot ask the kernel to end this process with its parent")?;
        let limit = getrlimit(Resource::Nofile);
        // If raising fails, the current limit still applies, and a scenario with more connections fails in the load generator.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
        Self::parse(std::env::args().skip(1), forms)
    }

    fn parse(mut arguments: impl Iterator<Item = String>, forms: &[&'static str]) -> Result<Self> {
        let first = *forms.first().context("a server has at least one form")?;
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut options = Self { addr, form: first, threads: NonZero::<usize>::MIN, compression: None, roots: None };
        while let Some(name) = arguments.next() {
            let value = arguments.next().with_context(|| format!("`{name}` needs a value"))?;
            match name.as_str() {
                "--addr" => {
                    options.addr =
                        value.parse().with_context(|| format!("`{value}` is no address such as 127.0.0.1:0"))?;
                }
                "--form" => {
                    let known = forms.iter().find(|form| **form == value);
                    options.form = known
                        .with_context(|| format!("there is no form `{value}`; the forms are {}", forms.join(", ")))?;
                }
                "--threads" => {
                    options.threads =
                        value.parse().with_context(|| format!("`{value}` is no number of threads, at least 1"))?;
                }
                "--compression" => {
                    let level = value.parse().ok().filter(|level| (1..=9).contains(level));
                    options.compression =
                        Some(level.with_context(|| format!("`{value}` is no level of compression, from 1 to 9"))?);
                }
                "--roots" => options.roots = Some(value.into()),
                _ => bail!(
                    "`{name}` is unknown; the options are --addr IP:PORT, --form NAME, --threads N, --compression LEVEL and \
                     --roots FILE"
                ),
            }
        }
        // Measurements send traffic only to this machine.
        if !options.addr.ip().is_loopback() {
            bail!("{} is no loopback address; this server is for measurements on one machine", options.addr);
        }
        Ok(options)
    }
}

/// Prints where the server listens. The parent process waits for this line.
pub fn announce(addr: SocketAddr) {
    println!("listening on http://{addr}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options> {
        Options::parse(arguments.iter().map(|argument| (*argument).to_owned()), &["plain", "batched"])
    }

    #[test]
    fn without_options_the_first_form_listens_on_any_port() {
        assert_eq!(
            parse(&[]).unwrap(),
            Options {
                addr: "127.0.0.1:0".parse().unwrap(),
                form: "plain",
                threads: NonZero::<usize>::MIN,
                compression: None,
                roots: None
            }
        );
    }

    #[test]
    fn the_options_of_a_server_are_parsed() {
        let options = parse(&[
            "--form",
            "batched",
            "--addr",
            "127.0.0.1:80",
            "--threads",
            "2",
            "--compression",
            "3",
            "--roots",
            "a.pem",
        ]);
        let options = options.unwrap();
        let expected = Options {
            addr: "127.0.0.1:80".parse().unwrap(),
            form: "batched",
            threads: NonZero::new(2).unwrap(),
            compression: Some(3),
            roots: Some("a.pem".into()),
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn an_option_that_makes_no_sense_is_refused_with_a_reason() {
        for (arguments, reason) in [
            (&["--form", "fast"][..], "the forms are plain, batched"),
            (&["--addr"], "needs a value"),
            (&["--addr", "0.0.0.0:80"], "no loopback address"),
            (&["--threads", "0"], "at least 1"),
            (&["--compression", "0"], "from 1 to 9"),
            (&["--cores", "2"], "is unknown"),
        ] {
            let error = parse(arguments).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
