//! Programs other than cargo: how they are found and installed.
//!
//! Nothing is installed on a developer's machine without `--install`. If `CI` is set, missing programs are installed.

use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use xshell::cmd;

/// A program that a step needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Rustfmt,
    Clippy,
    Git,
    Python27,
    Python3,
    Node,
    Npm,
    Chromium,
    Firefox,
    Nginx,
    Haproxy,
    Caddy,
    Squid,
    Tinyproxy,
    Openssl,
    /// Go, and gorilla/websocket in the folder where Debian installs it.
    Gorilla,
    /// A JDK, whose `java` can run a source file.
    Java,
    CargoFuzz,
    Miri,
    /// The Rust of [`OLDEST_RUST`]. Its path is that of `rustc`, with `cargo` beside it.
    OldestRust,
    /// A C++ compiler, as the `cc` crate finds it.
    Cxx,
    /// OpenSSL's library with its headers, as the `openssl-sys` crate finds it. Its path is that of `pkg-config`.
    Libssl,
    /// `ip` of iproute2.
    Ip,
    /// `nft` of nftables.
    Nft,
    /// The server of Redis.
    RedisServer,
    /// The library that makes the clock of a program wrong.
    Faketime,
}

/// Where Debian installs the sources of Go packages.
pub(crate) const GO_PATH: &str = "/usr/share/gocode";

/// The `rust-version` of the workspace.
pub(crate) const OLDEST_RUST: &str = "1.85";

const CHROMIUMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
const FIREFOXES: [&str; 2] = ["firefox-esr", "firefox"];

/// The error of a test that cannot run, since something that it needs is missing.
#[derive(Debug)]
pub(crate) struct Skip(pub(crate) String);

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

impl Tool {
    /// The tool's path. A missing tool is installed first if that is allowed.
    ///
    /// # Errors
    ///
    /// [`Skip`] if the tool is missing and must not be installed; another error if the installation fails.
    pub(crate) fn require(self, ctx: &Context) -> Result<PathBuf> {
        let missing = match self.find() {
            Ok(path) => return Ok(path),
            Err(missing) => missing,
        };
        if !ctx.may_install {
            bail!(Skip(format!("{missing}; {}", self.advice())));
        }
        self.install(ctx).with_context(|| format!("{missing}, and it cannot be installed; {}", self.advice()))?;
        self.find().or_else(|still| bail!("{still}, even after it was installed; {}", self.advice()))
    }

