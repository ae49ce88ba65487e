//! Reading a history without joining the room.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::time::Duration;

use sockeye_state::{AppendOptions, HistoryError, Hub, Past, Rooms};
use support::join;

const HOUR: Duration = Duration::from_secs(3600);

fn texts(past: &[Past]) -> Vec<String> {
    past.iter().map(|past| String::from_utf8(past.message.payload().to_vec()).unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_newest_messages_are_read_as_they_were_sent() {
    let builder = Hub::<&str>::builder().frame(|_| Some("a frame".into()));
    let hub = builder.rooms("chat:", Rooms::new().history(3, HOUR)).build().await.unwrap();
    let room = hub.room("chat:1");
    assert!(room.history(10).await.unwrap().is_empty());
    let (_client, me, _) = join(&hub, "chat:1", "Ada").await;
    let mut positions = Vec::new();
    for text in ["1", "2", "3", "4"] {
        // Whom a message excepts says nothing about those who read later.
        positions.push(room.append_with(text, AppendOptions::new().except(me.id())).await.unwrap());
    }
    room.volatile("5");
    let past = room.history(10).await.unwrap();
    assert_eq!(texts(&past), ["2", "3", "4"]);
    assert_eq!(past.iter().map(|past| past.at).collect::<Vec<_>>(), positions[1..]);
    assert_eq!(texts(&room.history(1).await.unwrap()), ["4"]);
}

#[tokio::test(start_paused = true)]
async fn a_room_without_a_history_has_none_to_read() {
    let hub = Hub::<&str>::builder().rooms("chat:", Rooms::new().history(3, HOUR)).build().await.unwrap();
    for hub in [hub.clone(), Hub::new()] {
        let error = hub.room("map").history(10).await.unwrap_err();
        assert!(matches!(&error, HistoryError::NoHistory { room } if &**room == "map"), "{error}");
        assert!(error.to_string().contains("Rooms::history"), "{error}");
    }
    let error = hub.room("").history(10).await.unwrap_err();
    assert!(matches!(error, HistoryError::Name(_)), "{error}");
}
