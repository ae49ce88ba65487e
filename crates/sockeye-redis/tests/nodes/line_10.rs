//! Nodes of another version, and clocks that are wrong.

use std::{path::PathBuf, time::Duration};

use sockeye_redis::Redis;
use sockeye_state::{Append, Broker, Inbox, Keep, NodeId, Stamp, Topic};
use tokio::time::sleep;

use crate::{
    node::Node,
    support::server::{Disk, Kind, Server},
};

/// What nodes of version 1 send, and what newer ones may send: the bytes that no version ever changes.
const FIXTURES: &str = include_str!("../../../sockeye-state/src/envelope/version1.txt");

/// These are understood; all others are skipped.
const TEXTS: [(&str, &str); 4] = [
    ("a text", "héllo"),
    ("an empty text", ""),
    ("JSON that is never compressed, not for two members", "{\"a\":1}"),
    ("a text with an unknown field before it and an unknown flag", "hi"),
];

const UNKNOWN: [&str; 4] =
    ["an unknown critical field", "an unknown critical flag", "an unknown kind", "an unknown version"];

pub(crate) async fn line_10_the_bytes_of_version_1_are_understood_beside_nodes_of_this_version() {
    let Some(server) = Server::start(Kind::Redis, Disk::Nothing).await else { return };
    let (mut one, mut two) = (Node::start(&server.url()).await, Node::start(&server.url()).await);
    let other = Redis::connect(server.url()).await.unwrap();
    other.start(NodeId::from_u64(0x0102_0304_0506_0708), Inbox::from_fn(|_| {})).await.unwrap();
    for node in [&mut one, &mut two] {
        node.ask("enter m k kept:old", "entered m fresh").await;
        node.ask("enter n k old", "entered n fresh").await;
    }
    one.ask("append kept:old begin", "appended begin").await;
    let names = UNKNOWN.into_iter().chain(TEXTS.map(|(name, _)| name));
    for (number, name) in (0_u8..).zip(names) {
        let keep = Keep::new(10_000, Duration::from_secs(3600));
        let append = Append::new(Topic::room("nodes", "kept:old"), bytes(name).into(), Stamp::new([number; 16]), keep);
        other.append(append).await.unwrap();
        other.publish(Topic::room("nodes", "old"), bytes(name).into()).await.unwrap();
    }
    two.ask("append kept:old end", "appended end").await;
    // The first text again: of the same sender, so that it is the last.
    let (again, last) = TEXTS[0];
    other.publish(Topic::room("nodes", "old"), bytes(again).into()).await.unwrap();
    let texts = TEXTS.map(|(_, text)| text);
    for node in [&mut one, &mut two] {
        for (member, first, last) in [("m", Some("begin"), "end"), ("n", None, last)] {
            for text in first.into_iter().chain(texts).chain([last]) {
                let got = node.answer(&format!("got {member} ")).await;
                let (_, got) = got.split_once(' ').unwrap();
                assert_eq!(got, text, "{member} gets the texts in order, and nothing else");
            }
        }
    }
    // A member that comes later reads the same from the history.
    let mut three = Node::start(&server.url()).await;
    three.ask("enter late k kept:old", "entered late fresh").await;
    assert_eq!(
        three.ask("history kept:old", "history ").await,
        ["begin", "héllo", "", "{\"a\":1}", "hi", "end"].join("|")
    );
    other.stop().await;
}

pub(crate) async fn line_10_a_clock_that_is_an_hour_ahead_changes_nothing() {
    let Some(faketime) = faketime() else { return };
    let Some(server) = Server::start(Kind::Redis, Disk::Nothing).await else { return };
    let mut right = Node::start(&server.url()).await;
    let wrong = [("LD_PRELOAD", faketime.as_str()), ("FAKETIME", "+1h")];
    let mut wrong = Node::start_with(&server.url(), &wrong).await;
    let ahead = seconds(&mut wrong).await - seconds(&mut right).await;
    assert!((3590..3700).contains(&ahead), "the clock is {ahead} s ahead");

    let mut observed = [right.observe_room("kept:clock").await, wrong.observe_room("kept:clock").await];
    right.ask("enter right right kept:clock", "entered right fresh").await;
    wrong.ask("enter wrong wrong kept:clock", "entered wrong fresh").await;
    let mut last = String::new();
    for line in 0..40 {
        let node = if line % 2 == 0 { &mut right } else { &mut wrong };
        last = node.ask(&format!("append kept:clock {line}"), &format!("appended {line} ")).await;
        // In all, longer than a node may be silent.
        sleep(Duration::from_millis(200)).await;
    }
    for node in [(&mut right, "right"), (&mut wrong, "wrong")] {
        for line in 0..40 {
            let got = node.0.answer(&format!("got {} ", node.1)).await;
            assert_eq!(got.split_once(' ').unwrap().1, line.to_string());
        }
    }
    for (node, observed) in [&mut right, &mut wrong].into_iter().zip(&mut observed) {
        node.observe("kept:clock", observed);
        assert!(observed.people.iter().eq(["right", "wrong"]) && observed.left.is_empty(), "{observed:?}");
        // The history has not aged.
        assert_eq!(node.ask(&format!("enter again k kept:clock {last}"), "entered again ").await, "whole");
    }
}

async fn seconds(node: &mut Node) -> i64 {
    node.ask("clock", "clock ").await.parse().unwrap()
}

/// The library that changes the clock of a program, if it is there.
fn faketime() -> Option<String> {
    let chosen = std::env::var_os("SOCKEYE_FAKETIME").map(PathBuf::from);
    let folders =
        ["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|kind| format!("/usr/lib/{kind}/faketime/libfaketime.so.1"));
    let found = chosen.or_else(|| folders.into_iter().map(PathBuf::from).find(|path| path.is_file()));
    if found.is_none() {
        eprintln!(
            "SKIPPED: there is no libfaketime, and SOCKEYE_FAKETIME is not set; Debian's package libfaketime has it"
        );
    }
    found.map(|path| path.display().to_string())
}

/// The bytes of a fixture.
fn bytes(name: &str) -> Vec<u8> {
    let section = FIXTURES.split("\n[").find_map(|section| section.strip_prefix(name)?.strip_prefix("]\n"));
    let lines = section.unwrap_or_else(|| panic!("there is no fixture {name}")).lines();
    let words = lines.flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    words.map(|byte| u8::from_str_radix(byte, 16).expect("a byte in hexadecimal")).collect()
}
