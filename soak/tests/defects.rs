//! A soak that finds nothing proves little unless it would have found something: servers with a defect each, which must be
//! found and named, and one without.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

/// Each defect, and what the soak says of it.
const DEFECTS: [(&str, &str); 7] = [
    ("task", "tasks leaked"),
    ("descriptor", "descriptors leaked"),
    ("memory", "bytes leaked"),
    ("loss", "messages of well-behaved clients were lost"),
    ("order", "messages of well-behaved clients were lost"),
    ("panic", "panics that no client has asked for"),
    ("stop", "it has waited 5 s and more for an echo"),
];

/// A soak of six seconds.
fn start(name: &str, arguments: &[&str]) -> Child {
    let mut soak = Command::new(env!("CARGO_BIN_EXE_soak"));
    soak.args(["--minutes", "0.1", "--connections", "60"]).args(arguments);
    soak.arg("--out").arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak").join(name));
    soak.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the soak starts")
}

/// Whether it has passed, and what it says.
fn end(soak: Child) -> (bool, String) {
    let output = soak.wait_with_output().expect("the soak ends");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn each_defect_is_found_and_none_where_there_is_none() {
    // Alone: a machine that is busy with something else is no defect.
    let (passed, text) = end(start("none", &[]));
    assert!(passed && text.contains("\npassed\n"), "{text}");

    // All at once: they take the time that they are given, and little else. What is waited for in vain must not take long.
    let broken =
        DEFECTS.map(|(defect, says)| (defect, says, start(defect, &["--sabotage", defect, "--patience", "5"])));
    for (defect, says, soak) in broken {
        let (passed, text) = end(soak);
        assert!(!passed && text.contains(says), "{defect} was not found\n{text}");
    }

    // Apart from the others, since it leaves them no time.
    let (passed, text) = end(start("spin", &["--sabotage", "spin"]));
    assert!(!passed && text.contains("the server was busy"), "{text}");
}
