//! The differences between two modules.

use super::declare::{Api, Entry};
use std::collections::BTreeSet;

/// What our module has otherwise than theirs.
#[derive(Debug, Default)]
pub(super) struct Comparison<'a> {
    /// How many entries are the same.
    pub(super) same: usize,
    pub(super) missing: Vec<&'a Entry>,
    /// As they have it, and as we do.
    pub(super) differ: Vec<(&'a Entry, &'a Entry)>,
    pub(super) added: Vec<&'a Entry>,
}

pub(super) fn compare<'a>(theirs: &'a Api, ours: &'a Api) -> Comparison<'a> {
    let mut result = Comparison::default();
    for (key, entry) in &theirs.entries {
        match ours.entries.get(key) {
            None => result.missing.push(entry),
            Some(our) if our.form.compared == entry.form.compared => result.same += 1,
            Some(our) => result.differ.push((entry, our)),
        }
    }
    let added = ours.entries.iter().filter(|(key, _)| !theirs.entries.contains_key(*key));
    result.added = added.map(|(_, entry)| entry).collect();
    leave_out_members(&mut result.missing);
    leave_out_members(&mut result.added);
    result
}

/// Leaves out the members of an item that is in the list itself, and the conversions from and to it: they say nothing more.
fn leave_out_members(entries: &mut Vec<&Entry>) {
    let items: BTreeSet<&str> = entries.iter().filter(|entry| entry.is_item()).map(|entry| &*entry.owner).collect();
    let last = |path: &&str| items.iter().any(|item| item.rsplit("::").next() == Some(path));
    entries.retain(|entry| {
        let mentions =
            || entry.name.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':')).any(|word| last(&word));
        entry.is_item() || !(items.contains(&*entry.owner) || entry.is_impl() && mentions())
    });
}

#[cfg(test)]
mod tests {
    use super::super::crates::Crates;
    use super::super::fixture::{Fixture, bounded, defaulted, generic, no_generics, path, primitive};
    use super::*;
    use rustdoc_types::{Generics, Id, Type};

    /// The differences between two crates, in words.
    fn differences(theirs: Fixture, ours: Fixture) -> Vec<String> {
        let api = |fixture: Fixture| {
            let crates = Crates::new(vec![fixture.build()]);
            Api::of_module(&crates, crates.roots().next().unwrap())
        };
        let (theirs, ours) = (api(theirs), api(ours));
        let Comparison { missing, differ, added, .. } = compare(&theirs, &ours);
        let missing = missing.into_iter().map(|entry| format!("missing: {}", entry.name));
        let differ = differ.into_iter().map(|(their, our)| format!("{} -> {}", their.form.shown, our.form.shown));
        let added = added.into_iter().map(|entry| format!("added: {}", entry.name));
        missing.chain(differ).chain(added).collect()
    }

    /// A crate with a struct `Socket`, which `members` can change.
    fn socket(name: &str, members: impl FnOnce(&mut Fixture, Id) -> Vec<Id>) -> Fixture {
        let mut fixture = Fixture::new(name);
        let socket = fixture.structure("Socket");
        let more = members(&mut fixture, socket);
        fixture.root(&[vec![socket], more].concat());
        fixture
    }

    fn with_methods(fixture: &mut Fixture, socket: Id, methods: &[(&str, Generics, Type)]) {
        for (name, generics, argument) in methods {
            let inputs = [("self", generic("Self")), ("value", argument.clone())];
            let method = fixture.method(name, generics.clone(), &inputs, None);
            fixture.implement(socket, no_generics(), None, path(socket, &[]), &[method]);
        }
    }

    #[test]
    fn a_missing_method_and_a_missing_item_are_found() {
        let theirs = socket("axum", |fixture, socket| {
            with_methods(fixture, socket, &[("recv", no_generics(), primitive("u8"))]);
            let frame = fixture.structure("Frame");
            with_methods(fixture, frame, &[("new", no_generics(), primitive("u8"))]);
            vec![frame]
        });
        let ours = socket("exact", |_, _| vec![]);
        assert_eq!(differences(theirs, ours), ["missing: Frame", "missing: Socket::recv"]);
    }

