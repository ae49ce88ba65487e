//! The methods of a type, and the traits that it implements.

use super::crates::{Def, Found};
use super::declare::{Builder, Entry, associated};
use super::term::{Alias, Declaration, Names, Term};
use super::types::{Scope, sequence};
use rustdoc_types::{Id, Impl, ItemEnum};
use std::collections::BTreeMap;

/// The traits that the compiler implements by itself and that code can name in a bound.
const AUTO_TRAITS: [&str; 5] = [
    "core::marker::Send",
    "core::marker::Sync",
    "core::marker::Unpin",
    "core::panic::unwind_safe::RefUnwindSafe",
    "core::panic::unwind_safe::UnwindSafe",
];

impl Builder<'_> {
    /// Adds what the `impl` with this id says of the type or trait `def`. With an `alias`, only what holds for it.
    ///
    /// Left out are the `impl`s that a trait has for every type, those of traits that code cannot name, and those that say that
    /// a trait is not implemented: a type that loses a trait lacks an entry.
    pub(super) fn block(&mut self, name: &str, def: Def, id: Id, alias: Option<&Alias>) {
        let crates = self.crates;
        let Some((_, item)) = crates.member(def, id) else { return };
        let ItemEnum::Impl(block) = &item.inner else { return };
        if block.is_negative || block.blanket_impl.is_some() {
            return;
        }
        let bindings = match alias {
            Some(alias) => match bindings(&Scope::new(crates, def.krate), block, alias) {
                Some(bindings) => bindings,
                None => return,
            },
            None => BTreeMap::new(),
        };
        let scope = Scope::of_impl(crates, def.krate, block, bindings);
        match &block.trait_ {
            None => self.inherent(name, def, block, &scope),
            Some(path) => {
                let is_hidden = match crates.find(def.krate, path.id) {
                    Found::Defined(def) => !self.nameable.contains(&def),
                    Found::Elsewhere => false,
                    Found::Hidden => true,
                };
                let trait_path = crates.path(def.krate, path.id).unwrap_or_default();
                if !is_hidden && (!block.is_synthetic || AUTO_TRAITS.contains(&trait_path.as_str())) {
                    self.trait_impl(name, def, block, scope.path(path), &scope);
                }
            }
        }
    }

    fn inherent(&mut self, name: &str, def: Def, block: &Impl, scope: &Scope<'_>) {
        let clauses = scope.clauses(&block.generics);
        for &id in &block.items {
            let Some((_, item)) = self.crates.member(def, id) else { continue };
            let Some((space, mut declaration)) = associated(item, scope) else { continue };
            // A bound restricts callers in the same way on the `impl` and on the method.
            declaration.clauses.extend(clauses.iter().cloned());
            declaration.of.clone_from(&scope.self_type);
            let member = item.name.as_deref().unwrap_or_default();
            self.entry(name, &format!("{name}::{member}"), space, &declaration);
        }
    }

    fn trait_impl(&mut self, name: &str, def: Def, block: &Impl, trait_: Term, scope: &Scope<'_>) {
        let Some(of) = scope.self_type.clone() else { return };
        let owner = owner(&of, self.names).unwrap_or(name).to_owned();
        let unsafe_ = Term::text(if block.is_unsafe { "unsafe " } else { "" });
        let mut declaration =
            Declaration::new(sequence([unsafe_, Term::text("impl "), trait_, Term::text(" for "), of]));
        declaration.clauses = scope.clauses(&block.generics);
        let mut parts = Vec::new();
        for &id in &block.items {
            let Some((_, item)) = self.crates.member(def, id) else { continue };
            if matches!(item.inner, ItemEnum::AssocType { .. } | ItemEnum::AssocConst { .. })
                && let Some((_, part)) = associated(item, scope)
            {
                parts.push((item.name.clone(), part.head));
            }
        }
        if !parts.is_empty() {
            parts.sort_by(|(a, _), (b, _)| a.cmp(b));
            let parts = Term::joined(parts.into_iter().map(|(_, part)| part), "; ");
            declaration.tail = sequence([Term::text(" { "), parts, Term::text(" }")]);
        }
        let head = declaration.form_of_head(self.names);
        let form = declaration.form(self.names);
        self.api.add(head.compared, Entry { owner, name: head.shown, form });
    }
}

/// What the parameters of an `impl` must be, so that it is one for the types of the alias. `None` if it is not.
fn bindings(scope: &Scope<'_>, block: &Impl, alias: &Alias) -> Option<BTreeMap<String, Term>> {
    let Term::Path { path, args } = scope.ty(&block.for_) else { return None };
    if path != alias.target || args.len() != alias.args.len() {
        // An `impl` for another type, which only mentions this one: it holds for each of them.
        return Some(BTreeMap::new());
    }
    let mut bindings = BTreeMap::new();
    for (arg, wanted) in args.into_iter().zip(&alias.args) {
        match (arg, wanted) {
            (_, Term::Parameter(_)) => {}
            (Term::Parameter(name), wanted) => drop(bindings.insert(name, wanted.clone())),
            (arg, wanted) if arg == *wanted => {}
            _ => return None,
        }
    }
    Some(bindings)
}

