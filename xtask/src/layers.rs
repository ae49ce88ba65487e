//! `cargo xtask layers`: compares the manifests with a table of the dependencies that each crate may have.
//!
//! The table is part of the design. A dependency that is not in it is either a mistake or a change of the design, which has to
//! be made here, where everybody sees it. Three more rules are checked: a crate must not depend on certain packages even
//! indirectly; published crates use test helpers for tests only; and only examples and test helpers use the facade.

use crate::context::Context;
use crate::workspace::{Dependency, Kind, Package, Workspace};
use anyhow::{Result, bail};
use std::fmt::Write as _;
use xshell::cmd;

/// The role of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A published crate that other crates may depend on.
    Crate,
    /// A package that is not published, such as `sockeye-testkit`, a tool or a test program. For a published crate it can only
    /// be a development dependency.
    TestHelper,
    /// The published package that no other published crate may depend on.
    Facade,
}

/// One row of the table.
#[derive(Debug)]
struct Row {
    name: &'static str,
    part: Part,
    /// The normal dependencies, inside the workspace and outside.
    may: &'static [Arrow],
    /// Packages that this one must not reach, not even through other packages, with all its features on.
    never: &'static [&'static str],
}

/// A normal dependency that is allowed.
#[derive(Debug, Clone, Copy)]
struct Arrow {
    to: &'static str,
    /// Whether the dependency must be optional, and so behind a feature.
    optional: bool,
    /// If present, the dependency must have no default features, and no features but these.
    features: Option<&'static [&'static str]>,
}

const fn to(name: &'static str) -> Arrow {
    Arrow { to: name, optional: false, features: None }
}

const fn optional(name: &'static str) -> Arrow {
    Arrow { to: name, optional: true, features: None }
}

