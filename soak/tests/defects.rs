//! A soak that finds nothing proves little unless it would find a defect: servers with one defect each, which must be found and
//! named, and one server without a defect.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

/// Each defect, and the soak's message about it.
const DEFECTS: [(&str, &str); 9] = [
    ("task", "tasks leaked"),
    ("descriptor", "descriptors leaked"),
    ("memory", "bytes leaked"),
    ("panic", "panics that no client had requested"),
    ("loss", "messages of well-behaved clients were lost"),
    ("order", "messages of well-behaved clients were lost"),
    ("stop", "it has waited 5 s and more for "),
    ("skip", ": lost messages: "),
    ("twice", " came after Some("),
];

/// A soak of six seconds.
fn start(name: &str, arguments: &[&str]) -> Child {
    let mut soak = Command::new(env!("CARGO_BIN_EXE_soak"));
    soak.args(["--minutes", "0.1", "--connections", "60"]).args(arguments);
    soak.arg("--out").arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak").join(name));
    soak.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the soak starts")
}

/// Whether it has passed, and its output.
fn end(soak: Child) -> (bool, String) {
    let output = soak.wait_with_output().expect("the soak ends");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn each_sabotaged_server_of_a_soak_is_found_and_a_sound_one_passes() {
    // Alone, since a busy machine could look like a defect.
    let (passed, text) = end(start("none", &[]));
    assert!(passed && text.contains("\npassed\n"), "{text}");

    // A few at once: they take their set time, and little processor time. A wait without success must not take long.
    for some in DEFECTS.chunks(4) {
        let start = |defect| start(defect, &["--sabotage", defect, "--patience", "5"]);
        let broken: Vec<Child> = some.iter().map(|(defect, _)| start(defect)).collect();
        for ((defect, says), soak) in some.iter().zip(broken) {
            let (passed, text) = end(soak);
            assert!(!passed && text.contains(says), "{defect} was not found\n{text}");
        }
    }

    // Separate from the others: a server without enough processor time broadcasts less than its readers read.
    let (passed, text) = end(start("budget", &["--sabotage", "budget"]));
    assert!(!passed && text.contains("the budget of 4096 bytes was exceeded"), "{text}");

    // Separate from the others, since it leaves them no processor time.
    let (passed, text) = end(start("spin", &["--sabotage", "spin"]));
    assert!(!passed && text.contains("the server was busy"), "{text}");
}
