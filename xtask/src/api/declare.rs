//! How the items of a module are declared: one entry for each item, field, variant, method and `impl`.

use super::crates::{Crates, Def};
use super::items::{self, Named, What};
use super::term::{Alias, Declaration, Form, Names, Term};
use super::types::{Scope, impls, qualifiers, sequence};
use rustdoc_types::{
    AssocItemConstraintKind, Attribute, Function, GenericArgs, GenericBound, Generics, Id, Item, ItemEnum, Struct,
    StructKind, Trait, Type, VariantKind,
};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that code can use of a module.
#[derive(Debug, Default)]
pub(super) struct Api {
    /// By a name that is the same for the same thing in another module.
    pub(super) entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The item of the module that this belongs to, or is.
    pub(super) owner: String,
    /// `WebSocket::recv`, or `impl Stream for WebSocket`.
    pub(super) name: String,
    pub(super) form: Form,
}

impl Api {
    pub(super) fn of_module(crates: &Crates, module: Def) -> Self {
        let (items, names) = items::of_module(crates, module);
        let mut api = Self::default();
        let nameable = items::nameable(crates);
        let mut build = Builder { crates, names: &names, nameable: &nameable, api: &mut api };
        for Named { name, what } in &items {
            match what {
                What::Item(def) => build.item(name, *def),
                What::Again(first) => build.plain(name, format!("pub use {first}")),
                What::Foreign(path) => build.plain(name, format!("pub use {path}")),
            }
        }
        api
    }

    /// Adds an entry, unless there is one with this key.
    pub(super) fn add(&mut self, key: String, entry: Entry) {
        self.entries.entry(key).or_insert(entry);
    }
}

impl Entry {
    /// Whether this is a whole item, and not a member or an `impl`.
    pub(super) fn is_item(&self) -> bool {
        self.name == self.owner
    }

    pub(super) fn is_impl(&self) -> bool {
        ["impl ", "unsafe impl "].iter().any(|front| self.name.starts_with(front))
    }
}

/// What may have the same name as something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Type,
    Value,
    Field,
}

/// Adds entries to an API.
pub(super) struct Builder<'a> {
    pub(super) crates: &'a Crates,
    pub(super) names: &'a Names,
    /// What code can name.
    pub(super) nameable: &'a BTreeSet<Def>,
    pub(super) api: &'a mut Api,
}