    /// The arguments before the command that select the toolchain with [`Tool::Miri`].
    pub(crate) fn miri_toolchain() -> &'static [&'static str] {
        miri().unwrap_or_default()
    }

    /// The tool's path, or why it was not found.
    fn find(self) -> Result<PathBuf, String> {
        match self {
            Tool::Rustfmt => working("cargo", &["fmt", "--version"], "cargo fmt"),
            Tool::Clippy => working("cargo", &["clippy", "--version"], "cargo clippy"),
            Tool::Git => working("git", &["--version"], "git"),
            Tool::Python27 => python27(),
            Tool::Python3 => working(
                "python3",
                &["-c", "import sys, venv, ensurepip; assert sys.version_info >= (3, 10)"],
                "python3 (3.10 or later, with venv and pip)",
            ),
            Tool::Node => working(
                "node",
                &["-e", "process.exit(Number(process.versions.node.split('.')[0]) >= 18 ? 0 : 1)"],
                "node (18 or later)",
            ),
            Tool::Npm => working("npm", &["--version"], "npm"),
            Tool::Chromium => browser("CHROMIUM", &CHROMIUMS, "Chromium"),
            Tool::Firefox => browser("FIREFOX", &FIREFOXES, "Firefox"),
            Tool::Nginx => nginx(),
            Tool::Haproxy => of_root("haproxy", &["-v"]),
            Tool::Caddy => working("caddy", &["version"], "caddy"),
            Tool::Squid => of_root("squid", &["-v"]),
            Tool::Tinyproxy => of_root("tinyproxy", &["-v"]),
            Tool::Openssl => working("openssl", &["version"], "openssl"),
            Tool::Gorilla => gorilla(),
            Tool::Java => java(),
            Tool::CargoFuzz => working("cargo", &["fuzz", "--version"], "cargo fuzz"),
            Tool::Miri => miri().map(|_| "cargo".into()),
            Tool::OldestRust => oldest_rust(),
            Tool::Cxx => cxx(),
            Tool::Libssl => libssl(),
            Tool::Ip => of_root("ip", &["-V"]),
            Tool::Nft => of_root("nft", &["--version"]),
            Tool::RedisServer => redis_server(),
            Tool::Faketime => faketime(),
        }
    }

    /// How to get the tool.
    fn advice(self) -> &'static str {
        match self {
            Tool::Rustfmt => "`rustup component add rustfmt`",
            Tool::Clippy => "`rustup component add clippy`",
            Tool::Git => "install git",
            Tool::Python27 => {
                "set PYTHON27 to a Python 2.7 with pip, put `python2.7` on PATH, or run `pyenv install 2.7.18`"
            }
            Tool::Python3 => "install Python 3 (on Debian: python3 and python3-venv)",
            Tool::Node | Tool::Npm => "install Node.js 18 or later with npm",
            Tool::Chromium => "install Chromium, or set CHROMIUM to the path of a Chrome",
            Tool::Firefox => "install Firefox (on Debian: firefox-esr), or set FIREFOX to the path of one",
            Tool::Nginx => "install nginx (on Debian: nginx)",
            Tool::Haproxy => "install HAProxy (on Debian: haproxy)",
            Tool::Caddy => "install Caddy (on Debian: caddy)",
            Tool::Squid => "install Squid (on Debian: squid)",
            Tool::Tinyproxy => "install tinyproxy (on Debian: tinyproxy)",
            Tool::Openssl => "install OpenSSL's program (on Debian: openssl)",
            Tool::Gorilla => "on Debian install golang-go and golang-github-gorilla-websocket-dev",
            Tool::Java => "install a JDK, 11 or later (on Debian: default-jdk-headless)",
            Tool::CargoFuzz => "`cargo install cargo-fuzz --locked`",
            Tool::Miri => {
                "`rustup toolchain install nightly --profile minimal --component miri,rust-src`; stable toolchains do not have it"
            }
            Tool::OldestRust => {
                "`rustup toolchain install 1.85 --profile minimal`, or on Debian 12 install version 1.85 of rustc-web, cargo-web \
                 and libstd-rust-web-dev"
            }
            Tool::Cxx => "install a C++ compiler (on Debian: g++), or set CXX to one",
            Tool::Libssl => "install OpenSSL's headers and pkg-config (on Debian: libssl-dev and pkg-config)",
            Tool::Ip => "install iproute2",
            Tool::Nft => "install nftables",
            Tool::RedisServer => {
                "install Redis (on Debian: redis-server, or redis-tools, which has the same program and starts no service)"
            }
            Tool::Faketime => "install libfaketime (on Debian: libfaketime), or set SOCKEYE_FAKETIME to its file",
        }
    }

    fn install(self, ctx: &Context) -> Result<()> {
        let sh = &ctx.sh;
        match self {
            Tool::Rustfmt => cmd!(sh, "rustup component add rustfmt").run()?,
            Tool::Clippy => cmd!(sh, "rustup component add clippy").run()?,
            Tool::Git => apt_get(ctx, &["git"])?,
            Tool::Python27 => apt_get(ctx, &["python2.7", "python2.7-dev"])?,
            Tool::Python3 => apt_get(ctx, &["python3", "python3-venv"])?,
            Tool::Node => apt_get(ctx, &["nodejs"])?,
            Tool::Npm => apt_get(ctx, &["npm"])?,
            Tool::Chromium => apt_get(ctx, &["chromium"])?,
            Tool::Firefox => apt_get(ctx, &["firefox-esr"])?,
            Tool::Nginx => apt_get(ctx, &["nginx"])?,
            Tool::Haproxy => apt_get(ctx, &["haproxy"])?,
            Tool::Caddy => apt_get(ctx, &["caddy"])?,
            Tool::Squid => apt_get(ctx, &["squid"])?,
            Tool::Tinyproxy => apt_get(ctx, &["tinyproxy"])?,
            Tool::Openssl => apt_get(ctx, &["openssl"])?,
            Tool::Gorilla => apt_get(ctx, &["golang-go", "golang-github-gorilla-websocket-dev"])?,
            Tool::Java => apt_get(ctx, &["default-jdk-headless"])?,
            Tool::CargoFuzz => cmd!(sh, "cargo install cargo-fuzz --locked").run()?,
            Tool::Miri => {
                let wanted = ["--profile", "minimal", "--component", "miri,rust-src"];
                cmd!(sh, "rustup toolchain install nightly {wanted...}").run()?
            }
            Tool::OldestRust => {
                // Each package is named with its version, because apt would take a newer one. The third is a dependency of the
                // first two, and is named for the same reason.
                let packages = ["rustc-web", "cargo-web", "libstd-rust-web-dev"];
                let packages = packages.map(|name| format!("{name}={}.*", OLDEST_RUST));
                apt_get(ctx, &packages.each_ref().map(String::as_str))?
            }
            Tool::Cxx => apt_get(ctx, &["g++"])?,
            Tool::Libssl => apt_get(ctx, &["libssl-dev", "pkg-config"])?,
            Tool::Ip => apt_get(ctx, &["iproute2"])?,
            Tool::Nft => apt_get(ctx, &["nftables"])?,
            // Its redis-check-rdb is the server by another name. The package redis-server would start a service.
            Tool::RedisServer => apt_get(ctx, &["redis-tools"])?,
            Tool::Faketime => apt_get(ctx, &["libfaketime"])?,
        }
        Ok(())
    }
}

