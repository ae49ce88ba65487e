//! Rooms on the wire: who hears what, once, and in which order.
#![cfg(feature = "protocol")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use sockeye_state::{
    Hub, Local, Person, Rooms,
    protocol::{Action, Options, Verdict},
};
use sockeye_testkit::Frame;
use sockeye_tokio::Shutdown;
use support::page::{Doorman, Page, Slow, User, hub};
use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};

/// Says something, and returns its position. The page hears itself.
async fn say(page: &mut Page, room: &str, id: &str, d: &str) -> String {
    page.send(json!({"t": "say", "room": room, "id": id, "d": d})).await;
    let mut frames = [page.next().await, page.next().await];
    frames.sort_by_key(|frame| frame["t"] == "m");
    assert_eq!((&frames[0]["t"], &frames[0]["id"]), (&json!("ok"), &json!(id)), "{frames:?}");
    assert_eq!(frames[1]["d"]["d"], d, "{frames:?}");
    assert_eq!(frames[0]["at"], frames[1]["at"]);
    frames[0]["at"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_a_page_says_is_composed_and_reaches_all_with_its_position() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    let mut bob = Page::open(&hub, "Bob", &doorman).await;
    assert_eq!(ada.join("chat:1", None, "fresh").await, Value::Null);
    bob.join("chat:1", None, "fresh").await;

    let at = say(&mut ada, "chat:1", "p-1", "hello").await;
    bob.expect(json!({"t": "m", "room": "chat:1", "at": at, "d": {"from": "Ada", "d": "hello"}})).await;
}

#[tokio::test(start_paused = true)]
async fn a_room_without_a_history_answers_without_a_position() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    assert_eq!(ada.join("lobby", None, "fresh").await, Value::Null);
    ada.send(json!({"t": "say", "room": "lobby", "id": "p-1", "d": null, "others": true})).await;
    ada.expect(json!({"t": "ok", "id": "p-1"})).await;
    ada.send(json!({"t": "say", "room": "lobby", "id": "p-2", "d": [1, 2]})).await;
    let frames = [ada.next().await, ada.next().await];
    assert!(frames.contains(&json!({"t": "ok", "id": "p-2"})), "{frames:?}");
    assert!(frames.contains(&json!({"t": "m", "room": "lobby", "d": {"from": "Ada", "d": [1, 2]}})), "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_gets_what_it_missed_before_what_is_new() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    let mut bob = Page::open(&hub, "Bob", &doorman).await;
    ada.join("chat:1", None, "fresh").await;
    bob.join("chat:1", None, "fresh").await;
    let seen = say(&mut ada, "chat:1", "p-1", "1").await;
    drop(bob);
    for n in 2..=5 {
        say(&mut ada, "chat:1", &format!("p-{n}"), &n.to_string()).await;
    }

    let mut bob = Page::open(&hub, "Bob", &doorman).await;
    bob.join("chat:1", Some(&seen), "whole").await;
    say(&mut ada, "chat:1", "p-6", "6").await;
    for n in 2..=6 {
        assert_eq!(bob.next().await["d"]["d"], n.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn several_rooms_are_joined_by_one_frame_at_the_same_time() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    ada.send(json!({"t": "join", "rooms": {"chat:1": null, "chat:2": null, "lobby": null}})).await;
    let mut joined: Vec<String> = Vec::new();
    for _ in 0..3 {
        let frame = ada.next().await;
        assert_eq!(frame["t"], "in");
        joined.push(frame["room"].as_str().unwrap().to_owned());
    }
    joined.sort();
    assert_eq!(joined, ["chat:1", "chat:2", "lobby"]);
}

#[tokio::test(start_paused = true)]
async fn a_say_that_is_sent_again_is_answered_with_the_first_position_and_heard_once() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    let mut eve = Page::open(&hub, "Eve", &doorman).await;
    ada.join("chat:1", None, "fresh").await;
    eve.join("chat:1", None, "fresh").await;
    let first = say(&mut ada, "chat:1", "p-1", "1").await;
    let second = say(&mut ada, "chat:1", "p-2", "2").await;

    // On another connection of the same user.
    let mut again = Page::open(&hub, "Ada", &doorman).await;
    again.join("chat:1", Some(&second), "whole").await;
    again.send(json!({"t": "say", "room": "chat:1", "id": "p-1", "d": "1"})).await;
    again.expect(json!({"t": "ok", "id": "p-1", "at": first})).await;

    // The same id of another user is another message.
    for d in ["1", "2"] {
        assert_eq!(eve.next().await["d"]["d"], d);
    }
    let third = say(&mut eve, "chat:1", "p-1", "3").await;
    assert!(third != first && third != second);
    assert_eq!(ada.next().await["at"], third);
    assert_eq!(again.next().await["at"], third);
}

#[tokio::test(start_paused = true)]
async fn an_excluded_page_gets_the_position_alone_and_all_when_it_catches_up() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    ada.join("chat:1", None, "fresh").await;
    let before = say(&mut ada, "chat:1", "p-1", "1").await;
    ada.send(json!({"t": "say", "room": "chat:1", "id": "p-2", "d": "2", "others": true})).await;
    let mut frames = [ada.next().await, ada.next().await];
    frames.sort_by_key(|frame| frame["t"] == "m");
    let at = &frames[0]["at"];
    assert_eq!(frames[1], json!({"t": "m", "room": "chat:1", "at": at}));

    let mut again = Page::open(&hub, "Ada", &doorman).await;
    again.join("chat:1", Some(&before), "whole").await;
    again.expect(json!({"t": "m", "room": "chat:1", "at": at, "d": {"from": "Ada", "d": "2"}})).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_volatile_has_no_position_and_no_answer() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    let mut bob = Page::open(&hub, "Bob", &doorman).await;
    ada.join("chat:1", None, "fresh").await;
    bob.join("chat:1", None, "fresh").await;
    ada.send(json!({"t": "say", "room": "chat:1", "d": "typing", "volatile": true, "others": true})).await;
    bob.expect(json!({"t": "m", "room": "chat:1", "d": {"from": "Ada", "d": "typing"}})).await;
    ada.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn texts_of_the_application_are_quoted_and_its_json_is_not() {
    let hub = hub(Local::new()).await;
    let mut ada = Page::open(&hub, "Ada", &Arc::default()).await;
    ada.join("lobby", None, "fresh").await;
    let lobby = hub.room("lobby");
    lobby.send("42");
    lobby.send_json(json!({"tide": 6.7})).unwrap();
    lobby.send(vec![1, 2, 3]);
    ada.expect(json!({"t": "m", "room": "lobby", "d": "42"})).await;
    ada.expect(json!({"t": "m", "room": "lobby", "d": {"tide": 6.7}})).await;
    assert_eq!(ada.expect_error("err", "binary").await["room"], "lobby");
}

#[tokio::test(start_paused = true)]
async fn json_is_still_json_when_it_comes_out_of_a_history() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    ada.join("chat:1", None, "fresh").await;
    let seen = say(&mut ada, "chat:1", "p-1", "1").await;
    hub.room("chat:1").append("42").await.unwrap();
    hub.room("chat:1").send_json([42]).unwrap();
    assert_eq!(ada.next().await["d"], "42");
    assert_eq!(ada.next().await["d"], json!([42]));
    let mut bob = Page::open(&hub, "Bob", &doorman).await;
    bob.join("chat:1", Some(&seen), "whole").await;
    assert_eq!(bob.next().await["d"], "42");
    assert_eq!(bob.next().await["d"], json!([42]));
}

#[tokio::test(start_paused = true)]
async fn after_out_nothing_of_the_room_comes() {
    let hub = hub(Local::new()).await;
    let mut ada = Page::open(&hub, "Ada", &Arc::default()).await;
    ada.join("lobby", None, "fresh").await;
    hub.room("lobby").send("1");
    ada.send(json!({"t": "leave", "room": "lobby"})).await;
    assert_eq!(ada.next().await["d"], "1");
    ada.expect(json!({"t": "out", "room": "lobby"})).await;
    assert_eq!(hub.room("lobby").send("2"), 0);
    ada.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn quick_joins_and_leaves_end_in_the_state_of_the_last() {
    let hub = hub(Local::new()).await;
    let mut ada = Page::open(&hub, "Ada", &Arc::default()).await;
    for _ in 0..20 {
        ada.send(json!({"t": "join", "rooms": {"chat:1": null}})).await;
        ada.send(json!({"t": "leave", "room": "chat:1"})).await;
    }
    ada.send(json!({"t": "join", "rooms": {"chat:1": null}})).await;
    let mut outs = 0;
    while outs < 20 {
        outs += usize::from(ada.next().await["t"] == "out");
    }
    assert_eq!(ada.next().await["t"], "in");
    say(&mut ada, "chat:1", "p-1", "1").await;
}

#[tokio::test(start_paused = true)]
async fn joining_again_is_answered_again_and_each_message_comes_once() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    let mut bob = Page::open(&hub, "Bob", &doorman).await;
    let mut at = Value::Null;
    for (room, frames) in [("chat:1", 2), ("lobby", 1)] {
        bob.join(room, None, "fresh").await;
        ada.join(room, None, "fresh").await;
        ada.join(room, None, "fresh").await;
        assert_eq!(hub.room(room).len(), 2);
        bob.send(json!({"t": "say", "room": room, "id": "p-1", "d": "1", "others": true})).await;
        let heard = ada.next().await;
        assert_eq!(heard["d"]["d"], "1");
        at = if room == "chat:1" { heard["at"].clone() } else { at };
        ada.expect_alive().await;
        for _ in 0..frames {
            bob.next().await;
        }
    }
    assert_eq!(ada.join("chat:1", at.as_str(), "whole").await, at);
    ada.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn says_before_a_leave_are_answered_after_it() {
    let (broker, gate) = Slow::new();
    let hub = hub(broker).await;
    let mut ada = Page::open(&hub, "Ada", &Arc::default()).await;
    ada.join("chat:1", None, "fresh").await;
    ada.send(json!({"t": "say", "room": "chat:1", "id": "p-1", "d": 1})).await;
    ada.send(json!({"t": "leave", "room": "chat:1"})).await;
    ada.expect(json!({"t": "out", "room": "chat:1"})).await;
    gate.add_permits(1);
    let answer = ada.next().await;
    assert_eq!((&answer["t"], &answer["id"]), (&json!("ok"), &json!("p-1")));
}

#[tokio::test(start_paused = true)]
async fn what_a_page_says_before_it_goes_is_said() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    let mut bob = Page::open(&hub, "Bob", &doorman).await;
    ada.join("chat:1", None, "fresh").await;
    bob.join("chat:1", None, "fresh").await;
    doorman.thinks(Duration::from_secs(1));
    ada.send(json!({"t": "say", "room": "chat:1", "id": "p-1", "d": "bye"})).await;
    ada.peer.send(Frame::close(1001, "")).await;
    ada.peer.expect_close(1001).await;
    assert_eq!(bob.next().await["d"]["d"], "bye");
}

#[tokio::test(start_paused = true)]
async fn says_are_kept_in_the_order_in_which_they_were_said_whatever_the_policy_takes() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    ada.join("chat:1", None, "fresh").await;
    for n in 0..10_u64 {
        doorman.thinks(Duration::from_millis(10 - n));
        ada.send(json!({"t": "say", "room": "chat:1", "id": format!("p-{n}"), "d": n})).await;
        yield_now().await;
    }
    let mut heard = Vec::new();
    while heard.len() < 10 {
        let frame = ada.next().await;
        if frame["t"] == "m" {
            heard.push(frame["d"]["d"].as_u64().unwrap());
        }
    }
    assert_eq!(heard, (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_page_that_reads_no_answers_is_not_read_from() {
    const ALL: usize = 10_000;
    let hub = hub(Local::new()).await;
    let (its_hub, doorman) = (hub.clone(), Arc::<Doorman>::default());
    let mut page = Page::connect_over(16 << 10, &Shutdown::new(), |socket| {
        Options::new().serve(socket, its_hub, User::named("Ada"), doorman)
    });
    let mut sent = 0;
    while timeout(Duration::from_secs(1), page.peer.send(Frame::text("no JSON"))).await.is_ok() {
        sent += 1;
        assert!(sent < ALL, "all is read, and its answers wait in memory");
    }
    let refused = hub.stats().protocol_errors;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(hub.stats().protocol_errors, refused);
    for _ in 0..sent {
        page.expect_error("err", "not_json").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_is_told_when_the_server_makes_it_leave_a_room() {
    let hub = hub(Local::new()).await;
    let mut ada = Page::open(&hub, "Ada", &Arc::default()).await;
    ada.join("lobby", None, "fresh").await;
    let id = hub.members_of("lobby")[0].id();
    assert_eq!(hub.member(id).leave("lobby"), 1);
    ada.expect(json!({"t": "out", "room": "lobby"})).await;
    ada.send(json!({"t": "say", "room": "lobby", "id": "p-1", "d": 1})).await;
    ada.expect_error("no", "not_joined").await;
}

#[tokio::test(start_paused = true)]
async fn a_page_may_speak_in_a_room_that_the_server_made_it_join() {
    let hub = hub(Local::new()).await;
    let mut ada = Page::open(&hub, "Ada", &Arc::default()).await;
    ada.expect_alive().await;
    let id = hub.members()[0].id();
    assert_eq!(hub.member(id).join("lobby").unwrap(), 1);
    assert_eq!(ada.next().await["t"], "in");
    ada.send(json!({"t": "say", "room": "lobby", "id": "p-1", "d": 1, "others": true})).await;
    ada.expect(json!({"t": "ok", "id": "p-1"})).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_join_ends_an_earlier_stay() {
    let hub = hub(Local::new()).await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    ada.join("lobby", None, "fresh").await;
    doorman.says(Action::Join, "lobby", Verdict::Deny);
    ada.send(json!({"t": "join", "rooms": {"lobby": null}})).await;
    ada.expect_error("out", "denied").await;
    assert_eq!(hub.room("lobby").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_drops_the_protocol_closes_the_connection_and_leaves() {
    let hub = hub(Local::new()).await;
    let (its_hub, doorman) = (hub.clone(), Arc::<Doorman>::default());
    let mut ada = Page::connect(&Shutdown::new(), |socket| async move {
        let serving = Options::new().serve(socket, its_hub, User::named("Ada"), doorman);
        assert!(timeout(Duration::from_secs(5), serving).await.is_err());
    });
    ada.join("chat:1", None, "fresh").await;
    ada.peer.expect_close(1000).await;
    assert!(hub.is_empty());
}

/// A hub whose rooms have presence.
async fn hub_with_presence() -> Hub<User> {
    let person = |user: &User| Person::new(&*user.name, format!(r#"{{"name":"{}"}}"#, user.name));
    let rooms = Rooms::new().presence(person).linger(Duration::from_secs(2));
    Hub::builder().rooms("", rooms).protocol().build().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_is_there_comes_first_as_a_list_and_then_as_changes() {
    let hub = hub_with_presence().await;
    let doorman = Arc::<Doorman>::default();
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    ada.join("lobby", None, "fresh").await;
    ada.send(json!({"t": "who", "room": "lobby"})).await;
    let person = |name: &str| json!({"key": name, "info": {"name": name}});
    ada.expect(json!({"t": "who", "room": "lobby", "all": [person("Ada")]})).await;

    let mut bob = Page::open(&hub, "Bob", &doorman).await;
    bob.join("lobby", None, "fresh").await;
    ada.expect(json!({"t": "who", "room": "lobby", "joined": person("Bob")})).await;
    bob.send(json!({"t": "leave", "room": "lobby"})).await;
    ada.expect(json!({"t": "who", "room": "lobby", "left": "Bob"})).await;

    ada.send(json!({"t": "who", "room": "lobby", "off": true})).await;
    ada.expect_alive().await;
    assert_eq!(hub.stats().observers, 0);
    let mut eve = Page::open(&hub, "Eve", &doorman).await;
    eve.join("lobby", None, "fresh").await;
    ada.expect_alive().await;
}

#[tokio::test(start_paused = true)]
async fn an_info_that_is_no_json_is_a_text() {
    let rooms = Rooms::new().presence(|user: &User| Person::new(&*user.name, "at {home"));
    let hub = Hub::builder().rooms("", rooms).protocol().build().await.unwrap();
    let mut ada = Page::open(&hub, "Ada", &Arc::default()).await;
    ada.join("lobby", None, "fresh").await;
    ada.send(json!({"t": "who", "room": "lobby"})).await;
    ada.expect(json!({"t": "who", "room": "lobby", "all": [{"key": "Ada", "info": "at {home"}]})).await;
}

#[tokio::test(start_paused = true)]
async fn leaving_a_room_ends_who_is_there() {
    let hub = hub_with_presence().await;
    let mut ada = Page::open(&hub, "Ada", &Arc::default()).await;
    ada.join("lobby", None, "fresh").await;
    ada.send(json!({"t": "who", "room": "lobby"})).await;
    assert_eq!(ada.next().await["t"], "who");
    ada.send(json!({"t": "leave", "room": "lobby"})).await;
    ada.expect(json!({"t": "out", "room": "lobby"})).await;
    sleep(Duration::from_secs(5)).await;
    ada.expect_alive().await;
    assert_eq!(hub.stats().observers, 0);
}

#[tokio::test(start_paused = true)]
async fn above_a_thousand_people_there_is_only_their_number() {
    let hub = hub_with_presence().await;
    let doorman = Arc::<Doorman>::default();
    let mut many = Vec::new();
    for n in 0..999 {
        let (client, member) = support::register(&hub, User::named(&n.to_string())).await;
        member.join("lobby").await.unwrap();
        many.push((client, member));
    }
    let mut ada = Page::open(&hub, "Ada", &doorman).await;
    ada.join("lobby", None, "fresh").await;
    ada.send(json!({"t": "who", "room": "lobby"})).await;
    assert_eq!(ada.next().await["all"].as_array().unwrap().len(), 1000);

    let mut eve = Page::open(&hub, "Eve", &doorman).await;
    eve.join("lobby", None, "fresh").await;
    ada.expect(json!({"t": "who", "room": "lobby", "count": 1001})).await;
    eve.send(json!({"t": "who", "room": "lobby"})).await;
    eve.expect(json!({"t": "who", "room": "lobby", "count": 1001})).await;

    many.truncate(890);
    loop {
        let frame = ada.next().await;
        if let Some(all) = frame["all"].as_array() {
            assert!(all.len() < 900 && all.len() >= 892, "{}", all.len());
            break;
        }
        assert!(frame["count"].as_u64().is_some(), "{frame}");
    }
}