impl Builder<'_> {
    fn item(&mut self, name: &str, def: Def) {
        let crates = self.crates;
        let item = crates.item(def);
        let scope = Scope::new(crates, def.krate);
        let last = name.rsplit("::").next().unwrap_or(name);
        match &item.inner {
            ItemEnum::Module(_) => self.plain(name, format!("pub mod {last}")),
            ItemEnum::Struct(_) | ItemEnum::Enum(_) | ItemEnum::Union(_) => {
                let Some(generics) = generics(item) else { return };
                self.type_(name, def, &scope, generics, None);
            }
            ItemEnum::TypeAlias(alias) => {
                let named = self.names.aliases.iter().find(|known| known.name == name);
                match named.and_then(|named| Some((named, crates.type_at(&named.target)?))) {
                    // What is an alias here may be a type there: a user sees no difference.
                    Some((named, target)) => self.type_(name, target, &scope, &alias.generics, Some(named)),
                    None => {
                        let generics = scope.parameters(&alias.generics);
                        let head = [Term::text(format!("pub type {last}")), generics, Term::text(" = ")];
                        let head = sequence([sequence(head), scope.ty(&alias.type_)]);
                        self.entry(name, name, Space::Type, &Declaration::new(head));
                    }
                }
            }
            ItemEnum::Trait(trait_) => self.trait_(name, last, def, trait_, &scope),
            ItemEnum::Function(function) => {
                let declaration = signature(last, function, &scope);
                self.entry(name, name, Space::Value, &declaration);
            }
            ItemEnum::Constant { type_, const_ } => {
                let value = const_.value.as_ref().unwrap_or(&const_.expr);
                let head = [Term::text(format!("pub const {last}: ")), scope.ty(type_)];
                let head = sequence([sequence(head), Term::text(format!(" = {value}"))]);
                self.entry(name, name, Space::Value, &Declaration::new(head));
            }
            ItemEnum::Static(item) => {
                let front = if item.is_mutable { "pub static mut" } else { "pub static" };
                let head = sequence([Term::text(format!("{front} {last}: ")), scope.ty(&item.type_)]);
                self.entry(name, name, Space::Value, &Declaration::new(head));
            }
            other => self.plain(name, format!("pub {:?} {last}", other.item_kind())),
        }
    }

    /// A struct, enum or union, or an alias that is the only name of one.
    fn type_(&mut self, name: &str, def: Def, scope: &Scope<'_>, parameters: &Generics, alias: Option<&Alias>) {
        let crates = self.crates;
        let item = crates.item(def);
        let last = name.rsplit("::").next().unwrap_or(name);
        let kind = match item.inner {
            ItemEnum::Enum(_) => "enum",
            ItemEnum::Union(_) => "union",
            _ => "struct",
        };
        let is_open = item.attrs.contains(&Attribute::NonExhaustive);
        let front = format!("{}pub {kind} {last}", if is_open { "#[non_exhaustive] " } else { "" });
        let mut declaration = Declaration::new(sequence([Term::text(front), scope.parameters(parameters)]));
        declaration.clauses = scope.clauses(parameters);
        // The fields and the variants are in the declaration if code may rely on there being no others.
        declaration.tail = Term::text(match &item.inner {
            ItemEnum::Enum(enumeration) if !is_open && !enumeration.has_stripped_variants => {
                braces(&self.member_names(def, &enumeration.variants))
            }
            ItemEnum::Struct(Struct { kind: StructKind::Unit, .. }) => String::new(),
            ItemEnum::Struct(Struct { kind: StructKind::Tuple(fields), .. })
                if !is_open && fields.iter().all(Option::is_some) =>
            {
                format!("({})", vec!["_"; fields.len()].join(", "))
            }
            ItemEnum::Struct(Struct { kind: StructKind::Plain { fields, has_stripped_fields: false }, .. })
                if !is_open =>
            {
                braces(&self.member_names(def, fields))
            }
            _ => braces(".."),
        });
        self.entry(name, name, Space::Type, &declaration);
        self.members(name, def, &Scope::new(crates, def.krate));
        for &id in impls(&item.inner) {
            self.block(name, def, id, alias);
        }
    }

    /// The fields of a struct or a union, or the variants of an enum.
    fn members(&mut self, name: &str, def: Def, scope: &Scope<'_>) {
        let crates = self.crates;
        let ids: Vec<Id> = match &crates.item(def).inner {
            ItemEnum::Struct(Struct { kind: StructKind::Tuple(fields), .. }) => {
                fields.iter().copied().flatten().collect()
            }
            ItemEnum::Struct(Struct { kind: StructKind::Plain { fields, .. }, .. }) => fields.clone(),
            ItemEnum::Union(item) => item.fields.clone(),
            ItemEnum::Enum(item) => item.variants.clone(),
            _ => Vec::new(),
        };
        for id in ids {
            let Some((def, item)) = crates.member(def, id) else { continue };
            let member = item.name.as_deref().unwrap_or_default();
            let head = match &item.inner {
                ItemEnum::StructField(ty) => sequence([Term::text(format!("pub {member}: ")), scope.ty(ty)]),
                ItemEnum::Variant(variant) => {
                    let is_open = item.attrs.contains(&Attribute::NonExhaustive);
                    let front = format!("{}{member}", if is_open { "#[non_exhaustive] " } else { "" });
                    let value = variant.discriminant.as_ref().map(|value| format!(" = {}", value.value));
                    let fields = self.variant_fields(def, &variant.kind, scope);
                    sequence([Term::text(front), fields, Term::text(value.unwrap_or_default())])
                }
                _ => continue,
            };
            let space = if matches!(item.inner, ItemEnum::Variant(_)) { Space::Type } else { Space::Field };
            self.entry(name, &format!("{name}::{member}"), space, &Declaration::new(head));
        }
    }

    fn variant_fields(&self, def: Def, kind: &VariantKind, scope: &Scope<'_>) -> Term {
        let field = |id: Id| {
            let (_, item) = self.crates.member(def, id)?;
            let ItemEnum::StructField(ty) = &item.inner else { return None };
            Some((item.name.clone().unwrap_or_default(), scope.ty(ty)))
        };
        match kind {
            VariantKind::Plain => sequence([]),
            VariantKind::Tuple(fields) => {
                let ty = |id: &Option<Id>| id.and_then(field).map_or_else(|| Term::text("_"), |(_, ty)| ty);
                sequence([Term::text("("), Term::joined(fields.iter().map(ty), ", "), Term::text(")")])
            }
            VariantKind::Struct { fields, has_stripped_fields } => {
                let fields = fields.iter().copied().filter_map(field);
                let fields = fields.map(|(name, ty)| sequence([Term::text(format!("{name}: ")), ty]));
                let rest = has_stripped_fields.then(|| Term::text(".."));
                sequence([Term::text(" { "), Term::joined(fields.chain(rest), ", "), Term::text(" }")])
            }
        }
    }

    fn trait_(&mut self, name: &str, last: &str, def: Def, trait_: &Trait, scope: &Scope<'_>) {
        let crates = self.crates;
        let front = format!("pub {}trait {last}", if trait_.is_unsafe { "unsafe " } else { "" });
        let mut head = vec![Term::text(front), scope.parameters(&trait_.generics)];
        if !trait_.bounds.is_empty() {
            let bounds = trait_.bounds.iter().map(|bound| scope.bound(bound));
            head.extend([Term::text(": "), Term::joined(bounds, " + ")]);
        }
        let members: Vec<(Def, &Item)> = trait_.items.iter().filter_map(|&id| crates.member(def, id)).collect();
        // Whoever implements the trait relies on there being no other items without a default.
        let required = members.iter().filter(|(_, item)| match &item.inner {
            ItemEnum::Function(function) => !function.has_body,
            ItemEnum::AssocType { type_, .. } => type_.is_none(),
            ItemEnum::AssocConst { value, .. } => value.is_none(),
            _ => false,
        });
        let required: Vec<&str> = required.filter_map(|(_, item)| item.name.as_deref()).collect();
        let mut declaration = Declaration::new(Term::Sequence(head));
        declaration.clauses = scope.clauses(&trait_.generics);
        declaration.tail = Term::text(braces(&required.join(", ")));
        self.entry(name, name, Space::Type, &declaration);
        for (_, item) in members {
            let member = item.name.as_deref().unwrap_or_default();
            if let Some((space, declaration)) = associated(item, scope) {
                self.entry(name, &format!("{name}::{member}"), space, &declaration);
            }
        }
        for &id in &trait_.implementations {
            self.block(name, def, id, None);
        }
    }

    fn member_names(&self, def: Def, ids: &[Id]) -> String {
        let names = ids.iter().filter_map(|&id| self.crates.member(def, id)?.1.name.as_deref());
        names.collect::<Vec<_>>().join(", ")
    }

    fn plain(&mut self, name: &str, text: String) {
        self.entry(name, name, Space::Type, &Declaration::new(Term::text(text)));
    }

    pub(super) fn entry(&mut self, owner: &str, name: &str, space: Space, declaration: &Declaration) {
        let form = declaration.form(self.names);
        self.api.add(format!("{name} {space:?}"), Entry { owner: owner.to_owned(), name: name.to_owned(), form });
    }
}

