//! Turns types and bounds, as rustdoc describes them, into terms.
//!
//! Aliases are replaced by what they stand for, and default arguments are added. So it does not matter how the source names a
//! type.

use super::crates::{Crates, Def, Found};
use super::term::Term;
use rustdoc_types::{
    Abi, AssocItemConstraint, AssocItemConstraintKind, FunctionHeader, FunctionSignature, GenericArg, GenericArgs,
    GenericBound, GenericParamDef, GenericParamDefKind, Generics, Impl, ItemEnum, Path, PreciseCapturingArg,
    Term as AssocTerm, TraitBoundModifier, Type,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the names in a part of one crate mean.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    crates: &'a Crates,
    krate: usize,
    /// What `Self` stands for, if that is a type.
    pub(super) self_type: Option<Term>,
    /// What parameters stand for. A parameter that is not here stands for itself.
    pub(super) bindings: BTreeMap<String, Term>,
    /// Lifetimes that could be elided: those of an `impl`.
    unnamed: BTreeSet<String>,
}

/// What follows a path.
#[derive(Debug, Default)]
struct Arguments {
    args: Vec<Term>,
    /// `Item = Type`.
    constraints: Vec<Term>,
    /// `(Type) -> Type`, of the traits of functions.
    signature: Option<Term>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(crates: &'a Crates, krate: usize) -> Self {
        Self { crates, krate, self_type: None, bindings: BTreeMap::new(), unnamed: BTreeSet::from(["'_".to_owned()]) }
    }

    /// The scope inside of an `impl`, some of whose parameters are bound.
    pub(super) fn of_impl(crates: &'a Crates, krate: usize, block: &Impl, bindings: BTreeMap<String, Term>) -> Self {
        let mut scope = Self { bindings, ..Self::new(crates, krate) };
        let lifetimes = block.generics.params.iter().filter(|parameter| is_lifetime(parameter));
        scope.unnamed.extend(lifetimes.map(|parameter| parameter.name.clone()));
        scope.self_type = Some(scope.ty(&block.for_));
        scope
    }

    pub(super) fn ty(&self, ty: &Type) -> Term {
        match ty {
            Type::ResolvedPath(path) => self.path(path),
            Type::Generic(name) if name == "Self" => {
                self.self_type.clone().unwrap_or_else(|| Term::Parameter(name.clone()))
            }
            Type::Generic(name) => self.bindings.get(name).cloned().unwrap_or_else(|| Term::Parameter(name.clone())),
            Type::Primitive(name) if name == "never" => Term::text("!"),
            Type::Primitive(name) => Term::text(name),
            Type::Tuple(types) => {
                let end = if types.len() == 1 { ",)" } else { ")" };
                sequence([Term::text("("), self.list(types), Term::text(end)])
            }
            Type::Slice(ty) => sequence([Term::text("["), self.ty(ty), Term::text("]")]),
            Type::Array { type_, len } => sequence([Term::text("["), self.ty(type_), Term::text(format!("; {len}]"))]),
            Type::Pat { type_, .. } => self.ty(type_),
            Type::Infer => Term::text("_"),
            Type::RawPointer { is_mutable, type_ } => {
                sequence([Term::text(if *is_mutable { "*mut " } else { "*const " }), self.ty(type_)])
            }
            Type::BorrowedRef { lifetime, is_mutable, type_ } => {
                let mut parts = vec![Term::text("&")];
                if let Some(lifetime) = lifetime.as_deref().and_then(|name| self.lifetime(name)) {
                    parts.extend([lifetime, Term::text(" ")]);
                }
                parts.push(Term::text(if *is_mutable { "mut " } else { "" }));
                // `&(dyn A + B)` without its parentheses would be ambiguous.
                let brackets = matches!(**type_, Type::DynTrait(ref object) if object.traits.len() > 1);
                let brackets = if brackets { ["(", ")"] } else { ["", ""] };
                parts.extend([Term::text(brackets[0]), self.ty(type_), Term::text(brackets[1])]);
                Term::Sequence(parts)
            }
            Type::DynTrait(object) => {
                let traits = object.traits.iter().map(|bound| self.trait_bound(&bound.trait_, &bound.generic_params));
                let lifetime = object.lifetime.as_deref().and_then(|name| self.lifetime(name));
                sequence([Term::text("dyn "), Term::joined(traits.chain(lifetime), " + ")])
            }
            Type::ImplTrait(bounds) => {
                sequence([Term::text("impl "), Term::joined(bounds.iter().map(|bound| self.bound(bound)), " + ")])
            }
            Type::FunctionPointer(pointer) => {
                let front = format!("{}{}fn(", for_lifetimes(&pointer.generic_params), qualifiers(&pointer.header));
                let inputs: Vec<Type> = pointer.sig.inputs.iter().map(|(_, ty)| ty.clone()).collect();
                sequence([Term::text(front), self.list(&inputs), Term::text(")"), self.output(&pointer.sig)])
            }
            Type::QualifiedPath { name, args, self_type, trait_ } => {
                self.projection(name, args.as_deref(), self_type, trait_.as_ref())
            }
        }
    }

