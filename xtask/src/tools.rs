//! Programs that are not cargo: where they are, and how they get there.
//!
//! Nothing is installed on a developer's machine unless asked for (`--install`); where `CI` is set, what is missing is.

use crate::Context;
use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::path::PathBuf;
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
    CargoFuzz,
    Miri,
    /// A C++ compiler, as the `cc` crate finds it.
    Cxx,
}

/// Not a failure of what is tested: something that the test needs is not there.
#[derive(Debug)]
pub(crate) struct Skip(pub(crate) String);

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

impl Tool {
    /// The tool's path, installed first where that is allowed.
    ///
    /// # Errors
    ///
    /// [`Skip`] where it is missing and may not be installed; any other error where installing it did not work.
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

    /// What comes before the command, to run [`Tool::Miri`].
    pub(crate) fn miri_toolchain() -> &'static [&'static str] {
        miri().unwrap_or_default()
    }

    /// The tool's path, or why there is none.
    fn find(self) -> Result<PathBuf, String> {
        match self {
            Tool::Rustfmt => working("cargo", &["fmt", "--version"], "cargo fmt"),
            Tool::Clippy => working("cargo", &["clippy", "--version"], "cargo clippy"),
            Tool::Git => working("git", &["--version"], "git"),
            Tool::Python27 => python27(),
            Tool::Python3 => working(
                "python3",
                &["-c", "import sys, venv, ensurepip; assert sys.version_info >= (3, 9)"],
                "python3 (3.9 or later, with venv and pip)",
            ),
            Tool::Node => working(
                "node",
                &["-e", "process.exit(Number(process.versions.node.split('.')[0]) >= 18 ? 0 : 1)"],
                "node (18 or later)",
            ),
            Tool::Npm => working("npm", &["--version"], "npm"),
            Tool::Chromium => chromium(),
            Tool::CargoFuzz => working("cargo", &["fuzz", "--version"], "cargo fuzz"),
            Tool::Miri => miri().map(|_| "cargo".into()),
            Tool::Cxx => cxx(),
        }
    }

    /// What to do to have it.
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
            Tool::CargoFuzz => "`cargo install cargo-fuzz --locked`",
            Tool::Miri => {
                "`rustup toolchain install nightly --profile minimal --component miri,rust-src`; stable toolchains do not have it"
            }
            Tool::Cxx => "install a C++ compiler (on Debian: g++), or set CXX to one",
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
            Tool::CargoFuzz => cmd!(sh, "cargo install cargo-fuzz --locked").run()?,
            Tool::Miri => {
                let wanted = ["--profile", "minimal", "--component", "miri,rust-src"];
                cmd!(sh, "rustup toolchain install nightly {wanted...}").run()?
            }
            Tool::Cxx => apt_get(ctx, &["g++"])?,
        }
        Ok(())
    }
}

/// The first of `PYTHON27`, `python2.7` and pyenv's 2.7.18 that runs and is Python 2.7.
///
/// pyenv puts a `python2.7` on `PATH` that only says that no version is chosen, so to be found is not enough.
fn python27() -> Result<PathBuf, String> {
    let is_27 = ["-c", "import sys; assert sys.version_info[:2] == (2, 7)"];
    if let Some(chosen) = std::env::var_os("PYTHON27") {
        return if succeeds(&chosen, &is_27) {
            Ok(chosen.into())
        } else {
            Err(format!("PYTHON27 is `{}`, which is no Python 2.7 that runs", chosen.to_string_lossy()))
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

fn chromium() -> Result<PathBuf, String> {
    if let Some(chosen) = std::env::var_os("CHROMIUM") {
        return if succeeds(&chosen, &["--version"]) {
            Ok(chosen.into())
        } else {
            Err(format!("CHROMIUM is `{}`, which does not run", chosen.to_string_lossy()))
        };
    }
    let names = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];
    names
        .into_iter()
        .filter_map(on_path)
        .find(|path| succeeds(path, &["--version"]))
        .ok_or_else(|| "there is no Chromium on PATH".to_owned())
}

fn cxx() -> Result<PathBuf, String> {
    let chosen = std::env::var_os("CXX").unwrap_or("c++".into());
    if succeeds(&chosen, &["--version"]) {
        Ok(chosen.into())
    } else {
        Err(format!("`{}`, the C++ compiler, does not run", chosen.to_string_lossy()))
    }
}

/// What chooses the toolchain that has Miri: that in use, or nightly.
fn miri() -> Result<&'static [&'static str], String> {
    let toolchains: [&[&str]; 2] = [&[], &["+nightly"]];
    let has_miri = |toolchain: &&[&str]| succeeds("cargo", &[toolchain, &["miri", "--version"][..]].concat());
    toolchains.into_iter().find(has_miri).ok_or_else(|| "neither the toolchain in use nor nightly has Miri".to_owned())
}

fn working(program: &str, arguments: &[&str], name: &str) -> Result<PathBuf, String> {
    if succeeds(program, arguments) { Ok(program.into()) } else { Err(format!("there is no working {name} on PATH")) }
}

fn succeeds(program: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    let quiet =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Where `PATH` has `program`; Playwright wants the whole path of its browser.
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
