//! Queued messages are written, and tasks that wait for that are woken.

use std::pin::pin;

use loom::thread;

use super::{
    check, connection, one_at_a_time, resting,
    task::{block_on, poll_once},
};
use crate::Message;

/// The driver rests when all is written. A message queued meanwhile wakes the driver, and the messages of one task stay in
/// order.
#[test]
fn a_message_that_is_queued_while_the_driver_goes_idle_is_written() {
    check(3, || {
        let (connection, far) = connection();
        let (driver, sender) = resting(connection);
        let driver = driver.spawn_until(&far, 2);
        sender.try_send(Message::text("a")).unwrap();
        sender.try_send(Message::text("b")).unwrap();
        driver.join().unwrap();
        assert_eq!(far.texts(), ["a", "b"]);
    });
}

/// One of two tasks finds that the other has already woken the driver, and does not wake it again.
#[test]
fn messages_of_two_tasks_are_written_in_the_order_of_each_task() {
    check(2, || {
        let (connection, far) = connection();
        let (driver, sender) = resting(connection);
        let driver = driver.spawn_until(&far, 3);
        let other = thread::spawn({
            let sender = sender.clone();
            move || sender.try_send(Message::text("x")).unwrap()
        });
        sender.try_send(Message::text("a")).unwrap();
        sender.try_send(Message::text("b")).unwrap();
        other.join().unwrap();
        driver.join().unwrap();
        let mut texts = far.texts();
        let x = texts.iter().position(|text| text == "x").unwrap();
        texts.remove(x);
        assert_eq!(texts, ["a", "b"]);
    });
}

/// A `send` that waits for capacity is woken when the driver has written the messages before it.
#[test]
fn a_send_that_waits_for_room_is_woken() {
    check(3, || {
        let (connection, far) = connection();
        let (driver, sender) = resting(connection.config(one_at_a_time()));
        let driver = driver.spawn_until(&far, 3);
        for text in ["a", "b", "c"] {
            block_on(sender.send(Message::text(text))).unwrap();
        }
        driver.join().unwrap();
        assert_eq!(far.texts(), ["a", "b", "c"]);
    });
}

/// The same while a peer that took nothing begins to take bytes.
#[test]
fn two_sends_that_wait_for_a_slow_peer_are_both_woken() {
    check(2, || {
        let (connection, far) = connection();
        far.limit(0);
        let (driver, sender) = resting(connection.config(one_at_a_time()));
        sender.try_send(Message::text("a")).unwrap();
        let driver = driver.spawn_until(&far, 3);
        let other = thread::spawn({
            let sender = sender.clone();
            move || block_on(sender.send(Message::text("b"))).unwrap()
        });
        far.limit(usize::MAX);
        block_on(sender.send(Message::text("b"))).unwrap();
        other.join().unwrap();
        driver.join().unwrap();
        assert_eq!(far.texts(), ["a", "b", "b"]);
    });
}

/// A `send` that is dropped while it waits, or just after its wakeup, does not block other tasks.
#[test]
fn a_send_that_is_dropped_while_it_waits_holds_up_no_other() {
    check(2, || {
        let (connection, far) = connection();
        let (driver, sender) = resting(connection.config(one_at_a_time()));
        sender.try_send(Message::text("a")).unwrap();
        let first = sender.clone();
        let other = thread::spawn(move || {
            let mut given_up = pin!(first.send(Message::text("b")));
            poll_once(given_up.as_mut()).is_ready()
        });
        let driver = driver.spawn({
            let far = far.clone();
            move || far.texts().iter().any(|text| text == "c")
        });
        block_on(sender.send(Message::text("c"))).unwrap();
        driver.join().unwrap();
        other.join().unwrap();
    });
}

/// `flushed` completes once the stream has what was queued before.
#[test]
fn a_flushed_that_waits_for_the_stream_is_woken() {
    check(3, || {
        let (connection, far) = connection();
        let (driver, sender) = resting(connection);
        let driver = driver.spawn_until(&far, 2);
        for frames in 1..=2 {
            sender.try_send(Message::text("a")).unwrap();
            block_on(sender.flushed()).unwrap();
            assert!(far.has(frames));
        }
        driver.join().unwrap();
    });
}
