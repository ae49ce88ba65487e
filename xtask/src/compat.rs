//! `cargo xtask compat`: tests that other projects wrote for axum's WebSockets, with Sockeye in axum's place.
//!
//! Nothing of these projects is committed here: their sources come from their packages in the registry. There are two ways to
//! replace axum, and a workspace under `target/compat` for each. In `exact`, the dependency `axum` is sockeye-axum-exact. In
//! `patch`, `[patch.crates-io]` gives `patch/axum` to the whole tree. The manifests, the lock files and the tests of our own are
//! in `xtask/compat`.

mod rewrite;
mod sources;

use crate::context::Context;
use crate::flags::CompatFlags;
use anyhow::{Context as _, Result, ensure};
use rewrite::{axums_tests, in_place_of_axum, with_our_folder};
use sources::Sources;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use xshell::cmd;

/// A package, what `cargo test` is told for it, and how many tests there are at least: a filter that finds nothing passes too.
type Tests = (&'static str, &'static [&'static str], u64);

/// The packages whose tests run with sockeye-axum-exact.
const EXACT: [Tests; 3] = [
    ("axum-ws", &[], 3),
    // Its other tests are not about WebSockets.
    ("axum-test", &["--lib", "--features", "ws,yaml,msgpack", "web_socket"], 16),
    ("reqwest-websocket", &["--lib", "--features", "json"], 10),
];

/// The packages whose tests run through the patch.
const PATCH: [Tests; 4] = [
    ("graphql", &[], 3),
    ("server-fn-websocket", &[], 2),
    ("juniper_axum", &["--features", "subscriptions", "--test", "ws_test_suite"], 2),
    ("samod", &["--features", "axum,tokio,tungstenite", "--test", "axum_transport"], 2),
];

pub(crate) fn run(ctx: &Context, flags: &CompatFlags) -> Result<()> {
    let ours = ctx.workspace.root.join("xtask/compat");
    let folder = ctx.workspace.target.join("compat");
    let sources = Sources::fetch(ctx, &ours, flags.update)?;

    exact(ctx, &ours, &folder.join("exact"), &sources)?;
    patch(ctx, &ours, &folder.join("patch"), &sources)?;
    let axum = sources.version("axum")?;
    if flags.update {
        update(ctx, &folder, axum)?;
    }
    check_axum(&folder.join("exact"), axum)?;
    check_axum(&folder.join("patch"), axum)?;
    check_patch(ctx, &folder.join("patch"), axum)?;
    for (workspace, tests) in [("exact", &EXACT[..]), ("patch", &PATCH[..])] {
        test(ctx, &folder, workspace, tests)
            .with_context(|| format!("the tests of {workspace} failed; their sources are in {}", folder.display()))?;
        if flags.update {
            copy_file(&folder.join(workspace).join("Cargo.lock"), &ours.join(workspace).join("Cargo.lock"))?;
        }
    }
    eprintln!("what was changed in the sources of others: {}", rewrite::SUMMARY);
    Ok(())
}

/// Makes the workspace whose dependency `axum` is sockeye-axum-exact.
fn exact(ctx: &Context, ours: &Path, folder: &Path, sources: &Sources) -> Result<()> {
    let root = &ctx.workspace.root;
    renew(ours, "exact", folder, root)?;
    let tests = read(&sources.folder("axum")?.join("src/extract/ws.rs"))?;
    write(&folder.join("axum-ws/tests/ws.rs"), &axums_tests(&tests)?)?;
    for name in ["axum-test", "reqwest-websocket"] {
        copy_folder(sources.folder(name)?, &folder.join(name))?;
        let manifest = folder.join(name).join("Cargo.toml");
        write(&manifest, &in_place_of_axum(&read(&manifest)?, &root.join("crates/sockeye-axum-exact"))?)?;
    }
    Ok(())
}

/// Makes the workspace in which `patch/axum` is axum. The sources of others stay as they are.
fn patch(ctx: &Context, ours: &Path, folder: &Path, sources: &Sources) -> Result<()> {
    let root = &ctx.workspace.root;
    renew(ours, "patch", folder, root)?;
    for name in ["juniper_axum", "samod"] {
        copy_folder(sources.folder(name)?, &folder.join(name))?;
    }
    // As the page *Libraries over axum* of the guide tells a user.
    copy_folder(sources.folder("axum")?, &folder.join("axum-real"))?;
    copy_folder(&root.join("patch/axum"), &folder.join("axum"))?;
    let manifest = folder.join("axum/Cargo.toml");
    check_features(&read(&sources.folder("axum")?.join("Cargo.toml"))?, &read(&manifest)?)?;
    let text = read(&manifest)?.replace("../../crates/", &format!("{}/crates/", root.display()));
    write(&manifest, &text)
}

/// Copies our part of a workspace to `folder`, and removes what was there.
fn renew(ours: &Path, workspace: &str, folder: &Path, root: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    copy_folder(&ours.join(workspace), folder)?;
    copy_file(&ours.join("empty.rs"), &folder.with_file_name("empty.rs"))?;
    for entry in fs::read_dir(folder)? {
        let manifest = entry?.path().join("Cargo.toml");
        if manifest.is_file() {
            write(&manifest, with_our_folder(&read(&manifest)?, root))?;
        }
    }
    Ok(())
}

/// Checks that the patch has every feature of axum.
fn check_features(axum: &str, patch: &str) -> Result<()> {
    let (axum, patch) = (features(axum), features(patch));
    let missing: Vec<&str> = axum.into_iter().filter(|feature| !patch.contains(feature)).collect();
    ensure!(missing.is_empty(), "patch/axum/Cargo.toml has not these features of axum: {}", missing.join(", "));
    Ok(())
}

/// The names of a manifest's features.
fn features(manifest: &str) -> Vec<&str> {
    let table = manifest.split("\n[features]\n").nth(1).and_then(|rest| rest.split("\n[").next());
    let lines = table.unwrap_or_default().lines().filter(|line| !line.starts_with([' ', '#', ']']));
    lines.filter_map(|line| line.split_once(" = ").map(|(name, _)| name)).collect()
}

/// Checks that the workspace is locked to the axum of our own `Cargo.lock`.
fn check_axum(workspace: &Path, version: &str) -> Result<()> {
    let lock = read(&workspace.join("Cargo.lock"))?;
    ensure!(
        lock.contains(&format!("name = \"axum\"\nversion = {version:?}\n")),
        "the workspace is on axum {version}, and {} is not: run `cargo xtask compat --update`",
        workspace.display()
    );
    Ok(())
}

/// Checks that nothing but our package uses the real axum.
fn check_patch(ctx: &Context, workspace: &Path, version: &str) -> Result<()> {
    let (sh, manifest, real) = (&ctx.sh, workspace.join("Cargo.toml"), format!("axum@{version}"));
    let users = cmd!(
        sh,
        "cargo tree --locked --manifest-path {manifest} --workspace --all-features --invert {real} --depth 1 --prefix none"
    )
    .quiet()
    .read()?;
    let others: Vec<&str> = users.lines().skip(1).filter(|user| !user.starts_with("axum v")).collect();
    ensure!(users.lines().count() > 1, "nothing uses axum {version} in {}", workspace.display());
    ensure!(others.is_empty(), "patch/axum does not reach these users of axum: {}", others.join(", "));
    Ok(())
}

/// Takes the newest versions of the other projects, and the axum of our own `Cargo.lock`.
fn update(ctx: &Context, folder: &Path, axum: &str) -> Result<()> {
    let sh = &ctx.sh;
    let [exact, patch] = ["exact", "patch"].map(|workspace| folder.join(workspace).join("Cargo.toml"));
    cmd!(sh, "cargo update --manifest-path {exact}").run()?;
    cmd!(sh, "cargo update --manifest-path {exact} --precise {axum} axum").run()?;
    cmd!(sh, "cargo update --manifest-path {patch}").run()?;
    Ok(())
}

/// Runs the tests of each package in a workspace, and prints how many there were.
fn test(ctx: &Context, folder: &Path, workspace: &str, tests: &[Tests]) -> Result<()> {
    let sh = &ctx.sh;
    let manifest = folder.join(workspace).join("Cargo.toml");
    // A folder of its own: the features of common dependencies differ from ours.
    let target = folder.join("target");
    for &(package, arguments, least) in tests {
        let command = cmd!(
            sh,
            "cargo test --manifest-path {manifest} --target-dir {target} --locked -p {package} {arguments...}"
        );
        eprintln!("$ {command}");
        let output = Command::from(command).stderr(Stdio::inherit()).output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        print!("{printed}");
        ensure!(output.status.success(), "the tests of {package} failed, or did not compile");
        let passed = passed(&printed);
        ensure!(passed >= least, "{passed} tests of {package} ran, and not {least}: see xtask/src/compat.rs");
        eprintln!("{workspace}: {passed} tests of {package} passed\n");
    }
    Ok(())
}

/// The number of passed tests that the output of `cargo test` reports.
fn passed(output: &str) -> u64 {
    let results = output.lines().filter_map(|line| line.strip_prefix("test result: ok. "));
    results.filter_map(|counts| counts.split(' ').next()?.parse::<u64>().ok()).sum()
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            copy_file(&path, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    write(to, &fs::read(from).with_context(|| format!("cannot read {}", from.display()))?)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, contents).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_the_patch_lacks_is_named() {
        let axum =
            "[package]\n\n[features]\ndefault = [\n    \"json\",\n]\njson = []\nnew = []\n\n[lib]\nname = \"axum\"\n";
        let patch = "[package]\n\n[features]\n# all\ndefault = []\njson = [\"real/json\"]\n\n[dependencies]\n";
        let error = check_features(axum, patch).unwrap_err().to_string();
        assert!(error.ends_with(": new"), "{error}");
        check_features(patch, axum).unwrap();
    }

    #[test]
    fn the_passed_tests_of_all_files_are_counted() {
        let output = "running 2 tests\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n\ntest result: ok. 16 passed; 0 failed\n";
        assert_eq!(passed(output), 18);
        assert_eq!(passed("test result: ok. 0 passed; 0 failed\n"), 0);
    }
}
