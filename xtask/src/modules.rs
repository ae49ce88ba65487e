//! `cargo xtask layers --modules`: which file of a crate uses which other file, and where files use each other in a circle.
//!
//! # What an arrow is
//!
//! File A uses file B if an import in A, or a path in the code of A, leads to something that B *defines*. Re-exports are followed:
//! an import of `crate::Message` uses the file that defines `Message`, not the `lib.rs` that re-exports it.
//!
//! * `mod x;` is no arrow. A parent that uses what its child defines has an arrow, and so has a child that uses what its parent
//!   defines: both together are a circle.
//! * A parent has no arrow to a file below it whose items it only re-exports (`pub use`, `pub(crate) use` and so on). The same
//!   holds for a private import that only other files use, as `super::X`. A re-export of anything else is an arrow.
//! * An item of another crate counts as defined by the file that imports it: `crate::sync::Mutex` by `sync.rs`. An item that a
//!   macro defines counts as defined by the last file that the path names.
//! * The import of a module is no arrow, but the paths that go through the module are. An import of everything in a module
//!   (`use a::*`) is an arrow to its file.
//! * Code under every `cfg` counts, except code for tests only.
//! * Calls of methods are not seen. If the `impl`s of a type lie in several files, only the file that has the type itself counts.
//!
//! # What a circle is, and which arrows run back up
//!
//! A circle is a largest set of files in which each file leads to each other file, over one arrow or several. If the files lay
//! in layers, all arrows would run down and there would be no circle. The arrows that *run back up* are a small set of arrows
//! whose removal leaves no circle. For each circle they are found like this:
//!
//! 1. The files are brought into an order in which few arrows run from a later file to an earlier one. The heuristic of Eades,
//!    Lin and Smyth gives a first order. Then single files are moved for as long as a move leaves fewer such arrows.
//! 2. All arrows from a later file to an earlier one are taken out, and put back one by one, unless the arrow closes a circle
//!    with those that are there. The arrows that stay out run back up.
//!
//! So each of these arrows closes a circle with the arrows that run down. A smaller set may exist. An arrow counts once, even
//! if the file uses much of the other one.

mod circles;
mod mentions;
mod resolve;
mod sizes;
mod tree;

use crate::bench;
use crate::context::Context;
use crate::workspace::{Package, Workspace};
use anyhow::{Context as _, Result, bail};
use circles::{back_up, circles, within};
use resolve::{Site, arrows};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use tree::Tree;

/// The folders of the packages in which a circle is a failure.
const NO_CIRCLES: [&str; 3] = ["bench/load", "crates/sockeye-proto", "crates/sockeye-tokio"];

/// The only package of the workspace in `bench/` whose files are examined.
const LOAD: &str = "bench-load";

pub(crate) fn run(ctx: &Context) -> Result<()> {
    let root = &ctx.workspace.root;
    let bench = Workspace::load_from(&ctx.sh, bench::MANIFEST)?;
    let load = bench.package(LOAD).with_context(|| format!("{} has no package {LOAD}", bench::MANIFEST))?;
    let packages = ctx.workspace.packages.iter().filter(|package| !package.is_example()).chain([load]);

    let mut problems = Vec::new();
    for package in packages {
        let folder = ctx.workspace.relative(&package.folder).display().to_string();
        let tree = read(package).with_context(|| format!("cannot read the files of {}", package.name))?;
        let (text, circles) = describe(&folder, &tree);
        print!("{text}");
        if circles > 0 && NO_CIRCLES.contains(&folder.as_str()) {
            problems.push(format!("{folder} has a circle of files; turn round or remove the arrows with a ^"));
        }
        problems.extend(sizes::check(root, &folder)?);
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("the files are not in layers:\n  {}", problems.join("\n  "))
}

fn read(package: &Package) -> Result<Tree> {
    let source = package.folder.join("src");
    let from_source = |path: &std::path::PathBuf| Some(path.strip_prefix(&source).ok()?.to_str()?.replace('\\', "/"));
    let roots: Vec<String> = package.roots.iter().filter_map(from_source).collect();
    Tree::read(&roots, package.library.as_deref(), &|path| fs::read_to_string(source.join(path)).ok())
}

/// The files, arrows and circles of a package in words, and the number of circles.
fn describe(name: &str, tree: &Tree) -> (String, usize) {
    let sites = arrows(tree);
    let arrows: BTreeSet<_> = sites.keys().copied().collect();
    let circles = circles(tree.files.len(), &arrows);
    let back: Vec<BTreeSet<_>> = circles.iter().map(|circle| back_up(circle, &arrows)).collect();

    let mut text = format!("{name}: {}, {}", count(tree.files.len(), "file"), count(arrows.len(), "arrow"));
    if !circles.is_empty() {
        let back: usize = back.iter().map(BTreeSet::len).sum();
        let run = if back == 1 { "runs" } else { "run" };
        let _ = write!(text, "; {}, {} {run} back up", count(circles.len(), "circle"), count(back, "arrow"));
    }
    text.push('\n');
    for (circle, back) in circles.iter().zip(&back) {
        let files: Vec<&str> = circle.iter().map(|&file| tree.files[file].path.as_str()).collect();
        let _ = writeln!(text, "  circle of {} files: {}", files.len(), files.join(", "));
        for arrow in within(circle, &arrows) {
            let mark = if back.contains(&arrow) { '^' } else { ' ' };
            let (from, to) = (&tree.files[arrow.0].path, &tree.files[arrow.1].path);
            let Site { line, path } = &sites[&arrow];
            let _ = writeln!(text, "  {mark} {from}:{line} -> {to} ({path})");
        }
    }
    (text, circles.len())
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let source = |path: &str| Some(files.iter().find(|(name, _)| *name == path)?.1.to_owned());
        Tree::read(&["lib.rs".to_owned()], None, &source).unwrap()
    }

    #[test]
    fn a_circle_is_described_with_a_line_of_each_arrow() {
        let tree = tree(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
            ("a.rs", "use crate::b::B;\npub struct A(B);\n"),
            ("b.rs", "use crate::a::A;\nuse crate::c::C;\npub struct B(C);\npub type Other = A;\n"),
            ("c.rs", "pub struct C;\n"),
        ]);
        let (text, circles) = describe("crates/some", &tree);
        assert_eq!(circles, 1);
        let expected = "crates/some: 4 files, 3 arrows; 1 circle, 1 arrow runs back up
  circle of 2 files: a.rs, b.rs
    a.rs:1 -> b.rs (crate::b::B)
  ^ b.rs:1 -> a.rs (crate::a::A)
";
        assert_eq!(text, expected);
    }

    #[test]
    fn layers_are_counted_alone() {
        let tree = tree(&[("lib.rs", "mod a;\npub fn b() { a::a() }\n"), ("a.rs", "pub fn a() {}\n")]);
        assert_eq!(describe("crates/some", &tree), ("crates/some: 2 files, 1 arrow\n".to_owned(), 0));
    }
}
