//! nginx as a proxy of servers on this machine, with the usual configuration for WebSocket servers.

use super::proxy::{Proxy, port_of};
use crate::context::Context;
use crate::tools::Tool;
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Starts nginx in front of these servers, with a port for each, in their order. It writes all files to
/// `target/interop/NAME-nginx`.
pub(super) fn start(ctx: &Context, name: &str, servers: &[&str]) -> Result<Proxy> {
    let program = Tool::Nginx.require(ctx)?;
    let folder = ctx.workspace.target.join("interop").join(format!("{name}-nginx"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Proxy::start(&folder.join("nginx.log"), servers.len(), |ports| {
        let mut sites = String::new();
        for (server, port) in servers.iter().zip(ports) {
            sites.push_str(&site(*port, port_of(server)?));
        }
        command(&program, &folder, &sites)
    })
}

/// The command that runs nginx with these directives of its context `http`. It writes only to `folder`.
pub(super) fn command(program: &Path, folder: &Path, directives: &str) -> Result<Command> {
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration(directives)).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    Ok(command)
}

/// A whole configuration with these directives of its context `http`.
///
/// It runs without a master process, so that killing one process ends nginx. Every path is set, and is relative to `-p`: the
/// default paths of Debian belong to root.
fn configuration(directives: &str) -> String {
    let mut text = "\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr info;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path temp-body;
    proxy_temp_path temp-proxy;
    fastcgi_temp_path temp-fastcgi;
    uwsgi_temp_path temp-uwsgi;
    scgi_temp_path temp-scgi;
"
    .to_owned();
    let _ = writeln!(text, "{directives}}}");
    text
}

/// A server of nginx that listens on `port`, and passes everything on to the server at the other port.
fn site(port: u16, server: u16) -> String {
    format!(
        "\
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{server};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection \"upgrade\";
            proxy_set_header Host $http_host;
            proxy_read_timeout 120s;
        }}
    }}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_behind_the_nginx_of_interop_has_its_own_port() {
        let text = configuration(&[site(81, 4001), site(82, 4002)].concat());
        for (listens, passes) in [("127.0.0.1:81;", "127.0.0.1:4001;"), ("127.0.0.1:82;", "127.0.0.1:4002;")] {
            assert!(text.contains(&format!("listen {listens}")), "{text}");
            assert!(text.contains(&format!("proxy_pass http://{passes}")), "{text}");
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn the_nginx_of_interop_writes_only_to_its_folder() {
        for line in configuration("").lines().filter(|line| line.contains("_path") || line.contains("pid")) {
            assert!(!line.contains('/'), "{line}");
        }
    }
}
