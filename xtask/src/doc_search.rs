//! The step `doc-search` of `cargo xtask ci`: what people type into the search of the documentation finds the right page first.
//!
//! Chromium searches, as people do: what comes first is decided by rustdoc's own program. The results are those of the crate
//! `sockeye` alone, as on docs.rs.

use crate::context::Context;
use crate::docs;
use crate::examples;
use crate::interop::scripts::node_script;
use crate::tools::Tool;
use anyhow::{Context as _, Result, bail};
use serde_json::json;
use std::fs;
use std::time::Duration;

/// How long all searches may take. Each takes less than a second.
const LIMIT: Duration = Duration::from_secs(120);

/// Each word, and what must come first. Words that no name has are aliases: `#[doc(alias = "…")]` on the item or on the page of
/// the guide.
#[rustfmt::skip]
const WORDS: &[(&str, &str)] = &[
    ("heartbeat",        "sockeye::Timeouts::keep_alive"),
    ("ping interval",    "sockeye::Timeouts::keep_alive"),
    ("keep alive",       "sockeye::Timeouts::keep_alive"),
    ("timeout",          "sockeye::Timeouts"),
    ("rooms",            "sockeye::guide::rooms"),
    ("pubsub",           "sockeye::guide::rooms"),
    ("presence",         "sockeye::guide::presence"),
    ("resume",           "sockeye::guide::history"),
    ("redis",            "sockeye::redis"),
    ("cluster",          "sockeye::guide::more_than_one_server"),
    ("broadcast",        "sockeye::state::Hub::broadcast"),
    ("max message size", "sockeye::Config::max_message_size"),
    ("message size",     "sockeye::Config::max_message_size"),
    ("cors",             "sockeye::Origins"),
    ("graceful",         "sockeye::Shutdown"),
    ("backpressure",     "sockeye::guide::slow_clients"),
    ("rate limit",       "sockeye::guide::security"),
    ("nginx",            "sockeye::guide::deploying"),
    ("tls",              "sockeye::guide::tls"),
    ("reconnect",        "sockeye::guide::faq"),
    ("testing",          "sockeye::guide::testing"),
    ("login",            "sockeye::guide::authentication"),
    ("upload",           "sockeye::guide::large_messages"),
];

pub(crate) fn run(ctx: &Context) -> Result<()> {
    docs::build(ctx)?;
    let page = ctx.workspace.target.join("doc/sockeye/index.html");
    let output = ctx.workspace.target.join("doc-search");
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let words: Vec<_> = WORDS.iter().map(|(word, first)| json!({ "word": word, "first": first })).collect();
    let mut script = node_script(ctx, "doc-search.mjs")?;
    script.arg("--url").arg(format!("file://{}", page.display()));
    script.arg("--input").arg(json!(words).to_string());
    script.arg("--chromium").arg(Tool::Chromium.require(ctx)?).arg("--output").arg(&output);
    if !examples::run(script, LIMIT)?.success() {
        bail!("a word does not find what it should find first; the table is in xtask/src/doc_search.rs");
    }
    Ok(())
}
