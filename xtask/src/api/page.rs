//! The guide's page of the differences.

use super::compare::Comparison;
use super::declare::Entry;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The page's path from the root of the workspace.
pub(super) const PATH: &str = "crates/sockeye/guide/axum-api.md";

/// The page as Markdown.
pub(super) fn text(axum_version: &str, comparison: &Comparison<'_>, reasons: &[(&str, &str)]) -> String {
    let Comparison { same, missing, differ, added } = comparison;
    let reason = |entry: &Entry| reasons.iter().find(|(name, _)| *name == entry.name).map_or("", |(_, why)| why);
    let mut page = format!(
        "# The API beside axum's

<!-- Written by `cargo xtask api --write`: change nothing here. -->

This page compares what is public in `axum::extract::ws` of axum {axum_version} with what `sockeye-axum-exact` has in its place, with all
of its features on. A program of the repository, `cargo xtask api`, writes the page from rustdoc's description of both.

{same} declarations are the same: types with their fields and variants, constants with their values, methods with the types of
their arguments and results and with all bounds, and the traits that each type implements, with their associated types. The
traits include `Send`, `Sync`, `Unpin`, `UnwindSafe` and `RefUnwindSafe`. The names of arguments and of type parameters are not
compared, and neither are `#[must_use]` and `#[deprecated]`. `fn` with `impl Future + Send` counts as `async fn`.

[Coming from axum::extract::ws](crate::guide::coming_from_axum) describes what no declaration shows: what is different on the wire
and in the program. `sockeye` and `sockeye-axum` have other payloads, and are not compared.

## Missing

"
    );
    if missing.is_empty() {
        page += "Nothing.\n";
    } else {
        page += "| in axum | why it is not here |\n|---|---|\n";
        for entry in missing {
            let _ = writeln!(page, "| {} | {} |", code(&entry.form.shown), reason(entry));
        }
    }
    page += "\n## Different\n\n";
    if differ.is_empty() {
        page += "Nothing.\n";
    } else {
        page += "| of | in axum | here | why |\n|---|---|---|---|\n";
        for (their, our) in differ {
            let (their_text, our_text) = their.form.beside(&our.form);
            let cells = [code(&their.owner), code(their_text), code(our_text)];
            let _ = writeln!(page, "| {} | {} |", cells.join(" | "), reason(their));
        }
    }
    page += "\n## Added\n\n";
    if added.is_empty() {
        page += "Nothing.\n";
    } else {
        page += "[What code must change](crate::guide::coming_from_axum) says which code notices an addition.\n\n";
        page += "| to | what |\n|---|---|\n";
        for (to, what) in grouped(added) {
            let _ = writeln!(page, "| {to} | {what} |");
        }
    }
    page
}

/// The additions by what they are added to. What has the same additions shares a row.
fn grouped(added: &[&Entry]) -> Vec<(String, String)> {
    let mut by_place: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in added {
        let (place, what) = place(entry);
        by_place.entry(place).or_default().push(code(what));
    }
    let mut rows: Vec<(Vec<&str>, String)> = Vec::new();
    for (place, what) in by_place {
        let what = what.join(", ");
        match rows.iter_mut().find(|(_, other)| *other == what) {
            Some((places, _)) => places.push(place),
            None => rows.push((vec![place], what)),
        }
    }
    let places = |places: Vec<&str>| {
        let name = |place: &&str| if place.is_empty() { "the module".to_owned() } else { code(place) };
        places.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    rows.into_iter().map(|(of, what)| (places(of), what)).collect()
}

/// The type or module that an addition is in, and what it is called there.
fn place(entry: &Entry) -> (&str, &str) {
    if entry.is_item() {
        return entry.name.rsplit_once("::").unwrap_or(("", &entry.name));
    }
    let of_impl = || entry.name.strip_prefix("impl ")?.rsplit_once(" for ");
    let last = entry.owner.rsplit("::").next().unwrap_or(&entry.owner);
    match of_impl() {
        // Without `for`, if it is the type of the row.
        Some((trait_, of)) if of == last => (&entry.owner, trait_),
        _ => (&entry.owner, entry.name.strip_prefix(&format!("{}::", entry.owner)).unwrap_or(&entry.name)),
    }
}

/// As code in a cell of a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::super::term::Form;
    use super::*;

    fn entry(owner: &str, name: &str, shown: &str) -> Entry {
        let form = Form { shown: shown.to_owned(), compared: shown.to_owned() };
        Entry { owner: owner.to_owned(), name: name.to_owned(), form }
    }

    #[test]
    fn the_page_has_a_row_for_each_difference_with_its_reason() {
        let missing = entry("WebSocket", "WebSocket::close", "fn close(self)");
        let their = entry("WebSocket", "WebSocket::send", "fn send(&mut self)");
        let our = entry("WebSocket", "WebSocket::send", "fn send(&self)");
        let comparison = Comparison { same: 7, missing: vec![&missing], differ: vec![(&their, &our)], added: vec![] };
        let reasons = [("WebSocket::close", "It hides another."), ("WebSocket::send", "It is shared.")];
        let page = text("0.8.9", &comparison, &reasons);
        assert!(page.contains("of axum 0.8.9 with") && page.contains("\n7 declarations are the same"), "{page}");
        assert!(page.contains("\n| `fn close(self)` | It hides another. |\n"), "{page}");
        assert!(
            page.contains("\n| `WebSocket` | `fn send(&mut self)` | `fn send(&self)` | It is shared. |\n"),
            "{page}"
        );
        assert!(page.ends_with("## Added\n\nNothing.\n"), "{page}");
    }

    #[test]
    fn additions_are_grouped_by_what_they_are_added_to() {
        let added = [
            entry("Sender", "Sender", ""),
            entry("close_code::TLS", "close_code::TLS", ""),
            entry("WebSocket", "WebSocket::sender", ""),
            entry("WebSocket", "impl Sync for WebSocket", ""),
            entry("rejection::A", "impl Clone for A", ""),
            entry("rejection::B", "impl Clone for B", ""),
            entry("WebSocket", "impl From<WebSocket> for Inner", ""),
        ];
        let rows = grouped(&added.iter().collect::<Vec<_>>());
        let expected = [
            ("the module", "`Sender`"),
            ("`WebSocket`", "`sender`, `Sync`, `impl From<WebSocket> for Inner`"),
            ("`close_code`", "`TLS`"),
            ("`rejection::A`, `rejection::B`", "`Clone`"),
        ];
        assert_eq!(rows, expected.map(|(to, what)| (to.to_owned(), what.to_owned())));
    }
}
