//! Resolves the names in a crate to the files that define them.

use super::circles::Arrow;
use super::tree::{Import, Module, Tree, What};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// The place where a file uses another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) line: usize,
    /// The path as written there.
    pub(super) path: String,
}

/// All arrows between the files of a crate, each with one place where the file uses the other one: an import, if there is one.
pub(super) fn arrows(tree: &Tree) -> BTreeMap<Arrow, Site> {
    let resolver = Resolver { tree, users: RefCell::new(vec![BTreeSet::new(); tree.imports.len()]) };
    let imported: Vec<BTreeSet<usize>> = (0..tree.imports.len()).map(|import| resolver.imported(import)).collect();
    let mentioned = resolver.mentioned();
    let users = resolver.users.into_inner();

    let mut arrows = BTreeMap::new();
    for ((import, files), users) in tree.imports.iter().zip(imported).zip(users) {
        let from = tree.modules[import.module].file;
        // A private import that only other files use passes its item on to children, as `pub use` does.
        let hands_on = import.is_reexport || (!users.is_empty() && !users.contains(&from));
        for to in files {
            let is_below = tree.is_below(tree.files[to].module, tree.files[from].module);
            if to != from && !(hands_on && is_below) {
                let path = import.path.join("::") + if import.is_glob { "::*" } else { "" };
                arrows.entry((from, to)).or_insert(Site { line: import.line, path });
            }
        }
    }
    for (arrow, site) in mentioned {
        arrows.entry(arrow).or_insert(site);
    }
    arrows
}

type Targets = BTreeSet<Target>;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Module(usize),
    /// Something that this file defines.
    In(usize),
}

impl Target {
    fn module(self) -> Option<usize> {
        if let Target::Module(module) = self { Some(module) } else { None }
    }
}

impl From<Target> for Targets {
    fn from(target: Target) -> Self {
        Self::from([target])
    }
}

struct Resolver<'a> {
    tree: &'a Tree,
    /// For each import, the files whose paths go through it.
    users: RefCell<Vec<BTreeSet<usize>>>,
}

/// A lookup in progress.
struct Walk {
    /// The file from which the lookup starts.
    from: usize,
    /// The imports whose paths are being followed. Two imports may lead to each other.
    inside: BTreeSet<usize>,
}

