//! What is changed in the sources of others: paths, and the manifest's line for axum.

use anyhow::{Context as _, Result, ensure};
use std::path::Path;

/// The changes, for the output of the command.
pub(super) const SUMMARY: &str = "in the tests of axum's module `ws`, the imports `use super::*` and `use crate::…`, and the \
    macro `#[crate::test]`; in the manifests of axum-test and reqwest-websocket, the dependency axum; nothing in the others";

/// The end of the file that contains axum's tests.
const TESTS: &str = "#[cfg(test)]\nmod tests {\n";

/// Inside axum, `crate` is axum, and `super` the module `ws` with all of its imports. A file outside of axum names both.
const IMPORTS: [(&str, &str); 3] = [
    (
        "use super::*;",
        "use axum::{
        body::{Body, Bytes},
        extract::ws::{rejection::*, *},
        response::Response,
        Error,
    };
    use futures_util::{SinkExt, StreamExt};
    use http::{Method, StatusCode};
    use hyper_util::rt::TokioIo;
    use tokio_tungstenite::{tungstenite::protocol, WebSocketStream};",
    ),
    (
        "use crate::{routing::any, test_helpers::spawn_service, Router};",
        "use axum::{routing::any, Router};
    use axum_ws::spawn_service;",
    ),
    ("#[crate::test]", "#[axum_macros::__private_axum_test]"),
];

/// The module `tests` of axum's `ws.rs`, as a file of integration tests.
pub(super) fn axums_tests(source: &str) -> Result<String> {
    let (_, tests) = source.split_once(TESTS).context("axum's ws.rs has no module `tests` at its end any more")?;
    let mut tests = format!("mod tests {{\n{tests}");
    for (from, to) in IMPORTS {
        ensure!(tests.contains(from), "axum's tests do not contain `{from}` any more: see xtask/src/compat/rewrite.rs");
        tests = tests.replace(from, to);
    }
    Ok(tests)
}

/// This manifest, with the package in `folder` as the dependency axum.
pub(super) fn in_place_of_axum(manifest: &str, folder: &Path) -> Result<String> {
    let mut inside = false;
    let mut replaced = 0;
    let mut lines = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies.axum]");
        }
        if inside && line.starts_with("version = ") {
            lines.push("package = \"sockeye-axum-exact\"".to_owned());
            lines.push(format!("path = {:?}", folder.display().to_string()));
            replaced += 1;
        } else {
            lines.push(line.to_owned());
        }
    }
    ensure!(replaced > 0, "the manifest has no dependency axum");
    Ok(lines.join("\n") + "\n")
}

/// This manifest of ours, with the root of the repository in the place of `SOCKEYE`.
pub(super) fn with_our_folder(manifest: &str, root: &Path) -> String {
    manifest.replace("SOCKEYE/", &format!("{}/", root.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axums_tests_become_a_file_of_their_own() {
        let source = "struct WebSocket;\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::{routing::any, \
                      test_helpers::spawn_service, Router};\n\n    #[crate::test]\n    async fn works() {}\n}\n";
        let tests = axums_tests(source).unwrap();
        assert!(tests.starts_with("mod tests {\n    use axum::{"), "{tests}");
        assert!(tests.ends_with("    #[axum_macros::__private_axum_test]\n    async fn works() {}\n}\n"), "{tests}");
        assert!(!tests.contains("super") && !tests.contains("crate::"), "{tests}");
    }

    #[test]
    fn a_change_of_axums_imports_is_noticed() {
        let error = axums_tests("#[cfg(test)]\nmod tests {\n    use crate::extract::ws::*;\n}\n").unwrap_err();
        assert!(error.to_string().contains("use super::*"), "{error}");
    }

    #[test]
    fn only_the_dependency_axum_is_replaced() {
        let manifest = "[dependencies.axum]\nversion = \"0.8.9\"\nfeatures = [\"ws\"]\n\n[dependencies.axum-extra]\nversion = \"1\"\n";
        let expected = "[dependencies.axum]\npackage = \"sockeye-axum-exact\"\npath = \"/exact\"\nfeatures = [\"ws\"]\n\n\
                        [dependencies.axum-extra]\nversion = \"1\"\n";
        assert_eq!(in_place_of_axum(manifest, Path::new("/exact")).unwrap(), expected);
        assert!(in_place_of_axum("[dependencies]\n", Path::new("/exact")).is_err());
    }
}