/// A function, a constant or a type of a trait or an `impl`. `None` for anything else.
pub(super) fn associated(item: &Item, scope: &Scope<'_>) -> Option<(Space, Declaration)> {
    let name = item.name.as_deref()?;
    let space = if matches!(item.inner, ItemEnum::AssocType { .. }) { Space::Type } else { Space::Value };
    let declaration = match &item.inner {
        ItemEnum::Function(function) => signature(name, function, scope),
        ItemEnum::AssocConst { type_, value } => {
            let value = value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
            let head = [Term::text(format!("const {name}: ")), scope.ty(type_), Term::text(value)];
            Declaration::new(sequence(head))
        }
        ItemEnum::AssocType { generics, bounds, type_ } => {
            let mut head = vec![Term::text(format!("type {name}")), scope.parameters(generics)];
            if !bounds.is_empty() {
                head.extend([Term::text(": "), Term::joined(bounds.iter().map(|bound| scope.bound(bound)), " + ")]);
            }
            head.extend(type_.iter().flat_map(|ty| [Term::text(" = "), scope.ty(ty)]));
            Declaration { clauses: scope.clauses(generics), ..Declaration::new(Term::Sequence(head)) }
        }
        _ => return None,
    };
    Some((space, declaration))
}

/// `async fn send(&mut self, message: Message) -> Result<(), Error>`. A function that returns `impl Future + Send` is shown as one
/// with `async`: to a caller they are the same.
fn signature(name: &str, function: &Function, scope: &Scope<'_>) -> Declaration {
    let Function { sig, generics, header, .. } = function;
    let input = |(index, (argument, ty)): (usize, &(String, Type))| match ty {
        _ if index > 0 || argument != "self" => sequence([Term::Note(format!("{argument}: ")), scope.ty(ty)]),
        ty if is_self(ty) => Term::text("self"),
        Type::BorrowedRef { lifetime: None, is_mutable, type_ } if is_self(type_) => {
            Term::text(if *is_mutable { "&mut self" } else { "&self" })
        }
        _ => sequence([Term::text("self: "), scope.ty(ty)]),
    };
    let inputs = Term::joined(sig.inputs.iter().enumerate().map(input), ", ");
    let awaited = sig.output.as_ref().filter(|_| !header.is_async).and_then(awaited);
    let keyword = if awaited.is_some() { "async " } else { "" };
    let output = match awaited {
        Some(output) => sequence([Term::text(" -> "), scope.ty(output)]),
        None => scope.output(sig),
    };
    let head = sequence([
        Term::text(format!("{}{keyword}fn {name}", qualifiers(header))),
        scope.parameters(generics),
        Term::text("("),
        inputs,
        Term::text(if sig.is_c_variadic { ", ...)" } else { ")" }),
        output,
    ]);
    Declaration { clauses: scope.clauses(generics), ..Declaration::new(head) }
}

