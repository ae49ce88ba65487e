//! `cargo xtask interop --only deploying`: the configurations of the guide's page *Deploying*, run as they are in the page.
//!
//! Only addresses and ports are replaced, and what a proxy needs to run without privileges is put around the text. Each proxy
//! runs three times: in front of a server that counts its clients, of one that sends no Pings, and of one that is shut down.
//! While the proxies wait, the code for pages that reconnect, from *Questions and answers*, is run too.

use super::nginx;
use super::proxy::{Proxy, port_of};
use super::scripts::node_script;
use super::talk;
use crate::context::Context;
use crate::examples::Server;
use crate::guide::FOLDER;
use crate::tools::Tool;
use anyhow::{Context as _, Result, bail};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;

const PAGE: &str = "deploying.md";

/// The address of the server in the page's configurations.
const SERVER: &str = "127.0.0.1:3000";

/// What example-shutdown must print about the clients of `deploying.mjs`.
const ALL_CLOSED: &str = "12 closed, 0 lost, 0 aborted";

/// A proxy of the page.
struct Kind {
    tool: Tool,
    /// The language of its listing in the page, which is also its name.
    name: &'static str,
    /// How the page says where to listen, and the same for a port of the loopback address.
    listens: (&'static str, fn(u16) -> String),
    /// The command that runs a configuration, and writes only to the folder.
    command: fn(&Path, &Path, &str) -> Result<Command>,
}

const KINDS: [Kind; 3] = [
    Kind {
        tool: Tool::Nginx,
        name: "nginx",
        listens: ("listen 80;", |port| format!("listen 127.0.0.1:{port};")),
        command: nginx::command,
    },
    Kind {
        tool: Tool::Haproxy,
        name: "haproxy",
        listens: ("bind :80\n", |port| format!("bind 127.0.0.1:{port}\n")),
        command: haproxy,
    },
    Kind {
        tool: Tool::Caddy,
        name: "caddyfile",
        listens: ("example.com {", |port| format!("http://127.0.0.1:{port} {{")),
        command: caddy,
    },
];

pub(super) fn run(ctx: &Context) -> Result<()> {
    let read = |page: &str| {
        let path = ctx.workspace.root.join(FOLDER).join(page);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (page, questions) = (read(PAGE)?, read("faq.md")?);
    let server = |name: &str, example: &str, arguments: &[&str]| {
        Server::example(ctx, example, arguments, &format!("interop/deploying/{name}.log"))
    };
    // One client for each proxy. The address of all of them is the same.
    let clients = KINDS.len().to_string();
    let mut counting = server("counting", "example-echo", &["--per-client", &clients])?;
    let mut silent = server("silent", "example-echo", &["--keep-alive", "0"])?;
    let ending = server("ending", "example-shutdown", &["--deadline", "10"])?;

    let (mut running, mut urls) = (Vec::new(), Vec::new());
    for kind in &KINDS {
        let listing = listing(&page, kind.name)?;
        let mut of_kind = json!({ "name": kind.name });
        for (name, server) in [("counting", &counting), ("silent", &silent), ("ending", &ending)] {
            let proxy = kind.start(ctx, name, &listing, port_of(&server.url)?)?;
            of_kind[name] = json!(proxy.urls[0]);
            running.push(proxy);
        }
        urls.push(of_kind);
    }
    let mut script = node_script(ctx, "deploying.mjs")?;
    let reconnect = listing(&questions, "js")?;
    script.args(["--input", &json!({ "proxies": urls, "reconnect": reconnect }).to_string()]);
    let output = talk(ending, "deploying/ending", script)?;
    counting.still_runs()?;
    silent.still_runs()?;
    let said = output.last().map_or("nothing", String::as_str);
    if said != ALL_CLOSED {
        bail!("example-shutdown says at its end `{said}`, and not `{ALL_CLOSED}`");
    }
    Ok(())
}

impl Kind {
    /// Starts this proxy with the listing in front of a server of this machine.
    fn start(&self, ctx: &Context, name: &str, listing: &str, server: u16) -> Result<Proxy> {
        let program = self.tool.require(ctx)?;
        let folder = ctx.workspace.target.join("interop/deploying").join(format!("{name}-{}", self.name));
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Proxy::start(&folder.join("output.log"), 1, |ports| {
            let (listens, here) = self.listens;
            let text = replaced(listing, listens, &here(ports[0]))?;
            let text = replaced(&text, SERVER, &format!("127.0.0.1:{server}"))?;
            (self.command)(&program, &folder, &text)
        })
    }
}

fn haproxy(program: &Path, folder: &Path, listing: &str) -> Result<Command> {
    let file = folder.join("haproxy.cfg");
    fs::write(&file, listing).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(program);
    // In the foreground, as one process.
    command.arg("-db").arg("-f").arg(&file);
    Ok(command)
}

fn caddy(program: &Path, folder: &Path, listing: &str) -> Result<Command> {
    let file = folder.join("Caddyfile");
    // Without its admin endpoint, whose port other programs may use.
    fs::write(&file, format!("{{\n    admin off\n}}\n\n{listing}"))
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(program);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
    // Where it keeps its certificates and its last configuration.
    command.env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
    Ok(command)
}

/// The only listing of this language in a page of the guide.
fn listing(page: &str, language: &str) -> Result<String> {
    let fence = format!("```{language}\n");
    let listings: Vec<&str> = page.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect();
    match listings[..] {
        [only] => Ok(only.to_owned()),
        _ => bail!("the page has {} listings of `{language}`; it must have one", listings.len()),
    }
}

/// `text` with the only `from` in it replaced.
fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    match text.matches(from).count() {
        1 => Ok(text.replace(from, to)),
        count => bail!("a configuration in {PAGE} has `{}` {count} times; it must have it once", from.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_of_a_proxy_is_the_only_one_of_its_language() {
        let page = "a\n```nginx\nserver {}\n```\nb\n```text\nc\n```\n";
        assert_eq!(listing(page, "nginx").unwrap(), "server {}\n");
        assert!(listing(page, "haproxy").is_err());
        assert!(listing(&page.repeat(2), "nginx").is_err());
    }

    #[test]
    fn an_address_of_a_configuration_is_replaced_if_it_is_there_once() {
        assert_eq!(replaced("bind :80\n", "bind :80\n", "bind 127.0.0.1:1\n").unwrap(), "bind 127.0.0.1:1\n");
        assert!(replaced("bind :8080\n", "bind :80\n", "").is_err());
        assert!(replaced("aa", "a", "b").is_err());
    }
}
