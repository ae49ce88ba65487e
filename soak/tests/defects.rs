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

/// How long the soaks of a defect are, one after another until it is found: on a busy machine, little happens in the first.
const MINUTES: [&str; 3] = ["0.1", "0.3", "1"];

/// A soak of so many minutes.
fn start(name: &str, minutes: &str, arguments: &[&str]) -> Child {
    let mut soak = Command::new(env!("CARGO_BIN_EXE_soak"));
    soak.args(["--minutes", minutes, "--connections", "60"]).args(arguments);
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
    let (passed, text) = end(start("none", MINUTES[0], &[]));
    assert!(passed && text.contains("\npassed\n"), "{text}");

    // A few at once: they take their set time, and little processor time. A wait without success must not take long.
    for some in DEFECTS.chunks(4) {
        let begin = |(defect, says)| (defect, says, sabotaged(defect, MINUTES[0]));
        let broken: Vec<(&str, &str, Child)> = some.iter().copied().map(begin).collect();
        for (defect, says, soak) in broken {
            find(defect, says, soak);
        }
    }

    // Separate from the others: a server without enough processor time broadcasts less than its readers read.
    find("budget", "the budget of 4096 bytes was exceeded", sabotaged("budget", MINUTES[0]));

    // Separate from the others, since it leaves them no processor time.
    find("spin", "the server was busy", sabotaged("spin", MINUTES[0]));
}

/// A server without processor time answers late, which is not to hide why it has none.
const BUSY: [&str; 2] = ["budget", "spin"];

fn sabotaged(defect: &str, minutes: &str) -> Child {
    let patience: &[&str] = if BUSY.contains(&defect) { &[] } else { &["--patience", "5"] };
    start(defect, minutes, &[&["--sabotage", defect], patience].concat())
}

/// Checks that this soak finds the defect, or a longer one.
fn find(defect: &str, says: &str, soak: Child) {
    let is_found = |soak| {
        let (passed, text) = end(soak);
        if !passed && text.contains(says) { Ok(()) } else { Err(text) }
    };
    let mut found = is_found(soak);
    for minutes in &MINUTES[1..] {
        found = found.or_else(|_| is_found(sabotaged(defect, minutes)));
    }
    if let Err(text) = found {
        panic!("{defect} was not found\n{text}");
    }
}
