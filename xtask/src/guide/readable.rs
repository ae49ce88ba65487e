//! The guide for readers of the repository: a copy of its pages in `docs/guide`.
//!
//! The pages are written for rustdoc. In the web view of a repository, their links to items and to each other would be dead, and
//! listings would show their hidden lines. The copy has no hidden lines. Its links lead to the other pages of the copy, and to
//! the files that have the items. rustdoc has resolved these links, so they are taken from its output.

use super::{FOLDER, LIST, Page, Section};
use crate::context::Context;
use crate::workspace::Package;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder with the copy, from the root of the repository.
const COPY: &str = "docs/guide";

/// The files of the copy that are not what they should be, or should not be there.
pub(crate) fn outdated(ctx: &Context, sections: &[Section], doc: &Path) -> Result<Vec<String>> {
    differences(&wanted(ctx, sections, doc)?, &ctx.workspace.root.join(COPY))
}

fn differences(wanted: &BTreeMap<String, String>, folder: &Path) -> Result<Vec<String>> {
    let is_right = |name: &String, text: &String| fs::read_to_string(folder.join(name)).is_ok_and(|now| now == *text);
    let mut outdated: Vec<String> =
        wanted.iter().filter(|(name, text)| !is_right(name, text)).map(|(name, _)| format!("{COPY}/{name}")).collect();
    if folder.exists() {
        let names = super::files(folder)?.into_iter().filter_map(|file| file.file_name().map(ToOwned::to_owned));
        let names = names.map(|name| name.to_string_lossy().into_owned());
        outdated.extend(names.filter(|name| !wanted.contains_key(name)).map(|name| format!("{COPY}/{name}")));
    }
    Ok(outdated)
}

/// Writes the copy, and removes the files of pages that there are no more. Returns the files that were not what they should be.
pub(crate) fn write(ctx: &Context, sections: &[Section], doc: &Path) -> Result<Vec<String>> {
    let wanted = wanted(ctx, sections, doc)?;
    let folder = ctx.workspace.root.join(COPY);
    let outdated = differences(&wanted, &folder)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for path in &outdated {
        let file = ctx.workspace.root.join(path);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        match wanted.get(&*name) {
            Some(text) => fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?,
            None => fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?,
        }
    }
    Ok(outdated)
}

/// The files of the copy, by their names.
fn wanted(ctx: &Context, sections: &[Section], doc: &Path) -> Result<BTreeMap<String, String>> {
    let mut wanted = BTreeMap::from([("README.md".to_owned(), index(sections))]);
    for page in sections.iter().flat_map(|section| &section.pages) {
        let source = ctx.workspace.root.join(FOLDER).join(page.file());
        let markdown = fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
        let links = links(&ctx.workspace.packages, sections, page, doc)?;
        let text = copy(&markdown, &links).with_context(|| format!("cannot copy {}", page.file()))?;
        wanted.insert(page.file(), format!("{}{text}", note(&format!("{FOLDER}/{}", page.file()))));
    }
    Ok(wanted)
}

/// The first lines of a file: where to change it.
fn note(source: &str) -> String {
    format!("<!-- Made from {source} by `cargo xtask doc`. Change that file, not this one. -->\n\n")
}

/// The page that lists all pages.
fn index(sections: &[Section]) -> String {
    let mut text = format!("{}# The guide\n", note(LIST));
    for section in sections {
        let _ = write!(text, "\n## {}\n\n", section.title);
        for page in &section.pages {
            let _ = writeln!(text, "* [{}]({}): {}", page.title, page.file(), page.about);
        }
    }
    text
}

/// The targets of a page's links to items and to other pages, in their order, for the copy.
fn links(packages: &[Package], sections: &[Section], page: &Page, doc: &Path) -> Result<Vec<String>> {
    let html = doc.join(page.html());
    let text = fs::read_to_string(&html).with_context(|| format!("cannot read {}", html.display()))?;
    let mut links = Vec::new();
    for target in resolved(&text) {
        let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
        let path = join(Path::new(&page.html()), path);
        let other = sections.iter().flat_map(|section| &section.pages).find(|page| Path::new(&page.html()) == path);
        links.push(match other {
            Some(page) if fragment.is_empty() => page.file(),
            Some(page) => format!("{}#{fragment}", page.file()),
            None => format!("../../{}", source(packages, doc, path, fragment)?),
        });
    }
    Ok(links)
}

