//! nginx in front of the server: a separate process that needs no privileges and no configuration of the machine.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// How long nginx may take until it listens.
const START: Duration = Duration::from_secs(10);

/// A running nginx, which is killed when this is dropped.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    /// Starts nginx in front of these servers. It writes all files to a folder among the results.
    pub(crate) fn start(program: &Path, out: &Path, servers: &[SocketAddr]) -> Result<Self> {
        let folder = std::path::absolute(out)?.join("nginx");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        // The port is released before nginx uses it. If another program takes it meanwhile, the run fails with an error.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(address, servers))
            .with_context(|| format!("cannot write {}", file.display()))?;
        let log = folder.join("nginx.log");

        let mut command = Command::new(program);
        command.arg("-p").arg(&folder).arg("-c").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        // From here on nginx is killed if anything fails.
        let mut nginx = Self { child, address };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if nginx.child.try_wait()?.is_some() || start.elapsed() > START {
                bail!("nginx does not listen; see {}", log.display());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The usual configuration of nginx for a WebSocket server. It runs without a master process, so that killing one process ends
/// nginx. Every path is set, and is relative to `-p`: the default paths of Debian belong to root.
fn configuration(address: SocketAddr, servers: &[SocketAddr]) -> String {
    let servers: String = servers.iter().map(|server| format!("server {server}; ")).collect();
    format!(
        "\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path temp-body;
    proxy_temp_path temp-proxy;
    fastcgi_temp_path temp-fastcgi;
    uwsgi_temp_path temp-uwsgi;
    scgi_temp_path temp-scgi;
    upstream soak {{ {servers}}}
    server {{
        listen {address};
        location / {{
            proxy_pass http://soak;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection \"upgrade\";
            proxy_set_header Host $http_host;
            proxy_read_timeout 120s;
        }}
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nginx_of_a_soak_has_every_server_behind_it_and_writes_only_to_its_folder() {
        let [front, one, two] = ["127.0.0.1:81", "127.0.0.1:4001", "127.0.0.1:4002"].map(|a| a.parse().unwrap());
        let text = configuration(front, &[one, two]);
        assert!(text.contains("upstream soak { server 127.0.0.1:4001; server 127.0.0.1:4002; }"), "{text}");
        assert!(text.contains("listen 127.0.0.1:81;"), "{text}");
        for line in text.lines().filter(|line| line.contains("_path") || line.contains("pid")) {
            assert!(!line.contains('/'), "{line}");
        }
    }
}
