//! What rustdoc says about several crates, and how an id of one crate leads to the definition in another.

use crate::tools::Skip;
use anyhow::{Context as _, Result, bail};
use rustdoc_types::{Crate, FORMAT_VERSION, Id, Item, ItemKind};
use std::collections::HashMap;

/// The number of a crate, and the id of an item in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Def {
    pub(super) krate: usize,
    pub(super) id: Id,
}

/// Where an id leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Defined(Def),
    /// In a crate that is not among these.
    Elsewhere,
    /// In one of these crates, which does not document it: private, or `#[doc(hidden)]`.
    Hidden,
}

#[derive(Debug)]
pub(super) struct Crates {
    crates: Vec<Crate>,
    /// The documented items by the path of their definition.
    by_path: HashMap<(String, ItemKind), Def>,
}

/// The kinds of an item that is a type.
const TYPES: [ItemKind; 3] = [ItemKind::Struct, ItemKind::Enum, ItemKind::Union];

impl Crates {
    pub(super) fn new(crates: Vec<Crate>) -> Self {
        let mut by_path = HashMap::new();
        for (krate, json) in crates.iter().enumerate() {
            for (&id, summary) in &json.paths {
                if summary.crate_id == 0 && json.index.contains_key(&id) {
                    by_path.insert((summary.path.join("::"), summary.kind), Def { krate, id });
                }
            }
        }
        Self { crates, by_path }
    }

    /// The roots of the crates.
    pub(super) fn roots(&self) -> impl Iterator<Item = Def> {
        self.crates.iter().enumerate().map(|(krate, json)| Def { krate, id: json.root })
    }

    /// The module with this path.
    pub(super) fn module(&self, path: &str) -> Result<Def> {
        let found = self.by_path.get(&(path.to_owned(), ItemKind::Module));
        found.copied().with_context(|| format!("rustdoc has no module `{path}`"))
    }

    /// The struct, enum or union with this path.
    pub(super) fn type_at(&self, path: &str) -> Option<Def> {
        TYPES.iter().find_map(|&kind| self.by_path.get(&(path.to_owned(), kind)).copied())
    }

    /// # Panics
    ///
    /// If `def` is not of these crates.
    pub(super) fn item(&self, def: Def) -> &Item {
        &self.crates[def.krate].index[&def.id]
    }

    /// The item with this id in the same crate: a member of `def`.
    pub(super) fn member(&self, def: Def, id: Id) -> Option<(Def, &Item)> {
        Some((Def { id, ..def }, self.crates[def.krate].index.get(&id)?))
    }

    /// The path of the definition of what `id` is in crate `krate`. `None` for members, which have no path.
    pub(super) fn path(&self, krate: usize, id: Id) -> Option<String> {
        Some(self.crates[krate].paths.get(&id)?.path.join("::"))
    }

    /// The definition of what `id` is in crate `krate`.
    pub(super) fn find(&self, krate: usize, id: Id) -> Found {
        let json = &self.crates[krate];
        let here = json.index.get(&id).filter(|item| item.crate_id == 0);
        if here.is_some() {
            return Found::Defined(Def { krate, id });
        }
        let Some(summary) = json.paths.get(&id) else { return Found::Hidden };
        if let Some(&def) = self.by_path.get(&(summary.path.join("::"), summary.kind)) {
            return Found::Defined(def);
        }
        let name = summary.path.first();
        let is_loaded = self.crates.iter().any(|json| json.index[&json.root].name.as_ref() == name);
        if is_loaded { Found::Hidden } else { Found::Elsewhere }
    }
}

/// Reads the JSON of one crate.
///
/// # Errors
///
/// [`Skip`] if its format is not that of the crate `rustdoc-types`: another toolchain is in use.
pub(super) fn parse(json: &str) -> Result<Crate> {
    // The format must be known before anything else can be read. rustdoc writes it last.
    let (_, version) = json.rsplit_once("\"format_version\":").context("this is no JSON of rustdoc")?;
    let version: u32 = version.trim_end().trim_end_matches('}').trim().parse()?;
    if version != FORMAT_VERSION {
        bail!(Skip(format!(
            "this rustdoc writes JSON of format {version}, and what is read is {FORMAT_VERSION}, as of Rust 1.95; the version of \
             the dependency rustdoc-types decides"
        )));
    }
    serde_json::from_str(json).context("rustdoc's JSON cannot be read")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    #[test]
    fn an_id_leads_through_another_crate_to_its_definition() {
        let mut below = Fixture::new("below");
        let error = below.structure("Error");
        let mut above = Fixture::new("above");
        let seen = above.external("below::Error", ItemKind::Struct);
        let hidden = above.external("below::Secret", ItemKind::Struct);
        let foreign = above.external("core::option::Option", ItemKind::Enum);
        let crates = Crates::new(vec![above.build(), below.build()]);
        assert_eq!(crates.find(0, seen), Found::Defined(Def { krate: 1, id: error }));
        assert_eq!(crates.find(0, hidden), Found::Hidden);
        assert_eq!(crates.find(0, foreign), Found::Elsewhere);
        assert_eq!(crates.path(0, foreign).as_deref(), Some("core::option::Option"));
    }

    #[test]
    fn json_of_another_format_is_refused_with_both_numbers() {
        let json = serde_json::to_string(&Fixture::new("a").build()).unwrap();
        assert!(parse(&json).is_ok());
        let newer = json.replace(&format!("\"format_version\":{FORMAT_VERSION}"), "\"format_version\":999");
        let error = parse(&newer).unwrap_err();
        assert!(error.is::<Skip>());
        let error = error.to_string();
        assert!(error.contains("999") && error.contains(&FORMAT_VERSION.to_string()), "{error}");
    }
}