/// The targets of the links that rustdoc has resolved. They have a title. The links of the sidebar to the page's own headings
/// have one too.
fn resolved(html: &str) -> impl Iterator<Item = &str> {
    let links = html.split("<a href=\"").skip(1).filter_map(|rest| rest.split_once('"'));
    links.filter(|(target, rest)| rest.starts_with(" title=") && !target.starts_with('#')).map(|(target, _)| target)
}

/// The file of the repository with the item that has this page, or this fragment of the page.
fn source(packages: &[Package], doc: &Path, mut page: PathBuf, fragment: &str) -> Result<String> {
    let mut html = read(doc, &page)?;
    // An item of a private module has its page elsewhere, and one here that redirects to it.
    if let Some((_, rest)) = html.split_once("http-equiv=\"refresh\"")
        && let Some((_, target)) = rest.split_once("URL=")
    {
        page = join(&page, target.split('"').next().unwrap_or_default());
        html = read(doc, &page)?;
    }
    let at = match fragment.starts_with("method.") {
        true => html.find(&format!("id=\"{fragment}\"")).with_context(|| format!("no {fragment} in {page:?}"))?,
        // The others have no link of their own to their source.
        false => 0,
    };
    let target = html[at..].split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let target = target.filter_map(|target| target.split_once("src/").filter(|(up, _)| up.ends_with("../")));
    let (_, target) = target.into_iter().next().with_context(|| format!("{page:?} has no link to its source"))?;
    let file = target.split(".html").next().unwrap_or_default();
    let (library, file) = file.split_once('/').with_context(|| format!("`{file}` is in no crate"))?;
    let package = packages.iter().find(|package| package.library.as_deref() == Some(library));
    let package = package.with_context(|| format!("`{library}` is no crate of the workspace"))?;
    Ok(format!("crates/{}/src/{file}", package.name))
}

fn read(doc: &Path, page: &Path) -> Result<String> {
    fs::read_to_string(doc.join(page)).with_context(|| format!("rustdoc made no page {}", page.display()))
}

