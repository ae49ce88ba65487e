//! `cargo xtask autobahn`: the Autobahn test suite against example-echo, or (`--client`) against our client.
//!
//! The suite exits with 0 whatever it finds, and writes its index at the very end. So this check reads the index: each case
//! must be in it, with a good result.

use crate::context::Context;
use crate::environment;
use crate::examples::{self, Server};
use crate::flags::AutobahnFlags;
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The cases without compression, and their number: framing, pings, reserved bits, opcodes, fragmentation, UTF-8 and closing;
/// sizes; and one case of chopping.
const CASES: ([&str; 9], usize) = (["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"], 301);

/// The cases on compression, and their number: five kinds of payloads and seven sets of parameters. Each of these 12 groups has
/// 18 sub-cases, which differ in the length and number of messages, or in the length of a fragment.
const COMPRESSION: ([&str; 2], usize) = (["12.*", "13.*"], 216);
/// The chapters on compression, each with the number of its groups.
const GROUPS: [(u8, u8); 2] = [(12, 5), (13, 7)];

/// The sub-cases of a short run: messages of 16 bytes to 4 KiB, 1,000 of each; and one of the sub-cases with fragments.
const SHORT: [u8; 5] = [1, 2, 3, 4, 11];

/// Cases for which the RFC leaves open what is right, so that the suite may call them informational.
const OPEN: [&str; 2] = ["7.1.6", "7.13."];

/// Our name in the reports.
const AGENT: &str = "sockeye";

/// The most time for a run, to detect a hang: the cases take half a minute, and with those on compression up to twenty minutes.
const LIMIT: Duration = Duration::from_secs(300);
const COMPRESSION_LIMIT: Duration = Duration::from_secs(3600);

pub(crate) fn run(ctx: &Context, flags: &AutobahnFlags) -> Result<()> {
    let python = environment::autobahn(ctx)?;
    let role = if flags.client { "client" } else { "server" };
    let name = if flags.compression { format!("{role}-compression") } else { role.to_owned() };
    let folder = ctx.workspace.target.join("autobahn").join(&name);
    // The index of an earlier run must not be read as that of this run.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let reports = folder.join("reports");
    fs::create_dir_all(&reports).with_context(|| format!("cannot create {}", reports.display()))?;

    let (cases, expected) = cases(flags);
    let compression = flags.compression;
    let suite =
        Suite { ctx, python: &python, name: &name, folder: &folder, reports: &reports, cases: &cases, compression };
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
    let with = if compression { ", with compression" } else { "" };
    println!("autobahn, our {role} role{with}: {}", verdict.counts());
    println!("report: {}", reports.join("index.html").display());
    verdict.check(expected)
}

/// The patterns of the cases, and their number if it is known.
fn cases(flags: &AutobahnFlags) -> (Vec<String>, Option<usize>) {
    let owned = |cases: &[&str]| cases.iter().map(|&case| case.to_owned()).collect::<Vec<_>>();
    if !flags.cases.is_empty() {
        return (flags.cases.clone(), None);
    }
    if flags.short {
        let groups = GROUPS.iter().flat_map(|&(chapter, count)| (1..=count).map(move |group| (chapter, group)));
        let cases: Vec<String> = groups
            .flat_map(|(chapter, group)| SHORT.iter().map(move |case| format!("{chapter}.{group}.{case}")))
            .collect();
        let count = cases.len();
        return (cases, Some(count));
    }
    if flags.compression {
        return ([owned(&CASES.0), owned(&COMPRESSION.0)].concat(), Some(CASES.1 + COMPRESSION.1));
    }
    (owned(&CASES.0), Some(CASES.1))
}

/// One run of the suite.
struct Suite<'a> {
    ctx: &'a Context,
    python: &'a Path,
    /// The name of the folder under target/autobahn.
    name: &'a str,
    /// Where logs go.
    folder: &'a Path,
    reports: &'a Path,
    cases: &'a [String],
    compression: bool,
}

impl Suite<'_> {
    fn test_server(&self) -> Result<()> {
        // Everything is compressed, so that as much as possible is tested.
        let arguments: &[&str] = if self.compression { &["--compression", "best", "--threshold", "0"] } else { &[] };
        let log = format!("autobahn/{}/example-echo.log", self.name);
        let mut server = Server::example(self.ctx, "example-echo", arguments, &log)?;
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
            examples::run(command, self.limit()).with_context(|| format!("the suite hangs; see {}", log.display()))?;
        if !status.success() {
            bail!("the suite ended with {status}; see {}", log.display());
        }
        server.still_runs()
    }

    fn test_client(&self) -> Result<()> {
        let client = examples::checked(self.ctx, "autobahn-client")?;
        // The suite accepts neither port 0 nor a socket, so a free port is looked for here. No other program should take it
        // before the suite does.
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
        if self.compression {
            command.arg("--compression");
        }
        command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let status =
            examples::run(command, self.limit()).with_context(|| format!("our client hangs; see {}", log.display()))?;
        if !status.success() {
            bail!("our client ended with {status}; see {}", log.display());
        }
        server.still_runs()
    }

    fn limit(&self) -> Duration {
        if self.compression { COMPRESSION_LIMIT } else { LIMIT }
    }

    fn command(&self, mode: &str, spec: &Value) -> Result<Command> {
        let file = self.folder.join("spec.json");
        fs::write(&file, spec.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(self.python);
        command.arg(self.ctx.workspace.root.join("xtask/autobahn/suite.py")).arg(mode).arg(file);
        // Not in the checkout: the suite writes files into its working folder.
        command.current_dir(self.folder).env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }
}

/// The suite's verdict on each case: on its behaviour, and on its closing handshake.
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

    /// How many cases have which verdict, as in `297 OK, 4 INFORMATIONAL of 301 cases`.
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
    fn each_kind_of_run_has_its_autobahn_cases() {
        let of = |compression, short| cases(&AutobahnFlags { compression, short, ..AutobahnFlags::default() });
        assert_eq!(of(false, false).1, Some(301));
        assert_eq!(of(true, false).1, Some(517));
        let (short, count) = of(true, true);
        assert_eq!(count, Some(60));
        assert_eq!((short[0].as_str(), short[59].as_str()), ("12.1.1", "13.7.11"));
        let given = AutobahnFlags { cases: vec!["6.4.*".to_owned()], compression: true, ..AutobahnFlags::default() };
        assert_eq!(cases(&given), (vec!["6.4.*".to_owned()], None));
    }

    #[test]
    fn an_autobahn_case_that_the_rfc_leaves_open_may_be_informational() {
        let open = verdict(&[
            ("1.1.1", "OK", "OK"),
            ("7.1.6", "INFORMATIONAL", "INFORMATIONAL"),
            ("7.13.1", "INFORMATIONAL", "OK"),
        ]);
        assert!(open.check(Some(3)).is_ok());
        assert_eq!(open.counts(), "1 OK, 2 INFORMATIONAL of 3 cases");
    }

    #[test]
    fn an_autobahn_case_that_is_not_ok_is_named() {
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
    fn a_missing_autobahn_case_is_a_failure() {
        assert!(verdict(&[("1.1.1", "OK", "OK")]).check(Some(2)).unwrap_err().to_string().contains("ended early"));
        assert!(verdict(&[("1.1.1", "OK", "OK")]).check(None).is_ok());
    }
}