/// The output of `impl Future<Output = T>`, with or without `Send`.
fn awaited(ty: &Type) -> Option<&Type> {
    let Type::ImplTrait(bounds) = ty else { return None };
    let mut output = None;
    for bound in bounds {
        let GenericBound::TraitBound { trait_, .. } = bound else { return None };
        match (trait_.path.rsplit("::").next(), trait_.args.as_deref()) {
            (Some("Send"), _) => {}
            (Some("Future"), Some(GenericArgs::AngleBracketed { constraints, .. })) => {
                output = constraints.iter().find_map(|constraint| match &constraint.binding {
                    AssocItemConstraintKind::Equality(rustdoc_types::Term::Type(ty)) => Some(ty),
                    _ => None,
                });
            }
            _ => return None,
        }
    }
    output
}

fn braces(inside: &str) -> String {
    if inside.is_empty() { " {}".to_owned() } else { format!(" {{ {inside} }}") }
}

fn is_self(ty: &Type) -> bool {
    matches!(ty, Type::Generic(name) if name == "Self")
}

fn generics(item: &Item) -> Option<&Generics> {
    match &item.inner {
        ItemEnum::Struct(item) => Some(&item.generics),
        ItemEnum::Enum(item) => Some(&item.generics),
        ItemEnum::Union(item) => Some(&item.generics),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustdoc_types::{AssocItemConstraint, Path, TraitBoundModifier};

    fn bound(path: &str, output: Option<Type>) -> GenericBound {
        let constraint = |ty| AssocItemConstraint {
            name: "Output".to_owned(),
            args: None,
            binding: AssocItemConstraintKind::Equality(rustdoc_types::Term::Type(ty)),
        };
        let args = output.map(|ty| GenericArgs::AngleBracketed { args: Vec::new(), constraints: vec![constraint(ty)] });
        let trait_ = Path { path: path.to_owned(), id: Id(0), args: args.map(Box::new) };
        GenericBound::TraitBound { trait_, generic_params: Vec::new(), modifier: TraitBoundModifier::None }
    }

    #[test]
    fn a_function_that_returns_a_future_counts_as_async() {
        let output = Type::Primitive("u8".to_owned());
        let future = || bound("core::future::Future", Some(output.clone()));
        assert_eq!(awaited(&Type::ImplTrait(vec![future()])), Some(&output));
        assert_eq!(awaited(&Type::ImplTrait(vec![future(), bound("Send", None)])), Some(&output));
        // Whoever gets more than a future, or something else, can tell.
        assert_eq!(awaited(&Type::ImplTrait(vec![future(), bound("Unpin", None)])), None);
        assert_eq!(awaited(&Type::ImplTrait(vec![bound("Iterator", Some(output.clone()))])), None);
        assert_eq!(awaited(&output), None);
    }
}