/// The first of `PYTHON27`, `python2.7` and pyenv's 2.7.18 that runs and is Python 2.7.
///
/// pyenv puts a `python2.7` on `PATH` that only prints that no version is chosen, so a check of `PATH` is not enough.
fn python27() -> Result<PathBuf, String> {
    let is_27 = ["-c", "import sys; assert sys.version_info[:2] == (2, 7)"];
    if let Some(chosen) = std::env::var_os("PYTHON27") {
        return if succeeds(&chosen, &is_27) {
            Ok(chosen.into())
        } else {
            Err(format!("PYTHON27 is `{}`, which is not a working Python 2.7", chosen.to_string_lossy()))
        };
    }
    if succeeds("python2.7", &is_27) {
        return Ok("python2.7".into());
    }
    let prefix = Command::new("pyenv").args(["prefix", "2.7.18"]).stderr(Stdio::null()).output();
    if let Ok(output) = prefix
        && output.status.success()
    {
        let python = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join("bin/python2.7");
        if succeeds(&python, &is_27) {
            return Ok(python);
        }
    }
    Err("there is no Python 2.7, which the Autobahn test suite is written in".to_owned())
}

/// The browser that `variable` names, or the first of `names` that runs.
fn browser(variable: &str, names: &[&str], name: &str) -> Result<PathBuf, String> {
    if let Some(chosen) = std::env::var_os(variable) {
        return if succeeds(&chosen, &["--version"]) {
            Ok(chosen.into())
        } else {
            Err(format!("{variable} is `{}`, which does not run", chosen.to_string_lossy()))
        };
    }
    names
        .iter()
        .filter_map(|name| on_path(name))
        .find(|path| succeeds(path, &["--version"]))
        .ok_or_else(|| format!("there is no {name} on PATH"))
}

/// Finds nginx also where Debian installs it: in a folder that only root has on `PATH`.
fn nginx() -> Result<PathBuf, String> {
    let places = on_path("nginx").into_iter().chain(["/usr/sbin/nginx".into(), "/usr/local/sbin/nginx".into()]);
    places
        .into_iter()
        .find(|path| succeeds(path, &["-v"]))
        .ok_or_else(|| "there is no nginx, neither on PATH nor in /usr/sbin".to_owned())
}

/// Finds the server of Redis, or the program that is the server if it is called `redis-server`.
fn redis_server() -> Result<PathBuf, String> {
    let found = ["redis-server", "redis-check-rdb"].into_iter().find_map(on_path);
    found.ok_or_else(|| "there is no redis-server on PATH".to_owned())
}

/// Finds the library in `SOCKEYE_FAKETIME`, or where Debian installs it, which depends on the kind of processor.
fn faketime() -> Result<PathBuf, String> {
    if let Some(chosen) = std::env::var_os("SOCKEYE_FAKETIME").map(PathBuf::from) {
        return match chosen.is_file() {
            true => Ok(chosen),
            false => Err(format!("SOCKEYE_FAKETIME is `{}`, which is no file", chosen.display())),
        };
    }
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut files = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    files.find(|file| file.is_file()).ok_or_else(|| "there is no libfaketime in the folders of /usr/lib".to_owned())
}

/// Finds Go, if the package is installed from the system too. Go itself would download the package.
fn gorilla() -> Result<PathBuf, String> {
    let go = working("go", &["version"], "go")?;
    let package = Path::new(GO_PATH).join("src/github.com/gorilla/websocket");
    if package.is_dir() { Ok(go) } else { Err(format!("there is no gorilla/websocket for Go in {GO_PATH}")) }
}

/// Finds a `java` with a compiler: without one, a Java runtime cannot run a source file.
fn java() -> Result<PathBuf, String> {
    for module in ["jdk.compiler", "java.net.http"] {
        working("java", &["--describe-module", module], "JDK (11 or later)")?;
    }
    Ok("java".into())
}

