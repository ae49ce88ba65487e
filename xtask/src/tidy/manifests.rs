//! Rules for `Cargo.toml`: what is said once, in the workspace, is inherited everywhere else.

use super::{Problem, SourceFile, slashes};
use crate::workspace::Workspace;

/// A `key = value` of a manifest.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    /// As in `[section]`.
    section: &'a str,
    key: &'a str,
    value: &'a str,
    /// From 1.
    line: usize,
    /// Whether a comment stands at its end, or on the line above.
    commented: bool,
}

pub(super) fn check(workspace: &Workspace, files: &[SourceFile], problems: &mut Vec<Problem>) {
    for file in files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let entries = entries(&file.text);
        for entry in &entries {
            check_entry(file, entry, problems);
        }
        if workspace
            .packages
            .iter()
            .any(|package| slashes(workspace.relative(&package.folder)) + "/Cargo.toml" == file.path)
        {
            check_member(file, &entries, problems);
        }
    }
    check_rust_version(workspace, files, problems);
}

fn check_entry(file: &SourceFile, entry: &Entry<'_>, problems: &mut Vec<Problem>) {
    let Entry { section, key, value, line, commented } = *entry;
    let mut report = |what: String| problems.push(Problem::new(&file.path, line, what));
    let is_root = file.path == "Cargo.toml";

    if section.starts_with("workspace.lints") && is_root {
        if value.contains("allow") && !commented {
            report(format!("`{key}` is allowed without a comment that says why"));
        }
    } else if !is_root && (section.starts_with("lints.") || (section == "lints" && key != "workspace")) {
        report("lints are set in [workspace.lints] alone".to_owned());
    }

    let last = section.rsplit('.').next().unwrap_or(section);
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let in_list = kinds.contains(&last) && section != "workspace.dependencies";
    let in_table = kinds.iter().any(|kind| section.contains(&format!("{kind}."))) && !section.starts_with("workspace.");
    // A workspace of its own (bench, fuzz) has a list of its own.
    if !is_member_path(&file.path) {
        return;
    }
    let names_version =
        (in_list && (value.starts_with('"') || has_key(value, "version"))) || (in_table && key == "version");
    if names_version {
        report(format!(
            "`{key}` names a version; versions are in [workspace.dependencies], and here it is `{key}.workspace = true`"
        ));
    }
}

/// Whether the manifest belongs to this workspace, by where it is.
fn is_member_path(path: &str) -> bool {
    let is_tool = ["soak/Cargo.toml", "xtask/Cargo.toml"].contains(&path);
    path.starts_with("crates/") || path.starts_with("examples/") || is_tool
}

fn check_member(file: &SourceFile, entries: &[Entry<'_>], problems: &mut Vec<Problem>) {
    let inherits = |section: &str, key: &str| {
        entries.iter().any(|entry| entry.section == section && entry.key == key && entry.value == "true")
    };
    for key in ["edition", "rust-version", "license"] {
        if !inherits("package", &format!("{key}.workspace")) {
            problems.push(Problem::new(&file.path, 0, format!("[package] must have `{key}.workspace = true`")));
        }
    }
    if !inherits("lints", "workspace") {
        problems.push(Problem::new(&file.path, 0, "must have `[lints]` with `workspace = true`"));
    }
}

/// One `rust-version`, in every manifest and wherever a text tells it.
fn check_rust_version(workspace: &Workspace, files: &[SourceFile], problems: &mut Vec<Problem>) {
    let root = files.iter().find(|file| file.path == "Cargo.toml");
    let stated = root.and_then(|file| {
        let entry = entries(&file.text)
            .into_iter()
            .find(|entry| entry.section == "workspace.package" && entry.key == "rust-version")?;
        Some(entry.value.trim_matches('"').to_owned())
    });
    let Some(stated) = stated else {
        problems.push(Problem::new("Cargo.toml", 0, "[workspace.package] must have a `rust-version`"));
        return;
    };
    for package in &workspace.packages {
        let path = slashes(workspace.relative(&package.folder)) + "/Cargo.toml";
        match &package.rust_version {
            Some(version) if *version == stated => {}
            Some(version) => {
                problems.push(Problem::new(path, 0, format!("has rust-version {version}, and the workspace {stated}")))
            }
            None => problems.push(Problem::new(path, 0, "has no rust-version: `rust-version.workspace = true`")),
        }
    }
    for file in files.iter().filter(|file| file.path.ends_with(".md") && !file.path.ends_with("CHANGELOG.md")) {
        for (index, line) in file.text.lines().enumerate() {
            // "Rust 1.95 or later"
            let told = line
                .split("Rust 1.")
                .skip(1)
                .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            for minor in told.filter(|minor| !minor.is_empty() && format!("1.{minor}") != stated) {
                let what = format!("says Rust 1.{minor}, and the workspace's rust-version is {stated}");
                problems.push(Problem::new(&file.path, index + 1, what));
            }
        }
    }
}

/// Whether an inline table, as in `{ path = "…", version = "1" }`, has the key.
fn has_key(value: &str, key: &str) -> bool {
    let Some(table) = value.strip_prefix('{') else { return false };
    table.split(',').any(|pair| pair.split('=').next().is_some_and(|name| name.trim() == key))
}

/// As much of TOML as manifests use: sections, and pairs whose value begins on the same line.
fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut found = Vec::new();
    let mut section = "";
    let mut above = "";
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(name, _)| name) {
            section = name.trim_start_matches('[').trim();
        } else if let Some((key, value)) = trimmed.split_once('=')
            && !trimmed.starts_with('#')
        {
            found.push(Entry {
                section,
                key: key.trim(),
                value: value.trim(),
                line: index + 1,
                commented: above.starts_with('#') || value.contains('#'),
            });
        }
        above = trimmed;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        let mut problems = Vec::new();
        for entry in entries(text) {
            check_entry(&file, &entry, &mut problems);
        }
        problems.into_iter().map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn a_version_belongs_to_the_workspace() {
        let member = "crates/a/Cargo.toml";
        assert_eq!(
            problems(member, "[dependencies]\na.workspace = true\nb = { workspace = true, features = [\"c\"] }\n"),
            [""; 0]
        );
        assert_eq!(problems(member, "[dependencies]\na = { package = \"b\", path = \"../b\" }\n"), [""; 0]);
        for text in [
            "[dependencies]\na = \"1\"\n",
            "[dev-dependencies]\na = { version = \"1\" }\n",
            "[target.'cfg(unix)'.dependencies]\na = \"1\"\n",
            "[dependencies.a]\nversion = \"1\"\n",
        ] {
            assert_eq!(problems(member, text).len(), 1, "{text}");
        }
        assert_eq!(problems("Cargo.toml", "[workspace.dependencies]\na = \"1\"\n"), [""; 0]);
        assert_eq!(problems("fuzz/Cargo.toml", "[dependencies]\na = \"1\"\n"), [""; 0]);
    }

    #[test]
    fn lints_belong_to_the_workspace_and_say_why() {
        assert_eq!(problems("crates/a/Cargo.toml", "[lints]\nworkspace = true\n"), [""; 0]);
        assert_eq!(problems("crates/a/Cargo.toml", "[lints.rust]\nmissing_docs = \"allow\"\n").len(), 1);
        assert_eq!(problems("Cargo.toml", "[workspace.lints.clippy]\na = \"allow\"\n").len(), 1);
        assert_eq!(problems("Cargo.toml", "[workspace.lints.clippy]\n# Tests are long.\na = \"allow\"\n"), [""; 0]);
    }
}
