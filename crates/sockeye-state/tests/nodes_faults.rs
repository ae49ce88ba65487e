//! What nodes do under load, with a broker that fails, and at the end of a hub: nothing is lost in silence, and nothing stays.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{sync::mpsc, thread, time::Duration};

use sockeye_state::{Broker, Hub, Local, Person, Rooms};
use support::{
    broker::{Disturbed, Mode},
    join,
    nodes::node,
    register, texts_by_now,
};
use tokio::{runtime::Builder, time::sleep};

#[tokio::test(start_paused = true)]
async fn rooms_that_are_empty_are_unsubscribed_from_while_others_are_always_joined() {
    let local = Local::new();
    let (broker, hub) = node(&local).await;
    broker.set(Mode::Slow(Duration::from_millis(20)));
    let (_ada, me) = register(&hub, "Ada").await;
    let room = |number: u32| format!("room {number}");
    // Each page is there for 100 ms, and a new one comes every 5 ms.
    for number in 0..12_000 {
        assert_eq!(hub.member(me.id()).join(&room(number)).unwrap(), 1);
        if number >= 20 {
            hub.member(me.id()).leave(&room(number - 20));
        }
        sleep(Duration::from_millis(5)).await;
    }
    // Those of the last 10 s, and of a few calls.
    assert!(broker.subscribed() <= 2500, "{}", broker.subscribed());
}

#[test]
fn an_empty_room_whose_messages_wait_for_a_runtime_holds_up_nobody() {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let busy = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let local = Local::new();
            let (broker, hub) = node(&local).await;
            let (_ada, me, _) = join(&hub, "harbour", "Ada").await;
            assert!(me.leave("harbour").await);
            broker.set(Mode::Away);
            sleep(Duration::from_secs(11)).await;
            // The broker has refused to unsubscribe.
            me.join("harbour").await.unwrap();
            {
                let _busy = busy.enter();
                assert_eq!(hub.room("harbour").send("this waits for the other runtime"), 1);
            }
            assert!(me.leave("harbour").await);
            broker.set(Mode::Well);
            sleep(Duration::from_secs(2)).await;
            me.join("beach").await.unwrap();
        });
        done.send(()).unwrap();
    });
    // The time is for a test that fails.
    is_done.recv_timeout(Duration::from_secs(30)).expect("the task that subscribes never ends its turn");
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_other_nodes_are_owed_goes_out_before_the_hub_ends() {
    let local = Local::new();
    let (broker, one) = node(&local).await;
    let (_, two) = node(&local).await;
    let (mut ada, me, _) = join(&two, "harbour", "Ada").await;
    broker.set(Mode::Away);
    one.room("harbour").send("nobody gets this");
    sleep(Duration::from_secs(5)).await;
    broker.set(Mode::Well);
    drop(one);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(texts_by_now(&mut ada, &me).await, ["gap"]);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_panics_at_the_end_of_the_hub_is_stopped() {
    let broker = Disturbed::over(Local::new());
    let rooms = Rooms::new().presence(|name: &&str| Person::new(*name, ""));
    let hub = Hub::<&str>::builder().broker(broker.clone()).rooms("", rooms).build().await.unwrap();
    sleep(Duration::from_secs(1)).await;
    broker.set(Mode::Broken);
    drop(hub);
    sleep(Duration::from_secs(10)).await;
    broker.set(Mode::Well);
    assert!(broker.tops(Vec::new()).await.unwrap_err().is_refused(), "the broker still runs");
}