const fn bare(name: &'static str, features: &'static [&'static str]) -> Arrow {
    Arrow { to: name, optional: false, features: Some(features) }
}

/// A row may exist before its crate. Each crate must have a row.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row {
        name: "sockeye-proto",
        part: Part::Crate,
        may: &[bare("tungstenite", &[]), to("bytes"), to("thiserror"), to("simdutf8"), optional("flate2")],
        never: &["tokio", "futures-core", "async-trait", "http", "hyper", "axum", "axum-core"],
    },
    Row {
        name: "sockeye-handshake",
        part: Part::Crate,
        may: &[to("sockeye-proto"), to("http"), bare("tungstenite", &["handshake"]), to("thiserror")],
        never: &["tokio", "futures-core", "hyper", "axum", "axum-core"],
    },
    Row {
        name: "sockeye-tokio",
        part: Part::Crate,
        may: &[
            to("sockeye-proto"), to("tokio"), to("futures-core"), to("futures-sink"), to("http"), to("tracing"), to("thiserror"),
            // `bytes` carries what an HTTP layer has read ahead; `getrandom` makes the masking keys.
            to("bytes"), to("getrandom"), optional("axum-core"), optional("metrics"),
            // Typed messages: behind the feature `json`.
            optional("serde"), optional("serde_json"), optional("serde_path_to_error"),
            // Reads into spare capacity, in one call that also tells tokio whether there is more to read.
            to("rustix"),
            // Shuts down one direction of a socket that both halves share. tokio can do this only for the owner.
            to("socket2"),
            // `SO_RCVLOWAT`, which neither rustix nor socket2 has, and `pthread_atfork`.
            to("libc"),
            // Its locks cost half of those of the standard library, and are taken twice for each message.
            to("parking_lot"),
        ],
        never: &["hyper", "axum", "sockeye-handshake"],
    },
    Row {
        name: "sockeye-extract",
        part: Part::Crate,
        may: &[
            to("sockeye-handshake"), to("sockeye-tokio"), to("hyper"), to("hyper-util"), optional("axum-core"), to("tracing"),
            // `tokio` spawns the upgraded connection and names its `TcpStream`.
            to("bytes"), to("http"), to("tokio"), optional("metrics"),
            // The settings are a layer, for which axum uses these traits; the layer's future is pinned without `unsafe`.
            optional("tower-layer"), optional("tower-service"), optional("pin-project-lite"),
        ],
        never: &["axum"],
    },
    Row {
        name: "sockeye-client",
        part: Part::Crate,
        may: &[
            to("sockeye-handshake"), to("sockeye-tokio"), to("hyper"), to("hyper-util"), to("http-body-util"), to("tokio"),
            to("http"), to("bytes"), to("tracing"),
            // Credentials of `Authorization: Basic`; `hyper-util` encodes only those of proxies. Dates in `Retry-After`.
            to("base64"), to("httpdate"),
            // `Sockets` is a `Stream`, and waits for random times.
            to("futures-core"), to("getrandom"),
            optional("tokio-rustls"), optional("rustls-platform-verifier"), optional("webpki-roots"),
        ],
        never: &["axum", "axum-core", "sockeye-extract"],
    },
    Row {
        name: "sockeye-state",
        part: Part::Crate,
        may: &[
            to("sockeye-proto"), to("sockeye-tokio"), to("tokio"), to("futures"), to("thiserror"), to("tracing"),
            // The members of a large room by their keys, node ids, and envelopes.
            to("hashbrown"), to("getrandom"), to("bytes"),
            optional("serde"), optional("serde_json"), optional("metrics"),
            // Many futures in one task: what the broker is asked for a hub, and what a page asks by the wire protocol.
            to("futures-util"),
            // The wire protocol: stamps that nobody else can make.
            optional("sha2"),
        ],
        never: &["hyper", "axum", "redis", "async-nats"],
    },
    Row {
        name: "sockeye-broker-test",
        part: Part::Crate,
        may: &[to("sockeye-state"), to("tokio"), to("bytes")],
        never: &["redis", "async-nats", "hyper", "axum"],
    },
    Row {
        name: "sockeye-redis",
        part: Part::Crate,
        may: &[
            to("sockeye-state"), to("redis"), to("bytes"), to("tokio"), to("futures-util"), to("tracing"),
            // Random back-offs, so that the nodes do not come back at one moment.
            to("fastrand"),
            // The provider of `rediss://`, where the process has none.
            optional("tokio-rustls"),
            optional("metrics"),
            // Its own tests are the contract, and connections of members of hubs.
            to("sockeye-broker-test"), to("sockeye-tokio"),
        ],
        never: &["sockeye-nats", "async-nats", "hyper", "axum"],
    },
    Row {
        name: "sockeye-nats",
        part: Part::Crate,
        may: &[to("sockeye-state"), to("async-nats")],
        never: &["sockeye-redis", "redis", "axum"],
    },
    Row {
        name: "sockeye-test",
        part: Part::Crate,
        may: &[
            to("sockeye-handshake"), to("sockeye-tokio"), to("hyper"), to("hyper-util"), to("http"), to("http-body-util"),
            to("tower-service"), to("tokio"), to("bytes"), optional("serde"), optional("serde_json"),
            // Its own tests go through the extractor.
            to("sockeye-extract"),
        ],
        never: &["axum", "axum-core"],
    },
    Row {
        name: "sockeye-axum",
        part: Part::Crate,
        may: &[to("axum"), to("sockeye-extract"), optional("futures-util")],
        never: &[],
    },
    Row {
        name: "sockeye-exact",
        part: Part::Crate,
        may: &[
            to("axum-core"), to("sockeye-extract"), to("bytes"), to("futures-core"), to("futures-sink"), to("http"),
            // Bytes that are valid UTF-8: safe code alone would check them at each access.
            to("bytestring"),
        ],
        never: &["axum"],
    },
    Row {
        name: "sockeye-axum-exact",
        part: Part::Crate,
        may: &[to("sockeye-axum"), optional("sockeye-exact")],
        never: &[],
    },
    Row {
        name: "sockeye",
        part: Part::Facade,
        may: &[
            // Not optional: without `Message` the crate would be empty.
            to("sockeye-proto"),
            optional("sockeye-handshake"), optional("sockeye-tokio"), optional("sockeye-extract"), optional("sockeye-client"),
            optional("sockeye-state"), optional("sockeye-redis"), optional("sockeye-nats"), optional("sockeye-test"),
        ],
        never: &["axum"],
    },
    Row {
        name: "sockeye-testkit",
        part: Part::TestHelper,
        may: &[to("bytes"), to("tokio")],
        never: &[],
    },
    Row {
        name: "slow-peers",
        part: Part::TestHelper,
        may: &[
            to("sockeye"), to("sockeye-testkit"), to("axum"), to("h2"), to("http"), to("hyper"), to("hyper-util"), to("tokio"),
            to("bytes"), to("anyhow"), to("clap"), to("rustix"), to("serde"), to("serde_json"),
            // TLS on both ends, with a certificate that it makes itself.
            bare("rcgen", &["ring"]), bare("tokio-rustls", &["ring", "tls12"]),
        ],
        never: &["aws-lc-rs", "aws-lc-sys"],
    },
    Row {
        name: "soak",
        part: Part::TestHelper,
        may: &[
            to("sockeye"), to("sockeye-testkit"), to("axum"), to("hyper"), to("hyper-util"), to("tokio"), to("futures-util"), to("bytes"),
            to("anyhow"), to("clap"), to("fastrand"), to("rustix"), to("serde"), to("serde_json"), to("stats_alloc"),
            // For its HTTP/2 client and its pacing.
            to("slow-peers"),
            to("h2"), to("http"), bare("rcgen", &["ring"]), bare("tokio-rustls", &["ring", "tls12"]),
            optional("openssl"), optional("tokio-openssl"), to("tracing"), to("tracing-subscriber"),
        ],
        never: &["aws-lc-rs", "aws-lc-sys"],
    },
    Row {
        name: "xtask",
        part: Part::TestHelper,
        may: &[
            to("anyhow"), to("clap"), to("serde_json"), to("xshell"),
            // They parse the imports for `layers --modules`, with their lines.
            bare("proc-macro2", &["span-locations"]), bare("syn", &["full", "parsing", "visit"]),
            // It reads what rustdoc says about axum, for `api`. The format changes with the compiler.
            to("rustdoc-types"),
        ],
        never: &[],
    },
];

