//! Checks that links in Markdown lead to files and headings that exist, and that listings have no lines for rustdoc alone.

use super::file::{Problem, SourceFile, resolve, slashes};
use crate::guide::FOLDER;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn check(root: &Path, file: &SourceFile, problems: &mut Vec<Problem>) {
    // People read these pages only as rustdoc shows them, or as their copy.
    let is_for_rustdoc = Path::new(&file.path).parent() == Some(Path::new(FOLDER));
    let mut report = |line: usize, what: String| problems.push(Problem::new(&file.path, line, what));
    for (line, target) in links(&file.text) {
        if let Some(why) = dead(root, file, &target, is_for_rustdoc) {
            report(line, format!("links to `{target}`, {why}"));
        }
    }
    for line in hidden(&file.text).filter(|_| !is_for_rustdoc) {
        report(line, "only rustdoc hides this line of a listing; a reader of the repository sees it".to_owned());
    }
}

/// Why a link of this file is dead.
fn dead(root: &Path, file: &SourceFile, target: &str, is_for_rustdoc: bool) -> Option<String> {
    let (path, heading) = match Target::of(target) {
        Target::Elsewhere => return None,
        // A folder beside the file looks like an item.
        Target::Item if is_for_rustdoc || root.join(resolve(&file.path, target)).exists() => return None,
        Target::Item => return Some("which only rustdoc resolves; link to a file, or to docs.rs".to_owned()),
        Target::Here { path, heading } => (path, heading),
    };
    let path = match path.strip_prefix('/') {
        Some(from_root) => PathBuf::from(from_root),
        None if path.is_empty() => PathBuf::from(&file.path),
        None => resolve(&file.path, path),
    };
    let is_here = slashes(&path) == file.path;
    if !is_here && !root.join(&path).exists() {
        return Some("which is not a file of the repository".to_owned());
    }
    let heading = heading.filter(|_| path.extension().is_some_and(|extension| extension == "md"))?;
    let is_there = match is_here {
        true => has_heading(&file.text, heading),
        false => fs::read_to_string(root.join(&path)).is_ok_and(|text| has_heading(&text, heading)),
    };
    (!is_there).then(|| format!("and {} has no such heading", path.display()))
}

/// Where a link leads to.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    /// To another site, or to a page of rustdoc, which is checked with the documentation.
    Elsewhere,
    /// To an item of a crate, such as `crate::Message`, `struct@Message` or `Message`.
    Item,
    /// To a file of the repository, or to a heading of it. Without a path it is the file with the link.
    Here { path: &'a str, heading: Option<&'a str> },
}

impl<'a> Target<'a> {
    fn of(target: &'a str) -> Self {
        let is_path = target.contains(['/', '.', '#']) && !target.contains(['@', '(']) && !target.contains("::");
        let (path, heading) = match target.split_once('#') {
            Some((path, heading)) => (path, Some(heading)),
            None => (target, None),
        };
        let path = path.split('?').next().unwrap_or(path);
        if target.contains("://") || target.starts_with("mailto:") || path.ends_with(".html") {
            Target::Elsewhere
        } else if is_path {
            Target::Here { path, heading }
        } else {
            Target::Item
        }
    }
}

/// Whether `text` has a heading with this anchor, as rustdoc and the usual hosts of repositories make anchors.
fn has_heading(text: &str, anchor: &str) -> bool {
    lines(text).any(|(_, line, fence)| {
        let title = line.trim_start_matches('#');
        fence.is_none() && title.len() < line.len() && title.starts_with(' ') && slug(title.trim()) == anchor
    })
}

fn slug(title: &str) -> String {
    let kept = title.chars().filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'));
    kept.map(|character| if character == ' ' { '-' } else { character }).collect::<String>().to_lowercase()
}

/// The lines of Rust listings that rustdoc does not show.
fn hidden(text: &str) -> impl Iterator<Item = usize> {
    lines(text)
        .filter(|(_, line, fence)| {
            let is_rust = fence.is_some_and(|info| info.is_empty() || info.starts_with("rust"));
            is_rust && (line.trim() == "#" || line.trim_start().starts_with("# "))
        })
        .map(|(number, ..)| number)
}

/// The targets of `[text](target)` and `[name]: target`, each with its line. Code is skipped.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line, _) in lines(text).filter(|(.., fence)| fence.is_none()) {
        let line = without_code(line);
        found.extend(inline(&line).chain(definition(&line)).map(|target| (number, target.to_owned())));
    }
    found
}

/// All lines except the fences of listings, with their numbers. A line of a listing has what follows the opening fence.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, Option<&str>)> {
    let mut open: Option<(&str, &str)> = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        match (open, mark) {
            (Some((fence, _)), Some(mark)) if fence == mark => open = None,
            (None, Some(mark)) => open = Some((mark, trimmed.trim_start_matches(mark))),
            _ => return Some((index + 1, line, open.map(|(_, info)| info))),
        }
        None
    })
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
    fn tidy_knows_where_a_link_leads_to() {
        let here = |path, heading| Target::Here { path, heading };
        assert_eq!(Target::of("../a/README.md#b"), here("../a/README.md", Some("b")));
        assert_eq!(Target::of("docs/"), here("docs/", None));
        assert_eq!(Target::of("#a"), here("", Some("a")));
        for elsewhere in ["https://example.com/a.md", "mailto:a@b.c", "a/index.html", "a/index.html#b"] {
            assert_eq!(Target::of(elsewhere), Target::Elsewhere, "{elsewhere}");
        }
        for item in ["crate::Message", "crate::Message#a", "struct@Message", "Message"] {
            assert_eq!(Target::of(item), Target::Item, "{item}");
        }
    }

    fn reported(path: &str, text: &str) -> Vec<usize> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut problems = Vec::new();
        check(root, &SourceFile { path: path.to_owned(), text: text.to_owned() }, &mut problems);
        problems.iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn tidy_reports_a_link_that_only_rustdoc_resolves_except_in_the_sources_of_the_guide() {
        let text = "[a](crate::A)\n";
        assert_eq!(reported("README.md", text), [1]);
        assert_eq!(reported("crates/sockeye/guide/a.md", text), [] as [usize; 0]);
    }

    #[test]
    fn tidy_reports_a_link_to_a_heading_that_is_not_there() {
        let text = "# One `two`: three_four, 5!\n[a](#one-two-three_four-5)\n[b](#one)\n```sh\n# one\n```\n";
        assert_eq!(reported("README.md", text), [3]);
    }

    #[test]
    fn tidy_reports_lines_of_a_listing_that_only_rustdoc_hides() {
        let text = "```rust,no_run\n# use a;\n#[b]\n  #\n```\n```sh\n# c\n```\n";
        assert_eq!(reported("README.md", text), [2, 4]);
        assert_eq!(reported("crates/sockeye/guide/a.md", text), [] as [usize; 0]);
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