fn cxx() -> Result<PathBuf, String> {
    let chosen = std::env::var_os("CXX").unwrap_or("c++".into());
    if succeeds(&chosen, &["--version"]) {
        Ok(chosen.into())
    } else {
        Err(format!("`{}`, the C++ compiler, does not run", chosen.to_string_lossy()))
    }
}

fn libssl() -> Result<PathBuf, String> {
    let is_there = succeeds("pkg-config", &["--exists", "openssl >= 1.1.1"]);
    if is_there { Ok("pkg-config".into()) } else { Err("pkg-config finds no libssl with its headers".to_owned()) }
}

/// The argument that selects a toolchain with Miri: the current one, or nightly.
fn miri() -> Result<&'static [&'static str], String> {
    let toolchains: [&[&str]; 2] = [&[], &["+nightly"]];
    let has_miri = |toolchain: &&[&str]| succeeds("cargo", &[toolchain, &["miri", "--version"][..]].concat());
    toolchains.into_iter().find(has_miri).ok_or_else(|| "neither the current toolchain nor nightly has Miri".to_owned())
}

/// The `rustc` of [`OLDEST_RUST`] from rustup, or else the one in /usr/bin. `PATH` is not searched: there, the programs of
/// rustup hide those of the system.
fn oldest_rust() -> Result<PathBuf, String> {
    let version = OLDEST_RUST;
    let rustup = Command::new("rustup").args(["which", "--toolchain", version, "rustc"]).stderr(Stdio::null()).output();
    let of_rustup = rustup.ok().filter(|output| output.status.success());
    let of_rustup = of_rustup.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    of_rustup
        .into_iter()
        .chain(["/usr/bin/rustc".into()])
        .find(|rustc| {
            let answer = Command::new(rustc).arg("--version").stderr(Stdio::null()).output();
            let is_it = answer.is_ok_and(|answer| is_oldest_rust(&String::from_utf8_lossy(&answer.stdout)));
            is_it && succeeds(rustc.with_file_name("cargo"), &["--version"])
        })
        .ok_or_else(|| format!("there is no Rust {version}, neither from rustup nor in /usr/bin"))
}

/// Whether `answer`, which a compiler has given to `--version`, is that of [`OLDEST_RUST`].
pub(crate) fn is_oldest_rust(answer: &str) -> bool {
    let of_minor = answer.strip_prefix("rustc ").and_then(|version| version.strip_prefix(OLDEST_RUST));
    of_minor.is_some_and(|patch| patch.starts_with('.'))
}

fn working(program: &str, arguments: &[&str], name: &str) -> Result<PathBuf, String> {
    if succeeds(program, arguments) { Ok(program.into()) } else { Err(format!("there is no working {name} on PATH")) }
}

/// Finds a program that is often in a folder that only root has on `PATH`.
fn of_root(program: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    ["", "/usr/sbin/", "/sbin/"]
        .into_iter()
        .map(|folder| format!("{folder}{program}"))
        .find(|path| succeeds(path, arguments))
        .map(PathBuf::from)
        .ok_or_else(|| format!("there is no `{program}` on PATH"))
}

fn succeeds(program: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    let quiet =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// The whole path of `program`, which is searched on `PATH`: Playwright needs the whole path of its browser.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

fn apt_get(ctx: &Context, packages: &[&str]) -> Result<()> {
    static UPDATED: Once = Once::new();
    if on_path("apt-get").is_none() {
        bail!("{} must be installed by hand: there is no apt-get on this machine", packages.join(" and "));
    }
    let sh = &ctx.sh;
    let is_root = cmd!(sh, "id -u").quiet().read()?.trim() == "0";
    let (program, sudo): (_, &[&str]) = if is_root { ("env", &[]) } else { ("sudo", &["env"]) };
    let front: Vec<&str> = sudo.iter().copied().chain(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]).collect();
    let front = &front;
    let mut updated = Ok(());
    UPDATED.call_once(|| updated = cmd!(sh, "{program} {front...} update").run());
    updated?;
    cmd!(sh, "{program} {front...} install --yes --no-install-recommends {packages...}").run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_rust_is_known_by_its_answer() {
        assert!(is_oldest_rust("rustc 1.85.0 (4d91de4e4 2025-02-17) (built from a source tarball)"));
        assert!(is_oldest_rust("rustc 1.85.1 (4eb161250 2025-03-15)"));
        for other in ["", "rustc 1.850.0", "rustc 1.86.0 (05f9846f8 2025-03-31)", "cargo 1.85.0"] {
            assert!(!is_oldest_rust(other), "{other}");
        }
        assert!(Tool::OldestRust.advice().contains(OLDEST_RUST));
    }
}