/// Examples have no rows: they may use anything that is published. But one example promises to do without some packages.
const EXAMPLES_NEVER: &[(&str, &[&str])] = &[("example-hyper", &["axum", "axum-core", "sockeye-axum"])];

pub(crate) fn run(ctx: &Context) -> Result<()> {
    let mut problems = compare(&ctx.workspace);
    for package in &ctx.workspace.packages {
        // Packages in `never` can also be reached indirectly, so the whole tree is searched.
        let never = row(&package.name).map(|row| row.never).or_else(|| {
            let of = |(name, never): &(&str, &'static [&'static str])| (*name == package.name).then_some(*never);
            EXAMPLES_NEVER.iter().find_map(of)
        });
        if let Some(never) = never.filter(|never| !never.is_empty()) {
            problems.extend(reached(ctx, package, never)?);
        }
    }

    if problems.is_empty() {
        let arrows: usize = ctx.workspace.packages.iter().map(|package| package.dependencies.len()).sum();
        eprintln!("{} packages and {arrows} dependencies match the table", ctx.workspace.packages.len());
        return Ok(());
    }
    let mut message =
        format!("{} not in the table of xtask/src/layers.rs:", count(problems.len(), "dependency", "dependencies"));
    for problem in &problems {
        write!(message, "\n  {problem}")?;
    }
    bail!(message)
}

