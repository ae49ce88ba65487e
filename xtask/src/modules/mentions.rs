//! What a piece of code mentions: its paths, and the imports inside functions.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A path as written in the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

/// Collects paths from syntax, and from the tokens between the brackets of macros. Items, methods and fields for tests only are
/// skipped.
#[derive(Default)]
pub(super) struct Mentions<'ast> {
    pub(super) found: Vec<Mention>,
    pub(super) imports: Vec<&'ast syn::ItemUse>,
}

impl<'ast> Visit<'ast> for Mentions<'ast> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.add(path.segments.iter().map(|segment| &segment.ident));
        }
        // Types in the brackets of generics.
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.visit_tokens(&call.tokens);
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        self.imports.push(import);
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Const(item) => &item.attrs[..],
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    /// The path in `pub(in path)` does not use the module that it names.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    /// The names of derives and lints say nothing about files.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

impl Mentions<'_> {
    fn add<'a>(&mut self, segments: impl Iterator<Item = &'a Ident> + Clone) {
        let Some(first) = segments.clone().next() else { return };
        let line = first.span().start().line;
        self.found.push(Mention { path: segments.map(name).collect(), line });
    }

    /// Collects words with `::` between them, unless a dot, a quote or a dollar sign shows that the first word is a field, a
    /// lifetime or a variable of the macro.
    fn visit_tokens(&mut self, tokens: &TokenStream) {
        let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
        let is = |at: Option<usize>, sign: char| {
            let token = at.and_then(|at| tokens.get(at));
            matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
        };
        let before = |at: usize, back: usize, sign: char| is(at.checked_sub(back), sign);
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.visit_tokens(&group.stream()),
                TokenTree::Ident(first) => {
                    let is_member = before(at, 1, '.') && !before(at, 2, '.');
                    let is_variable = before(at, 1, '$') && *first != "crate";
                    let is_rooted = before(at, 1, ':') && before(at, 2, ':');
                    let mut segments = vec![first];
                    while is(Some(at + 1), ':')
                        && is(Some(at + 2), ':')
                        && let Some(TokenTree::Ident(next)) = tokens.get(at + 3)
                    {
                        segments.push(next);
                        at += 3;
                    }
                    if !is_member && !is_variable && !is_rooted && !before(at, 1, '\'') {
                        self.add(segments.into_iter());
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }
}

/// The name without `r#`.
pub(super) fn name(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}

/// Whether code with these attributes is compiled for tests only.
pub(super) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Meta>().is_ok_and(|condition| needs_test(&condition)))
    })
}

/// Whether the code is compiled only under some condition, so that another item may have the same name.
pub(super) fn is_conditional(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg"))
}

fn needs_test(condition: &syn::Meta) -> bool {
    let syn::Meta::List(list) = condition else { return condition.path().is_ident("test") };
    let parts = list.parse_args_with(syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated);
    let Ok(parts) = parts else { return false };
    match () {
        () if list.path.is_ident("all") => parts.iter().any(needs_test),
        () if list.path.is_ident("any") => parts.iter().all(needs_test),
        () => false,
    }
}

pub(super) fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::ExternCrate(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::ForeignMod(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::TraitAlias(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Union(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
