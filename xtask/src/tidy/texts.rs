//! Rules for every text file.

use super::file::{Problem, SourceFile};

/// Folders that exist on one machine only. Their names are written in two parts, since this file is checked too.
const MACHINE: [&str; 5] =
    [concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/tm", "p/"), concat!("/ro", "ot/"), concat!("/Use", "rs/")];

pub(super) fn check(file: &SourceFile, problems: &mut Vec<Problem>) {
    for (index, line) in file.text.lines().enumerate() {
        for folder in MACHINE {
            if line.match_indices(folder).any(|(at, _)| begins_a_path(line, at)) {
                let what = format!("names `{folder}`, a folder of one machine; use a path inside the repository");
                problems.push(Problem::new(&file.path, index + 1, what));
            }
        }
        if line.ends_with('\r') {
            problems.push(Problem::new(&file.path, index + 1, "ends in a carriage return; lines end in a line feed"));
            break;
        }
        if ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark)) {
            problems.push(Problem::new(&file.path, index + 1, "is a conflict marker of a merge"));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        problems.push(Problem::new(&file.path, file.text.lines().count(), "the last line must end in a line feed"));
    }
}

/// Whether the slash at `at` begins a path. The slash in the middle of `target/tmp/a`, or in a URL, does not.
fn begins_a_path(line: &str, at: usize) -> bool {
    let before = line[..at].chars().next_back();
    !before.is_some_and(|before| {
        before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | '/' | '}' | ')' | ']' | '*' | '~')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let mut problems = Vec::new();
        check(&SourceFile { path: "a".to_owned(), text: text.to_owned() }, &mut problems);
        problems.into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn tidy_finds_a_path_of_one_machine() {
        let folder = MACHINE[2];
        assert_eq!(lines(&format!("a\nlet b = \"{folder}b\";\n")), [2]);
        assert!(lines(&format!("target{folder}b\nhttps://example.com{folder}\n")).is_empty());
    }

    #[test]
    fn tidy_refuses_a_file_whose_last_line_does_not_end() {
        assert_eq!(lines("a\nb"), [2]);
        assert!(lines("").is_empty());
    }
}
