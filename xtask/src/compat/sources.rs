//! Where cargo has put the sources of packages of the registry.

use crate::context::Context;
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use xshell::cmd;

/// Packages of the registry, by their names.
#[derive(Debug)]
pub(super) struct Sources {
    packages: BTreeMap<String, Unpacked>,
}

#[derive(Debug)]
struct Unpacked {
    version: String,
    folder: PathBuf,
}

impl Sources {
    /// Downloads what `sources/Cargo.toml` lists, and axum at the version of our `Cargo.lock`.
    pub(super) fn fetch(ctx: &Context, ours: &Path, update: bool) -> Result<Self> {
        let sh = &ctx.sh;
        let locked = if update { None } else { Some("--locked") };
        let manifest = ours.join("sources/Cargo.toml");
        if update {
            cmd!(sh, "cargo update --manifest-path {manifest}").run()?;
        }
        let mut packages = BTreeMap::new();
        // Only the packages for this machine: the others are many.
        let host = &host(ctx)?;
        for manifest in [&manifest, &ctx.workspace.root.join("Cargo.toml")] {
            let json = cmd!(
                sh,
                "cargo metadata --format-version 1 {locked...} --filter-platform {host} --manifest-path {manifest}"
            )
            .quiet()
            .read()
            .with_context(|| format!("cannot get the sources for {}", manifest.display()))?;
            let listed = unpacked(&json).context("cannot read the answer of `cargo metadata`")?;
            // Our own `Cargo.lock` comes last, and decides about axum.
            packages.extend(listed);
        }
        Ok(Self { packages })
    }

    pub(super) fn folder(&self, name: &str) -> Result<&Path> {
        self.package(name).map(|package| package.folder.as_path())
    }

    pub(super) fn version(&self, name: &str) -> Result<&str> {
        self.package(name).map(|package| package.version.as_str())
    }

    fn package(&self, name: &str) -> Result<&Unpacked> {
        self.packages.get(name).with_context(|| format!("{name} is not in xtask/compat/sources/Cargo.toml"))
    }
}

/// The triple of this machine.
fn host(ctx: &Context) -> Result<String> {
    let sh = &ctx.sh;
    let version = cmd!(sh, "rustc -vV").quiet().read()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

/// The packages that come from a registry.
fn unpacked(json: &str) -> Result<Vec<(String, Unpacked)>> {
    let metadata: Value = serde_json::from_str(json)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let from_registry = packages.iter().filter(|package| package["source"].is_string());
    from_registry
        .map(|package| {
            let text = |field: &str| package[field].as_str().with_context(|| format!("a package has no {field}"));
            let folder = Path::new(text("manifest_path")?).parent().context("a manifest is in no folder")?;
            let unpacked = Unpacked { version: text("version")?.to_owned(), folder: folder.to_owned() };
            Ok((text("name")?.to_owned(), unpacked))
        })
        .collect()
}
