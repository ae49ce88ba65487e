//! Rules for `Cargo.toml`: the members inherit the settings of the workspace.

use super::file::{Problem, SourceFile, slashes};
use crate::workspace::Workspace;

/// The manifest that has the `rust-version` of all tools.
const TOOLS: &str = "xtask/Cargo.toml";

/// A `key = value` of a manifest.
#[derive(Debug, PartialEq, Eq)]
struct Entry<'a> {
    /// The name in `[section]`.
    section: &'a str,
    key: &'a str,
    value: &'a str,
    /// From 1.
    line: usize,
    /// Whether there is a comment behind the value, or on the line above.
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
    check_rust_versions(files, problems);
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
    // The separate workspaces bench and fuzz have their own lists.
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

/// Whether the manifest belongs to this workspace, by its path.
fn is_member_path(path: &str) -> bool {
    path.starts_with("crates/") || path.starts_with("examples/") || is_tool(path)
}

fn is_tool(path: &str) -> bool {
    ["slow-peers/Cargo.toml", "soak/Cargo.toml", TOOLS].contains(&path)
}

fn check_member(file: &SourceFile, entries: &[Entry<'_>], problems: &mut Vec<Problem>) {
    let inherits = |section: &str, key: &str| {
        entries.iter().any(|entry| entry.section == section && entry.key == key && entry.value == "true")
    };
    let inherited: &[&str] =
        if is_tool(&file.path) { &["edition", "license"] } else { &["edition", "rust-version", "license"] };
    for key in inherited {
        if !inherits("package", &format!("{key}.workspace")) {
            problems.push(Problem::new(&file.path, 0, format!("[package] must have `{key}.workspace = true`")));
        }
    }
    if !inherits("lints", "workspace") {
        problems.push(Problem::new(&file.path, 0, "must have `[lints]` with `workspace = true`"));
    }
}

/// Checks that two versions of Rust are each stated in one place: that of the crates and examples in the workspace, and that of
/// the tools in `xtask`. Other manifests of tools, and the documentation, must agree.
fn check_rust_versions(files: &[SourceFile], problems: &mut Vec<Problem>) {
    let stated = |path: &str, section: &str| {
        let file = files.iter().find(|file| file.path == path)?;
        let mut entries = entries(&file.text).into_iter();
        let entry = entries.find(|entry| entry.section == section && entry.key == "rust-version")?;
        Some(entry.value.trim_matches('"').to_owned())
    };
    let Some(crates) = stated("Cargo.toml", "workspace.package") else {
        problems.push(Problem::new("Cargo.toml", 0, "[workspace.package] must have a `rust-version`"));
        return;
    };
    let Some(tools) = stated(TOOLS, "package") else {
        problems.push(Problem::new(TOOLS, 0, "[package] must have a `rust-version`"));
        return;
    };
    for file in files.iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        let entries = entries(&file.text);
        let mut own = entries.iter().filter(|entry| entry.key == "rust-version").peekable();
        if is_tool(&file.path) && own.peek().is_none() {
            problems.push(Problem::new(&file.path, 0, format!("[package] must have `rust-version = \"{tools}\"`")));
        }
        for entry in own.filter(|entry| entry.value.trim_matches('"') != tools) {
            let what = format!("has rust-version {}, and {TOOLS} has \"{tools}\"", entry.value);
            problems.push(Problem::new(&file.path, entry.line, what));
        }
    }
    for file in files.iter().filter(|file| file.path.ends_with(".md") && !file.path.ends_with("CHANGELOG.md")) {
        // Whoever contributes needs the tools, and so their version of Rust.
        let is_right = |told: &str| told == crates || (file.path == "CONTRIBUTING.md" && told == tools);
        for (index, line) in file.text.lines().enumerate() {
            // "Rust 1.85 or later"
            let told = line
                .split("Rust 1.")
                .skip(1)
                .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            for minor in told.filter(|minor| !minor.is_empty() && !is_right(&format!("1.{minor}"))) {
                let what = format!("says Rust 1.{minor}, and the workspace's rust-version is {crates}");
                problems.push(Problem::new(&file.path, index + 1, what));
            }
        }
    }
}

/// Whether `value` is an inline table, such as `{ path = "…", version = "1" }`, with this key.
fn has_key(value: &str, key: &str) -> bool {
    let Some(table) = value.strip_prefix('{') else { return false };
    table.split(',').any(|pair| pair.split('=').next().is_some_and(|name| name.trim() == key))
}

/// Parses the part of TOML that manifests use: sections, and pairs whose value begins on the same line.
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
    fn tidy_refuses_a_version_outside_the_workspace_manifest() {
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
    fn crates_and_tools_have_one_version_of_rust_each() {
        let check = |path: &str, text: &str| {
            let files = [
                ("Cargo.toml", "[workspace.package]\nrust-version = \"1.1\"\n"),
                (TOOLS, "[package]\nrust-version = \"1.2\"\n"),
                (path, text),
            ];
            let files = files.map(|(path, text)| SourceFile { path: path.to_owned(), text: text.to_owned() });
            let mut problems = Vec::new();
            check_rust_versions(&files, &mut problems);
            problems.len()
        };
        assert_eq!(check("crates/a/Cargo.toml", "[package]\nrust-version.workspace = true\n"), 0);
        assert_eq!(check("soak/Cargo.toml", "[package]\nrust-version = \"1.2\"\n"), 0);
        assert_eq!(check("soak/Cargo.toml", "[package]\n"), 1);
        assert_eq!(check("bench/Cargo.toml", "[workspace.package]\nrust-version = \"1.1\"\n"), 1);
        assert_eq!(check("README.md", "Rust 1.1 or later\n"), 0);
        assert_eq!(check("README.md", "Rust 1.2 or later\n"), 1);
        assert_eq!(check("CONTRIBUTING.md", "Rust 1.2; the crates need Rust 1.1\n"), 0);
    }

    #[test]
    fn tidy_refuses_lints_outside_the_workspace_manifest_or_without_a_reason() {
        assert_eq!(problems("crates/a/Cargo.toml", "[lints]\nworkspace = true\n"), [""; 0]);
        assert_eq!(problems("crates/a/Cargo.toml", "[lints.rust]\nmissing_docs = \"allow\"\n").len(), 1);
        assert_eq!(problems("Cargo.toml", "[workspace.lints.clippy]\na = \"allow\"\n").len(), 1);
        assert_eq!(problems("Cargo.toml", "[workspace.lints.clippy]\n# Tests are long.\na = \"allow\"\n"), [""; 0]);
    }
}
