//! What a message of a room becomes for pages: made once for a node, and not once for a page.

use sockeye_proto::PreparedMessage;

use super::{
    answer::{Answer, Caught},
    code::Code,
};
use crate::{Delivery, Position};

/// The frame of the protocol for what a room delivers.
pub(crate) fn frame(delivery: &Delivery<'_>) -> Option<PreparedMessage> {
    let text = match *delivery {
        Delivery::Message { room, at, message: Some(message) } if !message.is_text() => {
            tracing::warn!(
                room,
                len = message.payload().len(),
                "a binary message was sent to a room of sockeye.rooms.v1, whose pages get an error instead; send a text or JSON"
            );
            let why = "a binary message was sent to the room; this protocol has texts and JSON alone";
            Answer::Err { code: Code::Binary, room: Some(room), at, why }.text()
        }
        Delivery::Message { room, at, message } => said(room, at, message),
        Delivery::Joined { room, at, caught_up } => Answer::In { room, at, caught: Caught::from(caught_up) }.text(),
        Delivery::Gap { room } => Answer::Gap { room }.text(),
    };
    Some(PreparedMessage::json(text))
}

/// The frame `m`. JSON goes into it as it is, and is not read again.
fn said(room: &str, at: Option<Position>, message: Option<&PreparedMessage>) -> String {
    use std::fmt::Write as _;

    let payload = message.map_or(&[][..], PreparedMessage::payload);
    let mut text = String::with_capacity(payload.len() + room.len() + 64);
    text.push_str(r#"{"t":"m","room":"#);
    text.push_str(&quoted(room));
    if let Some(at) = at {
        // Writing to a `String` does not fail.
        let _ = write!(text, r#","at":"{at}""#);
    }
    if let Some(message) = message {
        let payload = String::from_utf8_lossy(payload);
        text.push_str(r#","d":"#);
        if message.is_json() {
            text.push_str(&payload);
        } else {
            text.push_str(&quoted(&payload));
        }
    }
    text.push('}');
    text
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("each text has JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CaughtUp, Epoch};

    const AT: Option<Position> = Some(Position::new(Epoch::from_u64(35), 7));

    fn text(delivery: &Delivery<'_>) -> String {
        let frame = frame(delivery).expect("each delivery has a frame");
        assert!(frame.is_text());
        String::from_utf8(frame.payload().to_vec()).expect("a text")
    }

    #[test]
    fn a_text_is_quoted_and_json_is_embedded() {
        let (line, json) = (PreparedMessage::text("say \"1\"\n"), PreparedMessage::json("[1, 2]"));
        let message = Delivery::Message { room: "a\"b", at: None, message: Some(&line) };
        assert_eq!(text(&message), r#"{"t":"m","room":"a\"b","d":"say \"1\"\n"}"#);
        let message = Delivery::Message { room: "ab", at: AT, message: Some(&json) };
        assert_eq!(text(&message), r#"{"t":"m","room":"ab","at":"z.7","d":[1, 2]}"#);
        let digits = PreparedMessage::text("42");
        let message = Delivery::Message { room: "ab", at: None, message: Some(&digits) };
        assert_eq!(text(&message), r#"{"t":"m","room":"ab","d":"42"}"#);
    }

    #[test]
    fn an_excluded_member_gets_the_position_alone() {
        let message = Delivery::Message { room: "ab", at: AT, message: None };
        assert_eq!(text(&message), r#"{"t":"m","room":"ab","at":"z.7"}"#);
    }

    #[test]
    fn joins_and_gaps_have_frames() {
        let joined = Delivery::Joined { room: "ab", at: AT, caught_up: CaughtUp::Whole(3) };
        assert_eq!(text(&joined), r#"{"t":"in","room":"ab","at":"z.7","caught":"whole"}"#);
        let joined = Delivery::Joined { room: "ab", at: None, caught_up: CaughtUp::Gap };
        assert_eq!(text(&joined), r#"{"t":"in","room":"ab","at":null,"caught":"gap"}"#);
        assert_eq!(text(&Delivery::Gap { room: "ab" }), r#"{"t":"gap","room":"ab"}"#);
    }

    #[test]
    fn a_binary_message_becomes_an_error_with_its_position() {
        let binary = PreparedMessage::binary([1, 2, 3]);
        let text = text(&Delivery::Message { room: "ab", at: AT, message: Some(&binary) });
        assert!(text.starts_with(r#"{"t":"err","code":"binary","room":"ab","at":"z.7","why":"#), "{text}");
    }
}
