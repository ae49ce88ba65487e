//! What is pushed is written past the queue, from any thread: nothing is lost, written twice or torn.

use loom::thread;

use super::{arrive, check, one_at_a_time, resting, task::block_on, tcp_connection};
use crate::{Message, PreparedMessage, Sender};

fn push(to: &Sender, texts: &[&str]) {
    let messages: Vec<_> = texts.iter().map(PreparedMessage::text).collect();
    assert_eq!(to.push_many(&messages, None).queued, texts.len());
}

/// The driver may be going idle, and may have bytes to write, when another thread writes past the queue.
#[test]
fn what_is_pushed_beside_the_driver_arrives_once_and_in_order() {
    check(2, || {
        let (connection, far) = tcp_connection();
        let (driver, sender) = resting(connection);
        let driver = driver.spawn_until(&far, 4);
        sender.try_send(Message::text("a")).unwrap();
        push(&sender, &["b", "c"]);
        arrive(&far, 3, &sender, driver);
        assert_eq!(far.texts(), ["a", "b", "c"]);
    });
}

/// Whether a message goes through the queue or past it, the messages of each thread stay in order.
#[test]
fn messages_of_two_threads_keep_the_order_of_each() {
    check(2, || {
        let (connection, far) = tcp_connection();
        let (driver, sender) = resting(connection);
        let driver = driver.spawn_until(&far, 5);
        let other = thread::spawn({
            let sender = sender.clone();
            move || {
                push(&sender, &["x"]);
                block_on(sender.send(Message::text("y"))).unwrap();
            }
        });
        push(&sender, &["a", "b"]);
        other.join().unwrap();
        arrive(&far, 4, &sender, driver);
        let texts = far.texts();
        let of =
            |some: [&str; 2]| texts.iter().filter(|text| some.contains(&text.as_str())).cloned().collect::<Vec<_>>();
        assert_eq!(of(["a", "b"]), ["a", "b"]);
        assert_eq!(of(["x", "y"]), ["x", "y"]);
        assert_eq!(texts.len(), 4);
    });
}

/// The kernel takes the first message and a part of the second. The driver writes the rest once the peer reads.
#[test]
fn the_rest_of_what_the_kernel_takes_is_written_by_the_driver() {
    check(2, || {
        let (connection, far) = tcp_connection();
        far.limit(4);
        let (driver, sender) = resting(connection);
        let driver = driver.spawn_until(&far, 3);
        push(&sender, &["a", "b"]);
        far.limit(usize::MAX);
        arrive(&far, 2, &sender, driver);
        assert_eq!(far.texts(), ["a", "b"]);
    });
}

/// The same if the kernel takes nothing, and two threads push.
#[test]
fn what_the_kernel_does_not_take_wakes_the_driver() {
    check(2, || {
        let (connection, far) = tcp_connection();
        far.limit(0);
        let (driver, sender) = resting(connection);
        let driver = driver.spawn_until(&far, 3);
        let other = thread::spawn({
            let sender = sender.clone();
            move || push(&sender, &["a"])
        });
        far.limit(usize::MAX);
        push(&sender, &["a"]);
        arrive(&far, 2, &sender, driver);
        other.join().unwrap();
        assert_eq!(far.texts(), ["a", "a"]);
    });
}

/// A `send` that waits for capacity is woken, whoever writes meanwhile.
#[test]
fn a_send_that_waits_for_room_is_woken_beside_a_push() {
    check(2, || {
        let (connection, far) = tcp_connection();
        far.limit(0);
        let (driver, sender) = resting(connection.config(one_at_a_time()));
        sender.try_send(Message::text("a")).unwrap();
        let driver = driver.spawn_until(&far, 4);
        let other = thread::spawn({
            let sender = sender.clone();
            move || push(&sender, &["b"])
        });
        far.limit(usize::MAX);
        block_on(sender.send(Message::text("c"))).unwrap();
        arrive(&far, 3, &sender, driver);
        other.join().unwrap();
        let texts = far.texts();
        assert_eq!((texts.len(), texts[0].as_str()), (3, "a"));
    });
}

/// A flush that waits beside a push is woken.
#[test]
fn a_flushed_that_waits_beside_a_push_is_woken() {
    check(2, || {
        let (connection, far) = tcp_connection();
        let (driver, sender) = resting(connection);
        let driver = driver.spawn_until(&far, 3);
        let other = thread::spawn({
            let sender = sender.clone();
            move || push(&sender, &["a"])
        });
        sender.try_send(Message::text("a")).unwrap();
        block_on(sender.flushed()).unwrap();
        arrive(&far, 2, &sender, driver);
        other.join().unwrap();
    });
}
