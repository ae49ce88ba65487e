//! Rooms without a history on several nodes, with several threads.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use sockeye_state::Local;
use sockeye_testkit::{Frame, opcode};
use support::{
    Client, join,
    nodes::{node, nodes},
    register,
};
use tokio::runtime::{Builder, Runtime};

const ROOMS: [&str; 4] = ["harbour", "pier", "lighthouse", "quay"];

fn threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

async fn next_text(client: &mut Client) -> String {
    loop {
        let frame = client.expect_frame().await;
        match frame.opcode {
            opcode::PING => client.send(Frame::pong(frame.payload)).await,
            opcode::TEXT => return String::from_utf8(frame.payload).unwrap(),
            _ => panic!("{frame:?}"),
        }
    }
}

#[test]
fn on_several_threads_each_sender_is_heard_in_order_on_all_nodes() {
    threads().block_on(async {
        let hubs: [_; 3] = nodes().await;
        let mut clients = Vec::new();
        for hub in &hubs {
            clients.push(join(hub, "harbour", "somebody").await);
        }
        let senders: Vec<_> = (0..6)
            .map(|sender| {
                let room = hubs[sender % 3].room("harbour");
                tokio::spawn(async move {
                    for count in 0..150 {
                        room.send(format!("{sender} {count:03}"));
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.await.unwrap();
        }
        for (client, _member, _room) in &mut clients {
            let mut texts = Vec::new();
            while texts.len() < 6 * 150 {
                texts.push(next_text(client).await);
            }
            for sender in 0..6 {
                let heard: Vec<_> = texts.iter().filter(|text| text.starts_with(&format!("{sender} "))).collect();
                assert!(heard.len() == 150 && heard.is_sorted(), "{heard:?}");
            }
        }
        assert!(hubs.iter().all(|hub| hub.stats().publish_failed == 0 && hub.stats().gaps == 0));
    });
}

#[test]
fn nothing_that_is_sent_after_a_join_is_missed_while_others_come_and_go() {
    threads().block_on(async {
        let local = Local::new();
        let mut hubs = Vec::new();
        for _ in 0..3 {
            hubs.push(node(&local).await.1);
        }
        let comers: Vec<_> = (0..12)
            .map(|number| {
                let (here, there) = (hubs[number % 3].clone(), hubs[(number + 1) % 3].clone());
                tokio::spawn(async move {
                    let (mut client, me) = register(&here, "somebody").await;
                    for count in 0..100 {
                        let room = ROOMS[(number * 7 + count) % ROOMS.len()];
                        me.join(room).await.unwrap();
                        let own = format!("{number} {count}");
                        there.room(room).send(own.as_str());
                        loop {
                            match next_text(&mut client).await {
                                text if text == own => break,
                                // On a machine that stands still for half a second, the join has not waited.
                                text if text == "gap" => _ = there.room(room).send(own.as_str()),
                                _ => {}
                            }
                        }
                        assert!(me.leave(room).await);
                    }
                })
            })
            .collect();
        for comer in comers {
            comer.await.unwrap();
        }
        assert!(hubs.iter().all(|hub| hub.stats().publish_failed == 0));
    });
}
