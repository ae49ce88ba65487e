//! nginx and HAProxy with TLS, before a server on this machine.

use super::{log, path};
use crate::context::Context;
use crate::interop::nginx;
use crate::interop::proxy::{Proxy, port_of};
use crate::tools::Tool;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xshell::cmd;

/// Without a section of its own, OpenSSL makes a certificate of an authority, which no server may have.
const OPENSSL: &str = "\
[req]
prompt = no
distinguished_name = name
x509_extensions = server
[name]
CN = localhost
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost
";

/// Makes a self-signed certificate for `localhost` and its key in the folder, and returns the path of the certificate.
pub(super) fn certificate(ctx: &Context, folder: &Path) -> Result<PathBuf> {
    let openssl = Tool::Openssl.require(ctx)?;
    let (settings, certificate, key) = (folder.join("openssl.cnf"), folder.join("cert.pem"), folder.join("key.pem"));
    write(&settings, OPENSSL)?;
    let sh = &ctx.sh;
    let new = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    cmd!(sh, "{openssl} req {new...} -config {settings} -out {certificate} -keyout {key}")
        .quiet()
        .ignore_stderr()
        .run()?;
    // HAProxy wants both in one file.
    let both = fs::read_to_string(&certificate)? + &fs::read_to_string(&key)?;
    write(&folder.join("both.pem"), &both)?;
    Ok(certificate)
}

pub(super) fn nginx(ctx: &Context, folder: &Path, server: &str) -> Result<Proxy> {
    let program = Tool::Nginx.require(ctx)?;
    let server = port_of(server)?;
    Proxy::start(&log(ctx, "nginx"), 1, |ports| {
        let directives = format!(
            "\
    server {{
        listen 127.0.0.1:{} ssl;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        location / {{
            proxy_pass http://127.0.0.1:{server};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection \"upgrade\";
            proxy_set_header Host $http_host;
        }}
    }}
",
            ports[0]
        );
        nginx::command(&program, folder, &directives)
    })
}

pub(super) fn haproxy(ctx: &Context, folder: &Path, server: &str) -> Result<Proxy> {
    let program = Tool::Haproxy.require(ctx)?;
    let server = port_of(server)?;
    Proxy::start(&log(ctx, "haproxy"), 1, |ports| {
        let file = folder.join("haproxy.cfg");
        let text = format!(
            "\
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 1m
frontend tls
    bind 127.0.0.1:{} ssl crt {} alpn http/1.1
    default_backend server
backend server
    server one 127.0.0.1:{server}
",
            ports[0],
            path(&folder.join("both.pem"))?
        );
        write(&file, &text)?;
        let mut command = Command::new(&program);
        // In the foreground, as one process.
        command.arg("-db").arg("-f").arg(&file);
        Ok(command)
    })
}

/// The address of a proxy with TLS, by the name of its certificate.
pub(super) fn url(proxy: &Proxy) -> Result<String> {
    Ok(format!("wss://localhost:{}", port_of(&proxy.urls[0])?))
}

pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
