//! Rooms without a history on several nodes, while the broker is away, slow, or loses messages.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::time::Duration;

use sockeye_state::{Broker, Delivery, Event, Hub, Local, Topic};
use support::{
    broker::{Disturbed, Mode},
    join,
    nodes::node,
    register, texts_by_now,
};
use tokio::time::{Instant, sleep, timeout};

/// What a joining member may wait for a broker that does not answer.
const PATIENCE: Duration = Duration::from_millis(500);

#[tokio::test(start_paused = true)]
async fn with_the_broker_away_a_node_goes_on_and_members_hear_of_a_gap_when_the_broker_is_back() {
    let local = Local::new();
    let (broker, one) = node(&local).await;
    let (_, two) = node(&local).await;
    for mode in [Mode::Away, Mode::Silent, Mode::Broken] {
        broker.set(mode);
        let (mut ada, ada_member, room) = join(&one, "harbour", "Ada").await;
        let (_bob, _bob_member, _) = join(&one, "harbour", "Bob").await;
        assert_eq!(room.send("hello"), 2);
        two.room("harbour").send("nobody of the first node gets this");
        assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["hello"], "{mode:?}");

        broker.set(Mode::Well);
        sleep(Duration::from_secs(7)).await;
        assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["gap"], "{mode:?}");
        two.room("harbour").send("back");
        assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["back"], "{mode:?}");
        drop(ada_member);
        drop(_bob_member);
        sleep(Duration::from_secs(30)).await;
    }
    assert_eq!(one.stats().gaps, 3);
}

#[tokio::test(start_paused = true)]
async fn a_join_waits_for_a_silent_broker_for_half_a_second_and_the_next_one_does_not() {
    let local = Local::new();
    let (broker, hub) = node(&local).await;
    broker.set(Mode::Silent);
    let (_ada, me) = register(&hub, "Ada").await;
    let start = Instant::now();
    me.join("harbour").await.unwrap();
    assert!(start.elapsed() <= PATIENCE + Duration::from_millis(1), "{:?}", start.elapsed());
    for room in ["harbour", "lighthouse", "beach"] {
        let start = Instant::now();
        me.join(room).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_join_does_not_wait_for_a_broker_that_refuses() {
    let local = Local::new();
    let (broker, hub) = node(&local).await;
    broker.set(Mode::Away);
    let (_ada, me) = register(&hub, "Ada").await;
    let start = Instant::now();
    me.join("harbour").await.unwrap();
    me.join("lighthouse").await.unwrap();
    assert!(start.elapsed() <= Duration::from_millis(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn members_hear_of_a_gap_when_the_broker_has_lost_something() {
    let local = Local::new();
    let (broker, hub) = node(&local).await;
    let mut events = hub.events();
    let (mut ada, ada_member, _) = join(&hub, "harbour", "Ada").await;
    let (mut bob, bob_member, _) = join(&hub, "beach", "Bob").await;
    broker.lose_topics(vec![Topic::room("sockeye", "harbour"), Topic::room("sockeye", "nobody is here")]);
    assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["gap"]);
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, [""; 0]);
    assert_eq!(events.next().await, Some(Event::Gap { room: "harbour".into() }));

    broker.lose();
    assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["gap"]);
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, ["gap"]);
    assert_eq!(hub.stats().gaps, 3);
}

#[tokio::test(start_paused = true)]
async fn members_of_other_nodes_hear_of_a_gap_when_a_node_could_not_publish() {
    let local = Local::new();
    let (broker, one) = node(&local).await;
    let (_, two) = node(&local).await;
    let mut events = one.events();
    let (mut ada, ada_member, room) = join(&one, "harbour", "Ada").await;
    let (mut bob, bob_member, _) = join(&two, "harbour", "Bob").await;
    let (mut cyd, cyd_member, _) = join(&two, "beach", "Cyd").await;
    broker.set(Mode::Away);
    for text in ["1", "2", "3"] {
        room.send(text);
    }
    assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["1", "2", "3"]);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, [""; 0]);
    broker.set(Mode::Well);
    sleep(Duration::from_secs(2)).await;
    room.send("4");
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, ["gap", "4"]);
    assert_eq!(texts_by_now(&mut cyd, &cyd_member).await, [""; 0]);
    assert_eq!(texts_by_now(&mut ada, &ada_member).await, ["4"]);
    assert_eq!((one.stats().published, one.stats().publish_failed), (1, 3));
    let mut failed = 0;
    while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
        failed += usize::from(event == Event::PublishFailed { room: "harbour".into() });
    }
    assert_eq!(failed, 1);
}

