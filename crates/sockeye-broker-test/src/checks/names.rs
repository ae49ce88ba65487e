//! Topics with odd names.

use sockeye_state::Topic;

use crate::{check::Setup, node::Node};

/// Names that mean something to one system or another, and names that differ in little.
fn names() -> Vec<String> {
    let odd = [
        "a", "A", "a ", " a", "a.b", "a:b", "a/b", "a b", "a.", ".a", ".", "..", "a..b", "*", "a*", ">", "a.>", "a.*",
        "?", "[a]", "{}", "{a}", "{a}b", "}{", "$", "$SYS", "$JS.API", "%", "%2a", "a%62", "#", "\\", "\\x61", "'",
        "\"", "a\u{301}", "\u{e1}", "ä", "🦭", "\u{a0}", "-", "--", "_", "=", "room", "hub",
    ];
    let long = [
        "x".repeat(200),
        "x".repeat(199),
        "é".repeat(100),
        "🦭".repeat(50),
        ".".repeat(200),
        "{".repeat(200),
        "%".repeat(200),
    ];
    odd.into_iter().map(str::to_owned).chain(long).collect()
}

pub(crate) async fn names_are_kept_apart(setup: Setup) {
    let topics: Vec<_> = names().iter().map(|name| setup.topic(name)).collect();
    assert_apart(&setup, &topics).await;
}

pub(crate) async fn namespaces_and_kinds_are_kept_apart(setup: Setup) {
    let namespace = &*setup.namespace;
    let mut topics = vec![Topic::room(namespace, "a:b"), Topic::hub(namespace, "a:b"), Topic::hub(namespace, "room:a")];
    for suffix in [":a", "a", ".a", ".*", "*", ".>", "{x}", " ", ":room", ":room:a", "\u{e9}", "%3a"] {
        topics.extend(["a:b", "b", "room"].map(|name| Topic::room(format!("{namespace}{suffix}"), name)));
    }
    assert_apart(&setup, &topics).await;
}

pub(crate) async fn a_wildcard_in_a_name_is_a_character(setup: Setup) {
    let (mut node, other) = (setup.node().await, setup.node().await);
    let wild = ["*", ">", "a.*", "a.>", "?", "a?", "[ab]", "a*"].map(|name| setup.topic(name));
    node.subscribe_all(wild.clone()).await;
    for name in ["a", "b", "a.b", "a.b.c", "ab"] {
        other.publish(&setup.topic(name), "not subscribed to").await;
    }
    for topic in &wild {
        other.publish(topic, "subscribed to").await;
        assert_eq!(node.next_message(topic).await, "subscribed to");
    }
}

/// Checks that no topic gets messages of another, live or from its history.
async fn assert_apart(setup: &Setup, topics: &[Topic]) {
    let (mut all, mut odd, writer) = (setup.node().await, setup.node().await, setup.node().await);
    all.subscribe_all(topics.iter().cloned()).await;
    odd.subscribe_all(topics.iter().skip(1).step_by(2).cloned()).await;
    for (index, topic) in topics.iter().enumerate() {
        assert_eq!(writer.top(topic).await, None, "{topic} has a history, and nothing was appended to it");
        writer.publish(topic, index.to_string()).await;
        writer.append(topic, index.to_string()).await;
        assert_arrives(&mut all, topic, index).await;
        if index % 2 == 1 {
            assert_arrives(&mut odd, topic, index).await;
        }
    }
    for (index, topic) in topics.iter().enumerate() {
        let read: Vec<_> = writer.read_all(topic).await.entries.into_iter().map(|entry| entry.envelope).collect();
        assert_eq!(read, [index.to_string()], "the history of {topic}");
    }
}

/// The two may arrive in any order, and nothing else may.
async fn assert_arrives(node: &mut Node, topic: &Topic, index: usize) {
    let arrivals = [node.next().await, node.next().await];
    let expected = index.to_string();
    for arrival in &arrivals {
        let (of, envelope) = match arrival {
            sockeye_state::Arrival::Message { topic, envelope, .. } => (topic, envelope),
            sockeye_state::Arrival::Appended { topic, entry, .. } => (topic, &entry.envelope),
            other => panic!("expected a message of {topic}; this came: {other:?}"),
        };
        assert!(of == topic && *envelope == expected, "expected a message of {topic}; this came: {arrival:?}");
    }
    assert_ne!(arrivals[0], arrivals[1], "each once");
}
