//! `cargo xtask autobahn`: the Autobahn test suite against example-echo, or (`--client`) against our client.
//!
//! The suite exits with 0 whatever it finds, and writes its index at the very end. So what counts is the index: that
//! every case is in it, and what each is said to be.

use crate::examples::{self, Server};
use crate::flags::AutobahnFlags;
use crate::{Context, environment};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing; sizes; and one of chopping. Left out are 12 and
/// 13, compression.
const CASES: [&str; 9] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"];

/// How many cases these are.
const COUNT: usize = 301;

/// Where the RFC leaves open what is right, and the suite therefore knows no other verdict.
const OPEN: [&str; 2] = ["7.1.6", "7.13."];

/// Our name in the reports.
const AGENT: &str = "sockeye";

/// The cases take half a minute; a hang is found by this.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) fn run(ctx: &Context, flags: &AutobahnFlags) -> Result<()> {
    let python = environment::autobahn(ctx)?;
    let role = if flags.client { "client" } else { "server" };
    let folder = ctx.workspace.target.join("autobahn").join(role);
    // An index of an earlier run must not be taken for one of this run.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let reports = folder.join("reports");
    fs::create_dir_all(&reports).with_context(|| format!("cannot create {}", reports.display()))?;

    let cases: Vec<&str> = match flags.cases.is_empty() {
        true => CASES.to_vec(),
        false => flags.cases.iter().map(String::as_str).collect(),
    };
    let suite = Suite { ctx, python: &python, folder: &folder, reports: &reports, cases: &cases };
    if flags.client {
        suite.test_client()?
    } else {
        suite.test_server()?
    }

    let index = reports.join("index.json");
    let text = fs::read_to_string(&index).with_context(|| {
        format!(
            "the suite wrote no {}, which it does at its end; see {}",
            index.display(),
            folder.join("suite.log").display()
        )
    })?;
    let verdict = Verdict::read(&text)?;
    println!("autobahn, our {role} role: {}", verdict.counts());
    println!("report: {}", reports.join("index.html").display());
    let expected = flags.cases.is_empty().then_some(COUNT);
    verdict.check(expected)
}

/// One run of the suite.
struct Suite<'a> {
    ctx: &'a Context,
    python: &'a Path,
    /// Where logs go.
    folder: &'a Path,
    reports: &'a Path,
    cases: &'a [&'a str],
}

impl Suite<'_> {
    fn test_server(&self) -> Result<()> {
        let mut server = Server::example(self.ctx, "example-echo", "autobahn/server/example-echo.log")?;
        let spec = json!({
            "outdir": self.reports,
            "servers": [{ "agent": AGENT, "url": server.websocket_url("/ws") }],
            "cases": self.cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        });
        let mut command = self.command("fuzzingclient", &spec)?;
        let log = self.folder.join("suite.log");
        command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let status =
            examples::run(command, LIMIT).with_context(|| format!("the suite hangs; see {}", log.display()))?;
        if !status.success() {
            bail!("the suite ended with {status}; see {}", log.display());
        }
        server.still_runs()
    }

    fn test_client(&self) -> Result<()> {
        let client = examples::release(self.ctx, "autobahn-client")?;
        // The suite can neither take port 0 nor be handed a socket; between here and there nobody else takes the port.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let spec = json!({
            "url": format!("ws://127.0.0.1:{port}"),
            "outdir": self.reports,
            "cases": self.cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        });
        let command = self.command("fuzzingserver", &spec)?;
        let mut server = Server::start("Autobahn's server", command, &self.folder.join("suite.log"))?;

        let mut command = Command::new(client);
        let log = self.folder.join("autobahn-client.log");
        command.args(["--url", &server.url, "--agent", AGENT]);
        command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let status =
            examples::run(command, LIMIT).with_context(|| format!("our client hangs; see {}", log.display()))?;
        if !status.success() {
            bail!("our client ended with {status}; see {}", log.display());
        }
        server.still_runs()
    }

    fn command(&self, mode: &str, spec: &Value) -> Result<Command> {
        let file = self.folder.join("spec.json");
        fs::write(&file, spec.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(self.python);
        command.arg(self.ctx.workspace.root.join("xtask/autobahn/suite.py")).arg(mode).arg(file);
        // Not in the checkout: the suite leaves files where it is started.
        command.current_dir(self.folder).env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }
}

