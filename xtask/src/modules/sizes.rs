//! Limits of the lengths of the crates' files, and of the number of files in a folder.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

/// No file under `crates/*/src` has more lines than this.
const LINES: usize = 500;

/// Folders with a limit on the number of their files, not counting those in subfolders.
const FLAT: [(&str, usize); 1] = [("crates/sockeye-tokio/src", 20)];

/// What exceeds the limits under `src` of one package. `package` is the path of its folder from the root. Only packages under
/// `crates/` have limits.
pub(super) fn check(root: &Path, package: &str) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    if !package.starts_with("crates/") {
        return Ok(problems);
    }
    let source = format!("{package}/src");
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        let mut files = 0;
        for entry in fs::read_dir(root.join(&folder)).with_context(|| format!("cannot list {folder}"))? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") {
                files += 1;
                let text = fs::read_to_string(entry.path()).with_context(|| format!("cannot read {path}"))?;
                problems.extend(too_long(&path, text.lines().count()));
            }
        }
        problems.extend(too_many(&folder, files));
    }
    problems.sort();
    Ok(problems)
}

fn too_long(path: &str, lines: usize) -> Option<String> {
    (lines > LINES).then(|| format!("{path} has {lines} lines, more than {LINES}"))
}

fn too_many(folder: &str, files: usize) -> Option<String> {
    let (_, most) = FLAT.iter().find(|(flat, _)| *flat == folder)?;
    (files > *most).then(|| format!("{folder} has {files} files side by side, more than {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_500_lines() {
        assert_eq!(too_long("a.rs", 500), None);
        assert_eq!(too_long("a.rs", 501).unwrap(), "a.rs has 501 lines, more than 500");
    }

    #[test]
    fn one_folder_has_a_limit() {
        assert_eq!(too_many("crates/sockeye-tokio/src", 20), None);
        assert!(too_many("crates/sockeye-tokio/src", 21).is_some());
        assert_eq!(too_many("crates/sockeye-proto/src", 21), None);
    }
}