impl Resolver<'_> {
    /// The files that define what an import brings in. The import of a module alone gives none.
    fn imported(&self, import: usize) -> BTreeSet<usize> {
        let Import { module, ref path, is_glob, .. } = self.tree.imports[import];
        let mut walk = Walk { from: self.tree.modules[module].file, inside: BTreeSet::from([import]) };
        let file = |target| match target {
            Target::In(file) => Some(file),
            Target::Module(module) => is_glob.then(|| self.tree.modules[module].file),
        };
        self.resolve(module, path, &mut walk).into_iter().filter_map(file).collect()
    }

    /// The arrows of paths that stand in the code.
    fn mentioned(&self) -> BTreeMap<Arrow, Site> {
        let mut arrows = BTreeMap::new();
        for (number, module) in self.tree.modules.iter().enumerate() {
            for mention in &module.mentions {
                let mut walk = Walk { from: module.file, inside: BTreeSet::new() };
                for target in self.resolve(number, &mention.path, &mut walk) {
                    if let Target::In(to) = target
                        && to != module.file
                    {
                        let site = || Site { line: mention.line, path: mention.path.join("::") };
                        arrows.entry((module.file, to)).or_insert_with(site);
                    }
                }
            }
        }
        arrows
    }

    /// What a path in `module` leads to. Empty if it leads out of the package, or to a variable.
    fn resolve(&self, module: usize, path: &[String], walk: &mut Walk) -> Targets {
        let Some((first, rest)) = path.split_first() else { return Targets::new() };
        let found = match first.as_str() {
            "self" | "super" => return self.follow(Target::Module(module).into(), path, walk),
            "crate" => Target::Module(self.tree.root(module)).into(),
            name => self.lookup(module, name, walk),
        };
        match &self.tree.library {
            Some((name, library)) if found.is_empty() && name == first => {
                self.follow(Target::Module(*library).into(), rest, walk)
            }
            _ => self.follow(found, rest, walk),
        }
    }

    /// What `path` leads to, if it continues from one of `found`.
    fn follow(&self, found: Targets, path: &[String], walk: &mut Walk) -> Targets {
        let Some((next, rest)) = path.split_first() else { return found };
        let modules: Vec<usize> = found.iter().filter_map(|target| target.module()).collect();
        // A path that goes on after a type means its variants and functions, which its file defines. If a function has the name
        // of a module, a path that goes on means the module.
        if modules.is_empty() {
            return found;
        }
        let mut targets = Targets::new();
        for module in modules {
            let found = match next.as_str() {
                "self" => Target::Module(module).into(),
                "super" => Target::Module(self.tree.modules[module].parent.unwrap_or(module)).into(),
                name => self.lookup(module, name, walk),
            };
            if found.is_empty() {
                // A macro defines the name.
                targets.insert(Target::In(self.tree.modules[module].file));
            } else {
                targets.extend(self.follow(found, rest, walk));
            }
        }
        targets
    }

    /// What a name stands for in a module.
    fn lookup(&self, module: usize, name: &str, walk: &mut Walk) -> Targets {
        let Module { file, ref names, ref globs, .. } = self.tree.modules[module];
        let entries = names.get(name).map_or(&[][..], Vec::as_slice);
        let mut found = Targets::new();
        for entry in entries {
            match entry.what {
                What::Module(module) => found.extend([Target::Module(module)]),
                What::Item => found.extend([Target::In(file)]),
                What::Import(import) => match self.through(import, None, walk) {
                    // An item of another crate counts as defined by the file that imports it.
                    Some(targets) if targets.is_empty() => found.extend([Target::In(file)]),
                    targets => found.extend(targets.into_iter().flatten()),
                },
            }
        }
        if entries.iter().all(|entry| entry.is_conditional) {
            for &glob in globs {
                found.extend(self.through(glob, Some(name), walk).into_iter().flatten());
            }
        }
        found
    }

    /// What an import leads to, or what has this name in the modules that a glob leads to; `None` if this lookup is already in
    /// progress.
    fn through(&self, import: usize, name: Option<&str>, walk: &mut Walk) -> Option<Targets> {
        if !walk.inside.insert(import) {
            return None;
        }
        self.users.borrow_mut()[import].insert(walk.from);
        let Import { module, ref path, .. } = self.tree.imports[import];
        let mut targets = self.resolve(module, path, walk);
        if let Some(name) = name {
            let modules = targets.into_iter().filter_map(Target::module);
            targets = modules.flat_map(|module| self.lookup(module, name, walk)).collect();
        }
        walk.inside.remove(&import);
        Some(targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arrows of a crate with these files, `lib.rs` first.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let source = |path: &str| Some(files.iter().find(|(name, _)| *name == path)?.1.to_owned());
        let has_main = files.iter().any(|(name, _)| *name == "main.rs");
        let roots: &[&str] = if has_main { &["lib.rs", "main.rs"] } else { &["lib.rs"] };
        let roots: Vec<String> = roots.iter().map(|&root| root.to_owned()).collect();
        let tree = Tree::read(&roots, Some("some"), &source).unwrap();
        let line = |((from, to), site): (Arrow, Site)| {
            format!("{}:{} -> {} ({})", tree.files[from].path, site.line, tree.files[to].path, site.path)
        };
        let mut found: Vec<String> = arrows(&tree).into_iter().map(line).collect();
        found.sort();
        found
    }

    #[test]
    fn an_import_is_an_arrow_and_a_declaration_is_none() {
        let lib = ("lib.rs", "mod a;\nmod b;\n");
        let b = ("b.rs", "pub struct B;\n");
        assert_eq!(found(&[lib, b, ("a.rs", "// First.\nuse crate::b::B;\n")]), ["a.rs:2 -> b.rs (crate::b::B)"]);
        assert_eq!(found(&[lib, b, ("a.rs", "use super::{\n    b::B as C,\n};\n")]), ["a.rs:2 -> b.rs (super::b::B)"]);
        assert_eq!(
            found(&[lib, b, ("a.rs", "use std::fmt;\nuse ::b::B;\nmod c { pub struct B; }\nuse self::c::B;\n")]),
            [""; 0]
        );
    }

    #[test]
    fn a_re_export_is_followed_to_the_file_that_defines() {
        let lib = ("lib.rs", "mod a;\nmod b;\npub use b::{B, c::C as D};\n");
        let b = ("b.rs", "pub mod c;\npub use self::c::*;\npub struct B;\n");
        let c = ("b/c.rs", "pub struct C;\n");
        for (a, to) in [
            ("use crate::B;\n", "b.rs (crate::B)"),
            ("use crate::D;\n", "b/c.rs (crate::D)"),
            ("use crate::b::C;\n", "b/c.rs (crate::b::C)"),
            ("fn a(_: crate::D) {}\n", "b/c.rs (crate::D)"),
        ] {
            assert_eq!(found(&[lib, b, c, ("a.rs", a)]), [format!("a.rs:1 -> {to}")]);
        }
    }

    #[test]
    fn a_path_through_an_imported_module_is_an_arrow_where_it_leads() {
        let lib = ("lib.rs", "mod a;\nmod b;\n");
        let b = ("b.rs", "mod c;\npub use c::c;\n");
        let c = ("b/c.rs", "pub fn c() {}\n");
        let a = "use crate::b;\nfn a() {\n    b::c();\n}\n";
        assert_eq!(found(&[lib, b, c, ("a.rs", a)]), ["a.rs:3 -> b/c.rs (b::c)"]);
        assert_eq!(found(&[lib, b, c, ("a.rs", "use crate::b;\n")]), [""; 0]);
    }

    #[test]
    fn macros_are_looked_into() {
        let lib = ("lib.rs", "mod a;\nmod b;\n");
        let b = ("b.rs", "pub struct B;\npub const C: usize = 1;\n");
        for a in
            ["fn a() {\n    assert!(0..crate::b::C == [1]);\n}\n", "macro_rules! a {\n    () => { $crate::b::B };\n}\n"]
        {
            assert_eq!(found(&[lib, b, ("a.rs", a)]).len(), 1, "{a}");
        }
        let fields = "mod c { pub use crate::b::B; }\nuse c::B as d;\nfn a() { assert!(x.d, 'd: y, $d) }\n";
        assert_eq!(found(&[lib, b, ("a.rs", fields)]), ["a.rs:1 -> b.rs (crate::b::B)"]);
    }

    #[test]
    fn a_parent_and_a_child_use_each_other() {
        let lib = ("lib.rs", "mod a;\n");
        let a = ("a.rs", "mod b;\nuse b::B;\nstruct A(B);\n");
        let b = ("a/b.rs", "use super::A;\npub struct B(Box<A>);\n");
        assert_eq!(found(&[lib, a, b]), ["a.rs:2 -> a/b.rs (b::B)", "a/b.rs:1 -> a.rs (super::A)"]);
    }

    #[test]
    fn a_parent_that_only_hands_on_uses_nothing() {
        let lib = ("lib.rs", "mod a;\nmod inner { pub use crate::a::B; }\n");
        let a = ("a.rs", "mod b;\nmod c;\npub(crate) use b::B;\nuse c::C;\npub struct A;\n");
        let b = ("a/b.rs", "use super::{A, C};\npub struct B(A, C);\n");
        let c = ("a/c.rs", "pub struct C;\n");
        assert_eq!(found(&[lib, a, b, c]), ["a/b.rs:1 -> a.rs (super::A)", "a/b.rs:1 -> a/c.rs (super::C)"]);
        // Unless its own code has the name.
        let a = ("a.rs", "mod b;\nmod c;\npub(crate) use b::B;\nuse c::C;\npub struct A(Box<B>);\n");
        assert!(found(&[lib, a, b, c]).contains(&"a.rs:5 -> a/b.rs (B)".to_owned()));
    }

    #[test]
    fn a_re_export_of_what_lies_beside_is_an_arrow() {
        let files = [("lib.rs", "mod a;\nmod b;\n"), ("a.rs", "pub use crate::b::B;\n"), ("b.rs", "pub struct B;\n")];
        assert_eq!(found(&files), ["a.rs:1 -> b.rs (crate::b::B)"]);
    }

    #[test]
    fn what_another_crate_or_a_macro_defines_is_in_the_file_on_the_way() {
        let lib = ("lib.rs", "mod a;\nmod b;\npub use other::Message;\n");
        let b = ("b.rs", "pub use parking_lot::Mutex;\nmake!(Made);\n");
        let a = ("a.rs", "use crate::b::{Made, Mutex};\nuse crate::Message;\n");
        assert_eq!(found(&[lib, b, a]), ["a.rs:1 -> b.rs (crate::b::Made)", "a.rs:2 -> lib.rs (crate::Message)"]);
    }

    #[test]
    fn code_for_tests_is_left_out() {
        let lib = ("lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod gone;\n");
        let b = ("b.rs", "pub struct B;\n");
        let tests = "#[cfg(test)]\nmod tests { use crate::b::B; }\n";
        let both =
            "#[cfg(all(test, loom))]\nuse crate::b::B;\nimpl A {\n    #[cfg(test)]\n    fn a(_: crate::b::B) {}\n}\n";
        let either = "#[cfg(any(test, loom))]\nuse crate::b::B;\n";
        let neither = "#[cfg(not(test))]\nuse crate::b::B;\n";
        for (a, arrows) in [(tests, 0), (both, 0), (either, 1), (neither, 1)] {
            assert_eq!(found(&[lib, b, ("a.rs", a)]).len(), arrows, "{a}");
        }
    }

    #[test]
    fn every_cfg_counts() {
        let lib = ("lib.rs", "mod a;\nmod b;\n");
        let b = (
            "b.rs",
            "#[cfg(x)]\nmod on;\n#[cfg(not(x))]\nmod off;\n#[cfg(x)]\npub use on::c;\n#[cfg(not(x))]\npub use off::*;\n",
        );
        let (on, off) = (("b/on.rs", "pub fn c() {}\n"), ("b/off.rs", "pub fn c() {}\n"));
        let a = ("a.rs", "fn a() { crate::b::c() }\n");
        let arrows = found(&[lib, b, on, off, a]);
        assert_eq!(arrows, ["a.rs:1 -> b/off.rs (crate::b::c)", "a.rs:1 -> b/on.rs (crate::b::c)"]);
    }

    #[test]
    fn a_function_and_its_module_may_have_one_name() {
        let lib = ("lib.rs", "mod a;\nmod run;\npub use run::run;\n");
        let run = ("run.rs", "pub fn run() {}\npub struct Run;\n");
        assert_eq!(found(&[lib, run, ("a.rs", "use crate::run::Run;\n")]), ["a.rs:1 -> run.rs (crate::run::Run)"]);
        assert_eq!(found(&[lib, run, ("a.rs", "use crate::run;\n")]), ["a.rs:1 -> run.rs (crate::run)"]);
    }

    #[test]
    fn what_stands_behind_a_type_is_in_the_file_of_the_type() {
        let lib = ("lib.rs", "mod a;\nmod b;\n");
        let b = ("b.rs", "pub enum B { C }\n");
        assert_eq!(found(&[lib, b, ("a.rs", "use crate::b::B::C;\n")]), ["a.rs:1 -> b.rs (crate::b::B::C)"]);
        assert_eq!(found(&[lib, b, ("a.rs", "use crate::b::B::*;\n")]), ["a.rs:1 -> b.rs (crate::b::B::*)"]);
    }

    #[test]
    fn a_program_uses_the_library_by_its_name() {
        let files = [("lib.rs", "mod a;\npub use a::A;\n"), ("a.rs", "pub struct A;\n"), ("main.rs", "use some::A;\n")];
        assert_eq!(found(&files), ["main.rs:1 -> a.rs (some::A)"]);
    }

    #[test]
    fn imports_that_lead_to_each_other_end() {
        let files = [
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "pub use crate::b::*;\n"),
            ("b.rs", "pub use crate::a::*;\nfn b() { c() }\n"),
        ];
        assert_eq!(found(&files).len(), 2);
    }

    #[test]
    fn a_module_without_a_file_is_an_error() {
        let error = Tree::read(&["lib.rs".to_owned()], None, &|path| (path == "lib.rs").then(|| "mod a;".to_owned()));
        assert!(error.unwrap_err().to_string().contains("neither a.rs nor a/mod.rs"));
    }
}
