//! What the checks need to know about this workspace, from cargo.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use xshell::{Shell, cmd};

/// The members and the folders of the workspace.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// The target folder of cargo, by `CARGO_TARGET_DIR` and cargo's configuration.
    pub(crate) target: PathBuf,
    /// Sorted by name.
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    pub(crate) rust_version: Option<String>,
    pub(crate) published: bool,
    /// The folder that `Cargo.toml` is in.
    pub(crate) folder: PathBuf,
    /// The library's name as `use` spells it.
    pub(crate) library: Option<String>,
    /// The first file of the library, and of each program.
    pub(crate) roots: Vec<PathBuf>,
    /// Each feature, implicit ones included, with what it enables.
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The package's own name, even if the manifest renames it.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) optional: bool,
    pub(crate) default_features: bool,
    pub(crate) features: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Dev,
    Build,
}

/// The kinds of a target that is a library.
const LIBRARY: [&str; 3] = ["lib", "rlib", "proc-macro"];

impl Workspace {
    /// The workspace that the current directory is in.
    pub(crate) fn load(sh: &Shell) -> Result<Self> {
        Self::ask(sh, &[]).context("`cargo metadata` failed; it must be run inside the workspace")
    }

    /// The workspace of this manifest.
    pub(crate) fn load_from(sh: &Shell, manifest: &str) -> Result<Self> {
        Self::ask(sh, &["--manifest-path", manifest]).with_context(|| format!("`cargo metadata` failed for {manifest}"))
    }

    fn ask(sh: &Shell, arguments: &[&str]) -> Result<Self> {
        let json = cmd!(sh, "cargo metadata --format-version 1 --no-deps {arguments...}").quiet().read()?;
        Self::parse(&json).context("cannot read the answer of `cargo metadata`")
    }

    fn parse(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json)?;
        let mut packages = array(&value, "packages")?.iter().map(Package::parse).collect::<Result<Vec<_>>>()?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            root: string(&value, "workspace_root")?.into(),
            target: string(&value, "target_directory")?.into(),
            packages,
        })
    }

    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The published packages, in the order of their names.
    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.published)
    }

    /// `path` relative to the root, or `path` itself if it is not below the root.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

impl Package {
    fn parse(value: &Value) -> Result<Self> {
        let name = string(value, "name")?.to_owned();
        let manifest = Path::new(string(value, "manifest_path")?);
        let Some(folder) = manifest.parent() else { bail!("{} is in no folder", manifest.display()) };
        let has_kind =
            |target: &Value, kinds: &[&str]| strings(&target["kind"]).iter().any(|kind| kinds.contains(&kind.as_str()));
        let targets = array(value, "targets")?;
        let library = targets.iter().find(|target| has_kind(target, &LIBRARY));
        let roots = targets.iter().filter(|target| has_kind(target, &LIBRARY) || has_kind(target, &["bin"]));
        let mut features = BTreeMap::new();
        for (feature, enables) in value["features"].as_object().context("`features` is no table")? {
            features.insert(feature.clone(), strings(enables));
        }
        Ok(Self {
            version: string(value, "version")?.to_owned(),
            description: value["description"].as_str().unwrap_or_default().to_owned(),
            rust_version: value["rust_version"].as_str().map(str::to_owned),
            // `publish = false` is an empty list of registries. Without a list, any registry is allowed.
            published: value["publish"].as_array().is_none_or(|registries| !registries.is_empty()),
            folder: folder.to_owned(),
            roots: roots.map(|target| string(target, "src_path").map(PathBuf::from)).collect::<Result<_>>()?,
            library: library.and_then(|target| target["name"].as_str()).map(|name| name.replace('-', "_")),
            features,
            dependencies: array(value, "dependencies")?.iter().map(Dependency::parse).collect::<Result<_>>()?,
            name,
        })
    }

    pub(crate) fn is_example(&self) -> bool {
        self.name.starts_with("example-")
    }

    /// Whether the package has a library for other packages. The library of an example is only for the example's own tests.
    pub(crate) fn is_library(&self) -> bool {
        self.library.is_some() && !self.is_example()
    }
}

impl Dependency {
    fn parse(value: &Value) -> Result<Self> {
        Ok(Self {
            name: string(value, "name")?.to_owned(),
            kind: match value["kind"].as_str() {
                None => Kind::Normal,
                Some("dev") => Kind::Dev,
                Some("build") => Kind::Build,
                Some(other) => bail!("`{other}` is no kind of dependency that is known here"),
            },
            optional: value["optional"].as_bool().unwrap_or_default(),
            default_features: value["uses_default_features"].as_bool().unwrap_or(true),
            features: strings(&value["features"]),
        })
    }
}

fn string<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("`{key}` is missing, or no string"))
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| format!("`{key}` is missing, or no list"))
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_a_list_of_registries_is_published() {
        let package = |publish: &str| {
            let json = format!(
                r#"{{"name": "a", "version": "1.0.0", "manifest_path": "a/Cargo.toml", "targets": [], "features": {{}},
                    "dependencies": [], "publish": {publish}}}"#
            );
            Package::parse(&serde_json::from_str(&json).unwrap()).unwrap()
        };
        assert!(package("null").published);
        assert!(!package("[]").published);
    }

    #[test]
    fn a_renamed_dependency_keeps_its_own_name() {
        let json = r#"{"name": "sockeye-axum", "rename": "axum", "kind": null, "optional": false,
            "uses_default_features": true, "features": ["ws"]}"#;
        let dependency = Dependency::parse(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!((dependency.name.as_str(), dependency.kind), ("sockeye-axum", Kind::Normal));
    }
}