    #[test]
    fn a_changed_argument_and_a_changed_bound_are_found() {
        let with = |name: &str, argument: &str, bound: &str| {
            socket(name, |fixture, socket| {
                let bound = fixture.external_trait(bound);
                let methods =
                    [("recv", no_generics(), primitive(argument)), ("send", bounded("M", bound), generic("M"))];
                with_methods(fixture, socket, &methods);
                vec![]
            })
        };
        assert!(differences(with("axum", "u8", "core::Copy"), with("exact", "u8", "core::Copy")).is_empty());
        let found = differences(with("axum", "u8", "core::Copy"), with("exact", "u16", "core::Clone"));
        let expected = [
            "fn recv(self, value: u8) -> fn recv(self, value: u16)",
            "fn send<M>(self, value: M) where M: Copy -> fn send<M>(self, value: M) where M: Clone",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn an_alias_and_a_default_argument_are_the_same_as_what_they_stand_for() {
        let with = |name: &str, is_short: bool| {
            socket(name, |fixture, socket| {
                let body = fixture.structure("Body");
                let response = fixture.structure_with("Response", defaulted("B", path(body, &[])));
                let code = fixture.alias("Code", &[], primitive("u16"));
                let methods = if is_short {
                    [("close", no_generics(), path(code, &[])), ("answer", no_generics(), path(response, &[]))]
                } else {
                    let answer = path(response, &[path(body, &[])]);
                    [("close", no_generics(), primitive("u16")), ("answer", no_generics(), answer)]
                };
                with_methods(fixture, socket, &methods);
                vec![body, response, code]
            })
        };
        assert!(differences(with("axum", true), with("exact", false)).is_empty());
    }

    #[test]
    fn an_addition_is_found_once() {
        let theirs = socket("axum", |_, _| vec![]);
        let ours = socket("exact", |fixture, socket| {
            let sender = fixture.structure("Sender");
            with_methods(fixture, sender, &[("send", no_generics(), primitive("u8"))]);
            let from = fixture.external_trait("core::From");
            fixture.implement(sender, no_generics(), Some(from), path(sender, &[]), &[]);
            with_methods(fixture, socket, &[("sender", no_generics(), primitive("u8"))]);
            vec![sender]
        });
        assert_eq!(differences(theirs, ours), ["added: Sender", "added: Socket::sender"]);
    }

    #[test]
    fn a_further_variant_is_a_difference_if_code_may_match_all_of_them() {
        let with = |name: &str, variants: &[&str], is_open: bool| {
            socket(name, |fixture, _| {
                let message = fixture.enumeration("Message", variants);
                if is_open {
                    fixture.non_exhaustive(message);
                }
                vec![message]
            })
        };
        let found = differences(with("axum", &["Text"], false), with("exact", &["Text", "Close"], false));
        let expected = ["pub enum Message { Text } -> pub enum Message { Text, Close }", "added: Message::Close"];
        assert_eq!(found, expected);
        let found = differences(with("axum", &["Text"], true), with("exact", &["Text", "Close"], true));
        assert_eq!(found, ["added: Message::Close"]);
    }

    #[test]
    fn another_value_of_a_constant_and_another_required_method_are_differences() {
        let with = |name: &str, value: &str, is_provided: bool| {
            socket(name, |fixture, _| {
                let code = fixture.constant("AWAY", value);
                vec![code, fixture.trait_("OnFailedUpgrade", is_provided)]
            })
        };
        let found = differences(with("axum", "1001", true), with("exact", "1002", false));
        let expected = [
            "pub const AWAY: u16 = 1001 -> pub const AWAY: u16 = 1002",
            "pub trait OnFailedUpgrade {} -> pub trait OnFailedUpgrade { call }",
        ];
        assert_eq!(found, expected);
    }
}
