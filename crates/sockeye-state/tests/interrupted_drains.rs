//! Code of others that runs while a room is being served: it panics, uses the room, or takes its runtime away.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use sockeye_state::{Hub, Joined, Member, Overflow, Room};
use support::{Client, connect_slow, hooked, join, register, texts_until};
use tokio::task::yield_now;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

type Members<T> = Vec<(Client, Member<T>, Joined<T>)>;

async fn add(hub: &Hub<()>, members: &mut Members<()>, count: usize) {
    for _ in 0..count {
        members.push(join(hub, "harbour", ()).await);
    }
}

async fn expect<T>(members: &mut Members<T>, texts: &[&str]) {
    for (client, ..) in members {
        for text in texts {
            client.expect_text(text).await;
        }
    }
}

/// Calls `hook` at its first call only.
fn once(hook: impl Fn() + Send + Sync + 'static) -> impl Fn() + Send + Sync + 'static {
    let was_called = AtomicBool::new(false);
    move || {
        if !was_called.swap(true, Ordering::Relaxed) {
            hook();
        }
    }
}

/// Lets the drain of a room end.
async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_message_takes_up_what_a_panic_has_stopped() {
    let hub = Hub::new();
    let mut members = Vec::new();
    add(&hub, &mut members, 70).await;
    let mut broken = hooked(&hub, (), once(|| panic!("this waker panics")));
    broken.member.join("harbour").await.unwrap();
    add(&hub, &mut members, 130).await;
    let room = hub.room("harbour");

    assert_eq!(room.send("1"), 201);
    settle().await;
    assert_eq!(hub.stats().queued, 64, "the panic was in the second chunk");
    assert_eq!(room.send("2"), 201);
    expect(&mut members, &["1", "2"]).await;
    room.send("end");
    tokio::spawn(broken.connection);
    assert_eq!(texts_until(&mut broken.client, "end").await, ["1", "2"]);
    expect(&mut members, &["end"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_outside_a_runtime_is_the_senders_and_does_not_stop_the_room() {
    let hub = Hub::new();
    let mut members = Vec::new();
    add(&hub, &mut members, 3).await;
    let broken = hooked(&hub, (), once(|| panic!("this waker panics")));
    broken.member.join("harbour").await.unwrap();
    add(&hub, &mut members, 3).await;
    let room = hub.room("harbour");

    let sender = room.clone();
    assert!(thread::spawn(move || sender.send("1")).join().is_err());
    // Whoever comes after the panic was not there when the message was sent.
    let mut late = Vec::new();
    add(&hub, &mut late, 1).await;
    assert_eq!(room.send("2"), 8);
    expect(&mut members, &["1", "2"]).await;
    expect(&mut late, &["2"]).await;
}

#[tokio::test(start_paused = true)]
async fn members_may_leave_and_join_between_a_panic_and_the_next_message() {
    let hub = Hub::new();
    let mut members = Vec::new();
    add(&hub, &mut members, 10).await;
    let broken = hooked(&hub, (), once(|| panic!("this waker panics")));
    broken.member.join("harbour").await.unwrap();
    add(&hub, &mut members, 100).await;
    let room = hub.room("harbour");
    room.send("1");
    settle().await;

    let mut late = Vec::new();
    add(&hub, &mut late, 5).await;
    // Of those who have the first message, and of those who do not.
    let gone: Vec<_> = members.drain(5..40).collect();
    for (_, member, _) in &gone {
        member.leave("harbour").await;
    }
    add(&hub, &mut late, 5).await;
    assert_eq!(room.send("2"), 86);
    expect(&mut members, &["1", "2"]).await;
    expect(&mut late, &["2"]).await;
    hub.broadcast("end");
    for (index, (mut client, ..)) in gone.into_iter().enumerate() {
        let had = if index < 5 { &["1"][..] } else { &[] };
        assert_eq!(texts_until(&mut client, "end").await, had);
    }
}

#[tokio::test(start_paused = true)]
async fn a_room_outlives_the_runtime_that_was_serving_it() {
    let hub = Hub::new();
    let mut members = Vec::new();
    add(&hub, &mut members, 200).await;
    let room = hub.room("harbour");
    let sender = room.clone();
    let other = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            sender.send("1");
            yield_now().await;
        });
    });
    other.join().unwrap();
    assert_eq!(hub.stats().queued, 64, "the runtime has gone in the middle");
    assert_eq!(room.send("2"), 200);
    expect(&mut members, &["1", "2"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_room_outlives_a_runtime_that_ends_before_it_serves_anybody() {
    let hub = Hub::new();
    let mut members = Vec::new();
    add(&hub, &mut members, 50).await;
    let room = hub.room("harbour");
    let sender = room.clone();
    let other = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let _entered = handle.enter();
        assert_eq!(sender.send("1"), 50);
    });
    other.join().unwrap();
    assert_eq!(room.send("2"), 50);
    expect(&mut members, &["1", "2"]).await;
}

#[tokio::test(start_paused = true)]
async fn outside_of_a_runtime_the_caller_delivers() {
    let hub = Hub::new();
    let mut members = Vec::new();
    add(&hub, &mut members, 200).await;
    let room = hub.room("harbour");
    thread::spawn(move || assert_eq!(room.send("hello"), 200)).join().unwrap();
    assert_eq!(hub.stats().queued, 200);
    expect(&mut members, &["hello"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_woken_may_send_to_the_room() {
    for members_before in [3, 70] {
        let hub = Hub::new();
        let room = hub.room("harbour");
        let mut members = Vec::new();
        add(&hub, &mut members, members_before).await;
        let waking = hooked(&hub, (), once(move || assert!(room.send("2") > 0)));
        waking.member.join("harbour").await.unwrap();
        add(&hub, &mut members, members_before).await;
        hub.room("harbour").send("1");
        expect(&mut members, &["1", "2"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_the_last_member_of_a_room_under_a_drain_and_joins_again_keeps_the_order() {
    let hub: Hub<()> = Hub::new();
    let ids = Arc::new(Mutex::new(Vec::new()));
    let (members, others) = (ids.clone(), hub.clone());
    // Between the deliveries to the first and to the second member, both leave, and the second joins again.
    let hook = move || {
        let ids = members.lock().unwrap().clone();
        for id in &ids {
            assert_eq!(others.member(*id).leave("harbour"), 1);
        }
        assert_eq!(others.member(ids[1]).join("harbour").unwrap(), 1);
        assert_eq!(others.room("harbour").send("2"), 1);
    };
    let first = hooked(&hub, (), once(hook));
    first.member.join("harbour").await.unwrap();
    let (mut client, second, room) = join(&hub, "harbour", ()).await;
    *ids.lock().unwrap() = vec![first.member.id(), second.id()];

    room.send("1");
    settle().await;
    room.send("end");
    let texts = texts_until(&mut client, "end").await;
    assert!(texts == ["1", "2"] || texts == ["2"], "{texts:?}");
    drop((first, second));
    assert_eq!(hub.stats().rooms, 0);
}

/// A value whose destructor sends to a room.
struct Farewell(Room<Option<Farewell>>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.send("2");
    }
}

#[tokio::test(start_paused = true)]
async fn a_destructor_may_send_to_the_room_that_is_being_served() {
    let hub: Hub<Option<Farewell>> = Hub::new();
    let mut members = Vec::new();
    for _ in 0..20 {
        members.push(join(&hub, "harbour", None).await);
    }
    let (_client, leaving) = register(&hub, Some(Farewell(hub.room("harbour")))).await;
    leaving.join("harbour").await.unwrap();
    let leaving = Mutex::new(Some(leaving));
    let waking = hooked(&hub, None, once(move || drop(leaving.lock().unwrap().take())));
    waking.member.join("harbour").await.unwrap();

    members[0].2.send("1");
    expect(&mut members, &["1", "2"]).await;
}

/// A layer that sends each event of the hub to a room.
struct ToRoom(Room<()>);

impl<S: tracing::Subscriber> Layer<S> for ToRoom {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("sockeye_state") {
            self.0.send("logged");
        }
    }
}

#[test]
fn a_subscriber_may_send_to_the_room_whose_slow_members_it_is_told_of() {
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let hub = Hub::new();
        let layer = ToRoom(hub.room("harbour"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            runtime.block_on(async {
                let mut members = Vec::new();
                add(&hub, &mut members, 20).await;
                let (_client, sender) = connect_slow(256, Overflow::Disconnect(1013)).await;
                let slow = hub.register(sender, ());
                slow.join("harbour").await.unwrap();
                let long = "x".repeat(5000);
                let room = hub.room("harbour");
                assert_eq!((room.send(long.as_str()), room.send("more")), (21, 21));
                expect(&mut members, &[&long, "more", "logged"]).await;
                assert_eq!(hub.stats().disconnected, 1);
            });
        });
        tell.send(()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(30)).expect("the room came to rest");
}
