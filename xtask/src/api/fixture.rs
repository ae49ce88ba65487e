//! A small crate as rustdoc would describe it, made in a test.

use rustdoc_types::{
    Abi, Attribute, Constant, Crate, Enum, ExternalCrate, FORMAT_VERSION, Function, FunctionHeader, FunctionSignature,
    GenericArg, GenericArgs, GenericBound, GenericParamDef, GenericParamDefKind, Generics, Id, Impl, Item, ItemEnum,
    ItemKind, ItemSummary, Module, Path, Struct, StructKind, Target, Trait, TraitBoundModifier, Type, TypeAlias, Use,
    Variant, VariantKind, Visibility,
};
use std::collections::HashMap;

pub(super) struct Fixture {
    json: Crate,
    next: u32,
}

impl Fixture {
    pub(super) fn new(name: &str) -> Self {
        let json = Crate {
            root: Id(0),
            crate_version: None,
            includes_private: false,
            index: HashMap::new(),
            paths: HashMap::new(),
            external_crates: HashMap::<u32, ExternalCrate>::new(),
            target: Target { triple: String::new(), target_features: Vec::new() },
            format_version: FORMAT_VERSION,
        };
        let mut fixture = Self { json, next: 0 };
        let module = Module { is_crate: true, items: Vec::new(), is_stripped: false };
        fixture.add(Some(name), ItemEnum::Module(module));
        fixture.set_path(Id(0), 0, name, ItemKind::Module);
        fixture
    }

    pub(super) fn build(self) -> Crate {
        self.json
    }

    fn add(&mut self, name: Option<&str>, inner: ItemEnum) -> Id {
        let id = Id(self.next);
        self.next += 1;
        let item = Item {
            id,
            crate_id: 0,
            name: name.map(str::to_owned),
            span: None,
            visibility: Visibility::Public,
            docs: None,
            links: HashMap::new(),
            attrs: Vec::new(),
            deprecation: None,
            inner,
        };
        self.json.index.insert(id, item);
        id
    }

    /// Adds an item that has a path of its own, below the root.
    fn add_with_path(&mut self, name: &str, inner: ItemEnum) -> Id {
        let kind = inner.item_kind();
        let id = self.add(Some(name), inner);
        let path = format!("{}::{name}", self.json.index[&Id(0)].name.clone().unwrap());
        self.set_path(id, 0, &path, kind);
        id
    }

    fn set_path(&mut self, id: Id, crate_id: u32, path: &str, kind: ItemKind) {
        let path = path.split("::").map(str::to_owned).collect();
        self.json.paths.insert(id, ItemSummary { crate_id, path, kind });
    }

    /// An item of another crate.
    pub(super) fn external(&mut self, path: &str, kind: ItemKind) -> Id {
        let id = Id(self.next);
        self.next += 1;
        self.set_path(id, 1, path, kind);
        id
    }

    /// A trait of another crate.
    pub(super) fn external_trait(&mut self, path: &str) -> Path {
        let id = self.external(path, ItemKind::Trait);
        Path { path: path.to_owned(), id, args: None }
    }

    /// Sets the items of the root.
    pub(super) fn root(&mut self, items: &[Id]) {
        match &mut self.item(Id(0)).inner {
            ItemEnum::Module(module) => module.items = items.to_vec(),
            other => panic!("{other:?} is not the root"),
        }
    }

    pub(super) fn module(&mut self, name: &str, items: &[Id]) -> Id {
        let module = Module { is_crate: false, items: items.to_vec(), is_stripped: false };
        self.add_with_path(name, ItemEnum::Module(module))
    }

    /// Moves the definition of an item to another path.
    pub(super) fn move_to(&mut self, id: Id, path: &str) {
        let kind = self.json.paths[&id].kind;
        self.set_path(id, 0, path, kind);
    }

    pub(super) fn re_export(&mut self, name: &str, id: Id) -> Id {
        self.import(name, id, false)
    }

    pub(super) fn glob(&mut self, id: Id) -> Id {
        self.import("", id, true)
    }

    fn import(&mut self, name: &str, id: Id, is_glob: bool) -> Id {
        let import = Use { source: String::new(), name: name.to_owned(), id: Some(id), is_glob };
        self.add(None, ItemEnum::Use(import))
    }

    /// A struct whose fields are private.
    pub(super) fn structure(&mut self, name: &str) -> Id {
        self.generic_structure(name, &[])
    }

    pub(super) fn generic_structure(&mut self, name: &str, parameters: &[&str]) -> Id {
        self.structure_with(name, generics(parameters))
    }

    pub(super) fn structure_with(&mut self, name: &str, generics: Generics) -> Id {
        let kind = StructKind::Plain { fields: Vec::new(), has_stripped_fields: true };
        let item = Struct { kind, generics, impls: Vec::new() };
        self.add_with_path(name, ItemEnum::Struct(item))
    }

    pub(super) fn enumeration(&mut self, name: &str, variants: &[&str]) -> Id {
        let variant = |variant: &&str| {
            let inner = Variant { kind: VariantKind::Plain, discriminant: None };
            self.add(Some(variant), ItemEnum::Variant(inner))
        };
        let variants = variants.iter().map(variant).collect();
        let item = Enum { generics: no_generics(), has_stripped_variants: false, variants, impls: Vec::new() };
        self.add_with_path(name, ItemEnum::Enum(item))
    }

