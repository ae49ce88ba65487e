//! `cargo xtask tidy`: checks the rules that neither rustc nor clippy checks. docs/STYLE.md has the reasons.

mod file;
mod manifests;
mod markdown;
mod source;
mod texts;
mod words;

use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use file::{Problem, SourceFile, slashes};
use std::fs;
use std::path::Path;
use xshell::cmd;

/// The licences in the root and in each published crate.
pub(crate) const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];

pub(crate) fn run(ctx: &Context) -> Result<()> {
    let files = files(ctx)?;
    let mut problems = Vec::new();
    for file in &files {
        texts::check(file, &mut problems);
        match file.path.rsplit_once('.').map(|(_, extension)| extension) {
            Some("rs") => {
                source::check(file, &mut problems);
                words::check(file, &mut problems);
            }
            Some("md") => markdown::check(&ctx.workspace.root, file, &mut problems),
            _ => {}
        }
    }
    manifests::check(&ctx.workspace, &files, &mut problems);
    folders(ctx, &mut problems)?;
    lock_file(ctx, &mut problems);

    if problems.is_empty() {
        eprintln!("{} files are tidy", files.len());
        return Ok(());
    }
    problems.sort();
    for problem in &problems {
        println!("{problem}");
    }
    let (number, rules) = (problems.len(), if problems.len() == 1 { "rule is" } else { "rules are" });
    bail!("{number} {rules} broken; docs/STYLE.md has the reasons")
}

/// All text files that git tracks or does not ignore, except the seeds of the fuzz targets.
fn files(ctx: &Context) -> Result<Vec<SourceFile>> {
    let sh = &ctx.sh;
    let list = cmd!(sh, "git ls-files -z --cached --others --exclude-standard")
        .quiet()
        .read()
        .context("cannot list the files of the repository; tidy must run in a git checkout")?;
    let mut paths: Vec<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    // During a merge a file is listed once for each side.
    paths.sort_unstable();
    paths.dedup();
    Ok(paths
        .into_iter()
        // The seeds are arbitrary bytes, even if some of them happen to be text.
        .filter(|path| !path.starts_with("fuzz/seeds/"))
        .filter_map(|path| {
            // Deleted files and files that are not text have no rules.
            let text = fs::read_to_string(ctx.workspace.root.join(path)).ok()?;
            Some(SourceFile { path: path.to_owned(), text })
        })
        .collect())
}

/// Checks what the folder of each crate and of each example must have besides code.
fn folders(ctx: &Context, problems: &mut Vec<Problem>) -> Result<()> {
    let root = &ctx.workspace.root;
    let mut licences = Vec::new();
    for name in LICENCES {
        licences.push((name, fs::read_to_string(root.join(name)).with_context(|| format!("the root has no {name}"))?));
    }
    for package in &ctx.workspace.packages {
        let folder = ctx.workspace.relative(&package.folder);
        let is_crate = folder.starts_with("crates");
        let mut required = Vec::new();
        if is_crate || package.is_example() {
            required.push("README.md");
        }
        if is_crate {
            required.push("CHANGELOG.md");
        }
        for name in required {
            if read(&package.folder, name).is_none_or(|text| text.trim().is_empty()) {
                problems.push(Problem::new(slashes(&folder.join(name)), 0, "is missing or empty"));
            }
        }
        if package.published {
            for (name, text) in &licences {
                if read(&package.folder, name).is_none_or(|copy| copy != *text) {
                    let what = format!("must be the root's {name}: `ln -s ../../{name} .` in that folder");
                    problems.push(Problem::new(slashes(&folder.join(name)), 0, what));
                }
            }
        }
    }
    Ok(())
}

/// Checks that `Cargo.lock` is committed and up to date.
fn lock_file(ctx: &Context, problems: &mut Vec<Problem>) {
    let sh = &ctx.sh;
    if cmd!(sh, "git ls-files --error-unmatch Cargo.lock").quiet().ignore_stdout().ignore_stderr().run().is_err() {
        problems.push(Problem::new("Cargo.lock", 0, "is not committed; CI and a user must build the same"));
    }
    if cmd!(sh, "cargo metadata --format-version 1 --locked").quiet().ignore_stdout().run().is_err() {
        problems.push(Problem::new("Cargo.lock", 0, "is not up to date with the manifests; `cargo check` updates it"));
    }
}

fn read(folder: &Path, name: &str) -> Option<String> {
    fs::read_to_string(folder.join(name)).ok()
}
