//! The features are axum's: their names and the defaults are the same, and each turns on axum's feature of the same name.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

type Features = BTreeMap<String, Vec<String>>;

/// What cargo says about the package with this name.
fn package(name: &str) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found = metadata["packages"].as_array().unwrap().iter().filter(|package| package["name"] == name);
    let package = found.next().unwrap().clone();
    assert!(found.next().is_none(), "there is one {name}");
    package
}

/// The features of this crate, and of the axum that it is built with.
fn features() -> (Features, Features) {
    let features = |name| serde_json::from_value(package(name)["features"].clone()).unwrap();
    (features(env!("CARGO_PKG_NAME")), features("axum"))
}

#[test]
fn the_features_have_the_names_and_defaults_of_axum() {
    let (mut ours, mut axums) = features();
    // `deflate` is not a feature of axum.
    assert!(ours.remove("deflate").is_some());
    axums.retain(|name, _| !name.starts_with("__"));
    assert_eq!(ours.keys().collect::<Vec<_>>(), axums.keys().collect::<Vec<_>>());
    let sorted = |features: &Features| {
        let mut default = features["default"].clone();
        default.sort();
        default
    };
    assert_eq!(sorted(&ours), sorted(&axums));
}

#[test]
fn each_feature_turns_on_the_feature_of_axum_with_the_same_name() {
    let (ours, _) = features();
    for (name, enables) in ours.iter().filter(|(name, _)| !["default", "ws", "deflate"].contains(&name.as_str())) {
        assert_eq!(enables, &[format!("axum/{name}")]);
    }
    assert!(!ours["ws"].iter().any(|enabled| enabled.starts_with("axum/")), "axum's own stays off: {:?}", ours["ws"]);
}

#[test]
fn ws_turns_on_the_sinks_of_futures_util_as_axums_does() {
    let package = package(env!("CARGO_PKG_NAME"));
    assert!(package["features"]["ws"].to_string().contains("dep:futures-util"));
    let mut dependencies = package["dependencies"].as_array().unwrap().iter();
    let futures = dependencies.find(|other| other["name"] == "futures-util" && other["kind"].is_null()).unwrap();
    assert!(futures["features"].as_array().unwrap().contains(&"sink".into()), "{futures}");
}
