//! `cargo xtask api`: compares what is public in `axum::extract::ws` with what `sockeye-axum-exact` has in its place.
//!
//! rustdoc describes the crates as JSON. From that, each module becomes a list of declarations in which it no longer matters
//! how the source names a type or a parameter, through which crates an item is re-exported, and whether a type is an alias. A
//! declaration that axum has and we have not, or have otherwise, is a failure unless `reasons.rs` gives a reason. So a new
//! version of axum shows what is missing. The differences are a page of the guide, which must be up to date.
//!
//! The format of the JSON is unstable, and the dependency `rustdoc-types` has its number in its version: 0.57 reads what Rust
//! 1.95 writes. A toolchain that writes another one needs another version of `rustdoc-types`, and perhaps changes in `types.rs`.

mod compare;
mod crates;
mod declare;
mod documents;
#[cfg(test)]
mod fixture;
mod generics;
mod impls;
mod items;
mod page;
mod reasons;
mod term;
mod types;

use crate::context::Context;
use crate::tools::Skip;
use anyhow::{Context as _, Result, bail};
use compare::compare;
use declare::Api;
use documents::{Documents, OUR_MODULE, THEIR_MODULE};
use reasons::REASONS;
use std::fs;

pub(crate) fn run(ctx: &Context, write: bool) -> Result<()> {
    if cfg!(not(unix)) {
        bail!(Skip("the page is about Unix, where there are more methods than elsewhere".to_owned()));
    }
    let Documents { axum_version, theirs, ours } = documents::make(ctx)?;
    let theirs = Api::of_module(&theirs, theirs.module(THEIR_MODULE)?);
    let ours = Api::of_module(&ours, ours.module(OUR_MODULE)?);
    let comparison = compare(&theirs, &ours);
    let problems = reasons::check(&comparison, REASONS);
    if !problems.is_empty() {
        bail!(
            "{OUR_MODULE} is not as {THEIR_MODULE} of axum {axum_version}; mend it, or give a reason in \
             xtask/src/api/reasons.rs:\n  {}",
            problems.join("\n  ")
        );
    }

    let text = page::text(&axum_version, &comparison, REASONS);
    let path = ctx.workspace.root.join(page::PATH);
    if write {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    } else if fs::read_to_string(&path).ok().as_deref() != Some(&text) {
        bail!("{} is not up to date; `cargo xtask api --write` writes it", page::PATH);
    }
    eprintln!(
        "axum {axum_version}: {} declarations are the same, {} missing, {} different, {} added",
        comparison.same,
        comparison.missing.len(),
        comparison.differ.len(),
        comparison.added.len()
    );
    Ok(())
}