/// What the suite says of each case: its behaviour, and that of the closing handshake.
#[derive(Debug)]
struct Verdict {
    cases: BTreeMap<String, (String, String)>,
}

impl Verdict {
    fn read(index: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(index).context("the suite's index.json is no JSON")?;
        let agent =
            value[AGENT].as_object().with_context(|| format!("the suite's index.json does not know `{AGENT}`"))?;
        let behaviour = |case: &Value, key: &str| case[key].as_str().unwrap_or("none").to_owned();
        let cases = agent
            .iter()
            .map(|(id, case)| (id.clone(), (behaviour(case, "behavior"), behaviour(case, "behaviorClose"))))
            .collect();
        Ok(Self { cases })
    }

    /// As in `297 OK, 4 INFORMATIONAL`.
    fn counts(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (behaviour, _) in self.cases.values() {
            *counts.entry(behaviour).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|&(behaviour, count)| (behaviour != "OK", std::cmp::Reverse(count)));
        let each: Vec<String> = counts.iter().map(|(behaviour, count)| format!("{count} {behaviour}")).collect();
        format!("{} of {} cases", each.join(", "), self.cases.len())
    }

    fn check(&self, expected: Option<usize>) -> Result<()> {
        let mut message = String::new();
        if let Some(expected) = expected
            && expected != self.cases.len()
        {
            write!(
                message,
                "\n  {} cases were run, and there are {expected}: the suite ended early",
                self.cases.len()
            )?;
        }
        for (id, (behaviour, closing)) in &self.cases {
            let is_open = OPEN.iter().any(|open| if open.ends_with('.') { id.starts_with(open) } else { id == open });
            let passes = |verdict: &str| verdict == "OK" || (is_open && verdict == "INFORMATIONAL");
            if !passes(behaviour) {
                write!(message, "\n  case {id}: {behaviour}")?;
            } else if !passes(closing) {
                write!(message, "\n  case {id}: {behaviour}, but its closing handshake is {closing}")?;
            }
        }
        if message.is_empty() {
            return Ok(());
        }
        bail!("not every case is OK:{message}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(cases: &[(&str, &str, &str)]) -> Verdict {
        let cases: serde_json::Map<String, Value> = cases
            .iter()
            .map(|(id, behaviour, closing)| {
                ((*id).to_owned(), json!({ "behavior": behaviour, "behaviorClose": closing }))
            })
            .collect();
        Verdict::read(&json!({ AGENT: cases }).to_string()).unwrap()
    }

    #[test]
    fn open_cases_may_be_informational() {
        let open = verdict(&[
            ("1.1.1", "OK", "OK"),
            ("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
            ("7.13.1", "INFORMATIONAL", "OK"),
        ]);
        assert!(open.check(Some(3)).is_ok());
        assert_eq!(open.counts(), "1 OK, 2 INFORMATIONAL of 3 cases");
    }

    #[test]
    fn anything_else_is_named() {
        for (id, behaviour, closing) in [
            ("1.1.1", "INFORMATIONAL", "OK"),
            ("6.4.1", "NON-STRICT", "OK"),
            ("7.1.60", "INFORMATIONAL", "OK"),
            ("2.1", "OK", "UNCLEAN"),
            ("9.1.1", "FAILED", "OK"),
            ("10.1.1", "UNIMPLEMENTED", "OK"),
        ] {
            let error = verdict(&[(id, behaviour, closing)]).check(Some(1)).unwrap_err().to_string();
            assert!(error.contains(&format!("case {id}:")), "{error}");
        }
    }

    #[test]
    fn a_missing_case_is_a_failure() {
        assert!(verdict(&[("1.1.1", "OK", "OK")]).check(Some(2)).unwrap_err().to_string().contains("ended early"));
        assert!(verdict(&[("1.1.1", "OK", "OK")]).check(None).is_ok());
    }
}