/// The path that `target`, a link of the page `from`, leads to.
fn join(from: &Path, target: &str) -> PathBuf {
    let mut path = from.parent().unwrap_or(Path::new("")).to_owned();
    for part in target.split('/') {
        match part {
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

/// The page without hidden lines, and with the targets of `links` in its links, in their order.
fn copy(markdown: &str, links: &[String]) -> Result<String> {
    let (mut copy, mut links) = (String::new(), links.iter());
    // Between two fences, as one text: a link may begin on one line and end on the next.
    let mut prose = String::new();
    // What follows the opening fence, and the lines.
    let mut listing: Option<(&str, Vec<&str>)> = None;
    for line in markdown.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut listing, fence) {
            (Some((info, lines)), Some(_)) => {
                let is_rust = info.is_empty() || info.starts_with("rust");
                copy.push_str(&if is_rust { without_hidden(lines) } else { joined(lines) });
                let _ = writeln!(copy, "{line}");
                listing = None;
            }
            (Some((_, lines)), None) => lines.push(line),
            (None, Some(info)) => {
                copy.push_str(&relinked(&std::mem::take(&mut prose), &mut links)?);
                // `rust,no_run` and the like are for rustdoc.
                let _ = writeln!(copy, "{}", line.split(',').next().unwrap_or(line));
                listing = Some((info, Vec::new()));
            }
            (None, None) => {
                let _ = writeln!(prose, "{line}");
            }
        }
    }
    copy.push_str(&relinked(&prose, &mut links)?);
    match links.len() {
        0 => Ok(copy),
        left => bail!("rustdoc has resolved {left} links more than were found in the page"),
    }
}

/// A listing as rustdoc shows it: without the lines that begin with `# `, and without empty lines where these were.
fn without_hidden(lines: &[&str]) -> String {
    let is_hidden = |line: &&str| line.trim() == "#" || line.trim_start().starts_with("# ");
    let mut shown: Vec<&str> = Vec::new();
    for line in lines.iter().filter(|line| !is_hidden(line)) {
        if !line.trim().is_empty() || shown.last().is_some_and(|last| !last.trim().is_empty()) {
            shown.push(line);
        }
    }
    if shown.last().is_some_and(|last| last.trim().is_empty()) {
        shown.pop();
    }
    joined(&shown)
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// `prose` with a target of `links` in each link to an item or a page.
fn relinked<'a>(prose: &str, links: &mut impl Iterator<Item = &'a String>) -> Result<String> {
    let (mut text, mut rest) = (String::new(), prose);
    while let Some(at) = rest.find(['`', '[']) {
        let (before, found) = rest.split_at(at);
        text.push_str(before);
        if let Some(code) = found.strip_prefix('`') {
            // Code has no links.
            let end = code.find('`').map_or(found.len(), |end| end + 2);
            text.push_str(&found[..end]);
            rest = &found[end..];
            continue;
        }
        let end = closing_bracket(found).with_context(|| format!("a bracket is not closed: {found:.40}"))?;
        let (label, after) = found.split_at(end);
        let target = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        let is_item = match target {
            Some((target, _)) => !target.contains("://") && !target.starts_with('#'),
            // `[`Hub`]`, whose target is in guide.rs.
            None => label.starts_with("[`"),
        };
        rest = target.map_or(after, |(_, rest)| rest);
        match (is_item, target) {
            (true, _) => {
                let link = links.next().with_context(|| format!("rustdoc has not resolved {label}"))?;
                let _ = write!(text, "{label}({link})");
            }
            (false, Some((target, _))) => {
                let _ = write!(text, "{label}({target})");
            }
            (false, None) => text.push_str(label),
        }
    }
    text.push_str(rest);
    Ok(text)
}

/// The end of `[text]` at the beginning of `text`. Brackets in code do not count.
fn closing_bracket(text: &str) -> Option<usize> {
    let mut in_code = false;
    for (at, character) in text.char_indices() {
        match character {
            '`' => in_code = !in_code,
            ']' if !in_code => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(targets: &[&str]) -> Vec<String> {
        targets.iter().map(|&target| target.to_owned()).collect()
    }

    #[test]
    fn a_copied_listing_of_the_guide_has_no_hidden_lines() {
        let page =
            "a\n\n```rust,no_run\n# use b;\n\n#[derive(C)]\nstruct D;\n#\n# fn e() {\n\nlet f = 1;\n# }\n```\n\ng\n";
        let copied = "a\n\n```rust\n#[derive(C)]\nstruct D;\n\nlet f = 1;\n```\n\ng\n";
        assert_eq!(copy(page, &[]).unwrap(), copied);
        let other = "```sh\n# a comment\n\n\nb\n```\n";
        assert_eq!(copy(other, &[]).unwrap(), other);
    }

    #[test]
    fn links_of_the_guide_get_the_targets_that_rustdoc_has_found() {
        let page = "See [`A`](crate::A) and\n[the\npage](crate::guide::b), `[c](d)`, [e](https://e.example), [f](#f), [`Hub`].\n";
        let copied =
            "See [`A`](a.rs) and\n[the\npage](b.md), `[c](d)`, [e](https://e.example), [f](#f), [`Hub`](hub.rs).\n";
        assert_eq!(copy(page, &links(&["a.rs", "b.md", "hub.rs"])).unwrap(), copied);
        assert!(copy(page, &links(&["a.rs", "b.md"])).is_err());
        assert!(copy(page, &links(&["a.rs", "b.md", "hub.rs", "c.rs"])).is_err());
    }

    #[test]
    fn the_links_that_rustdoc_has_resolved_are_those_with_a_title() {
        let html = r##"<a href="#a" title="A"> <a href="../b.html">b</a> <a href="../c.html#d" title="struct c">"##;
        assert_eq!(resolved(html).collect::<Vec<_>>(), ["../c.html#d"]);
    }

    #[test]
    fn a_link_of_a_page_of_rustdoc_is_followed() {
        let page = Path::new("sockeye/guide/faq/index.html");
        assert_eq!(join(page, "../../struct.Error.html"), Path::new("sockeye/struct.Error.html"));
        assert_eq!(join(page, "../../../sockeye_state/index.html"), Path::new("sockeye_state/index.html"));
    }
}
