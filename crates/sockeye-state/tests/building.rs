//! What a hub can be told, and what is wrong is said.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use sockeye_state::{Builder, Hub, Limits, Overflow, Rooms};
use support::{connect_slow, texts_until};

async fn refusal(configure: impl FnOnce(Builder<()>) -> Builder<()>) -> String {
    configure(Hub::builder()).build().await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_is_configured_wrongly_is_named() {
    let twice = refusal(|hub| hub.rooms("chat:", Rooms::new()).rooms("chat:", Rooms::new())).await;
    assert_eq!(twice, r#"the rooms with the prefix "chat:" are configured twice; expected each prefix once"#);
    let control = refusal(|hub| hub.rooms("a\0", Rooms::new())).await;
    assert!(control.starts_with(r#"no room can have a name with the prefix "a\0""#), "{control}");
    let zero = refusal(|hub| hub.limits(Limits::new().pending_bytes(0))).await;
    assert_eq!(zero, "the limit pending_bytes is 0; expected at least 1");
    let code = refusal(|hub| hub.overflow(Overflow::Disconnect(1006))).await;
    assert!(code.contains("the close code 1006 must not be sent"), "{code}");
    let code = refusal(|hub| hub.rooms("", Rooms::new().overflow(Overflow::Disconnect(5)))).await;
    assert!(code.contains("the close code 5 must not be sent"), "{code}");
}

#[tokio::test]
async fn the_longest_prefix_says_what_happens_to_slow_members() {
    let hub = Hub::<()>::builder()
        .rooms("prices:", Rooms::new().overflow(Overflow::DropOldest))
        .rooms("prices:archive:", Rooms::new().overflow(Overflow::DropNewest))
        .build()
        .await
        .unwrap();
    for (room, expected) in [("prices:cod", "3"), ("prices:archive:cod", "2")] {
        let (mut client, sender) = connect_slow(64, Overflow::default()).await;
        let me = hub.register(sender, ());
        let room = me.join(room).await.unwrap();
        // The first message fills the pipe, the second one the queue.
        for text in ["1", "2", "3"] {
            room.send(text.repeat(120));
            tokio::task::yield_now().await;
        }
        client.expect_text(&"1".repeat(120)).await;
        client.expect_text(&expected.repeat(120)).await;
        room.send("end");
        assert_eq!(texts_until(&mut client, "end").await, [""; 0], "{}", room.name());
    }
    let stats = hub.stats();
    assert_eq!((stats.overflowed, stats.displaced, stats.dropped, stats.disconnected), (2, 1, 1, 0));
}

#[tokio::test]
async fn a_slow_member_is_disconnected_by_default() {
    let hub = Hub::new();
    let (mut client, sender) = connect_slow(64, Overflow::default()).await;
    let me = hub.register(sender, ());
    let room = me.join("news").await.unwrap();
    for text in ["1", "2", "3"] {
        room.send(text.repeat(120));
        tokio::task::yield_now().await;
    }
    client.expect_text(&"1".repeat(120)).await;
    client.expect_close(1013).await;
    assert_eq!(room.send("after the Close"), 1);
    tokio::task::yield_now().await;
    let stats = hub.stats();
    assert_eq!((stats.disconnected, stats.closed, stats.members), (1, 1, 1));
}
