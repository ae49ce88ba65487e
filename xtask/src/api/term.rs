//! Declarations as terms, which do not depend on the ids and the import names of one crate any more.

use std::collections::{BTreeMap, BTreeSet};

/// A part of a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    Text(String),
    /// Shown to readers, and not compared: the name of an argument.
    Note(String),
    /// A generic parameter. That of a lifetime begins with an apostrophe.
    Parameter(String),
    /// A type or a trait, by the whole path of its definition.
    Path {
        path: String,
        args: Vec<Term>,
    },
    Sequence(Vec<Term>),
}

impl Term {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The terms with `separator` between them.
    pub(super) fn joined(terms: impl IntoIterator<Item = Term>, separator: &str) -> Self {
        let mut parts = Vec::new();
        for term in terms {
            if !parts.is_empty() {
                parts.push(Self::text(separator));
            }
            parts.push(term);
        }
        Self::Sequence(parts)
    }

    /// The names of the parameters, each once, in the order in which they appear.
    pub(super) fn parameters(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.collect_parameters(&mut found);
        found
    }

    fn collect_parameters(&self, found: &mut Vec<String>) {
        match self {
            Self::Text(_) | Self::Note(_) => {}
            Self::Parameter(name) if found.contains(name) => {}
            Self::Parameter(name) => found.push(name.clone()),
            Self::Path { args: terms, .. } | Self::Sequence(terms) => {
                terms.iter().for_each(|term| term.collect_parameters(found));
            }
        }
    }
}

/// What a `where` clause says of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) subject: Term,
    pub(super) bounds: Vec<Term>,
}

/// A whole declaration.
#[derive(Debug, Clone)]
pub(super) struct Declaration {
    /// Compared and not shown: the type that a method belongs to, with its parameters.
    pub(super) of: Option<Term>,
    pub(super) head: Term,
    pub(super) clauses: Vec<Clause>,
    /// What follows the `where` clause.
    pub(super) tail: Term,
}

impl Declaration {
    pub(super) fn new(head: Term) -> Self {
        Self { of: None, head, clauses: Vec::new(), tail: Term::Sequence(Vec::new()) }
    }

    pub(super) fn form(&self, names: &Names) -> Form {
        let parameters = self.numbered();
        Form { shown: self.print(names, None), compared: self.print(names, Some(&parameters)) }
    }

    /// As [`form`](Self::form), without the `where` clause and what follows it.
    pub(super) fn form_of_head(&self, names: &Names) -> Form {
        Self { of: self.of.clone(), ..Self::new(self.head.clone()) }.form(names)
    }

    /// Names for the parameters by the order in which they appear, because their own names do not matter to callers.
    fn numbered(&self) -> BTreeMap<String, String> {
        let mut order = self.of.as_ref().map(Term::parameters).unwrap_or_default();
        self.head.collect_parameters(&mut order);
        let number = |(index, name): (usize, String)| {
            let label = if name.starts_with('\'') { format!("'{index}") } else { format!("T{index}") };
            (name, label)
        };
        order.into_iter().enumerate().map(number).collect()
    }

    fn print(&self, names: &Names, parameters: Option<&BTreeMap<String, String>>) -> String {
        let print = |term: &Term| {
            let mut out = String::new();
            Printer { names, parameters }.print(term, &mut out);
            out
        };
        let mut out = String::new();
        if let (Some(of), Some(_)) = (&self.of, parameters) {
            out = format!("{}: ", print(of));
        }
        out += &print(&self.head);
        // A bound may be written in several places, and in any order.
        let mut clauses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for Clause { subject, bounds } in &self.clauses {
            if !bounds.is_empty() {
                clauses.entry(print(subject)).or_default().extend(bounds.iter().map(print));
            }
        }
        let clauses = clauses.into_iter().map(|(subject, bounds)| {
            let bounds: Vec<String> = bounds.into_iter().collect();
            format!("{subject}: {}", bounds.join(" + "))
        });
        let clauses: Vec<String> = clauses.collect();
        if !clauses.is_empty() {
            out += " where ";
            out += &clauses.join(", ");
        }
        out + &print(&self.tail)
    }
}

/// A declaration as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    /// For readers: with the last segment of each path, and with parameters as the source names them.
    pub(super) shown: String,
    /// Equal for declarations that mean the same: with whole paths, and with numbered parameters.
    pub(super) compared: String,
}

impl Form {
    /// Two forms for readers, which differ if what is compared does.
    pub(super) fn beside<'a>(&'a self, other: &'a Self) -> (&'a str, &'a str) {
        if self.shown == other.shown { (&self.compared, &other.compared) } else { (&self.shown, &other.shown) }
    }
}

/// How the module whose items are printed names types.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The name in the module, by the path of the definition.
    pub(super) items: BTreeMap<String, String>,
    pub(super) aliases: Vec<Alias>,
}

/// A type alias that stands for a generic type with some of its parameters set.
#[derive(Debug, Clone)]
pub(super) struct Alias {
    pub(super) name: String,
    /// The path of the type.
    pub(super) target: String,
    /// The arguments of the type, with the parameters of the alias in them.
    pub(super) args: Vec<Term>,
    /// The parameters of the alias.
    pub(super) parameters: Vec<String>,
}

