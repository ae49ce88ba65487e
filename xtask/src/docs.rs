//! `cargo xtask doc`: the documentation of every crate, and an index page.

use crate::cargo;
use crate::context::Context;
use crate::guide::{self, Section};
use crate::workspace::Package;
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use xshell::cmd;

const DENY_WARNINGS: &str = "-D warnings";

/// The step of `cargo xtask ci`.
pub(crate) fn check(ctx: &Context) -> Result<()> {
    with_fewer_features(ctx)?;
    let outdated = guide::readable::outdated(ctx, &build(ctx)?, &folder(ctx))?;
    if !outdated.is_empty() {
        bail!("{} have not the guide's present text: run `cargo xtask doc`, and commit them", outdated.join(", "));
    }
    Ok(())
}

pub(crate) fn run(ctx: &Context, open: bool) -> Result<()> {
    for file in guide::readable::write(ctx, &build(ctx)?, &folder(ctx))? {
        println!("{file} has the guide's present text");
    }
    let index = folder(ctx).join("index.html");
    println!("documentation: {}", index.display());
    if open {
        browse(ctx, &index)?;
    }
    Ok(())
}

/// Where the documentation is.
fn folder(ctx: &Context) -> PathBuf {
    ctx.workspace.target.join("doc")
}

/// Builds the documentation of all crates, and its index page. Returns the sections of the guide.
pub(crate) fn build(ctx: &Context) -> Result<Vec<Section>> {
    let sh = &ctx.sh;
    let guide = guide::load(ctx)?;
    // The facade comes first, then the others by name. The index page describes each crate.
    let mut crates: Vec<&Package> = ctx.workspace.packages.iter().filter(|package| package.is_library()).collect();
    crates.sort_by_key(|package| (!package.published, package.name != "sockeye"));
    // The facade last: its pages show items of the others, and rustdoc links their sources only if it has documented them already.
    let others = crates.iter().map(|package| package.name.as_str()).filter(|name| *name != "sockeye");
    let others = cargo::packages(others);

    let _denied = cargo::push_flags(sh, "RUSTDOCFLAGS", DENY_WARNINGS);
    cmd!(sh, "cargo doc --no-deps --all-features {others...}").run()?;
    cmd!(sh, "cargo doc --no-deps --all-features --package sockeye").run()?;

    let folder = folder(ctx);
    let index = folder.join("index.html");
    let page = page(&guide, &crates, &rust_version(&crates));
    fs::write(&index, &page).with_context(|| format!("cannot write {}", index.display()))?;
    let dead = dead_links(&page, &folder);
    if !dead.is_empty() {
        bail!(
            "{} leads to pages that rustdoc did not make: {}; the guide is the module `guide` of the crate sockeye",
            ctx.workspace.relative(&index).display(),
            dead.join(", ")
        );
    }
    Ok(guide)
}

/// Builds the documentation of each published crate with its default features, and with none, as users do who depend on it by
/// path: a link to what a feature hides is an error in their builds.
fn with_fewer_features(ctx: &Context) -> Result<()> {
    let sh = &ctx.sh;
    let _denied = cargo::push_flags(sh, "RUSTDOCFLAGS", DENY_WARNINGS);
    for package in ctx.workspace.published().filter(|package| !package.features.is_empty()) {
        let name = &package.name;
        for features in [&[][..], &["--no-default-features"]] {
            cmd!(sh, "cargo doc --quiet --no-deps --package {name} {features...}").run()?;
        }
        // cargo would take these pages for those with all features, which are in the same folder.
        if let Some(library) = &package.library {
            let page = ctx.workspace.target.join("doc").join(library).join("index.html");
            fs::remove_file(&page).with_context(|| format!("cannot remove {}", page.display()))?;
        }
    }
    Ok(())
}

/// The page at `target/doc/index.html`: an introduction, all pages of the guide, and a table of all crates.
fn page(guide: &[Section], crates: &[&Package], rust_version: &str) -> String {
    let mut pages = String::new();
    for section in guide {
        let _ = writeln!(pages, "<h3>{}</h3>\n<ul>", escape(&section.title));
        for page in &section.pages {
            let (html, title, about) = (page.html(), escape(&page.title), with_code(&page.about));
            let _ = writeln!(pages, "<li><a href=\"{html}\">{title}</a>: {about}");
        }
        pages.push_str("</ul>\n");
    }
    let mut rows = String::new();
    for package in crates {
        let Some(library) = &package.library else { continue };
        let note = if package.published { "" } else { " <em>(tests of this workspace)</em>" };
        let _ = writeln!(
            rows,
            "<tr><td><a href=\"{library}/index.html\">{}</a><td>{}<td>{}{note}",
            escape(&package.name),
            escape(&package.version),
            escape(&package.description)
        );
    }
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sockeye</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 1.05rem/1.5 system-ui, sans-serif; max-width: 52rem; margin: 3rem auto; padding: 0 1.2rem }}
  h1 {{ margin-bottom: 0 }}
  h3 {{ margin: 1rem 0 0 }}
  ul {{ margin: .2rem 0 }}
  table {{ border-collapse: collapse; width: 100% }}
  td {{ border-top: 1px solid #8886; padding: .5rem .8rem .5rem 0; vertical-align: top }}
  td:first-child {{ white-space: nowrap; font-family: ui-monospace, monospace }}
  a {{ color: #c2452d }}
</style>
<h1>Sockeye</h1>
<p>WebSockets for Rust servers. Rust {rust_version} or later.
<h2>The guide</h2>
{pages}<h2>Crates</h2>
<table>
{rows}</table>
</html>
"#
    )
}

/// The targets of links in `page` that are not files under `folder`.
fn dead_links(page: &str, folder: &Path) -> Vec<String> {
    let targets = page.split("href=\"").skip(1).filter_map(|rest| rest.split_once('"').map(|(target, _)| target));
    targets.filter(|target| !folder.join(target).is_file()).map(str::to_owned).collect()
}

fn rust_version(crates: &[&Package]) -> String {
    crates.iter().find_map(|package| package.rust_version.clone()).unwrap_or_default()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// One line of Markdown as HTML: only code is marked up.
fn with_code(text: &str) -> String {
    let parts = escape(text);
    let parts = parts.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 0 { part.to_owned() } else { format!("<code>{part}</code>") }).collect()
}

fn browse(ctx: &Context, page: &Path) -> Result<()> {
    let sh = &ctx.sh;
    let chosen = std::env::var("BROWSER").ok();
    let programs = chosen.as_deref().into_iter().chain(["xdg-open", "open", "explorer"]);
    for program in programs {
        if cmd!(sh, "{program} {page}").quiet().ignore_stderr().run().is_ok() {
            return Ok(());
        }
    }
    bail!("no browser could be started; set BROWSER, or open {}", page.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_in_a_line_of_the_index_page_is_marked_up() {
        assert_eq!(with_code("one `a<b>` & two"), "one <code>a&lt;b&gt;</code> &amp; two");
    }

    #[test]
    fn a_link_to_a_missing_page_is_found() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = r#"<a href="src/main.rs">here</a> <a href="src/nowhere.rs">not here</a>"#;
        assert_eq!(dead_links(page, folder), ["src/nowhere.rs"]);
    }
}
