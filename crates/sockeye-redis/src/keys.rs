//! The names of keys and channels.

use std::fmt::Write as _;

use sockeye_state::{NodeId, Stamp, Topic};

/// The key with the epoch and the last offset of a history.
pub(crate) fn top(topic: &Topic) -> String {
    format!("{{{}}}:top", tag(topic))
}

/// The key with the messages of a history.
pub(crate) fn log(topic: &Topic) -> String {
    format!("{{{}}}:log", tag(topic))
}

/// The key with the position of what was appended with the stamp.
pub(crate) fn stamp(topic: &Topic, stamp: Stamp) -> String {
    format!("{{{}}}:stamp:{stamp}", tag(topic))
}

/// The channel of a topic. Databases have keys of their own, but share the channels.
pub(crate) fn channel(topic: &Topic, database: i64) -> String {
    format!("{{{}}}:live:{database}", tag(topic))
}

/// The channel by which a node checks its own subscription.
pub(crate) fn probe(node: NodeId) -> String {
    format!("sockeye:probe:{node}")
}

/// The kind and the names of a topic, which no other topic has.
fn tag(topic: &Topic) -> String {
    let mut tag = String::with_capacity(topic.namespace().len() + topic.name().len() + 8);
    encode(topic.namespace(), |character| character == ':', &mut tag);
    tag.push(':');
    tag.push_str(topic.kind().as_str());
    tag.push(':');
    encode(topic.name(), |_| false, &mut tag);
    tag
}

/// Appends a text, with percent-encoding for what a hash tag cannot have, what is hard to read, and what `also` names.
fn encode(text: &str, also: impl Fn(char) -> bool, to: &mut String) {
    for character in text.chars() {
        if !matches!(character, '%' | '{' | '}') && !character.is_control() && !also(character) {
            to.push(character);
            continue;
        }
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_topic_have_its_names_in_one_hash_tag() {
        let topic = Topic::room("shop", "chat:42");
        assert_eq!(top(&topic), "{shop:room:chat:42}:top");
        assert_eq!(log(&topic), "{shop:room:chat:42}:log");
        assert_eq!(stamp(&topic, Stamp::new([7; 16])), "{shop:room:chat:42}:stamp:07070707070707070707070707070707");
        assert_eq!(channel(&topic, 3), "{shop:room:chat:42}:live:3");
    }

    #[test]
    fn different_topics_never_have_the_same_key() {
        let topics = [
            Topic::room("a", "b"),
            Topic::hub("a", "b"),
            Topic::room("a:room", "b"),
            Topic::room("a", "room:b"),
            Topic::room("a%3Aroom", "b"),
            Topic::room("", "a:b"),
            Topic::room("a", "}:top"),
            Topic::room("a", "%7D:top"),
            Topic::room("a", "b\u{1}"),
        ];
        let keys: std::collections::HashSet<String> = topics.iter().map(top).collect();
        assert_eq!(keys.len(), topics.len(), "{keys:?}");
    }

    #[test]
    fn a_name_cannot_end_the_hash_tag() {
        let key = top(&Topic::room("{x}", "a}b{\n"));
        assert_eq!(key, "{%7Bx%7D:room:a%7Db%7B%0A}:top");
    }
}