impl Alias {
    /// The arguments of the alias, if it can stand for the type with these arguments.
    fn arguments<'t>(&self, path: &str, args: &'t [Term]) -> Option<Vec<&'t Term>> {
        if path != self.target || args.len() != self.args.len() {
            return None;
        }
        let mut bound = BTreeMap::new();
        for (pattern, arg) in self.args.iter().zip(args) {
            match pattern {
                Term::Parameter(name) => drop(bound.insert(name, arg)),
                concrete if concrete == arg => {}
                _ => return None,
            }
        }
        self.parameters.iter().map(|name| bound.get(name).copied()).collect()
    }
}

struct Printer<'a> {
    names: &'a Names,
    /// The numbered names of parameters. `None` prints for readers.
    parameters: Option<&'a BTreeMap<String, String>>,
}

impl Printer<'_> {
    fn print(&self, term: &Term, out: &mut String) {
        match term {
            Term::Text(text) => *out += text,
            Term::Note(text) if self.parameters.is_none() => *out += text,
            Term::Note(_) => {}
            Term::Parameter(name) => *out += self.parameters.and_then(|numbered| numbered.get(name)).unwrap_or(name),
            Term::Sequence(terms) => terms.iter().for_each(|term| self.print(term, out)),
            Term::Path { path, args } => {
                let alias = |alias: &Alias| Some((alias.name.clone(), alias.arguments(path, args)?));
                match self.names.aliases.iter().find_map(alias) {
                    Some((name, args)) => self.print_path(&format!("ws::{name}"), &args, out),
                    None => {
                        let name = self.names.items.get(path).map(|name| format!("ws::{name}"));
                        self.print_path(&name.unwrap_or_else(|| path.clone()), &args.iter().collect::<Vec<_>>(), out);
                    }
                }
            }
        }
    }

    fn print_path(&self, path: &str, args: &[&Term], out: &mut String) {
        match self.parameters {
            Some(_) => *out += path,
            None => *out += &self.shortened(path),
        }
        for (index, arg) in args.iter().enumerate() {
            *out += if index == 0 { "<" } else { ", " };
            self.print(arg, out);
        }
        if !args.is_empty() {
            out.push('>');
        }
    }

    /// The last segment of a path, with the crate before it if the module has another item of that name.
    fn shortened(&self, path: &str) -> String {
        let last = path.rsplit("::").next().unwrap_or(path);
        let is_taken = self.names.items.values().any(|name| name == last);
        match path.split_once("::") {
            Some((krate, _)) if is_taken && krate != "ws" => format!("{krate}::{last}"),
            _ => last.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str, args: &[Term]) -> Term {
        Term::Path { path: path.to_owned(), args: args.to_vec() }
    }

    fn parameter(name: &str) -> Term {
        Term::Parameter(name.to_owned())
    }

    fn clause(subject: Term, bounds: &[&str]) -> Clause {
        Clause { subject, bounds: bounds.iter().map(|bound| path(bound, &[])).collect() }
    }

    #[test]
    fn neither_the_names_of_parameters_nor_the_order_of_bounds_are_compared() {
        let method = |name: &str, clauses: Vec<Clause>| {
            let head = [Term::text("fn f("), Term::Note(format!("{name}: ")), parameter(name), Term::text(")")];
            Declaration { clauses, ..Declaration::new(Term::Sequence(head.to_vec())) }.form(&Names::default())
        };
        let one = method("T", vec![clause(parameter("T"), &["core::Send", "core::Sync"])]);
        let other = method(
            "Item",
            vec![clause(parameter("Item"), &["core::Sync"]), clause(parameter("Item"), &["core::Send"])],
        );
        assert_eq!(one.compared, other.compared);
        assert_eq!(other.shown, "fn f(Item: Item) where Item: Send + Sync");
        assert_ne!(one.compared, method("T", vec![clause(parameter("T"), &["core::Send"])]).compared);
    }

    #[test]
    fn a_type_with_the_same_last_segment_is_another_type() {
        let names = |definition: &str| Names {
            items: [(definition.to_owned(), "Message".to_owned())].into(),
            aliases: Vec::new(),
        };
        let form = |error: &str, message: &str| {
            let head = path("core::Result", &[path(message, &[]), path(error, &[])]);
            Declaration::new(head).form(&names(message))
        };
        let axum = form("axum_core::Error", "axum::ws::Message");
        assert_eq!(axum.shown, "Result<Message, Error>");
        assert_eq!(axum, form("axum_core::Error", "exact::message::Message"));
        assert_ne!(axum.compared, form("sockeye::Error", "exact::message::Message").compared);
    }

    #[test]
    fn an_alias_stands_for_the_types_that_it_can_name() {
        let alias = Alias {
            name: "WebSocketUpgrade".to_owned(),
            target: "extract::Upgrade".to_owned(),
            args: vec![path("exact::WebSocket", &[]), parameter("F")],
            parameters: vec!["F".to_owned()],
        };
        let names = Names { items: BTreeMap::new(), aliases: vec![alias] };
        let shown = |socket: &str| {
            let head = path("extract::Upgrade", &[path(socket, &[]), parameter("C")]);
            Declaration::new(head).form(&names).shown
        };
        assert_eq!(shown("exact::WebSocket"), "WebSocketUpgrade<C>");
        assert_eq!(shown("other::WebSocket"), "Upgrade<WebSocket, C>");
    }

    #[test]
    fn of_two_types_with_one_name_the_foreign_one_is_shown_with_its_crate() {
        let names = Names { items: [("exact::error::Error".to_owned(), "Error".to_owned())].into(), aliases: vec![] };
        let head = Term::joined([path("exact::error::Error", &[]), path("core::error::Error", &[])], ": ");
        assert_eq!(Declaration::new(head).form(&names).shown, "Error: core::Error");
    }
}