#[tokio::test(start_paused = true)]
async fn messages_wait_for_a_slow_broker_up_to_a_bound_and_the_rest_is_a_gap() {
    let local = Local::new();
    let (broker, one) = node(&local).await;
    let (_, two) = node(&local).await;
    let (mut bob, bob_member, _) = join(&two, "harbour", "Bob").await;
    broker.set(Mode::Silent);
    let room = one.room("harbour");
    for count in 0..2000 {
        room.send(count.to_string());
    }
    assert_eq!(one.stats().publish_failed, 2000 - 1024);
    sleep(Duration::from_secs(1)).await;
    broker.set(Mode::Well);
    // Those that were under way get no answer. The others follow them, in order.
    sleep(Duration::from_secs(10)).await;
    let texts = texts_by_now(&mut bob, &bob_member).await;
    let numbers: Vec<u32> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    assert!(!numbers.is_empty() && numbers.is_sorted() && numbers.iter().all(|number| *number < 1024), "{texts:?}");
    assert!(texts.iter().any(|text| text == "gap"), "{texts:?}");
    assert_eq!(one.stats().published as usize, numbers.len());
    room.send("later");
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, ["later"]);
}

#[tokio::test(start_paused = true)]
async fn large_messages_wait_up_to_4_mib() {
    let local = Local::new();
    let (broker, hub) = node(&local).await;
    broker.set(Mode::Silent);
    for _ in 0..10 {
        hub.room("harbour").send("x".repeat(1 << 20));
    }
    // With their envelopes, four are more than 4 MiB.
    assert_eq!(hub.stats().publish_failed, 10 - 3);
}

