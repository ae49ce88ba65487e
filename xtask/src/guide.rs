//! The guide's pages, from their list in `crates/sockeye/src/guide.rs`. Whatever else lists them is made from that list.

pub(crate) mod readable;

use crate::context::Context;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The file with the list, and with the module of each page.
const LIST: &str = "crates/sockeye/src/guide.rs";

/// The folder with the pages.
pub(crate) const FOLDER: &str = "crates/sockeye/guide";

/// The file of that folder that leads its readers to the copy.
const README: &str = "README.md";

/// The pages under one heading of the list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) pages: Vec<Page>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) title: String,
    /// The name of the module, `quick_start`.
    pub(crate) module: String,
    /// What the page is about, in one line of Markdown.
    pub(crate) about: String,
}

impl Page {
    /// The name of the page's file, `quick-start.md`.
    pub(crate) fn file(&self) -> String {
        format!("{}.md", self.module.replace('_', "-"))
    }

    /// The page's place in the output of rustdoc, from the root of the output.
    pub(crate) fn html(&self) -> String {
        format!("sockeye/guide/{}/index.html", self.module)
    }
}

/// Reads the list. Fails unless each page of the list has a file with its title and a module, in the same order, and each file
/// of the folder is in the list.
pub(crate) fn load(ctx: &Context) -> Result<Vec<Section>> {
    let root = &ctx.workspace.root;
    let text = fs::read_to_string(root.join(LIST)).with_context(|| format!("cannot read {LIST}"))?;
    let sections = parse(&text);
    let pages: Vec<&Page> = sections.iter().flat_map(|section| &section.pages).collect();
    let mut problems = compare(&pages, &modules(&text));
    for page in &pages {
        let file = root.join(FOLDER).join(page.file());
        let Ok(text) = fs::read_to_string(&file) else { continue };
        if text.lines().next() != Some(&format!("# {}", page.title)) {
            problems.push(format!("{} does not begin with its title in the list, `# {}`", page.file(), page.title));
        }
    }
    for file in files(&root.join(FOLDER))? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name != README && !pages.iter().any(|page| page.file() == name) {
            problems.push(format!("{FOLDER}/{name} is not in the list"));
        }
    }
    if problems.is_empty() {
        return Ok(sections);
    }
    bail!("the guide's list in {LIST} is wrong:\n  {}", problems.join("\n  "))
}

/// The sections of the list: headings `//! ## Title`, and items `//! * [Title](module): what the page is about`.
fn parse(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines().map_while(|line| line.strip_prefix("//!")) {
        if let Some(title) = line.strip_prefix(" ## ") {
            sections.push(Section { title: title.to_owned(), pages: Vec::new() });
        } else if let Some(page) = line.strip_prefix(" * [").and_then(item) {
            if sections.is_empty() {
                sections.push(Section::default());
            }
            sections.last_mut().into_iter().for_each(|section| section.pages.push(page.clone()));
        }
    }
    sections
}

/// The page in `Title](module): what the page is about`.
fn item(text: &str) -> Option<Page> {
    let (title, rest) = text.split_once("](")?;
    let (module, about) = rest.split_once("): ")?;
    Some(Page { title: title.to_owned(), module: module.to_owned(), about: about.to_owned() })
}

/// The modules of the file, each with the page that it includes.
fn modules(text: &str) -> Vec<(&str, Option<&str>)> {
    let (mut modules, mut included) = (Vec::new(), None);
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("include_str!(\"../guide/") {
            included = rest.split('"').next();
        } else if let Some(name) = line.strip_prefix("pub mod ") {
            modules.push((name.trim_end_matches(" {}"), included.take()));
        }
    }
    modules
}

/// What is wrong with the list, given the modules with what they include.
fn compare(pages: &[&Page], modules: &[(&str, Option<&str>)]) -> Vec<String> {
    let mut problems = Vec::new();
    let listed: Vec<&str> = pages.iter().map(|page| page.module.as_str()).collect();
    let declared: Vec<&str> = modules.iter().map(|(name, _)| *name).collect();
    if listed.is_empty() {
        problems.push("it has no item `//! * [Title](module): what the page is about`".to_owned());
    }
    if listed != declared {
        problems.push(format!("it has the pages {}, and the modules are {}", listed.join(", "), declared.join(", ")));
    }
    for page in pages {
        let included = modules.iter().find(|(name, _)| *name == page.module).and_then(|(_, included)| *included);
        if included != Some(&page.file()) {
            problems.push(format!("the module {} does not include {}", page.module, page.file()));
        }
    }
    problems
}

/// The Markdown files of a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
//! The pages.
//!
//! ## Begin
//!
//! * [Quick start](quick_start): a server.
//! * [Over HTTP/2](http_2): what is shared.

#[doc = include_str!(\"../guide/quick-start.md\")]
pub mod quick_start {}

#[doc = include_str!(\"../guide/http-2.md\")]
pub mod http_2 {}
";

    fn problems(text: &str) -> Vec<String> {
        let sections = parse(text);
        compare(&sections.iter().flat_map(|section| &section.pages).collect::<Vec<_>>(), &modules(text))
    }

    #[test]
    fn the_list_of_the_guide_has_sections_with_pages() {
        let sections = parse(LIST);
        assert_eq!(sections.len(), 1);
        assert_eq!(sections[0].title, "Begin");
        let page = &sections[0].pages[1];
        assert_eq!((page.title.as_str(), page.about.as_str()), ("Over HTTP/2", "what is shared."));
        assert_eq!((page.file().as_str(), page.html().as_str()), ("http-2.md", "sockeye/guide/http_2/index.html"));
        assert_eq!(problems(LIST), [] as [&str; 0]);
    }

    #[test]
    fn a_page_of_the_guide_that_is_not_listed_or_not_included_is_found() {
        assert_eq!(problems(&format!("{LIST}\npub mod faq {{}}\n")).len(), 1);
        assert_eq!(problems(&LIST.replace("guide/http-2.md", "guide/faq.md")).len(), 1);
        assert_eq!(problems("").len(), 1);
    }
}
