//! Rooms with a history while the broker is away for long, or loses messages again and again.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{
    future::{Future, IntoFuture},
    pin::pin,
    sync::{Arc, OnceLock, mpsc},
    task::{Context, Poll, Waker},
    time::Duration,
};

use sockeye_state::{Broker, CaughtUp, Delivery, Hub, Local, Overflow, Rooms, Topic};
use support::{
    broker::{Disturbed, Mode},
    connect_slow, join, register, texts_by_now, texts_until,
};
use tokio::time::{Instant, sleep, timeout};

const HOUR: Duration = Duration::from_secs(3600);

/// How long a history lives that expires in a test: less than until a client is missed that answers no Ping.
const AGE: Duration = Duration::from_secs(6);

fn text(delivery: &Delivery<'_>) -> Option<String> {
    match delivery {
        Delivery::Message { message: Some(message), .. } => {
            Some(String::from_utf8(message.payload().to_vec()).unwrap())
        }
        Delivery::Joined { .. } => Some("joined".to_owned()),
        Delivery::Gap { .. } => Some("gap".to_owned()),
        _ => None,
    }
}

/// A hub whose frames go through `seen` first.
async fn hub_of(broker: &Disturbed, seen: impl Fn(&str) + Send + Sync + 'static) -> Hub<&'static str> {
    hub_with(broker, HOUR, seen).await
}

/// The same, with histories that live this long.
async fn hub_with(broker: &Disturbed, age: Duration, seen: impl Fn(&str) + Send + Sync + 'static) -> Hub<&'static str> {
    let builder = Hub::builder().broker(broker.clone()).rooms("chat:", Rooms::new().history(100, age));
    let frame = move |delivery: &Delivery<'_>| {
        let text = text(delivery)?;
        seen(&text);
        Some(text.into())
    };
    builder.frame(frame).build().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_between_a_fork_and_its_end_is_behind_the_gap() {
    let local = Local::new();
    let broker = Disturbed::over(local.clone());
    let hub = hub_of(&broker, |_| {}).await;
    let elsewhere = hub_of(&Disturbed::over(local), |_| {}).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    room.append("1").await.unwrap();
    room.append("2").await.unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, ["joined", "1", "2"]);

    // The broker fails over, and has another message in the place of the second one.
    let topic = Topic::room("sockeye", "chat:1");
    let page = broker.read(topic.clone(), None, 10).await.unwrap();
    let mut other = page.entries[1].clone();
    other.envelope = page.entries[0].envelope.clone();
    broker.set(Mode::Away);
    broker.hand_over(topic, other);
    sleep(Duration::from_secs(1)).await;
    let meanwhile = texts_by_now(&mut ada, &me).await;
    elsewhere.room("chat:1").append("3").await.unwrap();
    broker.set(Mode::Well);
    sleep(Duration::from_secs(3)).await;
    let later = texts_by_now(&mut ada, &me).await;
    // Whoever loads everything at the gap must have "3" then, or get it.
    assert!(later.iter().any(|text| text == "gap" || text == "3"), "{meanwhile:?}, and then {later:?}");
    assert_eq!(hub.stats().gaps, 1);
    room.append("4").await.unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, ["4"]);
}

#[tokio::test(start_paused = true)]
async fn a_fork_is_a_gap_also_for_a_member_that_is_catching_up() {
    let broker = Disturbed::new();
    let hub = hub_of(&broker, |_| {}).await;
    let since = hub.room("chat:1").append("0").await.unwrap();
    for number in 1..80 {
        hub.room("chat:1").append(format!("{number:0>200}")).await.unwrap();
    }
    let (mut client, sender) = connect_slow(1024, Overflow::default()).await;
    let slow = Arc::new(hub.register(sender, "slow"));
    let joining = slow.clone();
    let joining = tokio::spawn(async move { joining.join("chat:1").since(since).await.unwrap().caught_up() });
    sleep(Duration::from_secs(1)).await;

    // The broker fails over, and has another message in the place of the last one.
    let topic = Topic::room("sockeye", "chat:1");
    let page = broker.read(topic.clone(), None, 2).await.unwrap();
    let mut other = page.entries[1].clone();
    other.envelope = page.entries[0].envelope.clone();
    broker.hand_over(topic, other);
    sleep(Duration::from_secs(1)).await;
    let texts = timeout(Duration::from_secs(60), texts_until(&mut client, "gap")).await.expect("a gap");
    assert!(texts.len() <= 80);
    assert_eq!(joining.await.unwrap(), CaughtUp::Gap);
}

