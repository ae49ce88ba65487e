//! nginx as a proxy of servers on this machine, as one process without privileges.

use crate::context::Context;
use crate::tools::Tool;
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long nginx may take until it listens.
const START: Duration = Duration::from_secs(10);

/// How many times nginx is started, each time with other ports: another program may take a free port before nginx listens on
/// it.
const TRIES: usize = 3;

/// A running nginx, which is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Nginx {
    child: Child,
    /// The proxy's address for each of the servers, `http://127.0.0.1:PORT`, in their order.
    pub(super) urls: Vec<String>,
}

impl Nginx {
    /// Starts nginx in front of these servers. It writes all files to `target/interop/NAME-nginx`.
    pub(super) fn start(ctx: &Context, name: &str, servers: &[&str]) -> Result<Self> {
        let program = Tool::Nginx.require(ctx)?;
        let folder = ctx.workspace.target.join("interop").join(format!("{name}-nginx"));
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        for _ in 0..TRIES {
            if let Some(nginx) = Self::try_start(&program, &folder, servers)? {
                return Ok(nginx);
            }
        }
        bail!("nginx has ended by itself {TRIES} times; see {}", folder.join("nginx.log").display())
    }

    /// Starts nginx once. Returns `None` if nginx has ended by itself, as it does if a port is taken.
    fn try_start(program: &Path, folder: &Path, servers: &[&str]) -> Result<Option<Self>> {
        let ports = free_ports(servers.len())?;
        let mut proxies = Vec::with_capacity(servers.len());
        for (server, port) in servers.iter().zip(&ports) {
            proxies.push((*port, port_of(server)?));
        }
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(&proxies)).with_context(|| format!("cannot write {}", file.display()))?;
        let log = folder.join("nginx.log");
        let log = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;

        let mut command = Command::new(program);
        command.arg("-p").arg(folder).arg("-c").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let urls = ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        // From here on nginx is killed if anything fails.
        let mut nginx = Self { child, urls };
        let start = Instant::now();
        while !ports.iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()) {
            if nginx.child.try_wait()?.is_some() {
                return Ok(None);
            }
            if start.elapsed() > START {
                bail!("nginx does not listen after {} s; see {}", START.as_secs(), folder.join("nginx.log").display());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(nginx))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port in `http://127.0.0.1:PORT`.
fn port_of(url: &str) -> Result<u16> {
    let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.with_context(|| format!("`{url}` ends in no port"))
}

/// Different ports that are free now.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    // All of them are held before the first is released, so no two are the same.
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port"))
        .collect::<Result<_>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// The usual configuration of nginx for WebSocket servers. Each pair is a port of nginx and the port of the server behind it.
///
/// It runs without a master process, so that killing one process ends nginx. Every path is set, and is relative to `-p`: the
/// default paths of Debian belong to root.
fn configuration(proxies: &[(u16, u16)]) -> String {
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
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection \"upgrade\";
    proxy_set_header Host $http_host;
    proxy_read_timeout 120s;
"
    .to_owned();
    for (port, server) in proxies {
        let _ = writeln!(
            text,
            "    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{server}; }} }}"
        );
    }
    text.push_str("}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_an_address_is_its_end() {
        assert_eq!(port_of("http://127.0.0.1:3000").unwrap(), 3000);
        assert!(port_of("http://localhost").is_err());
    }

    #[test]
    fn each_server_behind_the_nginx_of_interop_has_its_own_port() {
        let text = configuration(&[(81, 4001), (82, 4002)]);
        assert!(text.contains("listen 127.0.0.1:81; location / { proxy_pass http://127.0.0.1:4001; }"), "{text}");
        assert!(text.contains("listen 127.0.0.1:82; location / { proxy_pass http://127.0.0.1:4002; }"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }

    #[test]
    fn the_nginx_of_interop_writes_only_to_its_folder() {
        for line in configuration(&[]).lines().filter(|line| line.contains("_path") || line.contains("pid")) {
            assert!(!line.contains('/'), "{line}");
        }
    }

    #[test]
    fn free_ports_that_are_asked_for_together_differ() {
        let mut ports = free_ports(20).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 20);
    }
}
