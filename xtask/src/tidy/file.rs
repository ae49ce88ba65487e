//! A file of the repository, its paths, and what is wrong with it.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file of the repository, committed or not yet.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// The path from the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// A broken rule, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    pub(super) path: String,
    /// The line, from 1; 0 stands for the whole file.
    pub(super) line: usize,
    pub(super) what: String,
}

impl Problem {
    pub(super) fn new(path: impl Into<String>, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.into(), line, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

pub(super) fn slashes(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// `path` of a file, relative to the folder that `from` is in, with `.` and `..` taken out.
pub(super) fn resolve(from: &str, path: &str) -> PathBuf {
    let mut resolved = Path::new(from).parent().unwrap_or(Path::new("")).to_owned();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                resolved.pop();
            }
            part => resolved.push(part),
        }
    }
    resolved
}
