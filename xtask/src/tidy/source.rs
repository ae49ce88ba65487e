//! Rules for Rust code.

use super::{Problem, SourceFile};
use crate::rust_source::{attributes, closing, code_only, line_of, words};

/// A file that is longer is two.
const LINES: usize = 800;

/// The crates in which `unsafe` is measured to be worth it.
const UNSAFE: [&str; 2] = ["crates/sockeye-proto/", "crates/sockeye-tokio/"];

/// How far above an unsafe block its reason may begin.
const REACH: usize = 12;

pub(super) fn check(file: &SourceFile, problems: &mut Vec<Problem>) {
    let code = code_only(&file.text);
    let mut report = |offset: usize, what: String| {
        problems.push(Problem::new(&file.path, line_of(&file.text, offset), what));
    };

    let lines = file.text.lines().count();
    if lines > LINES {
        report(0, format!("has {lines} lines, more than {LINES}: it is two modules"));
    }
    for (name, instead) in [
        ("todo", "finish it, or leave it out"),
        ("unimplemented", "finish it, or leave it out"),
        ("dbg", "use `tracing` or a test"),
    ] {
        for at in words(&code, name).filter(|at| code[at + name.len()..].starts_with('!')) {
            report(at, format!("`{name}!` is not for committed code: {instead}"));
        }
    }
    for attribute in attributes(&code) {
        check_attribute(file, &code, attribute, &mut report);
    }
    check_unsafe(file, &code, &mut report);
    if is_safe_crate_root(&file.path) && !code.contains("#![forbid(unsafe_code)]") {
        report(
            0,
            "must begin with `#![forbid(unsafe_code)]`: only sockeye-proto and sockeye-tokio are measured to need it"
                .to_owned(),
        );
    }
}

fn check_attribute(
    file: &SourceFile,
    code: &str,
    attribute: std::ops::Range<usize>,
    report: &mut impl FnMut(usize, String),
) {
    let text = &code[attribute.clone()];
    if words(text, "ignore").next() == Some(2) {
        report(attribute.start, "an ignored test proves nothing: repair it, or remove it".to_owned());
    }
    for lint in ["allow", "expect"] {
        for at in words(text, lint) {
            let start = attribute.start + at;
            let open = start + lint.len();
            // `#[should_panic(expected)]`, `#[expect]` of other macros: only a list of lints is meant.
            if !code[open..].starts_with('(') {
                continue;
            }
            let end = closing(code, open).unwrap_or(attribute.end);
            if words(&code[open..end], "reason").next().is_none() {
                let lints = file.text[open..end].trim_start_matches('(');
                report(start, format!("`{lint}({lints})` gives no reason; write `{lint}({lints}, reason = \"…\")`"));
            }
        }
    }
}

fn check_unsafe(file: &SourceFile, code: &str, report: &mut impl FnMut(usize, String)) {
    let lines: Vec<&str> = file.text.lines().collect();
    let is_allowed = UNSAFE.iter().any(|folder| file.path.starts_with(folder));
    for at in words(code, "unsafe") {
        // `unsafe(no_mangle)` and such: the attribute says it, and there is no body to explain.
        if !is_allowed {
            report(at, "`unsafe` is only for sockeye-proto and sockeye-tokio".to_owned());
            continue;
        }
        let line = line_of(&file.text, at);
        let above = &lines[line.saturating_sub(REACH + 1)..line];
        if !above.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety")) {
            report(at, "`unsafe` without `// SAFETY:` above it, which says why it is sound".to_owned());
        }
    }
}

/// The root of a library or binary outside of those that may be unsafe.
fn is_safe_crate_root(path: &str) -> bool {
    let is_root = path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs");
    is_root && path.starts_with("crates/") && !UNSAFE.iter().any(|folder| path.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<(usize, String)> {
        let mut problems = Vec::new();
        check(&SourceFile { path: path.to_owned(), text: text.to_owned() }, &mut problems);
        problems.into_iter().map(|problem| (problem.line, problem.what)).collect()
    }

    #[test]
    fn what_is_only_mentioned_is_fine() {
        let text = "// todo!() and unsafe\nconst A: &str = \"dbg!(1) #[ignore]\";\nfn todo() {}\n";
        assert_eq!(problems("a.rs", text), []);
    }

    #[test]
    fn placeholders_are_found() {
        let found = problems("a.rs", "fn a() {\n    todo!()\n}\n#[test]\n#[ignore = \"slow\"]\nfn b() { dbg!(1); }\n");
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 6, 5]);
    }

    #[test]
    fn an_allow_needs_its_reason() {
        assert_eq!(problems("a.rs", "#[allow(dead_code, reason = \"read by Debug\")]\nstruct A;\n"), []);
        assert_eq!(problems("a.rs", "#[cfg_attr(a, allow(\n    b,\n    reason = \"c\"\n))]\nstruct A;\n"), []);
        assert_eq!(problems("a.rs", "fn a() { origins.allow(\"a\"); expect(1) }\n"), []);
        let found = problems("a.rs", "\n#![allow(clippy::a)]\n");
        assert_eq!(found[0].0, 2);
        assert!(found[0].1.contains("`allow(clippy::a, reason = \"…\")`"), "{found:?}");
    }

    #[test]
    fn unsafe_is_for_two_crates_and_says_why() {
        let block = "fn a() {\n    unsafe { b() }\n}\n";
        assert_eq!(problems("crates/sockeye-state/src/a.rs", block).len(), 1);
        assert_eq!(problems("crates/sockeye-proto/src/a.rs", block).len(), 1);
        let said = "fn a() {\n    // SAFETY: b asks for nothing.\n    unsafe { b() }\n}\n";
        assert_eq!(problems("crates/sockeye-proto/src/a.rs", said), []);
    }

    #[test]
    fn other_crates_forbid_unsafe() {
        assert_eq!(problems("crates/sockeye-state/src/lib.rs", "//! Docs.\n").len(), 1);
        assert_eq!(problems("crates/sockeye-state/src/lib.rs", "//! Docs.\n#![forbid(unsafe_code)]\n"), []);
        assert_eq!(problems("crates/sockeye-tokio/src/lib.rs", "//! Docs.\n"), []);
    }

    #[test]
    fn a_long_file_is_two() {
        assert_eq!(problems("a.rs", &"\n".repeat(LINES)), []);
        assert_eq!(problems("a.rs", &"\n".repeat(LINES + 1)).len(), 1);
    }
}
