//! A check that finds nothing proves little unless it would find a defect: servers with one defect each, which must be found
//! and named, and one server without a defect.

use std::process::{Child, Command, Stdio};

/// The server's defect, the cases, and the expected output.
const RUNS: [(Option<&str>, &str, &str); 4] = [
    (None, "reads 200 kB/s, HTTP/2", "\n7 passed, 0 failed, 0 skipped\n"),
    (Some("impatient"), "silent, TCP", "FAILED: too early: the connection timed out"),
    (Some("patient"), "silent, TCP", "FAILED: it is still there"),
    (Some("loss"), "reads 200 kB/s, TCP", "FAILED: the peer: message 3 is not the one that was sent"),
];

/// A run of a few seconds, which covers only the beginning of a long one.
fn start(sabotage: Option<&str>, cases: &str) -> Child {
    let mut program = Command::new(env!("CARGO_BIN_EXE_slow-peers"));
    program.args(["--seconds", "5", "--only", cases]);
    program.args(sabotage.iter().flat_map(|sabotage| ["--sabotage", sabotage]));
    program.stdout(Stdio::piped()).spawn().expect("the program starts")
}

#[test]
fn each_sabotaged_server_is_found_and_a_sound_one_passes() {
    let runs = RUNS.map(|(sabotage, cases, says)| (sabotage, says, start(sabotage, cases)));
    for (sabotage, says, program) in runs {
        let output = program.wait_with_output().expect("the program ends");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.success(), sabotage.is_none(), "{sabotage:?}\n{text}");
        assert!(text.contains(says), "{sabotage:?}\n{text}");
    }
}