#[tokio::test(start_paused = true)]
async fn a_busy_room_heals_as_often_as_the_broker_loses_messages() {
    let broker = Disturbed::new();
    let hub: Arc<OnceLock<Hub<&'static str>>> = Arc::default();
    let (inside, lossy) = (hub.clone(), broker.clone());
    let built = hub_of(&broker, move |text| {
        // With each even number, the next one is lost on its way, and the one after that arrives.
        let (Some(hub), Ok(number)) = (inside.get(), text.parse::<u32>()) else { return };
        if number % 2 == 0 && number < 40 {
            lossy.drop_appended(true);
            hub.room("chat:1").send((number + 1).to_string());
            lossy.drop_appended(false);
            hub.room("chat:1").send((number + 2).to_string());
        }
    })
    .await;
    let (mut ada, me, room) = join(&built, "chat:1", "Ada").await;
    assert!(hub.set(built.clone()).is_ok());
    room.send("0");
    sleep(Duration::from_secs(10)).await;
    let numbers: Vec<_> = (0..=40).map(|number| number.to_string()).collect();
    assert_eq!(texts_by_now(&mut ada, &me).await[1..], numbers);
    assert_eq!(built.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn no_message_waits_for_longer_than_a_minute_whatever_is_before_it() {
    let broker = Disturbed::new();
    let hub = hub_of(&broker, |_| {}).await;
    broker.set(Mode::Silent);
    let begin = Instant::now();
    let appends: Vec<_> = (0..100).map(|count| tokio::spawn(hub.room("chat:1").append(count.to_string()))).collect();
    let mut errors = Vec::new();
    for append in appends {
        errors.push(append.await.unwrap().unwrap_err());
    }
    assert!(begin.elapsed() < Duration::from_secs(70), "{:?}", begin.elapsed());
    // The broker never got the last one.
    assert!(errors[0].is_uncertain() && !errors[99].is_uncertain(), "{:?}", errors[99]);
    assert_eq!(hub.stats().append_failed, 100);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_cannot_be_read_is_an_error_after_5_s_for_any_number_of_readers() {
    let broker = Disturbed::new();
    let hub = hub_of(&broker, |_| {}).await;
    broker.set(Mode::Silent);
    let begin = Instant::now();
    let reads = (0..200).map(|count| {
        let room = hub.room(format!("chat:{count}"));
        tokio::spawn(async move { room.history(10).await })
    });
    for read in reads.collect::<Vec<_>>() {
        assert!(read.await.unwrap().is_err());
    }
    assert_eq!(begin.elapsed().as_secs(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nothing_that_is_sent_after_leave_has_returned_reaches_a_member_that_was_catching_up() {
    let hub: Arc<OnceLock<Hub<&'static str>>> = Arc::default();
    let (arrived, arrives) = mpsc::sync_channel(10);
    let arrives = std::sync::Mutex::new(arrives);
    let inside = hub.clone();
    let built = hub_of(&Disturbed::new(), move |text| match text {
        // The join is about to send. Another handler makes the member leave, and then two messages come.
        "joined" => {
            let Some(hub) = inside.get() else { return };
            let Some(slow) = hub.members().into_iter().find(|member| *member.value() == "slow") else { return };
            assert_eq!(hub.member(slow.id()).leave("chat:1"), 1);
            hub.room("chat:1").send("after");
            hub.room("chat:1").send("and after");
            while arrives.lock().unwrap().recv().unwrap() != "and after" {}
        }
        text => arrived.send(text.to_owned()).unwrap(),
    })
    .await;
    let (_ada, _me, _room) = join(&built, "chat:1", "Ada").await;
    assert!(hub.set(built.clone()).is_ok());
    let (mut client, slow) = register(&built, "slow").await;
    slow.join("chat:1").await.unwrap_err();
    assert_eq!(texts_by_now(&mut client, &slow).await, [""; 0]);
}

#[test]
fn a_send_without_the_runtime_of_the_hub_fails_without_a_panic() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let broker = Disturbed::new();
    let hub = first.block_on(hub_of(&broker, |_| {}));
    broker.set(Mode::Silent);
    first.block_on(async { hub.room("chat:2").send("this was on its way") });
    drop(first);
    runtime().block_on(async {
        hub.room("chat:1").send("nobody gets this");
        assert!(hub.room("chat:1").append("nor this").await.is_err());
        assert!(hub.room("chat:1").history(1).await.is_err());
        let (_client, me) = register(&hub, "Ada").await;
        assert!(me.join("chat:1").await.is_err());
    });
    assert_eq!(hub.stats().append_failed, 3);
}

#[test]
fn outside_of_a_runtime_members_join_and_read_histories_too() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (hub, mut client, me) = runtime.block_on(async {
        let hub = hub_of(&Disturbed::new(), |_| {}).await;
        let (client, me) = register(&hub, "Ada").await;
        (hub, client, me)
    });
    let since = poll_until_ready(hub.room("chat:1").append("1")).unwrap();
    poll_until_ready(hub.room("chat:1").append("2")).unwrap();
    let room = poll_until_ready(me.join("chat:1").since(since).into_future()).unwrap();
    assert_eq!(room.caught_up(), CaughtUp::Whole(1));
    assert_eq!(poll_until_ready(room.history(10)).unwrap().len(), 2);
    assert_eq!(runtime.block_on(texts_by_now(&mut client, &me)), ["joined", "2"]);
}

/// Another executor than Tokio.
fn poll_until_ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_panics_is_asked_again_and_not_too_often() {
    let broker = Disturbed::new();
    let hub = hub_of(&broker, |_| {}).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    broker.set(Mode::Broken);
    broker.lose();
    sleep(Duration::from_secs(10)).await;
    assert!((10..200).contains(&broker.reads()), "{}", broker.reads());
    broker.set(Mode::Well);
    // Nothing but the comparison of quiet rooms finds this message.
    sleep(Duration::from_secs(1)).await;
    broker.drop_appended(true);
    room.append("1").await.unwrap();
    sleep(Duration::from_secs(13)).await;
    assert_eq!(texts_by_now(&mut ada, &me).await, ["joined", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_room_that_was_quiet_for_longer_than_its_history_lives_has_no_gap() {
    let local = Local::new();
    let hub = hub_with(&Disturbed::over(local.clone()), AGE, |_| {}).await;
    let elsewhere = hub_with(&Disturbed::over(local), AGE, |_| {}).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    let before = room.append("before").await.unwrap();
    sleep(AGE + Duration::from_secs(1)).await;
    let after = elsewhere.room("chat:1").append("after").await.unwrap();
    assert_ne!(before.epoch, after.epoch);
    room.append("later").await.unwrap();
    assert_eq!(texts_by_now(&mut ada, &me).await, ["joined", "before", "after", "later"]);
    assert_eq!(hub.stats().gaps, 0);

    // Whoever was away does not know what there was in the meantime.
    let (mut bob, other) = register(&hub, "Bob").await;
    assert_eq!(other.join("chat:1").since(before).await.unwrap().caught_up(), CaughtUp::Gap);
    assert_eq!(texts_by_now(&mut bob, &other).await, ["joined"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_and_has_expired_since_is_a_gap() {
    let local = Local::new();
    let broker = Disturbed::over(local.clone());
    let hub = hub_with(&broker, AGE, |_| {}).await;
    let elsewhere = hub_with(&Disturbed::over(local), AGE, |_| {}).await;
    let (mut ada, me, room) = join(&hub, "chat:1", "Ada").await;
    room.append("before").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    broker.set(Mode::Away);
    broker.drop_appended(true);
    elsewhere.room("chat:1").append("lost").await.unwrap();
    broker.lose();
    sleep(AGE + Duration::from_secs(1)).await;
    broker.set(Mode::Well);
    broker.drop_appended(false);
    room.append("after").await.unwrap();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(texts_by_now(&mut ada, &me).await, ["joined", "before", "gap", "after"]);
}
