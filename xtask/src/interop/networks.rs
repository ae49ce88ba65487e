//! `cargo xtask interop --only networks`: example-client in a network of its own, parts of which are silent.
//!
//! The script is xtask/interop/networks.py. The machine's own network and its files are not touched: the script runs in namespaces,
//! which end with its process.

use super::LIMIT;
use super::client::Folder;
use super::scripts::scripts;
use crate::context::Context;
use crate::environment;
use crate::examples;
use crate::tools::{Skip, Tool};
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// How to enter the namespaces: as root, or as any user, who is root in a user namespace.
const WAYS: [&[&str]; 2] = [&["--net", "--mount"], &["--map-root-user", "--net", "--mount"]];

/// What must work in them. `nft` is tested by an actual rule.
const PROBE: &str = "ip link set lo up && ip address add 198.18.0.1/32 dev lo && mount --bind /etc/hosts /etc/hosts \
    && nft add table inet probe && nft 'add chain inet probe in { type filter hook input priority 0; policy drop; }'";

pub(super) fn run(ctx: &Context) -> Result<()> {
    for tool in [Tool::Ip, Tool::Nft] {
        match tool.require(ctx) {
            Err(error) if error.is::<Skip>() => {
                println!("example-client in silent networks: skipped: {error}");
                return Ok(());
            }
            found => drop(found?),
        }
    }
    let way = match way() {
        Ok(way) => way,
        // Also in CI: what a container may do is not for its tests to change.
        Err(why) => {
            println!(
                "example-client in silent networks: skipped: there are no namespaces with `ip` and `nft` in them ({why})"
            );
            return Ok(());
        }
    };
    let client = examples::checked(ctx, "example-client")?;
    let folder = Folder::new("networks")?;
    let mut command = unshare(way);
    command.arg("--").arg(environment::python(ctx)?).arg(scripts(ctx).join("networks.py"));
    command.arg("--client").arg(client).arg("--folder").arg(&folder.0).env("PYTHONDONTWRITEBYTECODE", "1");
    let status = examples::run(command, LIMIT)?;
    if !status.success() {
        bail!(
            "example-client did not do in time what it should in a silent network ({status}); the lines above say what"
        );
    }
    Ok(())
}

/// The first way that works, or why none does.
fn way() -> Result<&'static [&'static str], String> {
    let mut why = Vec::new();
    for way in WAYS {
        match unshare(way).args(["sh", "-c", PROBE]).stdin(Stdio::null()).output() {
            Ok(probed) if probed.status.success() => return Ok(way),
            Ok(probed) => why.push(String::from_utf8_lossy(&probed.stderr).trim().to_owned()),
            Err(error) => why.push(format!("`unshare` does not start: {error}")),
        }
    }
    Err(why.join("; or "))
}

/// `unshare`, which finds the programs that are in folders that only root has on `PATH`.
fn unshare(way: &[&str]) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(OsString::from(":/usr/sbin:/sbin"));
    let mut command = Command::new("unshare");
    command.args(way).env("PATH", path);
    command
}
