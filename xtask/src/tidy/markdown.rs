//! Checks that links in Markdown lead to files that exist.

use super::file::{Problem, SourceFile, resolve};
use std::path::Path;

pub(super) fn check(root: &Path, file: &SourceFile, problems: &mut Vec<Problem>) {
    for (line, target) in links(&file.text) {
        let Some(path) = as_path(&target) else { continue };
        let resolved = match path.strip_prefix('/') {
            Some(from_root) => from_root.into(),
            None => resolve(&file.path, path),
        };
        if !root.join(resolved).exists() {
            problems.push(Problem::new(
                &file.path,
                line,
                format!("links to `{target}`, which is not a file of the repository"),
            ));
        }
    }
}

/// The path of a link's target. `None` if the link leads out of the repository or into the same page, or if rustdoc resolves
/// it.
fn as_path(target: &str) -> Option<&str> {
    let is_elsewhere = target.contains("://") || target.starts_with("mailto:") || target.starts_with('#');
    // rustdoc resolves `crate::Message`, `struct@Message` and `Message`, and denies broken ones. Its own pages (`.html`) are
    // checked with the documentation.
    let is_path =
        target.contains(['/', '.']) && !target.contains("::") && !target.contains('@') && !target.contains('(');
    if is_elsewhere || !is_path {
        return None;
    }
    let path = target.split(['#', '?']).next().unwrap_or(target);
    (!path.is_empty() && !path.ends_with(".html")).then_some(path)
}

/// The targets of `[text](target)` and `[name]: target`, each with its line. Code is skipped.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        match (fence, mark) {
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, Some(mark)) => fence = Some(mark),
            (Some(_), _) => {}
            (None, None) => {
                let line = without_code(line);
                found.extend(inline(&line).chain(definition(&line)).map(|target| (index + 1, target.to_owned())));
            }
        }
    }
    found
}

fn inline(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = match rest.strip_prefix('<') {
            Some(quoted) => quoted.split_once('>')?.0,
            None => rest.split([')', ' ']).next()?,
        };
        (!target.is_empty()).then_some(target)
    })
}

fn definition(line: &str) -> Option<&str> {
    let (name, target) = line.trim_start().strip_prefix('[')?.split_once("]:")?;
    // `[^1]: note`, `- [ ]: …` and the like are not definitions.
    if name.starts_with('^') || name.contains(']') {
        return None;
    }
    target.split_whitespace().next().map(|target| target.trim_matches(['<', '>']))
}

/// The line without the text between backticks.
fn without_code(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    // If the number of backticks is odd, the last one opens nothing.
    let closed = parts.len() - usize::from(parts.len().is_multiple_of(2));
    parts.iter().enumerate().filter(|(index, _)| index % 2 == 0 || *index >= closed).map(|(_, part)| *part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tidy_finds_links_in_markdown_outside_of_code() {
        let text = "a [b](c.md) `[d](e.md)` [`f`](g.md#h \"t\")\n```rust\n[i](j.md)\n```\n[k]: l.md\n![m](<n o.png>)\n[^p]: q.md\n";
        let found: Vec<(usize, String)> = links(text);
        let found: Vec<(usize, &str)> = found.iter().map(|(line, target)| (*line, target.as_str())).collect();
        assert_eq!(found, [(1, "c.md"), (1, "g.md#h"), (5, "l.md"), (6, "n o.png")]);
    }

    #[test]
    fn tidy_looks_only_for_links_to_files_of_the_repository() {
        assert_eq!(as_path("../a/README.md#b"), Some("../a/README.md"));
        assert_eq!(as_path("docs/"), Some("docs/"));
        for elsewhere in [
            "https://example.com/a.md",
            "#a",
            "mailto:a@b.c",
            "crate::Message",
            "struct@Message",
            "Message",
            "a/index.html",
        ] {
            assert_eq!(as_path(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn tidy_reports_a_dead_link_with_its_line() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = SourceFile {
            path: "src/a.md".to_owned(),
            text: "[a](main.rs)\n[b](../Cargo.toml)\n[c](nowhere.rs)\n".to_owned(),
        };
        let mut problems = Vec::new();
        check(root, &file, &mut problems);
        assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [3]);
    }
}
