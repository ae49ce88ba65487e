//! What a module offers, by name: its own items, and those that it re-exports from anywhere.

use super::crates::{Crates, Def, Found};
use super::term::{Alias, Names, Term};
use super::types::Scope;
use rustdoc_types::{Id, ItemEnum, ItemKind};
use std::collections::{BTreeMap, BTreeSet};

/// An item of a module, under one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The path in the module: `WebSocket`, `close_code::NORMAL`.
    pub(super) name: String,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// Under its first name.
    Item(Def),
    /// Another name of the item with this name.
    Again(String),
    /// A re-export from a crate that is not known here: the path of the item.
    Foreign(String),
}

/// The public items of a module, and how it names types.
pub(super) fn of_module(crates: &Crates, module: Def) -> (Vec<Named>, Names) {
    let mut walk = Walk { crates, found: Vec::new(), taken: BTreeSet::new(), open: Vec::new() };
    walk.module(module, "");
    let first = first_names(crates, &walk.found);
    let name = |(name, target): (String, Target)| {
        let what = match target {
            Target::Foreign(path) => What::Foreign(path),
            Target::Def(def) if first[&def] == name => What::Item(def),
            Target::Def(def) => What::Again(first[&def].clone()),
        };
        Named { name, what }
    };
    let names = names(crates, &first);
    (walk.found.into_iter().map(name).collect(), names)
}

/// Everything that a path leads to, in all crates. Rustdoc describes more: the traits of private modules that occur in bounds.
pub(super) fn nameable(crates: &Crates) -> BTreeSet<Def> {
    let items = crates.roots().flat_map(|root| of_module(crates, root).0);
    let def = |Named { what, .. }| if let What::Item(def) = what { Some(def) } else { None };
    items.filter_map(def).collect()
}

enum Target {
    Def(Def),
    Foreign(String),
}

struct Walk<'a> {
    crates: &'a Crates,
    found: Vec<(String, Target)>,
    /// Names that a glob must not import again, with their namespaces.
    taken: BTreeSet<(String, u8)>,
    /// The modules that are being read: two of them may re-export each other.
    open: Vec<Def>,
}

impl Walk<'_> {
    fn module(&mut self, module: Def, prefix: &str) {
        if self.open.contains(&module) {
            return;
        }
        self.open.push(module);
        let ids: &[Id] = match &self.crates.item(module).inner {
            ItemEnum::Module(module) => &module.items,
            ItemEnum::Enum(item) => &item.variants,
            _ => &[],
        };
        let mut globs = Vec::new();
        for &id in ids {
            let Some((def, item)) = self.crates.member(module, id) else { continue };
            match &item.inner {
                ItemEnum::Use(import) if import.is_glob => globs.extend(import.id),
                ItemEnum::Use(import) => {
                    let target = import.id.map_or(Found::Elsewhere, |id| self.crates.find(module.krate, id));
                    match target {
                        Found::Defined(def) => self.add(format!("{prefix}{}", import.name), def),
                        Found::Elsewhere => {
                            let path = import.id.and_then(|id| self.crates.path(module.krate, id));
                            let path = path.unwrap_or_else(|| import.source.clone());
                            self.found.push((format!("{prefix}{}", import.name), Target::Foreign(path)));
                        }
                        Found::Hidden => {}
                    }
                }
                _ => {
                    if let Some(name) = &item.name {
                        self.add(format!("{prefix}{name}"), def);
                    }
                }
            }
        }
        // An item that is named has priority over one from a glob.
        for id in globs {
            if let Found::Defined(def) = self.crates.find(module.krate, id) {
                self.module(def, prefix);
            }
        }
        self.open.pop();
    }

    fn add(&mut self, name: String, def: Def) {
        let item = &self.crates.item(def).inner;
        if !self.taken.insert((name.clone(), namespace(item.item_kind()))) {
            return;
        }
        let is_module = matches!(item, ItemEnum::Module(_));
        self.found.push((name.clone(), Target::Def(def)));
        if is_module {
            self.module(def, &format!("{name}::"));
        }
    }
}

/// Types, values and macros may have the same name.
fn namespace(kind: ItemKind) -> u8 {
    match kind {
        ItemKind::Function | ItemKind::Constant | ItemKind::Static => 1,
        ItemKind::Macro | ItemKind::ProcAttribute | ItemKind::ProcDerive => 2,
        _ => 0,
    }
}

