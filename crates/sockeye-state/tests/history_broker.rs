//! Rooms with a history whose broker is away, loses messages, or forgets.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::time::Duration;

use sockeye_state::{
    AppendError, AppendOptions, Broker, CaughtUp, Delivery, Event, Hub, JoinError, Keep, Local, Rooms, Stamp, Topic,
};
use support::{
    broker::{Disturbed, Mode},
    join, register, texts_by_now,
};
use tokio::time::{Instant, sleep, timeout};

const HOUR: Duration = Duration::from_secs(3600);

async fn hub_of(broker: &Disturbed, messages: usize) -> Hub<&'static str> {
    let rooms = Rooms::new().history(messages, HOUR);
    let builder = Hub::builder().broker(broker.clone()).rooms("chat:", rooms);
    let gaps = |delivery: &Delivery<'_>| match delivery {
        Delivery::Message { message, .. } => message.cloned(),
        Delivery::Gap { .. } => Some("gap".into()),
        _ => None,
    };
    builder.frame(gaps).build().await.unwrap()
}

async fn disturbed(messages: usize) -> (Disturbed, Hub<&'static str>) {
    let broker = Disturbed::new();
    let hub = hub_of(&broker, messages).await;
    (broker, hub)
}

#[tokio::test(start_paused = true)]
async fn with_the_broker_away_rooms_without_a_history_go_on() {
    let (broker, hub) = disturbed(10).await;
    broker.set(Mode::Silent);
    let (mut ada, me, lobby) = join(&hub, "lobby", "Ada").await;
    assert_eq!(lobby.send("hello"), 1);
    assert_eq!(texts_by_now(&mut ada, &me).await, ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn appends_wait_for_the_broker_and_keep_their_order() {
    let (broker, hub) = disturbed(100).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    broker.set(Mode::Away);
    for count in 0..20 {
        assert_eq!(room.send(count.to_string()), 1);
    }
    let last = tokio::spawn(room.append("last"));
    sleep(Duration::from_secs(15)).await;
    assert_eq!(texts_by_now(&mut ada, &me).await, [""; 0]);
    broker.set(Mode::Well);
    let position = timeout(Duration::from_secs(2), last).await.unwrap().unwrap().unwrap();
    assert_eq!(position.offset, 21);
    let expected: Vec<_> = (0..20).map(|count| count.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(texts_by_now(&mut ada, &me).await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_append_that_waits_for_too_long_fails_with_an_error_that_says_so() {
    for mode in [Mode::Away, Mode::Silent, Mode::Cut] {
        let (broker, hub) = disturbed(10).await;
        let mut events = hub.events();
        let (_ada, _me, room) = join(&hub, "chat:1", "Ada").await;
        broker.set(mode);
        let begin = Instant::now();
        let append = tokio::spawn(room.append("hello"));
        tokio::task::yield_now().await;
        room.send("nobody waits for this");
        let error = append.await.unwrap().unwrap_err();
        assert_eq!(error.is_uncertain(), mode != Mode::Away, "{error}");
        assert!((50..70).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
        loop {
            match events.next().await.unwrap() {
                Event::AppendFailed { room } => break assert_eq!(&*room, "chat:1"),
                Event::BrokerLost => assert_ne!(mode, Mode::Cut),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(hub.stats().append_failed, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_of_appends_refuses_more() {
    let (broker, hub) = disturbed(10).await;
    let mut events = hub.events();
    let (_ada, _me, room) = join(&hub, "chat:1", "Ada").await;
    broker.set(Mode::Silent);
    for _ in 0..1024 {
        assert_eq!(room.send("x"), 1);
    }
    assert_eq!(room.send("one too many"), 0);
    assert!(matches!(room.append("another").await, Err(AppendError::QueueFull { messages: 1024, .. })));
    assert_eq!(events.next().await, Some(Event::AppendFailed { room: "chat:1".into() }));
    assert_eq!(hub.stats().append_failed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_appends_has_a_limit_in_bytes() {
    let (broker, hub) = disturbed(10).await;
    let (_ada, _me, room) = join(&hub, "chat:1", "Ada").await;
    broker.set(Mode::Silent);
    assert_eq!(room.send("x".repeat(5 << 20)), 1);
    assert!(matches!(room.append("another").await, Err(AppendError::QueueFull { messages: 1, .. })));
}

#[tokio::test(start_paused = true)]
async fn an_append_whose_answer_is_cut_off_is_there_once() {
    let (broker, hub) = disturbed(10).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    broker.set(Mode::Cut);
    let first = tokio::spawn(room.append("first"));
    sleep(Duration::from_secs(1)).await;
    broker.set(Mode::Well);
    assert_eq!(room.append("second").await.unwrap().offset, 2);
    assert_eq!(first.await.unwrap().unwrap().offset, 1);
    assert_eq!(texts_by_now(&mut ada, &me).await, ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_id_from_another_member_is_another_message() {
    let (_broker, hub) = disturbed(10).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    let stamp = |author: u8| AppendOptions::new().stamp(Stamp::new([author; 16]));
    let first = room.append_with("by Ada", stamp(1)).await.unwrap();
    let second = room.append_with("by Bob", stamp(2)).await.unwrap();
    assert_ne!(first, second);
    // And the same id in another room.
    assert_eq!(hub.room("chat:2").append_with("by Ada", stamp(1)).await.unwrap().offset, 1);
    assert_eq!(texts_by_now(&mut ada, &me).await, ["by Ada", "by Bob"]);
}

#[tokio::test(start_paused = true)]
async fn with_the_broker_away_a_join_is_answered_from_memory() {
    let (broker, hub) = disturbed(10).await;
    let (_ada, _me, room) = join(&hub, "chat:1", "Ada").await;
    let since = room.append("1").await.unwrap();
    room.append("2").await.unwrap();
    tokio::task::yield_now().await;
    broker.set(Mode::Away);
    let (mut bob, other) = register(&hub, "Bob").await;
    let room = other.join("chat:1").since(since).await.unwrap();
    assert_eq!(room.caught_up(), CaughtUp::Whole(1));
    assert_eq!(texts_by_now(&mut bob, &other).await, ["2"]);
    assert_eq!(other.join("chat:1").await.unwrap().caught_up(), CaughtUp::Fresh);
}

#[tokio::test(start_paused = true)]
async fn a_join_that_needs_a_broker_that_is_away_is_an_error_after_5_s() {
    for mode in [Mode::Away, Mode::Silent] {
        let (broker, hub) = disturbed(10).await;
        broker.set(mode);
        let (_bob, me) = register(&hub, "Bob").await;
        let begin = Instant::now();
        let error = me.join("chat:1").await.unwrap_err();
        assert!(matches!(error, JoinError::Unavailable(_)), "{error}");
        assert_eq!(begin.elapsed().as_secs(), 5);
        assert!(me.rooms().is_empty());

        broker.set(Mode::Well);
        sleep(Duration::from_secs(6)).await;
        me.join("chat:1").await.unwrap();
        assert_eq!(hub.room("chat:1").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_predecessor_is_read_and_delivered_in_order() {
    let (broker, hub) = disturbed(100).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    room.append("1").await.unwrap();
    broker.drop_appended(true);
    for text in ["2", "3"] {
        room.append(text).await.unwrap();
    }
    assert_eq!(texts_by_now(&mut ada, &me).await, ["1"]);
    broker.drop_appended(false);
    room.append("4").await.unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, ["2", "3", "4"]);
    assert_eq!(hub.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_predecessor_that_a_replica_does_not_have_yet_is_waited_for() {
    let (broker, hub) = disturbed(100).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    broker.drop_appended(true);
    room.append("1").await.unwrap();
    broker.drop_appended(false);
    broker.lag(2);
    room.append("2").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(texts_by_now(&mut ada, &me).await, ["1", "2"]);
    assert_eq!(hub.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_read() {
    let (broker, hub) = disturbed(1000).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    broker.drop_appended(true);
    // More than one page.
    for count in 0..600 {
        room.append(count.to_string()).await.unwrap();
    }
    broker.drop_appended(false);
    broker.lose();
    let expected: Vec<_> = (0..600).map(|count| count.to_string()).collect();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(texts_by_now(&mut ada, &me).await, expected);
    assert_eq!(hub.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_room_is_compared_with_the_broker_every_10_s() {
    let (broker, hub) = disturbed(10).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    broker.drop_appended(true);
    room.append("the last for a long time").await.unwrap();
    broker.drop_appended(false);
    sleep(Duration::from_secs(11)).await;
    assert_eq!(texts_by_now(&mut ada, &me).await, ["the last for a long time"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_a_gap_and_never_silence() {
    let (broker, hub) = disturbed(2).await;
    let mut events = hub.events();
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    room.append("1").await.unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, ["1"]);
    broker.drop_appended(true);
    for text in ["2", "3", "4", "5"] {
        room.append(text).await.unwrap();
    }
    broker.drop_appended(false);
    room.append("6").await.unwrap();
    // "5" is the oldest that is kept.
    assert_eq!(texts_by_now(&mut ada, &me).await, ["gap", "5", "6"]);
    assert_eq!(events.next().await, Some(Event::Gap { room: "chat:1".into() }));
    assert_eq!(hub.stats().gaps, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_inbox_heals_by_reading() {
    let (_broker, hub) = disturbed(10_000).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    // All in one go, so that no task takes them out of the inbox.
    for count in 0..3000 {
        assert_eq!(room.send(count.to_string()), 1);
    }
    sleep(Duration::from_millis(100)).await;
    let expected: Vec<_> = (0..3000).map(|count| count.to_string()).collect();
    assert_eq!(texts_by_now(&mut ada, &me).await, expected);
    assert_eq!((hub.stats().gaps, hub.stats().append_failed), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_epoch_is_a_gap_for_all() {
    let gaps = |delivery: &Delivery<'_>| match delivery {
        Delivery::Gap { .. } => Some("gap".into()),
        Delivery::Message { message, .. } => message.cloned(),
        _ => None,
    };
    let local = Local::new();
    let hub = Hub::builder().broker(local.clone()).rooms("chat:", Rooms::new().history(10, HOUR));
    let hub = hub.frame(gaps).build().await.unwrap();
    // The broker forgets what this one appends long before the other hub thinks so.
    let brief = Rooms::new().history(10, Duration::from_secs(5));
    let elsewhere = Hub::<&str>::builder().broker(local).rooms("chat:", brief);
    let elsewhere = elsewhere.build().await.unwrap();
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    let old = elsewhere.room("chat:1").append("1").await.unwrap();
    sleep(Duration::from_secs(6)).await;
    let new = room.append("2").await.unwrap();
    assert_ne!(old.epoch, new.epoch);
    assert_eq!(texts_by_now(&mut ada, &me).await, ["1", "gap", "2"]);
    let again = me.join("chat:1").since(old).await.unwrap();
    assert_eq!((again.caught_up(), again.position()), (CaughtUp::Gap, Some(new)));
}

#[tokio::test(start_paused = true)]
async fn a_position_that_another_node_knows_first_is_asked_for() {
    let local = Local::new();
    let behind = Disturbed::over(local.clone());
    let hub = hub_of(&behind, 10).await;
    let (_ada, _me, _) = join(&hub, "chat:1", "Ada").await;
    let ahead = hub_of(&Disturbed::over(local.clone()), 10).await;
    behind.drop_appended(true);
    let position = ahead.room("chat:1").append("1").await.unwrap();
    ahead.room("chat:1").append("2").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let (mut bob, other) = register(&hub, "Bob").await;
    let room = other.join("chat:1").since(position).await.unwrap();
    assert_eq!(room.caught_up(), CaughtUp::Whole(1));
    assert_eq!(texts_by_now(&mut bob, &other).await, ["2"]);

    let third = ahead.room("chat:1").append("3").await.unwrap();
    let again = other.join("chat:1").since(third).await.unwrap();
    assert_eq!((again.caught_up(), again.position()), (CaughtUp::Whole(0), Some(third)));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_envelope_is_skipped_and_the_position_moves_on() {
    let local = Local::new();
    let broker = Disturbed::over(local.clone());
    let hub = hub_of(&broker, 10).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    room.append("1").await.unwrap();
    let topic = Topic::room("sockeye", "chat:1");
    let keep = Keep::new(10, HOUR);
    let foreign = sockeye_state::Append::new(topic, "no envelope".into(), Stamp::new([9; 16]), keep);
    broker.append(foreign).await.unwrap();
    room.append("3").await.unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, ["1", "3"]);
    assert_eq!(hub.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_message_is_delivered_once_and_a_forked_one_is_a_gap() {
    let local = Local::new();
    let broker = Disturbed::over(local.clone());
    let hub = hub_of(&broker, 10).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    room.append("1").await.unwrap();
    room.append("2").await.unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, ["1", "2"]);
    let topic = Topic::room("sockeye", "chat:1");
    let page = broker.read(topic.clone(), None, 10).await.unwrap();
    let [first, second] = &page.entries[..] else { panic!("{page:?}") };
    broker.hand_over(topic.clone(), first.clone());
    broker.hand_over(topic.clone(), second.clone());
    assert_eq!(texts_by_now(&mut ada, &me).await, [""; 0]);

    // Another message at a place that the members know: the broker has lost the end of the history.
    let mut other = second.clone();
    other.envelope = first.envelope.clone();
    broker.hand_over(topic, other);
    assert_eq!(texts_by_now(&mut ada, &me).await, ["gap"]);
    room.append("3").await.unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, ["3"]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_lost_and_comes_back_is_reported() {
    let (broker, hub) = disturbed(10).await;
    let mut events = hub.events();
    broker.set(Mode::Away);
    assert_eq!(events.next().await, Some(Event::BrokerLost));
    broker.set(Mode::Well);
    assert_eq!(events.next().await, Some(Event::BrokerBack));
}

#[tokio::test(start_paused = true)]
async fn a_node_is_subscribed_to_rooms_that_have_members_here_alone() {
    let (broker, hub) = disturbed(10).await;
    hub.room("chat:1").append("nobody is here").await.unwrap();
    assert_eq!(broker.subscribed(), 0);
    let (_ada, me, room) = join(&hub, "chat:1", "Ada").await;
    me.join("lobby").await.unwrap();
    assert_eq!(broker.subscribed(), 2);
    room.leave().await;
    // The room lingers for those who load their page again.
    sleep(Duration::from_secs(5)).await;
    me.join("chat:1").await.unwrap();
    sleep(Duration::from_secs(30)).await;
    assert_eq!((broker.subscribed(), broker.reads()), (2, 1));
    drop(me);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(broker.subscribed(), 0);
}

#[tokio::test(start_paused = true)]
async fn clients_that_come_back_at_once_cost_one_read() {
    let (broker, hub) = disturbed(200).await;
    let mut first = None;
    for count in 0..150 {
        let position = hub.room("chat:1").append(count.to_string()).await.unwrap();
        first.get_or_insert(position);
    }
    let mut joins = Vec::new();
    for _ in 0..200 {
        let (client, me) = register(&hub, "many").await;
        joins.push(tokio::spawn(async move {
            let room = me.join("chat:1").since(first).await.unwrap();
            assert_eq!(room.caught_up(), CaughtUp::Whole(149));
            (client, me)
        }));
    }
    for join in joins {
        let (mut client, me) = join.await.unwrap();
        assert_eq!(texts_by_now(&mut client, &me).await.len(), 149);
    }
    assert_eq!((broker.reads(), hub.stats().history_reads), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_dropped_stops_its_broker() {
    let broker = Disturbed::new();
    let hub = hub_of(&broker, 10).await;
    let (_ada, me, room) = join(&hub, "chat:1", "Ada").await;
    room.append("1").await.unwrap();
    let mut events = hub.events();
    drop((hub, me, room));
    while events.next().await.is_some() {}
    sleep(Duration::from_secs(2)).await;
    assert!(broker.read(Topic::room("sockeye", "chat:1"), None, 1).await.is_err());
}
