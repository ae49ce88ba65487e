//! Lets rustdoc describe axum and the crates of this workspace as JSON.

use super::crates::{Crates, parse};
use crate::cargo;
use crate::context::Context;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;
use xshell::{Shell, cmd};

/// The module that is compared, and the crates that define what it re-exports.
pub(super) const THEIR_MODULE: &str = "axum::extract::ws";
const THEIR_CRATES: [&str; 2] = ["axum", "axum-core"];

/// The module that stands in its place.
pub(super) const OUR_MODULE: &str = "sockeye_axum_exact::extract::ws";

/// The manifest of a package that depends on axum with the feature `ws`. In this workspace only tests do, and cargo documents a
/// dependency with the features that it has without tests.
const MANIFEST: &str = r#"[package]
name = "axum-with-ws"
version = "0.0.0"
edition = "2024"
publish = false

[lib]
path = "lib.rs"

[dependencies]
axum = { version = "=VERSION", features = ["http2", "ws"] }

[workspace]
"#;

/// What the two modules consist of.
pub(super) struct Documents {
    pub(super) axum_version: String,
    pub(super) theirs: Crates,
    pub(super) ours: Crates,
}

pub(super) fn make(ctx: &Context) -> Result<Documents> {
    let sh = &ctx.sh;
    let folder = ctx.workspace.target.join("api");
    let our_crates: Vec<&str> =
        ctx.workspace.published().filter(|package| package.is_library()).map(|package| package.name.as_str()).collect();
    let version = axum_version(sh)?;

    // A folder of its own: in that of the other steps, the other environment would make these steps compile everything again.
    let target = folder.join("target");
    let _flags = cargo::push_flags(sh, "RUSTDOCFLAGS", "-Z unstable-options --output-format json");
    // With this variable a stable compiler accepts these flags, but only for these crates: what they depend on is compiled as
    // ever.
    let documented: Vec<String> = THEIR_CRATES.iter().chain(&our_crates).map(|name| name.replace('-', "_")).collect();
    let _bootstrap = sh.push_env("RUSTC_BOOTSTRAP", documented.join(","));

    // Later commands then need no network, and look for no newer version.
    cmd!(sh, "cargo fetch --quiet --locked").run()?;
    let manifest = write_package(ctx, &folder.join("axum"), &version)?;
    let packages = cargo::packages(THEIR_CRATES);
    let front = ["--quiet", "--offline", "--no-deps", "--target-dir"];
    cmd!(sh, "cargo doc {front...} {target} --manifest-path {manifest} {packages...}").run()?;
    let packages = cargo::packages(our_crates.iter().copied());
    cmd!(sh, "cargo doc {front...} {target} --all-features {packages...}").run()?;

    let read = |names: &[&str]| -> Result<Crates> {
        let crates = names.iter().map(|name| read(&target.join("doc"), name)).collect::<Result<_>>()?;
        Ok(Crates::new(crates))
    };
    // The aliases of axum-core occur in our signatures as well.
    let ours: Vec<&str> = our_crates.iter().copied().chain(["axum-core"]).collect();
    Ok(Documents { axum_version: version, theirs: read(&THEIR_CRATES)?, ours: read(&ours)? })
}

/// The version of axum in `Cargo.lock`.
fn axum_version(sh: &Shell) -> Result<String> {
    let id = cmd!(sh, "cargo pkgid --locked axum").quiet().read()?;
    let (_, version) = id.rsplit_once('@').with_context(|| format!("`{id}` has no version"))?;
    Ok(version.to_owned())
}

/// Writes a package that depends on axum alone, and returns the path of its manifest.
fn write_package(ctx: &Context, folder: &Path, version: &str) -> Result<std::path::PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let manifest = folder.join("Cargo.toml");
    fs::write(&manifest, MANIFEST.replace("VERSION", version)).context("cannot write the manifest")?;
    fs::write(folder.join("lib.rs"), "").context("cannot write the empty library")?;
    // Cargo.lock has the versions of the other dependencies, and cargo takes out the rest.
    fs::copy(ctx.workspace.root.join("Cargo.lock"), folder.join("Cargo.lock")).context("cannot copy Cargo.lock")?;
    Ok(manifest)
}

fn read(folder: &Path, name: &str) -> Result<rustdoc_types::Crate> {
    let path = folder.join(format!("{}.json", name.replace('-', "_")));
    let json = fs::read_to_string(&path).with_context(|| format!("rustdoc has not written {}", path.display()))?;
    parse(&json).with_context(|| format!("cannot read {}", path.display()))
}