    pub(super) fn non_exhaustive(&mut self, id: Id) {
        self.item(id).attrs.push(Attribute::NonExhaustive);
    }

    pub(super) fn alias(&mut self, name: &str, parameters: &[&str], type_: Type) -> Id {
        self.add_with_path(name, ItemEnum::TypeAlias(TypeAlias { type_, generics: generics(parameters) }))
    }

    pub(super) fn constant(&mut self, name: &str, value: &str) -> Id {
        let const_ = Constant { expr: value.to_owned(), value: Some(value.to_owned()), is_literal: true };
        let type_ = Type::Primitive("u16".to_owned());
        self.add_with_path(name, ItemEnum::Constant { type_, const_ })
    }

    /// A trait with one method, `fn call(self)`, which has a body if it is provided.
    pub(super) fn trait_(&mut self, name: &str, is_provided: bool) -> Id {
        let call = self.method("call", no_generics(), &[("self", generic("Self"))], None);
        match &mut self.item(call).inner {
            ItemEnum::Function(function) => function.has_body = is_provided,
            other => panic!("{other:?} is no function"),
        }
        let item = Trait {
            is_auto: false,
            is_unsafe: false,
            is_dyn_compatible: false,
            items: vec![call],
            generics: no_generics(),
            bounds: Vec::new(),
            implementations: Vec::new(),
        };
        self.add_with_path(name, ItemEnum::Trait(item))
    }

    pub(super) fn method(
        &mut self,
        name: &str,
        generics: Generics,
        inputs: &[(&str, Type)],
        output: Option<Type>,
    ) -> Id {
        let inputs = inputs.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone())).collect();
        let function = Function {
            sig: FunctionSignature { inputs, output, is_c_variadic: false },
            generics,
            header: FunctionHeader { is_const: false, is_unsafe: false, is_async: false, abi: Abi::Rust },
            has_body: true,
        };
        self.add(Some(name), ItemEnum::Function(function))
    }

    pub(super) fn associated_type(&mut self, name: &str, ty: Type) -> Id {
        let inner = ItemEnum::AssocType { generics: no_generics(), bounds: Vec::new(), type_: Some(ty) };
        self.add(Some(name), inner)
    }

    /// `impl<Generics> Trait for Type { items }`, listed with the struct or enum `of`.
    pub(super) fn implement(
        &mut self,
        of: Id,
        generics: Generics,
        trait_: Option<Path>,
        for_: Type,
        items: &[Id],
    ) -> Id {
        let block = Impl {
            is_unsafe: false,
            generics,
            provided_trait_methods: Vec::new(),
            trait_,
            for_,
            items: items.to_vec(),
            is_negative: false,
            is_synthetic: false,
            blanket_impl: None,
        };
        let id = self.add(None, ItemEnum::Impl(block));
        match &mut self.item(of).inner {
            ItemEnum::Struct(item) => item.impls.push(id),
            ItemEnum::Enum(item) => item.impls.push(id),
            other => panic!("{other:?} is no type"),
        }
        id
    }

    /// Changes an `impl`.
    pub(super) fn block(&mut self, id: Id) -> &mut Impl {
        match &mut self.item(id).inner {
            ItemEnum::Impl(block) => block,
            other => panic!("{other:?} is no impl"),
        }
    }

    fn item(&mut self, id: Id) -> &mut Item {
        self.json.index.get_mut(&id).unwrap()
    }
}

pub(super) fn path(id: Id, args: &[Type]) -> Type {
    let args = GenericArgs::AngleBracketed {
        args: args.iter().cloned().map(GenericArg::Type).collect(),
        constraints: Vec::new(),
    };
    Type::ResolvedPath(Path { path: String::new(), id, args: Some(Box::new(args)) })
}

pub(super) fn generic(name: &str) -> Type {
    Type::Generic(name.to_owned())
}

pub(super) fn primitive(name: &str) -> Type {
    Type::Primitive(name.to_owned())
}

pub(super) fn no_generics() -> Generics {
    generics(&[])
}

/// Type parameters without bounds.
pub(super) fn generics(names: &[&str]) -> Generics {
    let parameters = names.iter().map(|name| parameter(name, Vec::new(), None));
    Generics { params: parameters.collect(), where_predicates: Vec::new() }
}

/// One type parameter with a bound.
pub(super) fn bounded(name: &str, bound: Path) -> Generics {
    let modifier = TraitBoundModifier::None;
    let bound = GenericBound::TraitBound { trait_: bound, generic_params: Vec::new(), modifier };
    Generics { params: vec![parameter(name, vec![bound], None)], where_predicates: Vec::new() }
}

/// One type parameter with a default.
pub(super) fn defaulted(name: &str, default: Type) -> Generics {
    Generics { params: vec![parameter(name, Vec::new(), Some(default))], where_predicates: Vec::new() }
}

fn parameter(name: &str, bounds: Vec<GenericBound>, default: Option<Type>) -> GenericParamDef {
    GenericParamDef { name: name.to_owned(), kind: GenericParamDefKind::Type { bounds, default, is_synthetic: false } }
}
