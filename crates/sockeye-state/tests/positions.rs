//! Positions as clients keep them: one text for each.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use proptest::prelude::*;
use sockeye_state::{Epoch, NodeId, Position, Stamp, Topic};

#[test]
fn a_text_that_is_no_position_is_refused() {
    let longest = "3w5e11264sgsf.18446744073709551615";
    assert_eq!(longest.parse(), Ok(Position::new(Epoch::from_u64(u64::MAX), u64::MAX)));
    assert_eq!("0.0".parse(), Ok(Position::new(Epoch::from_u64(0), 0)));
    let wrong = [
        "",
        ".",
        "1",
        "1.",
        ".1",
        "a.b",
        "a.1.2",
        "A.1",
        "01.1",
        "a.01",
        "00.1",
        "+1.1",
        "a.+1",
        "-1.1",
        " a.1",
        "a.1 ",
        "a.1\n",
        "a,1",
        "ä.1",
        "a.١",
        "3w5e11264sgsg.1",
        "a.18446744073709551616",
        "zzzzzzzzzzzzzzzzzzzzzzzz.1",
    ];
    for text in wrong {
        let error = text.parse::<Position>().expect_err(text);
        assert!(error.to_string().contains("such as \"k3x9.41\""), "{error}");
    }
}

#[test]
fn what_is_for_logs_has_no_control_characters() {
    let topic = Topic::room("shop", "a\n\u{1b}[2J");
    assert_eq!(topic.to_string(), r#"room "a\n\u{1b}[2J" of "shop""#);
    assert_eq!(Stamp::of_node(NodeId::from_u64(0xab), 1).to_string(), "00000000000000ab0000000000000001");
}

proptest! {
    #[test]
    fn a_position_is_its_text(epoch: u64, offset: u64) {
        let position = Position::new(Epoch::from_u64(epoch), offset);
        assert_eq!(position.to_string().parse(), Ok(position));
        assert_eq!(u64::from_str_radix(&position.epoch.to_string(), 36), Ok(epoch), "to the base 36");
    }

    #[test]
    fn a_position_has_one_text(text in "[0-9a-z.+-]{0,16}") {
        if let Ok(position) = text.parse::<Position>() {
            assert_eq!(position.to_string(), text);
        }
    }
}

#[cfg(feature = "json")]
mod json {
    use serde::{
        Deserialize as _,
        de::{IntoDeserializer, value::Error},
    };
    use sockeye_state::{Epoch, Position};

    #[test]
    fn a_position_is_a_string_in_json() {
        let position = Position::new(Epoch::from_u64(35), 41);
        assert_eq!(sockeye_tokio::json::prepare(position).unwrap().payload(), b"\"z.41\"");
        let read = |text: &str| Position::deserialize(IntoDeserializer::<Error>::into_deserializer(text));
        assert_eq!(read("z.41"), Ok(position));
        assert!(read("z.041").unwrap_err().to_string().starts_with("this is no position"));
        let number: Result<_, Error> = Position::deserialize(41_u64.into_deserializer());
        assert!(number.unwrap_err().to_string().contains("expected a position such as"));
    }
}
