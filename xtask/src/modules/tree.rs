//! The files of a crate: its modules, the names in them, and what they mention.

use super::mentions::{Mention, Mentions, attributes, is_conditional, is_for_tests, name};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use syn::visit::Visit as _;

/// A package's library and programs, without code for tests only.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) files: Vec<File>,
    pub(super) modules: Vec<Module>,
    pub(super) imports: Vec<Import>,
    /// The name and the module of the library. The programs of the package use it by that name.
    pub(super) library: Option<(String, usize)>,
}

#[derive(Debug)]
pub(super) struct File {
    /// The path from `src`, with `/`.
    pub(super) path: String,
    pub(super) module: usize,
}

/// A module with a file of its own, or one inside a file.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) file: usize,
    pub(super) parent: Option<usize>,
    pub(super) names: BTreeMap<String, Vec<Entry>>,
    /// Imports of everything in another module.
    pub(super) globs: Vec<usize>,
    pub(super) mentions: Vec<Mention>,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) what: What,
    /// Whether the item is under a `cfg`. If it is, an import of everything in a module may bring in the same name, under
    /// another `cfg`.
    pub(super) is_conditional: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Module(usize),
    /// A type, a trait, a function and so on, defined here.
    Item,
    Import(usize),
}

/// One name of a `use`, or one star.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) module: usize,
    pub(super) path: Vec<String>,
    pub(super) is_glob: bool,
    /// Whether the `use` has a visibility, such as `pub(super)`.
    pub(super) is_reexport: bool,
    pub(super) line: usize,
}

impl Tree {
    /// Reads the files, starting with these roots, such as `lib.rs`. `source` returns the text of a file under `src`, if it
    /// exists.
    pub(super) fn read(
        roots: &[String],
        library: Option<&str>,
        source: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let mut tree = Self::default();
        for root in roots {
            let (folder, _) = root.rsplit_once('/').unwrap_or_default();
            let module = Reader { tree: &mut tree, source }.file(root, None, folder)?;
            if root == "lib.rs" {
                tree.library = library.map(|name| (name.to_owned(), module));
            }
        }
        Ok(tree)
    }

    /// Whether `module` is `above`, or is inside it.
    pub(super) fn is_below(&self, module: usize, above: usize) -> bool {
        std::iter::successors(Some(module), |&module| self.modules[module].parent).any(|module| module == above)
    }

    /// The module that `crate` stands for.
    pub(super) fn root(&self, module: usize) -> usize {
        std::iter::successors(Some(module), |&module| self.modules[module].parent).last().unwrap_or(module)
    }
}

struct Reader<'a> {
    tree: &'a mut Tree,
    source: &'a dyn Fn(&str) -> Option<String>,
}

impl Reader<'_> {
    /// Reads a file whose child modules are in `folder`.
    fn file(&mut self, path: &str, parent: Option<usize>, folder: &str) -> Result<usize> {
        let text = (self.source)(path).with_context(|| format!("cannot read {path}"))?;
        let syntax = syn::parse_file(&text).with_context(|| format!("cannot parse {path}"))?;
        let file = self.tree.files.len();
        self.tree.files.push(File { path: path.to_owned(), module: self.tree.modules.len() });
        self.module(&syntax.items, file, parent, folder)
    }

    fn module(&mut self, items: &[syn::Item], file: usize, parent: Option<usize>, folder: &str) -> Result<usize> {
        let module = self.tree.modules.len();
        self.tree.modules.push(Module {
            file,
            parent,
            names: BTreeMap::new(),
            globs: Vec::new(),
            mentions: Vec::new(),
        });
        let mut mentions = Mentions::default();
        for item in items {
            if is_for_tests(attributes(item)) {
                continue;
            }
            let what = match item {
                syn::Item::Mod(child) => What::Module(self.child(child, file, module, folder)?),
                syn::Item::Use(import) => {
                    self.import(import, module);
                    continue;
                }
                _ => What::Item,
            };
            if let Some(ident) = defined(item) {
                self.enter(module, name(ident), what, is_conditional(attributes(item)));
            }
            if let What::Item = what {
                mentions.visit_item(item);
            }
        }
        let Mentions { found, imports } = mentions;
        self.tree.modules[module].mentions = found;
        // An import inside a function is treated as if it were at the top of the module.
        for import in imports {
            self.import(import, module);
        }
        Ok(module)
    }

    fn child(&mut self, child: &syn::ItemMod, file: usize, parent: usize, folder: &str) -> Result<usize> {
        let name = name(&child.ident);
        let inner = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if let Some((_, items)) = &child.content {
            return self.module(items, file, Some(parent), &inner);
        }
        let places = [format!("{inner}.rs"), format!("{inner}/mod.rs")];
        match places.iter().find(|path| (self.source)(path).is_some()) {
            Some(path) => self.file(path, Some(parent), &inner),
            None => bail!("`mod {name}` has no file, neither {} nor {}", places[0], places[1]),
        }
    }

    fn import(&mut self, import: &syn::ItemUse, module: usize) {
        // `::name` is a crate.
        if import.leading_colon.is_some() {
            return;
        }
        let is_reexport = !matches!(import.vis, syn::Visibility::Inherited);
        let is_conditional = is_conditional(&import.attrs);
        let mut leaves = Vec::new();
        flatten(&import.tree, &[], &mut leaves);
        for leaf in leaves {
            let number = self.tree.imports.len();
            let is_glob = leaf.name.is_none();
            self.tree.imports.push(Import { module, path: leaf.path, is_glob, is_reexport, line: leaf.line });
            match leaf.name {
                Some(name) if name == "_" => {}
                Some(name) => self.enter(module, name, What::Import(number), is_conditional),
                None => self.tree.modules[module].globs.push(number),
            }
        }
    }

    fn enter(&mut self, module: usize, name: String, what: What, is_conditional: bool) {
        self.tree.modules[module].names.entry(name).or_default().push(Entry { what, is_conditional });
    }
}

/// One name at the end of a `use`.
struct Leaf {
    path: Vec<String>,
    /// `None` stands for everything.
    name: Option<String>,
    line: usize,
}

fn flatten(tree: &syn::UseTree, before: &[String], leaves: &mut Vec<Leaf>) {
    let with = |ident| [before, &[name(ident)]].concat();
    match tree {
        syn::UseTree::Path(path) => flatten(&path.tree, &with(&path.ident), leaves),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, leaves)),
        syn::UseTree::Name(import) => {
            // `a::{self}` is `a`.
            let path = if import.ident == "self" { before.to_vec() } else { with(&import.ident) };
            leaves.push(Leaf { name: path.last().cloned(), path, line: import.ident.span().start().line });
        }
        syn::UseTree::Rename(import) => {
            let path = if import.ident == "self" { before.to_vec() } else { with(&import.ident) };
            leaves.push(Leaf { path, name: Some(name(&import.rename)), line: import.ident.span().start().line });
        }
        syn::UseTree::Glob(glob) => {
            leaves.push(Leaf { path: before.to_vec(), name: None, line: glob.star_token.span.start().line });
        }
    }
}

/// The name that an item has in its module.
fn defined(item: &syn::Item) -> Option<&proc_macro2::Ident> {
    Some(match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        syn::Item::Mod(item) => &item.ident,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::TraitAlias(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    })
}
