//! Large rooms, whose messages a task delivers while others join, leave and send.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use sockeye_state::{Event, Hub, Joined, Limits, Member};
use support::{Client, join, register, texts_until};
use tokio::task::yield_now;

/// The members of a room, in the order in which they joined.
type Members = Vec<(Client, Member<usize>, Joined<usize>)>;

async fn room_of(hub: &Hub<usize>, members: usize) -> Members {
    let mut all = Vec::new();
    for index in 0..members {
        all.push(join(hub, "harbour", index).await);
    }
    all
}

async fn expect(members: &mut Members, texts: &[&str]) {
    for (client, member, _) in members {
        for text in texts {
            let frame = client.expect_frame().await;
            assert_eq!(frame.text(), *text, "for member {}", member.value());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_handler_sends_arrives_in_the_order_sent() {
    for size in [17, 64, 65, 300] {
        let hub = Hub::new();
        let mut members = room_of(&hub, size).await;
        let room = members[0].2.clone();
        let sent: Vec<String> = (0..50).map(|number| format!("message {number}")).collect();
        for (index, text) in sent.iter().enumerate() {
            assert_eq!(room.send(text.as_str()), size);
            if index % 7 == 0 {
                yield_now().await;
            }
        }
        expect(&mut members, &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(hub.stats().queued, 50 * size as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn the_sender_goes_on_before_the_room_has_its_message() {
    for size in [2, 17, 200] {
        let hub = Hub::new();
        let mut members = room_of(&hub, size).await;
        assert_eq!(members[0].2.send("hello"), size);
        assert_eq!(hub.stats().queued, 0);
        expect(&mut members, &["hello"]).await;
        assert_eq!(hub.stats().queued, size as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_under_way_leaves_out_whom_it_excepts() {
    let hub = Hub::new();
    let mut members = room_of(&hub, 200).await;
    let sender = members.remove(100);
    let other = members.remove(150);
    assert_eq!(sender.2.send("1"), 200);
    assert_eq!(sender.2.to_others().send("2"), 199);
    assert_eq!(sender.2.except(other.1.id()).volatile("3"), 199);
    assert_eq!(sender.2.send("4"), 200);
    expect(&mut members, &["1", "2", "3", "4"]).await;
    expect(&mut vec![sender], &["1", "3", "4"]).await;
    expect(&mut vec![other], &["1", "2", "4"]).await;
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_under_a_drain_gets_nothing_that_is_sent_later() {
    for yields in 0..5 {
        let hub = Hub::new();
        let mut members = room_of(&hub, 300).await;
        let room = hub.room("harbour");
        assert_eq!(room.send("before"), 300);
        for _ in 0..yields {
            yield_now().await;
        }
        let (mut gone, mut here) = (Vec::new(), Vec::new());
        for (client, member, joined) in members.drain(..) {
            if member.value() % 2 == 0 {
                member.leave("harbour").await;
                gone.push((client, member));
            } else {
                here.push((client, member, joined));
            }
        }
        assert_eq!(room.send("after"), 150);
        expect(&mut here, &["before", "after"]).await;

        hub.broadcast("end");
        let mut got = 0;
        for (client, _) in &mut gone {
            let texts = texts_until(client, "end").await;
            assert!(texts.is_empty() || texts == ["before"], "after {yields} yields: {texts:?}");
            got += texts.len();
        }
        // Each yield lets the drain serve 64 of the 300, half of whom leave.
        assert_eq!(got, (yields * 32).min(150), "after {yields} yields");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_joins_under_a_drain_gets_what_is_sent_later_and_nothing_else() {
    let hub = Hub::new();
    let mut members = room_of(&hub, 200).await;
    let room = hub.room("harbour");
    let mut late = Vec::new();
    for index in 200..240 {
        let (client, member) = register(&hub, index).await;
        late.push((client, member));
    }
    room.send("before");
    yield_now().await;
    let mut joined = Vec::new();
    for (client, member) in late {
        let room = member.join("harbour").await.unwrap();
        joined.push((client, member, room));
    }
    assert_eq!(room.send("after"), 240);
    expect(&mut members, &["before", "after"]).await;
    expect(&mut joined, &["after"]).await;
    assert_eq!(hub.stats().queued, 200 + 240);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_and_joins_again_under_a_drain_gets_nothing_twice() {
    let hub = Hub::new();
    let mut members = room_of(&hub, 300).await;
    let room = hub.room("harbour");
    for round in 0..20 {
        room.send(format!("{round}"));
        for (_, member, _) in &members {
            if member.value() % 3 == round % 3 {
                member.leave("harbour").await;
                member.join("harbour").await.unwrap();
            }
        }
        yield_now().await;
    }
    assert_eq!(room.send("end"), 300);
    for (client, member, _) in &mut members {
        let texts = texts_until(client, "end").await;
        let numbers: Vec<usize> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "member {}: {numbers:?}", member.value());
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_does_not_fit_is_refused_and_reported_once() {
    let hub = Hub::builder().limits(Limits::new().pending_messages(100)).build().await.unwrap();
    let mut events = hub.events();
    let mut members = room_of(&hub, 40).await;
    let room = hub.room("harbour");
    for burst in 1..=2_u64 {
        let sent: Vec<usize> = (0..5000).map(|number| room.send(format!("{number}"))).collect();
        assert!(sent[..100].iter().all(|reached| *reached == 40) && sent[100..].iter().all(|reached| *reached == 0));
        let stats = hub.stats();
        assert_eq!((stats.sent, stats.refused), (burst * 101 - 1, burst * 4900));
        let accepted: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        expect(&mut members, &accepted.iter().map(String::as_str).collect::<Vec<_>>()).await;

        // The room has caught up.
        assert_eq!(room.send("and now?"), 40);
        expect(&mut members, &["and now?"]).await;
    }
    drop((room, members, hub));
    let mut reported = Vec::new();
    while let Some(event) = events.next().await {
        reported.push(event);
    }
    let gap = Event::Gap { room: "harbour".into() };
    assert_eq!(reported, [gap.clone(), gap]);
}

#[tokio::test(start_paused = true)]
async fn all_members_of_a_large_room_can_leave_under_a_drain() {
    let hub = Hub::new();
    let members = room_of(&hub, 300).await;
    hub.room("harbour").send("goodbye");
    yield_now().await;
    drop(members);
    let mut others = room_of(&hub, 20).await;
    assert_eq!(hub.room("harbour").send("hello"), 20);
    expect(&mut others, &["hello"]).await;
    drop(others);
    for _ in 0..20 {
        yield_now().await;
    }
    assert_eq!((hub.len(), hub.stats().rooms), (0, 0));
}
