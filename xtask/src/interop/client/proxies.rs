//! Squid and tinyproxy as the client's proxies.

use super::run::{Case, Program};
use super::tls::write;
use super::{log, path};
use crate::context::Context;
use crate::interop::proxy::{Proxy, port_of};
use crate::tools::Tool;
use anyhow::{Context as _, Result};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// Squid's helper that knows the only user. Squid asks with a line for each pair.
const HELPER: &str = "\
while read -r user password; do
    if [ \"$user $password\" = 'user p@ss' ]; then echo OK; else echo ERR; fi
done
";

/// Runs the client through both proxies, to a server without TLS and to one with, which needs more arguments.
pub(super) fn run(
    ctx: &Context,
    program: &Program,
    folder: &Path,
    plain: &str,
    (secure, trusting): (&str, &[&str]),
) -> Result<()> {
    // Bound, and never accepted from: nobody listens there.
    let held = TcpListener::bind("127.0.0.1:0")?;
    let refused = held.local_addr()?.port();
    // Free now; the proxy's own error tells if another program has taken it.
    let down = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let allowed = [port_of(plain)?, port_of(secure)?, down];
    // tinyproxy takes no special characters.
    for (name, right, proxy) in [
        ("Squid", "user:p%40ss@", squid(ctx, folder, &allowed)?),
        ("tinyproxy", "user:pass@", tinyproxy(ctx, folder, &allowed)?),
    ] {
        println!("example-client through {name}, {}", proxy.urls[0]);
        let through = |user: &str| proxy.urls[0].replacen("http://", &format!("http://{user}"), 1);
        let by = |url: &str, user: &str| Case::new(url, &["--proxy", &through(user)]);
        let checks = || {
            for (url, arguments) in [(plain, &["-1"][..]), (secure, &[trusting, &["-1"]].concat())] {
                let echo = format!("{url}/echo");
                let good = by(&echo, right).and(arguments);
                program.run(&good, b"through\n")?.succeeds()?.prints(b"through\n")?;
                for user in ["user:wrong@", ""] {
                    let ran = program.run(&by(&echo, user).and(arguments), b"never sent\n")?.has_status(4)?;
                    ran.says("to blame: the proxy")?;
                    ran.says("must have the right `user:password@`")?;
                }
            }
            let elsewhere = by(&format!("ws://127.0.0.1:{refused}/"), right);
            program.run(&elsewhere, b"")?.has_status(4)?.says("403")?;
            let nowhere = by(&format!("ws://127.0.0.1:{down}/"), right);
            program.run(&nowhere, b"")?.has_status(4)?.says("to blame: the proxy")
        };
        checks().with_context(|| name.to_owned())?;
        println!("  ok: ws and wss, no and wrong credentials, a port that is refused, and one where nobody listens");
    }
    Ok(())
}

/// Squid, which opens tunnels to these ports alone. It refuses to run as root, and then runs as Debian's user `proxy`.
fn squid(ctx: &Context, folder: &Path, allowed: &[u16]) -> Result<Proxy> {
    let program = Tool::Squid.require(ctx)?;
    let helper = folder.join("helper.sh");
    write(&helper, HELPER)?;
    Proxy::start(&log(ctx, "squid"), 1, |ports| {
        let allowed: Vec<String> = allowed.iter().map(u16::to_string).collect();
        let file = folder.join("squid.conf");
        let text = format!(
            "\
http_port 127.0.0.1:{}
pid_filename none
access_log none
cache_log /dev/null
cache deny all
netdb_filename none
pinger_enable off
visible_hostname localhost
shutdown_lifetime 0 seconds
auth_param basic program /bin/sh {}
auth_param basic children 1 startup=1
auth_param basic realm interop
acl known proxy_auth REQUIRED
acl allowed port {}
http_access deny !allowed
http_access allow CONNECT known
http_access deny all
",
            ports[0],
            path(&helper)?,
            allowed.join(" ")
        );
        write(&file, &text)?;
        let mut command = Command::new(&program);
        // In the foreground, as one process, and with a name for its shared memory that no other Squid has.
        command.arg("-N").arg("-n").arg(format!("interop{}", std::process::id())).arg("-f").arg(&file);
        Ok(command)
    })
    // It removes this memory when it ends.
    .map(Proxy::tidies_up)
}

/// tinyproxy, which opens tunnels to these ports alone.
fn tinyproxy(ctx: &Context, folder: &Path, allowed: &[u16]) -> Result<Proxy> {
    let program = Tool::Tinyproxy.require(ctx)?;
    Proxy::start(&log(ctx, "tinyproxy"), 1, |ports| {
        let allowed: String = allowed.iter().map(|port| format!("ConnectPort {port}\n")).collect();
        let file = folder.join("tinyproxy.conf");
        let text = format!("Listen 127.0.0.1\nPort {}\nTimeout 30\nBasicAuth user pass\n{allowed}", ports[0]);
        write(&file, &text)?;
        let mut command = Command::new(&program);
        // In the foreground.
        command.arg("-d").arg("-c").arg(&file);
        Ok(command)
    })
}