/// The name of a type in the module.
fn owner<'a>(ty: &Term, names: &'a Names) -> Option<&'a str> {
    let Term::Path { path, .. } = ty else { return None };
    let alias = names.aliases.iter().find(|alias| alias.target == *path).map(|alias| &alias.name);
    alias.or_else(|| names.items.get(path)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::super::crates::Crates;
    use super::super::declare::Api;
    use super::super::fixture::{Fixture, bounded, generic, generics, no_generics, path, primitive};
    use rustdoc_types::{ItemKind, Path};

    /// The names of the entries of a crate, as readers see them.
    fn names(fixture: Fixture) -> Vec<String> {
        let crates = Crates::new(vec![fixture.build()]);
        let api = Api::of_module(&crates, crates.module("a").unwrap());
        api.entries.into_values().map(|entry| entry.name).collect()
    }

    #[test]
    fn an_alias_has_the_methods_that_its_arguments_allow() {
        let mut fixture = Fixture::new("a");
        let upgrade = fixture.generic_structure("Upgrade", &["S", "F"]);
        let (socket, other) = (fixture.structure("WebSocket"), fixture.structure("Other"));
        let target = path(upgrade, &[path(socket, &[]), generic("F")]);
        let alias = fixture.alias("WebSocketUpgrade", &["F"], target);
        for (name, parameters, socket) in [
            ("for_all", &["S", "F"][..], generic("S")),
            ("for_ours", &["F"], path(socket, &[])),
            ("for_others", &["F"], path(other, &[])),
        ] {
            let ty = path(upgrade, &[socket, generic("F")]);
            let method = fixture.method(name, no_generics(), &[("self", generic("Self"))], Some(generic("Self")));
            fixture.implement(upgrade, generics(parameters), None, ty, &[method]);
        }
        fixture.root(&[socket, alias]);
        let expected = ["WebSocket", "WebSocketUpgrade", "WebSocketUpgrade::for_all", "WebSocketUpgrade::for_ours"];
        assert_eq!(names(fixture), expected);
    }

    #[test]
    fn an_associated_type_of_a_known_type_is_what_it_stands_for() {
        // `fn protocol(&self) -> S::Protocol` of `Upgrade<S>`, whose alias sets `S` to `WebSocket`.
        let mut fixture = Fixture::new("a");
        let socket_trait = fixture.trait_("Socket", true);
        let trait_path = || Path { path: "Socket".to_owned(), id: socket_trait, args: None };
        let upgrade = fixture.generic_structure("Upgrade", &["S"]);
        let socket = fixture.structure("WebSocket");
        let protocol = fixture.associated_type("Protocol", primitive("str"));
        fixture.implement(socket, no_generics(), Some(trait_path()), path(socket, &[]), &[protocol]);
        let output = rustdoc_types::Type::QualifiedPath {
            name: "Protocol".to_owned(),
            args: None,
            self_type: Box::new(generic("S")),
            trait_: Some(trait_path()),
        };
        let method = fixture.method("protocol", no_generics(), &[("self", generic("Self"))], Some(output));
        let ty = path(upgrade, &[generic("S")]);
        fixture.implement(upgrade, bounded("S", trait_path()), None, ty, &[method]);
        let alias = fixture.alias("WebSocketUpgrade", &[], path(upgrade, &[path(socket, &[])]));
        fixture.root(&[socket, alias]);

        let crates = Crates::new(vec![fixture.build()]);
        let api = Api::of_module(&crates, crates.module("a").unwrap());
        let method = api.entries.values().find(|entry| entry.name == "WebSocketUpgrade::protocol").unwrap();
        assert_eq!(method.form.shown, "fn protocol(self) -> str");
        // The trait is not among the items, so no code can name it.
        assert!(!api.entries.values().any(|entry| entry.name.contains("Socket for")));
    }

    #[test]
    fn of_the_traits_that_the_compiler_implements_only_those_for_bounds_count() {
        let mut fixture = Fixture::new("a");
        let socket = fixture.structure("WebSocket");
        let of = path(socket, &[]);
        for (name, is_synthetic, is_negative, is_blanket) in [
            ("core::marker::Send", true, false, false),
            ("core::marker::Sync", true, true, false),
            ("core::marker::Freeze", true, false, false),
            ("core::fmt::Debug", false, false, false),
            ("core::convert::Into", false, false, true),
        ] {
            let id = fixture.external(name, ItemKind::Trait);
            let trait_ = Path { path: name.to_owned(), id, args: None };
            let id = fixture.implement(socket, no_generics(), Some(trait_), of.clone(), &[]);
            let block = fixture.block(id);
            block.is_synthetic = is_synthetic;
            block.is_negative = is_negative;
            block.blanket_impl = is_blanket.then(|| generic("T"));
        }
        fixture.root(&[socket]);
        assert_eq!(names(fixture), ["WebSocket", "impl Debug for WebSocket", "impl Send for WebSocket"]);
    }
}