    /// The arrow and the type behind it, or nothing.
    pub(super) fn output(&self, signature: &FunctionSignature) -> Term {
        match &signature.output {
            Some(output) => sequence([Term::text(" -> "), self.ty(output)]),
            None => sequence([]),
        }
    }

    pub(super) fn bound(&self, bound: &GenericBound) -> Term {
        match bound {
            GenericBound::TraitBound { trait_, generic_params, modifier } => {
                let modifier = match modifier {
                    TraitBoundModifier::None => "",
                    TraitBoundModifier::Maybe => "?",
                    TraitBoundModifier::MaybeConst => "~const ",
                };
                sequence([Term::text(modifier), self.trait_bound(trait_, generic_params)])
            }
            GenericBound::Outlives(lifetime) => lifetime_term(lifetime),
            GenericBound::Use(captured) => {
                let captured = captured.iter().map(|captured| match captured {
                    PreciseCapturingArg::Lifetime(name) => lifetime_term(name),
                    PreciseCapturingArg::Param(name) => self.ty(&Type::Generic(name.clone())),
                });
                sequence([Term::text("use<"), Term::joined(captured, ", "), Term::text(">")])
            }
        }
    }

    fn trait_bound(&self, path: &Path, lifetimes: &[GenericParamDef]) -> Term {
        sequence([Term::text(for_lifetimes(lifetimes)), self.path(path)])
    }

    /// A path with its arguments. An alias is replaced by what it stands for.
    pub(super) fn path(&self, path: &Path) -> Term {
        let Path { path: written, id, args } = path;
        let Arguments { mut args, constraints, signature } = self.arguments(args.as_deref());
        if let Found::Defined(def) = self.crates.find(self.krate, *id) {
            match &self.crates.item(def).inner {
                ItemEnum::TypeAlias(alias) => {
                    let inner = self.defaults(def, &alias.generics, &mut args);
                    return inner.ty(&alias.type_);
                }
                ItemEnum::Struct(item) => drop(self.defaults(def, &item.generics, &mut args)),
                ItemEnum::Enum(item) => drop(self.defaults(def, &item.generics, &mut args)),
                ItemEnum::Union(item) => drop(self.defaults(def, &item.generics, &mut args)),
                ItemEnum::Trait(item) => drop(self.defaults(def, &item.generics, &mut args)),
                _ => {}
            }
        }
        let path = self.crates.path(self.krate, *id).unwrap_or_else(|| written.clone());
        args.extend(constraints);
        let path = Term::Path { path, args };
        match signature {
            Some(signature) => sequence([path, signature]),
            None => path,
        }
    }

    /// Adds the default arguments that `args` lack, and returns the scope of the definition with all arguments bound.
    fn defaults(&self, def: Def, generics: &Generics, args: &mut Vec<Term>) -> Self {
        let mut inner = Self::new(self.crates, def.krate);
        let parameters = generics.params.iter().filter(|parameter| !is_lifetime(parameter));
        // Lifetimes come first, and have no default.
        let lifetimes = args.iter().take_while(|term| is_lifetime_term(term)).count();
        for (position, parameter) in parameters.enumerate().map(|(index, parameter)| (lifetimes + index, parameter)) {
            if args.len() == position {
                let GenericParamDefKind::Type { default: Some(default), .. } = &parameter.kind else { break };
                args.push(inner.ty(default));
            }
            inner.bindings.insert(parameter.name.clone(), args[position].clone());
        }
        inner
    }

    fn arguments(&self, args: Option<&GenericArgs>) -> Arguments {
        match args {
            None => Arguments::default(),
            Some(GenericArgs::AngleBracketed { args, constraints }) => Arguments {
                args: args.iter().filter_map(|arg| self.argument(arg)).collect(),
                constraints: constraints.iter().map(|constraint| self.constraint(constraint)).collect(),
                signature: None,
            },
            Some(GenericArgs::Parenthesized { inputs, output }) => {
                let output = output.as_ref().map(|output| sequence([Term::text(" -> "), self.ty(output)]));
                let parts = [Term::text("("), self.list(inputs), Term::text(")")].into_iter().chain(output);
                Arguments { signature: Some(Term::Sequence(parts.collect())), ..Arguments::default() }
            }
            Some(GenericArgs::ReturnTypeNotation) => {
                Arguments { signature: Some(Term::text("(..)")), ..Arguments::default() }
            }
        }
    }

    fn argument(&self, arg: &GenericArg) -> Option<Term> {
        match arg {
            GenericArg::Lifetime(name) => self.lifetime(name),
            GenericArg::Type(ty) => Some(self.ty(ty)),
            GenericArg::Const(constant) => Some(Term::text(&constant.expr)),
            GenericArg::Infer => Some(Term::text("_")),
        }
    }

