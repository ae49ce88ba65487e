//! Why something of axum's is missing or different, for each such entry. Nothing may be so without a reason.

use super::compare::Comparison;

/// The name of an entry, as the guide's page shows it, and the reason in one sentence.
pub(super) const REASONS: &[(&str, &str)] = &[];

/// What has no reason, and which reasons are for nothing.
pub(super) fn check(comparison: &Comparison<'_>, reasons: &[(&str, &str)]) -> Vec<String> {
    let Comparison { missing, differ, .. } = comparison;
    let has_reason = |name: &str| reasons.iter().any(|(known, _)| *known == name);
    let mut problems = Vec::new();
    for entry in missing.iter().filter(|entry| !has_reason(&entry.name)) {
        problems.push(format!("missing: {}\n    axum: {}", entry.name, entry.form.shown));
    }
    for (their, our) in differ.iter().filter(|(their, _)| !has_reason(&their.name)) {
        let (their_text, our_text) = their.form.beside(&our.form);
        problems.push(format!("different: {}\n    axum: {their_text}\n    ours: {our_text}", their.name));
    }
    for (name, _) in reasons {
        let is_for = missing.iter().chain(differ.iter().map(|(their, _)| their)).any(|entry| entry.name == *name);
        if !is_for {
            problems
                .push(format!("{name} is neither missing nor different, and has a reason in xtask/src/api/reasons.rs"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::declare::Entry;
    use super::super::term::Form;
    use super::*;

    fn entry(name: &str, shown: &str) -> Entry {
        let form = Form { shown: shown.to_owned(), compared: shown.to_owned() };
        Entry { owner: "WebSocket".to_owned(), name: name.to_owned(), form }
    }

    #[test]
    fn what_has_no_reason_is_named_and_so_is_a_reason_for_nothing() {
        let (missing, their, our) = (entry("a", "fn a()"), entry("b", "fn b()"), entry("b", "fn b(u8)"));
        let comparison = Comparison { missing: vec![&missing], differ: vec![(&their, &our)], ..Comparison::default() };
        assert!(check(&comparison, &[("a", "…"), ("b", "…")]).is_empty());
        let found = check(&comparison, &[("a", "…"), ("c", "…")]);
        assert_eq!(found[0], "different: b\n    axum: fn b()\n    ours: fn b(u8)");
        assert!(found[1].starts_with("c is neither"), "{found:?}");
        assert_eq!(found.len(), 2);
    }
}