/// A message for every direct dependency that is not in the table.
fn compare(workspace: &Workspace) -> Vec<String> {
    let mut problems = Vec::new();
    for package in &workspace.packages {
        let row = row(&package.name);
        if row.is_none() && !package.is_example() {
            problems.push(format!(
                "{}: the crate has no row; add a row, or make the crate a module of another crate",
                package.name
            ));
            continue;
        }
        if let Some(row) = row
            && (row.part == Part::TestHelper) == package.published
        {
            let should = if package.published { "have `publish = false`" } else { "be published" };
            problems.push(format!("{}: the crate should {should}", package.name));
        }
        for dependency in &package.dependencies {
            let verdict = match row {
                Some(row) => judge(workspace, row, dependency),
                None => judge_example(workspace, dependency),
            };
            if let Err(why) = verdict {
                problems.push(format!("{} -> {}{}: {why}", package.name, dependency.name, describe(dependency)));
            }
        }
    }
    problems
}

fn judge(workspace: &Workspace, row: &Row, dependency: &Dependency) -> Result<(), String> {
    let name = dependency.name.as_str();
    let arrow = row.may.iter().find(|arrow| arrow.to == name);
    match dependency.kind {
        Kind::Build => Err("no crate has a build script, so none has a build dependency".to_owned()),
        // Tests may use any external crate, but inside the workspace only the crates below, and the test helpers.
        Kind::Dev if arrow.is_some() || !workspace.packages.iter().any(|package| package.name == name) => Ok(()),
        Kind::Dev if name == "sockeye-testkit" => Ok(()),
        Kind::Dev => Err(format!(
            "a test of {} must not reach up or sideways; move it to the crate that may depend on both",
            row.name
        )),
        Kind::Normal => match arrow {
            None => Err(match self::row(name).map(|row| row.part) {
                Some(Part::TestHelper) => "a test helper is a development dependency or none".to_owned(),
                Some(Part::Facade) => {
                    "the facade is for users, examples and docs; depend on the crate behind it".to_owned()
                }
                _ => {
                    let may: Vec<&str> = row.may.iter().map(|arrow| arrow.to).collect();
                    format!("not allowed; {} may depend on {}", row.name, may.join(", "))
                }
            }),
            Some(arrow) => fits(arrow, dependency),
        },
    }
}

fn judge_example(workspace: &Workspace, dependency: &Dependency) -> Result<(), String> {
    match (workspace.package(&dependency.name), dependency.kind) {
        (_, Kind::Build) => Err("an example has no build script".to_owned()),
        (Some(package), Kind::Normal) if !package.published => {
            Err("an example shows what a user can do, and a user cannot have this crate".to_owned())
        }
        _ => Ok(()),
    }
}

/// Whether a dependency is declared as the table demands.
fn fits(arrow: &Arrow, dependency: &Dependency) -> Result<(), String> {
    if arrow.optional && !dependency.optional {
        return Err("allowed only as `optional = true`, behind a feature".to_owned());
    }
    let Some(allowed) = arrow.features else { return Ok(()) };
    if dependency.default_features {
        return Err("allowed only with `default-features = false`".to_owned());
    }
    match dependency.features.iter().find(|feature| !allowed.contains(&feature.as_str())) {
        Some(feature) if allowed.is_empty() => Err(format!("feature `{feature}` is on; allowed is none")),
        Some(feature) => Err(format!("feature `{feature}` is on; allowed are {}", allowed.join(", "))),
        None => Ok(()),
    }
}

/// The packages of `never` that `package` reaches through its normal dependencies, with all its features.
fn reached(ctx: &Context, package: &Package, never: &[&str]) -> Result<Vec<String>> {
    let (sh, name) = (&ctx.sh, &package.name);
    let tree = cmd!(sh, "cargo tree --package {name} --all-features --edges normal --prefix none").quiet().read()?;
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let found = never.iter().filter(|never| names.contains(never));
    Ok(found
        .map(|found| {
            format!("{name} -> … -> {found}: must not be reached; `cargo tree -p {name} --all-features -e normal -i {found}` shows the way")
        })
        .collect())
}

