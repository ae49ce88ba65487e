//! The features are those of sockeye-axum, and so of axum.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

#[test]
fn the_features_have_the_names_and_defaults_of_sockeye_axum() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--no-deps", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let features = |name: &str| -> BTreeMap<String, Vec<String>> {
        let packages = metadata["packages"].as_array().unwrap();
        let package = packages.iter().find(|package| package["name"] == name).unwrap();
        serde_json::from_value(package["features"].clone()).unwrap()
    };
    let (exact, native) = (features("sockeye-axum-exact"), features("sockeye-axum"));
    assert_eq!(exact.keys().collect::<Vec<_>>(), native.keys().collect::<Vec<_>>());
    assert_eq!(exact["default"], native["default"]);
    for (name, enables) in exact.iter().filter(|(name, _)| *name != "default") {
        assert!(enables.contains(&format!("sockeye-axum/{name}")), "{name}");
    }
}