    /// `Item = Type`, or `Item: Bound`.
    fn constraint(&self, constraint: &AssocItemConstraint) -> Term {
        let name = self.associated_name(&constraint.name, constraint.args.as_deref());
        let (sign, what) = match &constraint.binding {
            AssocItemConstraintKind::Equality(AssocTerm::Type(ty)) => (" = ", self.ty(ty)),
            AssocItemConstraintKind::Equality(AssocTerm::Constant(constant)) => (" = ", Term::text(&constant.expr)),
            AssocItemConstraintKind::Constraint(bounds) => {
                (": ", Term::joined(bounds.iter().map(|bound| self.bound(bound)), " + "))
            }
        };
        sequence([name, Term::text(sign), what])
    }

    /// The name of an associated type, with its arguments.
    fn associated_name(&self, name: &str, args: Option<&GenericArgs>) -> Term {
        let Arguments { args, constraints, signature } = self.arguments(args);
        let args: Vec<Term> = args.into_iter().chain(constraints).collect();
        let mut parts = vec![Term::text(name)];
        if !args.is_empty() {
            parts.extend([Term::text("<"), Term::joined(args, ", "), Term::text(">")]);
        }
        parts.extend(signature);
        Term::Sequence(parts)
    }

    /// `<Type as Trait>::Name`, or the type that it is, if the type's `impl` of the trait is documented.
    fn projection(&self, name: &str, args: Option<&GenericArgs>, self_type: &Type, trait_: Option<&Path>) -> Term {
        let subject = self.ty(self_type);
        let full_name = sequence([Term::text("::"), self.associated_name(name, args)]);
        let Some(trait_) = trait_ else { return sequence([subject, full_name]) };
        let trait_ = self.path(trait_);
        if let Some(ty) = self.associated_type(&subject, &trait_, name) {
            return ty;
        }
        sequence([Term::text("<"), subject, Term::text(" as "), trait_, Term::text(">"), full_name])
    }

    /// The associated type of a type without parameters.
    fn associated_type(&self, subject: &Term, wanted: &Term, name: &str) -> Option<Term> {
        let Term::Path { path, args } = subject else { return None };
        let def = self.crates.type_at(path).filter(|_| args.is_empty())?;
        impls(&self.crates.item(def).inner).iter().find_map(|&id| {
            let (_, item) = self.crates.member(def, id)?;
            let ItemEnum::Impl(block) = &item.inner else { return None };
            let scope = Self::of_impl(self.crates, def.krate, block, BTreeMap::new());
            if scope.path(block.trait_.as_ref()?) != *wanted || scope.self_type.as_ref() != Some(subject) {
                return None;
            }
            block.items.iter().find_map(|&id| match self.crates.member(def, id)?.1 {
                item if item.name.as_deref() != Some(name) => None,
                item => match &item.inner {
                    ItemEnum::AssocType { type_: Some(ty), .. } => Some(scope.ty(ty)),
                    _ => None,
                },
            })
        })
    }

    pub(super) fn list(&self, types: &[Type]) -> Term {
        Term::joined(types.iter().map(|ty| self.ty(ty)), ", ")
    }

    fn lifetime(&self, name: &str) -> Option<Term> {
        (!self.unnamed.contains(name)).then(|| lifetime_term(name))
    }
}

/// The `impl`s of a type, or none for an item that is no type.
pub(super) fn impls(item: &ItemEnum) -> &[rustdoc_types::Id] {
    match item {
        ItemEnum::Struct(item) => &item.impls,
        ItemEnum::Enum(item) => &item.impls,
        ItemEnum::Union(item) => &item.impls,
        _ => &[],
    }
}

/// `const `, `async ` and so on.
pub(super) fn qualifiers(header: &FunctionHeader) -> String {
    let mut text = String::new();
    for (is_set, word) in [(header.is_const, "const "), (header.is_async, "async "), (header.is_unsafe, "unsafe ")] {
        text += if is_set { word } else { "" };
    }
    if header.abi != Abi::Rust {
        text += &format!("extern {:?} ", header.abi);
    }
    text
}

pub(super) fn sequence<const N: usize>(terms: [Term; N]) -> Term {
    Term::Sequence(terms.into())
}

pub(super) fn lifetime_term(name: &str) -> Term {
    if name == "'static" { Term::text(name) } else { Term::Parameter(name.to_owned()) }
}

fn is_lifetime_term(term: &Term) -> bool {
    matches!(term, Term::Parameter(text) | Term::Text(text) if text.starts_with('\''))
}

fn is_lifetime(parameter: &GenericParamDef) -> bool {
    matches!(parameter.kind, GenericParamDefKind::Lifetime { .. })
}

pub(super) fn for_lifetimes(lifetimes: &[GenericParamDef]) -> String {
    if lifetimes.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = lifetimes.iter().map(|lifetime| lifetime.name.as_str()).collect();
    format!("for<{}> ", names.join(", "))
}