fn row(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

fn describe(dependency: &Dependency) -> &'static str {
    match (dependency.kind, dependency.optional) {
        (Kind::Dev, _) => " (dev)",
        (Kind::Build, _) => " (build)",
        (Kind::Normal, true) => " (optional)",
        (Kind::Normal, false) => "",
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one} is") } else { format!("{number} {many} are") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn package(name: &str, dependencies: Vec<Dependency>) -> Package {
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            description: String::new(),
            rust_version: None,
            published: name != "sockeye-testkit" && !name.starts_with("example-"),
            folder: "crates".into(),
            library: None,
            roots: vec![],
            features: BTreeMap::new(),
            dependencies,
        }
    }

    fn depends(name: &str) -> Dependency {
        Dependency {
            name: name.to_owned(),
            kind: Kind::Normal,
            optional: false,
            default_features: true,
            features: vec![],
        }
    }

    fn problems(name: &str, dependency: Dependency) -> Vec<String> {
        let others = ["sockeye", "sockeye-extract", "sockeye-testkit", "sockeye-tokio"];
        let mut packages: Vec<Package> = others.iter().map(|other| package(other, vec![])).collect();
        packages.retain(|package| package.name != name);
        packages.push(package(name, vec![dependency]));
        compare(&Workspace { root: "".into(), target: "target".into(), packages })
    }

    #[test]
    fn a_dependency_in_the_table_of_layers_passes_and_another_does_not() {
        assert!(problems("sockeye-tokio", depends("tokio")).is_empty());
        let found = problems("sockeye-tokio", depends("hyper"));
        assert!(
            found[0].starts_with("sockeye-tokio -> hyper: not allowed; sockeye-tokio may depend on sockeye-proto,"),
            "{found:?}"
        );
    }

    #[test]
    fn a_dependency_that_the_table_of_layers_calls_optional_must_be_optional() {
        assert_eq!(problems("sockeye-tokio", depends("axum-core")).len(), 1);
        assert!(problems("sockeye-tokio", Dependency { optional: true, ..depends("axum-core") }).is_empty());
    }

    #[test]
    fn tungstenite_must_be_a_dependency_without_default_features() {
        assert_eq!(problems("sockeye-proto", depends("tungstenite")).len(), 1);
        let bare = Dependency { default_features: false, ..depends("tungstenite") };
        assert!(problems("sockeye-proto", bare.clone()).is_empty());
        let more = Dependency { features: vec!["handshake".to_owned()], ..bare };
        assert_eq!(problems("sockeye-proto", more.clone()).len(), 1);
        assert!(problems("sockeye-handshake", more).is_empty());
    }

    #[test]
    fn the_testkit_may_only_be_a_development_dependency() {
        assert!(problems("sockeye-tokio", depends("sockeye-testkit"))[0].contains("development dependency"));
        assert!(problems("example-echo", depends("sockeye-testkit"))[0].contains("a user cannot have"));
        assert!(problems("sockeye-tokio", Dependency { kind: Kind::Dev, ..depends("sockeye-testkit") }).is_empty());
    }

    #[test]
    fn only_examples_may_depend_on_the_facade() {
        assert!(problems("sockeye-state", depends("sockeye"))[0].contains("facade"));
        assert!(problems("example-echo", depends("sockeye")).is_empty());
    }

    #[test]
    fn a_development_dependency_may_not_be_on_a_higher_layer() {
        let up = Dependency { kind: Kind::Dev, ..depends("sockeye-extract") };
        assert!(problems("sockeye-tokio", up)[0].contains("must not reach up"));
    }

    #[test]
    fn a_crate_without_a_row_in_the_table_of_layers_is_named() {
        assert!(problems("sockeye-new", depends("tokio"))[0].contains("has no row"));
    }
}
