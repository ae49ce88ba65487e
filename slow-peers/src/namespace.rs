//! Network namespaces: one in which the whole program runs, and one for peers that will be cut off.
//!
//! The machine's own network is not touched. The kernel removes a namespace, and everything in it, when its last process has
//! ended, in whatever way.

use std::{
    ffi::OsString,
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    os::unix::process::CommandExt as _,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// How to enter a new namespace: as root, or as any user, who is root in a user namespace.
const WAYS: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];

/// What must work in it. `nft` is tested by an actual rule.
const PROBE: &str = "ip link set lo up && ip link add near type veth peer name far \
    && nft add table inet cut && nft 'add chain inet cut in { type filter hook input priority 0; policy drop; }'";

/// The two ends of the line to the peers that will be cut off, in a network that is reserved for tests (RFC 2544).
pub(crate) const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2));

/// All incoming and outgoing packets are dropped silently.
const CUT: &str = "\
    add table inet cut\n\
    add chain inet cut in { type filter hook prerouting priority -300; policy drop; }\n\
    add chain inet cut out { type filter hook output priority -300; policy drop; }\n";

/// Replaces this process with this program in a namespace of its own, with these arguments. Returns only if that fails, with
/// the reason.
pub(crate) fn enter(arguments: &[&str]) -> String {
    let Ok(program) = std::env::current_exe() else { return "this program cannot be found".to_owned() };
    let mut why = Vec::new();
    for way in WAYS {
        match command("unshare").args(way).args(["sh", "-c", PROBE]).stdin(Stdio::null()).output() {
            Ok(probed) if probed.status.success() => {
                let mut command = command("unshare");
                command.args(way).arg("--").arg(program).args(std::env::args_os().skip(1)).args(arguments);
                return format!("`unshare` does not start: {}", command.exec());
            }
            Ok(probed) => why.push(said(&probed)),
            Err(error) => why.push(format!("`unshare` does not start: {error}")),
        }
    }
    format!("there is no network namespace with `ip` and `nft` in it ({})", why.join("; or "))
}

/// Loopback, which is down in a new namespace.
pub(crate) fn begin() -> Result<()> {
    run(command("ip").args(["link", "set", "lo", "up"]))
}

/// The command that starts a program in a further namespace.
pub(crate) fn further() -> Command {
    let mut command = command("unshare");
    command.args(["--net", "--"]);
    command
}

/// The line to a process in a [further](further) namespace.
#[derive(Debug)]
pub(crate) struct Line {
    process: String,
}

impl Line {
    /// Creates the line. Its near end then has [`NEAR`].
    pub(crate) fn to(process: u32) -> Result<Self> {
        let line = Self { process: process.to_string() };
        let words = ["link", "add", "near", "type", "veth", "peer", "name", "far", "netns", &line.process];
        run(command("ip").args(words))?;
        run(command("ip").args(["address", "add", &format!("{NEAR}/30"), "dev", "near"]))?;
        run(command("ip").args(["link", "set", "near", "up"]))?;
        run(line.beyond("ip").args(["address", "add", &format!("{FAR}/30"), "dev", "far"]))?;
        run(line.beyond("ip").args(["link", "set", "far", "up"]))?;
        Ok(line)
    }

    /// From now on no packets pass. This is done at the far end, so that the near end does not notice it.
    pub(crate) fn cut(&self) -> Result<()> {
        let mut nft =
            self.beyond("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().context("nft does not start")?;
        if let Some(mut input) = nft.stdin.take() {
            input.write_all(CUT.as_bytes())?;
        }
        if !nft.wait()?.success() {
            bail!("nft does not cut the line");
        }
        Ok(())
    }

    /// A program in the namespace at the far end.
    fn beyond(&self, program: &str) -> Command {
        let mut command = command("nsenter");
        command.args(["--target", &self.process, "--net", "--", program]);
        command
    }
}

/// A program of the system: some are in folders that only root has on `PATH`.
fn command(program: &str) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(OsString::from(":/usr/sbin:/sbin"));
    let mut command = Command::new(program);
    command.env("PATH", path);
    command
}

/// Runs the command to its end, which must be a success.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("`{name}` does not start"))?;
    if !output.status.success() {
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        bail!("`{name} {}`: {}", words.join(" "), said(&output));
    }
    Ok(())
}

/// Why a program has failed, from its own output.
fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it does not say why").to_owned()
}