#[tokio::test(start_paused = true)]
async fn many_rooms_that_were_not_published_to_are_one_gap_for_all_rooms() {
    let local = Local::new();
    let (broker, one) = node(&local).await;
    let (_, two) = node(&local).await;
    let (mut bob, bob_member, _) = join(&two, "room 7", "Bob").await;
    broker.set(Mode::Away);
    for count in 0..5000 {
        one.room(format!("room {count}")).send("lost");
        if count % 100 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    sleep(Duration::from_secs(1)).await;
    broker.set(Mode::Well);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(texts_by_now(&mut bob, &bob_member).await, ["gap"]);
    assert_eq!((one.stats().publish_failed, two.stats().gaps), (5000, 1));
}

#[tokio::test(start_paused = true)]
async fn envelopes_that_are_broken_or_from_newer_nodes_are_skipped() {
    let local = Local::new();
    let (broker, hub) = node(&local).await;
    let (_, other) = node(&local).await;
    let (mut ada, me, _) = join(&hub, "harbour", "Ada").await;
    let topic = Topic::room("sockeye", "harbour");
    for envelope in
        [&b""[..], b"hello", b"\xf5\x53\x01\x7f\0\0\0\0\0\0\0\0\x07", b"\xf5\x53\x02\x01", b"\xf5\x53\x01\x01\0\0"]
    {
        broker.hand_over_message(topic.clone(), envelope.to_vec());
    }
    broker.hand_over_message(Topic::hub("sockeye", "from a newer version"), &b"hello"[..]);
    assert_eq!(texts_by_now(&mut ada, &me).await, [""; 0]);
    other.room("harbour").send("hello");
    assert_eq!((texts_by_now(&mut ada, &me).await, hub.stats().arrived), (vec!["hello".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_closure_that_panics_for_a_message_from_elsewhere_is_a_gap() {
    let local = Local::new();
    let frame = |delivery: &Delivery<'_>| match delivery {
        Delivery::Message { message: Some(message), .. } if message.payload() == b"cursed" => panic!("a test"),
        Delivery::Message { message, .. } => message.cloned(),
        Delivery::Gap { .. } => Some("gap".into()),
        _ => None,
    };
    let one = Hub::builder().broker(local.clone()).frame(frame).build().await.unwrap();
    let two = Hub::<&str>::builder().broker(local).build().await.unwrap();
    let (mut ada, me, _) = join(&one, "harbour", "Ada").await;
    for text in ["1", "cursed", "2"] {
        two.room("harbour").send(text);
    }
    assert_eq!(texts_by_now(&mut ada, &me).await, ["1", "gap", "2"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_the_hub_ends_reaches_the_other_nodes() {
    let local = Local::new();
    let (_, two) = node(&local).await;
    let (mut ada, me, _) = join(&two, "harbour", "Ada").await;
    let one = Hub::<&str>::builder().broker(local).build().await.unwrap();
    for count in 0..200 {
        one.room("harbour").send(count.to_string());
    }
    drop(one);
    let expected: Vec<_> = (0..200).map(|count| count.to_string()).collect();
    assert_eq!(texts_by_now(&mut ada, &me).await, expected);
}

#[tokio::test(start_paused = true)]
async fn joins_and_leaves_while_the_broker_comes_and_goes_end_in_the_right_subscriptions() {
    let local = Local::new();
    let (broker, one) = node(&local).await;
    let (_, two) = node(&local).await;
    let mut random = fastrand::Rng::with_seed(7);
    let rooms: Vec<_> = (0..20).map(|count| format!("room {count}")).collect();
    let (mut ada, me) = register(&one, "Ada").await;
    for _ in 0..500 {
        let room = &rooms[random.usize(..rooms.len())];
        match random.u8(..4) {
            0 => broker.set([Mode::Well, Mode::Away, Mode::Cut, Mode::Silent][random.usize(..4)]),
            1 => _ = me.leave(room).await,
            2 => {
                sleep(Duration::from_millis(random.u64(..15_000))).await;
                texts_by_now(&mut ada, &me).await;
            }
            _ => _ = me.join(room.as_str()).await.unwrap(),
        }
    }
    broker.set(Mode::Well);
    for _ in 0..5 {
        sleep(Duration::from_secs(10)).await;
        texts_by_now(&mut ada, &me).await;
    }
    let joined: Vec<_> = me.rooms().iter().map(|room| room.name().to_owned()).collect();
    let before = one.stats();
    for room in &rooms {
        two.room(room).send(room.as_str());
    }
    let mut expected: Vec<_> = rooms.iter().filter(|room| joined.contains(room)).cloned().collect();
    let mut texts = texts_by_now(&mut ada, &me).await;
    expected.sort();
    texts.sort();
    assert_eq!(texts, expected);
    let after = one.stats();
    assert_eq!((after.arrived - before.arrived, after.gaps), (joined.len() as u64, before.gaps));
}

#[test]
fn a_hub_whose_runtime_has_ended_sends_to_its_own_members_and_nobody_waits() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let broker = Local::new();
    let hub = runtime.block_on(Hub::<&str>::builder().broker(broker).build()).unwrap();
    drop(runtime);
    for _ in 0..2000 {
        assert_eq!(hub.room("harbour").send("hello"), 0);
    }
    assert_eq!(hub.stats().publish_failed, 2000);
}

#[tokio::test(start_paused = true)]
async fn a_hub_can_be_built_while_the_broker_does_not_subscribe() {
    let local = Local::new();
    let broker = Disturbed::over(local.clone());
    broker.set(Mode::Silent);
    let start = Instant::now();
    let one = Hub::<&str>::builder().broker(broker.clone()).build().await.unwrap();
    assert!(start.elapsed() <= Duration::from_secs(1) && broker.health() != sockeye_state::Health::Well);
    let two = Hub::<&str>::builder().broker(local).build().await.unwrap();
    broker.set(Mode::Well);
    sleep(Duration::from_secs(10)).await;
    let (mut ada, me) = register(&one, "Ada").await;
    two.member(me.id()).send("hello");
    assert_eq!(texts_by_now(&mut ada, &me).await, ["hello"]);
}
