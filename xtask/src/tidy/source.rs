//! Rules for Rust code.

use super::file::{Problem, SourceFile};
use crate::rust_source::{attributes, closing, code_only, line_of, words};

/// The most lines of a file. A longer file must be split.
const LINES: usize = 800;

/// The crates that may use `unsafe`, since measurements show that it is worth it there.
const UNSAFE: [&str; 2] = ["crates/sockeye-proto/", "crates/sockeye-tokio/"];

/// How many lines above an `unsafe` its comment may begin.
const REACH: usize = 12;

pub(super) fn check(file: &SourceFile, problems: &mut Vec<Problem>) {
    let code = code_only(&file.text);
    let mut report = |offset: usize, what: String| {
        problems.push(Problem::new(&file.path, line_of(&file.text, offset), what));
    };

    let lines = file.text.lines().count();
    if lines > LINES {
        report(0, format!("has {lines} lines, more than {LINES}: split it into modules"));
    }
    for (name, instead) in [
        ("todo", "finish the code, or remove it"),
        ("unimplemented", "finish the code, or remove it"),
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
            "must begin with `#![forbid(unsafe_code)]`: only sockeye-proto and sockeye-tokio may use `unsafe`"
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
        report(attribute.start, "an ignored test proves nothing: fix it, or remove it".to_owned());
    }
    for lint in ["allow", "expect"] {
        for at in words(text, lint) {
            let start = attribute.start + at;
            let open = start + lint.len();
            // Only lists of lints, not the `#[expect]` of another macro.
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
        // Attributes such as `unsafe(no_mangle)` count as well.
        if !is_allowed {
            report(at, "`unsafe` is only for sockeye-proto and sockeye-tokio".to_owned());
            continue;
        }
        let line = line_of(&file.text, at);
        let above = &lines[line.saturating_sub(REACH + 1)..line];
        if !above.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety")) {
            report(at, "`unsafe` needs a `// SAFETY:` comment above it that says why it is sound".to_owned());
        }
    }
}

/// Whether this is the root of a library or binary in a crate that must not use `unsafe`.
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
    fn tidy_accepts_placeholders_in_comments_and_strings() {
        let text = "// todo!() and unsafe\nconst A: &str = \"dbg!(1) #[ignore]\";\nfn todo() {}\n";
        assert_eq!(problems("a.rs", text), []);
    }

    #[test]
    fn tidy_finds_placeholders_and_ignored_tests() {
        let found = problems("a.rs", "fn a() {\n    todo!()\n}\n#[test]\n#[ignore = \"slow\"]\nfn b() { dbg!(1); }\n");
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 6, 5]);
    }

    #[test]
    fn tidy_refuses_an_allow_without_a_reason() {
        assert_eq!(problems("a.rs", "#[allow(dead_code, reason = \"read by Debug\")]\nstruct A;\n"), []);
        assert_eq!(problems("a.rs", "#[cfg_attr(a, allow(\n    b,\n    reason = \"c\"\n))]\nstruct A;\n"), []);
        assert_eq!(problems("a.rs", "fn a() { origins.allow(\"a\"); expect(1) }\n"), []);
        let found = problems("a.rs", "\n#![allow(clippy::a)]\n");
        assert_eq!(found[0].0, 2);
        assert!(found[0].1.contains("`allow(clippy::a, reason = \"…\")`"), "{found:?}");
    }

    #[test]
    fn tidy_refuses_unsafe_in_other_crates_or_without_a_safety_comment() {
        let block = "fn a() {\n    unsafe { b() }\n}\n";
        assert_eq!(problems("crates/sockeye-state/src/a.rs", block).len(), 1);
        assert_eq!(problems("crates/sockeye-proto/src/a.rs", block).len(), 1);
        let said = "fn a() {\n    // SAFETY: b asks for nothing.\n    unsafe { b() }\n}\n";
        assert_eq!(problems("crates/sockeye-proto/src/a.rs", said), []);
    }

    #[test]
    fn tidy_demands_that_other_crates_forbid_unsafe_code() {
        assert_eq!(problems("crates/sockeye-state/src/lib.rs", "//! Docs.\n").len(), 1);
        assert_eq!(problems("crates/sockeye-state/src/lib.rs", "//! Docs.\n#![forbid(unsafe_code)]\n"), []);
        assert_eq!(problems("crates/sockeye-tokio/src/lib.rs", "//! Docs.\n"), []);
    }

    #[test]
    fn tidy_refuses_a_file_that_is_too_long() {
        assert_eq!(problems("a.rs", &"\n".repeat(LINES)), []);
        assert_eq!(problems("a.rs", &"\n".repeat(LINES + 1)).len(), 1);
    }
}