/// One name for each item: that of its definition if the module has it, else the shortest.
fn first_names(crates: &Crates, found: &[(String, Target)]) -> BTreeMap<Def, String> {
    let mut first: BTreeMap<Def, String> = BTreeMap::new();
    for (name, target) in found {
        let Target::Def(def) = target else { continue };
        let own = crates.item(*def).name.as_deref().unwrap_or_default();
        let rank = |name: &str| {
            let last = name.rsplit("::").next().unwrap_or(name);
            (last != own, name.matches("::").count(), name.to_owned())
        };
        match first.get(def) {
            Some(other) if rank(other) <= rank(name) => {}
            _ => drop(first.insert(*def, name.clone())),
        }
    }
    first
}

fn names(crates: &Crates, first: &BTreeMap<Def, String>) -> Names {
    let mut names = Names::default();
    for (def, name) in first {
        names.items.extend(crates.path(def.krate, def.id).map(|path| (path, name.clone())));
    }
    for (def, name) in first {
        let ItemEnum::TypeAlias(alias) = &crates.item(*def).inner else { continue };
        // The alias of a type that the module does not name has to be that type's name.
        if let Term::Path { path: target, args } = Scope::new(crates, def.krate).ty(&alias.type_)
            && !names.items.contains_key(&target)
            && crates.type_at(&target).is_some()
        {
            let parameters = alias.generics.params.iter().map(|parameter| parameter.name.clone()).collect();
            names.aliases.push(Alias { name: name.clone(), target, args, parameters });
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, generic, path, primitive};
    use super::*;

    fn found(crates: &Crates, module: &str) -> Vec<(String, String)> {
        let (items, _) = of_module(crates, crates.module(module).unwrap());
        let what = |what| match what {
            What::Item(def) => format!("item of crate {}", def.krate),
            What::Again(name) => format!("again {name}"),
            What::Foreign(path) => format!("foreign {path}"),
        };
        items.into_iter().map(|Named { name, what: it }| (name, what(it))).collect()
    }

    #[test]
    fn items_are_found_through_re_exports_and_globs_of_other_crates() {
        let mut below = Fixture::new("below");
        let rejection = below.structure("UpgradeRejection");
        let module = below.module("rejection", &[rejection]);
        below.root(&[module]);

        let mut middle = Fixture::new("middle");
        let module = middle.external("below::rejection", ItemKind::Module);
        let enumeration = middle.external("below::rejection::UpgradeRejection", ItemKind::Struct);
        let bytes = middle.external("bytes::Bytes", ItemKind::Struct);
        let uses = [
            middle.re_export("rejection", module),
            middle.re_export("Rejection", enumeration),
            middle.re_export("Bytes", bytes),
        ];
        middle.root(&uses);

        let mut top = Fixture::new("top");
        let crate_ = top.external("middle", ItemKind::Module);
        let glob = top.glob(crate_);
        top.root(&[glob]);

        below.move_to(rejection, "below::rejection::UpgradeRejection");
        let crates = Crates::new(vec![top.build(), middle.build(), below.build()]);
        let expected = [
            ("rejection", "item of crate 2"),
            ("rejection::UpgradeRejection", "item of crate 2"),
            ("Rejection", "again rejection::UpgradeRejection"),
            ("Bytes", "foreign bytes::Bytes"),
        ];
        assert_eq!(found(&crates, "top"), expected.map(|(name, what)| (name.to_owned(), what.to_owned())));
    }

    #[test]
    fn an_alias_of_a_type_without_a_name_is_its_name() {
        let mut fixture = Fixture::new("a");
        let upgrade = fixture.generic_structure("Upgrade", &["S", "F"]);
        let socket = fixture.structure("WebSocket");
        let target = path(upgrade, &[path(socket, &[]), generic("F")]);
        let alias = fixture.alias("WebSocketUpgrade", &["F"], target);
        let code = fixture.alias("CloseCode", &[], primitive("u16"));
        fixture.root(&[socket, alias, code]);
        let crates = Crates::new(vec![fixture.build()]);
        let (_, names) = of_module(&crates, crates.module("a").unwrap());
        let aliases: Vec<(&str, &str)> =
            names.aliases.iter().map(|alias| (alias.name.as_str(), alias.target.as_str())).collect();
        assert_eq!(aliases, [("WebSocketUpgrade", "a::Upgrade")]);
        assert_eq!(names.items["a::WebSocket"], "WebSocket");
    }
}
