//! Members that catch up, and everything that may happen meanwhile.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{
    future::{Future, IntoFuture, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use sockeye_state::{CaughtUp, Delivery, Hub, JoinError, Limits, Member, Overflow, Position, Rooms};
use sockeye_testkit::{Frame, opcode};
use support::{Client, connect_slow, join, register, texts_by_now, texts_until};
use tokio::time::{Instant, sleep};

const HOUR: Duration = Duration::from_secs(3600);

async fn hub(messages: usize) -> Hub<&'static str> {
    hub_with(messages, Limits::new()).await
}

async fn hub_with(messages: usize, limits: Limits) -> Hub<&'static str> {
    let gaps = |delivery: &Delivery<'_>| match delivery {
        Delivery::Message { message, .. } => message.cloned(),
        Delivery::Gap { .. } => Some("gap".into()),
        _ => None,
    };
    let builder = Hub::builder().rooms("chat:", Rooms::new().history(messages, HOUR)).limits(limits);
    builder.frame(gaps).build().await.unwrap()
}

/// Appends numbers to the room, and returns the position before the first.
async fn fill(hub: &Hub<&'static str>, numbers: std::ops::Range<usize>, length: usize) -> Position {
    let mut before = None;
    for number in numbers {
        let at = hub.room("chat:1").append(format!("{number:0>length$}")).await.unwrap();
        before.get_or_insert(Position::new(at.epoch, at.offset - 1));
    }
    before.unwrap()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// A member whose client reads nothing until it is asked to: little fits on the way to it.
async fn slow(hub: &Hub<&'static str>) -> (Client, Member<&'static str>) {
    let (client, sender) = connect_slow(1024, Overflow::default()).await;
    (client, hub.register(sender, "slow"))
}

/// Polls a future until nothing moves any more. Returns whether it is done.
async fn stuck<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    for _ in 0..100 {
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn four_megabytes_of_history_reach_a_client_at_100_kb_a_second() {
    for limits in [Limits::new(), Limits::new().history_bytes(0)] {
        let hub = hub_with(4096, limits).await;
        let since = fill(&hub, 0..4096, 1024).await;
        let (mut client, me) = slow(&hub).await;
        let begin = Instant::now();
        let read = tokio::spawn(async move {
            for number in 0..4096 {
                let frame = loop {
                    let frame = client.expect_frame().await;
                    // The connection looks whether the client is alive.
                    match frame.opcode {
                        opcode::PING => client.send(Frame::pong(frame.payload)).await,
                        _ => break frame,
                    }
                };
                assert_eq!(frame.payload, format!("{number:0>1024}").as_bytes());
                sleep(Duration::from_millis(10)).await;
            }
            client
        });
        let room = me.join("chat:1").since(since).await.unwrap();
        let mut client = read.await.unwrap();
        assert_eq!(room.caught_up(), CaughtUp::Whole(4096));
        assert!(begin.elapsed() > Duration::from_secs(40));
        room.append("live").await.unwrap();
        assert_eq!(texts_by_now(&mut client, &me).await, ["live"]);
        assert_eq!((hub.stats().disconnected, hub.stats().gaps), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_member_is_closed_with_1013_and_comes_back_whole() {
    let hub = hub(10_000).await;
    let (mut client, me) = slow(&hub).await;
    let room = me.join("chat:1").await.unwrap();
    let before = fill(&hub, 0..1000, 20).await;
    sleep(Duration::from_millis(100)).await;
    let mut seen = 0;
    loop {
        let frame = client.expect_frame().await;
        if frame.opcode == opcode::CLOSE {
            assert_eq!(frame.payload[..2], 1013_u16.to_be_bytes());
            break;
        }
        assert_eq!(frame.payload, format!("{seen:0>20}").as_bytes());
        seen += 1;
    }
    assert!(seen < 1000);
    drop((me, room));

    let (mut client, me) = register(&hub, "again").await;
    let since = Position::new(before.epoch, before.offset + seen as u64);
    let room = me.join("chat:1").since(since).await.unwrap();
    assert_eq!(room.caught_up(), CaughtUp::Whole(1000 - seen));
    let expected: Vec<_> = (seen..1000).map(|number| format!("{number:0>20}")).collect();
    assert_eq!(texts_by_now(&mut client, &me).await, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_appended_while_a_member_catches_up_comes_after_what_it_has_missed() {
    let hub = hub(5000).await;
    let since = fill(&hub, 0..500, 1).await;
    let (mut client, me) = slow(&hub).await;
    let mut joining = pin!(me.join("chat:1").since(since).into_future());
    assert!(stuck(joining.as_mut()).await.is_none());
    assert_eq!(hub.room("chat:1").len(), 0, "whoever is catching up is not in the room yet");
    fill(&hub, 500..2000, 1).await;
    let (room, texts) = tokio::join!(joining, async {
        let texts = texts_until(&mut client, "1999").await;
        (texts, client)
    });
    // At least the first 500, and those after them that came before the member went live.
    assert!(matches!(room.unwrap().caught_up(), CaughtUp::Whole(500..=2000)));
    assert_eq!(texts.0, numbers(0..1999));
}

#[tokio::test(start_paused = true)]
async fn what_outgrows_the_memory_is_read_again_and_is_no_gap() {
    let hub = hub_with(5000, Limits::new().history_bytes(0)).await;
    let since = fill(&hub, 0..500, 1).await;
    let (mut client, me) = slow(&hub).await;
    let mut joining = pin!(me.join("chat:1").since(since).into_future());
    assert!(stuck(joining.as_mut()).await.is_none());
    fill(&hub, 500..4000, 1).await;
    sleep(Duration::from_millis(1)).await;
    let (room, texts) = tokio::join!(joining, texts_until(&mut client, "3999"));
    assert!(matches!(room.unwrap().caught_up(), CaughtUp::Whole(500..=4000)));
    assert_eq!(texts, numbers(0..3999));
    assert_eq!(hub.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_trimmed_while_a_member_catches_up_is_a_gap() {
    let hub = hub(100).await;
    let since = fill(&hub, 0..100, 200).await;
    let (mut client, me) = slow(&hub).await;
    let mut joining = pin!(me.join("chat:1").since(since).into_future());
    assert!(stuck(joining.as_mut()).await.is_none());
    fill(&hub, 100..5000, 200).await;
    sleep(Duration::from_millis(1)).await;
    let last = format!("{:0>200}", "last");
    let (room, texts) = tokio::join!(
        async {
            let room = joining.await.unwrap();
            room.append(last.clone()).await.unwrap();
            room
        },
        texts_until(&mut client, &last)
    );
    assert_eq!(room.caught_up(), CaughtUp::Gap);
    // A part of what was missed, in order, then the gap, then what is live.
    let gap = texts.iter().position(|text| text == "gap").unwrap();
    assert!(texts[..gap].iter().enumerate().all(|(number, text)| *text == format!("{number:0>200}")));
    assert_eq!(texts[gap + 1..], [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_join_that_is_dropped_leaves_the_member_outside() {
    let hub = hub(1000).await;
    let since = fill(&hub, 0..500, 1).await;
    let (mut client, me) = slow(&hub).await;
    {
        let mut joining = pin!(me.join("chat:1").since(since).into_future());
        assert!(stuck(joining.as_mut()).await.is_none());
    }
    assert_eq!((hub.room("chat:1").len(), me.rooms().len()), (0, 0));
    // The member goes on from what its client has handled.
    let mut got = Vec::new();
    while got.len() < 20 {
        got.push(client.expect_frame().await.payload);
    }
    let joined = async { me.join("chat:1").since(Position::new(since.epoch, since.offset + 500)).await.unwrap() };
    let (room, _) = tokio::join!(joined, async {
        // What was queued before.
        while got.len() < 50 {
            got.push(client.expect_frame().await.payload);
        }
    });
    assert_eq!(room.caught_up(), CaughtUp::Whole(0));
    assert_eq!(hub.room("chat:1").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn leaving_stops_a_join() {
    let hub = hub(1000).await;
    let since = fill(&hub, 0..500, 1).await;
    let (_client, me) = slow(&hub).await;
    let mut joining = pin!(me.join("chat:1").since(since).into_future());
    assert!(stuck(joining.as_mut()).await.is_none());
    assert!(me.leave("chat:1").await);
    assert!(matches!(joining.await, Err(JoinError::Stopped)));
    assert!(hub.room("chat:1").is_empty());
    assert!(!me.leave("chat:1").await);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_two_joins_counts() {
    let hub = hub(1000).await;
    let since = fill(&hub, 0..500, 1).await;
    let (mut client, me) = slow(&hub).await;
    let mut first = pin!(me.join("chat:1").since(since).into_future());
    assert!(stuck(first.as_mut()).await.is_none());
    let last = Position::new(since.epoch, since.offset + 499);
    let mut second = pin!(me.join("chat:1").since(last).into_future());
    let _ = stuck(second.as_mut()).await;
    assert!(matches!(first.await, Err(JoinError::Stopped)));
    let joined = async {
        second.await.unwrap().append("live").await.unwrap();
    };
    let (_, texts) = tokio::join!(joined, texts_until(&mut client, "live"));
    let (begin, end) = texts.split_at(texts.len() - 1);
    assert_eq!(begin, numbers(0..begin.len()));
    assert_eq!(end, ["499"]);
    assert_eq!(me.rooms().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn quick_join_leave_join_ends_in_the_state_of_the_last_call() {
    let hub = hub(100).await;
    let (mut client, me, _) = join(&hub, "chat:1", "Ada").await;
    fill(&hub, 0..3, 1).await;
    me.leave("chat:1").await;
    me.join("chat:1").await.unwrap();
    fill(&hub, 3..5, 1).await;
    me.leave("chat:1").await;
    fill(&hub, 5..7, 1).await;
    let got = texts_by_now(&mut client, &me).await;
    // What was sent before a `leave` may have been on its way.
    assert!(got.iter().all(|text| text.parse::<usize>().unwrap() < 5), "{got:?}");
    let room = me.join("chat:1").await.unwrap();
    room.append("last").await.unwrap();
    assert_eq!(texts_by_now(&mut client, &me).await, ["last"]);
}

#[tokio::test(start_paused = true)]
async fn leaving_and_joining_under_a_running_drain_gives_each_message_once() {
    let hub = hub(1000).await;
    let mut others = Vec::new();
    for _ in 0..300 {
        others.push(join(&hub, "chat:1", "others").await);
    }
    let (mut client, me, _) = join(&hub, "chat:1", "Ada").await;
    let mut seen = fill(&hub, 0..1, 1).await;
    let mut got = Vec::new();
    for number in 1..60 {
        fill(&hub, number..number + 1, 1).await;
        for _ in 0..number % 7 {
            tokio::task::yield_now().await;
        }
        me.leave("chat:1").await;
        got.extend(texts_by_now(&mut client, &me).await);
        seen = Position::new(seen.epoch, got.len() as u64);
        let room = me.join("chat:1").since(seen).await.unwrap();
        assert!(matches!(room.caught_up(), CaughtUp::Whole(_)));
    }
    got.extend(texts_by_now(&mut client, &me).await);
    assert_eq!(got, numbers(0..60));
}

#[tokio::test(start_paused = true)]
async fn joining_again_without_a_position_changes_nothing() {
    let hub = hub(100).await;
    let (mut client, me, _) = join(&hub, "chat:1", "Ada").await;
    fill(&hub, 0..3, 1).await;
    let again = me.join("chat:1").await.unwrap();
    assert_eq!((again.caught_up(), again.len()), (CaughtUp::Fresh, 1));
    assert_eq!(texts_by_now(&mut client, &me).await, numbers(0..3));
}

#[tokio::test(start_paused = true)]
async fn joins_under_way_count_as_rooms_of_the_member() {
    let hub = hub_with(1000, Limits::new().rooms_per_member(1)).await;
    let since = fill(&hub, 0..500, 1).await;
    let (_client, me) = slow(&hub).await;
    let mut joining = pin!(me.join("chat:1").since(since).into_future());
    assert!(stuck(joining.as_mut()).await.is_none());
    assert!(matches!(me.join("chat:2").await, Err(JoinError::TooManyRooms { max: 1 })));
    assert!(matches!(me.join("lobby").await, Err(JoinError::TooManyRooms { max: 1 })));
    me.leave("chat:1").await;
    me.join("lobby").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_connection_closes_is_not_in_the_room() {
    let hub = hub(1000).await;
    let since = fill(&hub, 0..500, 1).await;
    let (client, me) = slow(&hub).await;
    let mut joining = pin!(me.join("chat:1").since(since).into_future());
    assert!(stuck(joining.as_mut()).await.is_none());
    drop(client);
    assert!(matches!(joining.await, Err(JoinError::Closed)));
    assert!(hub.room("chat:1").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_member_can_be_made_to_join_from_elsewhere() {
    let hub = hub(100).await;
    let (mut client, me) = register(&hub, "Ada").await;
    assert_eq!(hub.member(me.id()).join("chat:1").unwrap(), 1);
    sleep(Duration::from_millis(1)).await;
    hub.room("chat:1").append("hello").await.unwrap();
    assert_eq!(texts_by_now(&mut client, &me).await, ["hello"]);
}
