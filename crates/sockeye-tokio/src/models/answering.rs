//! A task other than the driver's writes by itself what it sends: nothing is lost, written twice or torn.

use loom::thread;

use super::{arrive, check, connection, moved, stream::Far, task::block_on, tcp_connection};
use crate::{Connection, Message, WebSocket};

/// Receives one message, and sends these.
fn answer(mut socket: WebSocket, texts: &[&str]) -> WebSocket {
    block_on(socket.recv()).unwrap().unwrap();
    for text in texts {
        block_on(socket.send(Message::text(*text))).unwrap();
    }
    socket
}

/// The task writes its first answer at once, and the driver the second one, while others send too.
#[test]
fn answers_are_written_beside_the_driver_in_the_order_of_each_task() {
    check(2, || {
        let (connection, far) = tcp_connection();
        let (driver, socket) = moved(connection);
        let sender = socket.sender();
        let driver = driver.spawn_until(&far, 4);
        let task = thread::spawn(move || answer(socket, &["1", "2"]));
        far.send("a");
        sender.try_send(Message::text("x")).unwrap();
        let socket = task.join().unwrap();
        arrive(&far, 3, &sender, driver);
        let mut texts = far.texts();
        texts.retain(|text| text != "x");
        assert_eq!((texts, far.texts().len()), (vec!["1".to_owned(), "2".to_owned()], 3));
        drop(socket);
    });
}

/// The same over a boxed stream, which only one of them can call at a time: a write that one of them has requested, and that the
/// other one carries out, is not made twice.
#[test]
fn answers_over_a_boxed_stream_are_written_once_beside_the_driver() {
    check(2, || {
        let (connection, far) = connection();
        let (driver, socket) = moved(connection);
        let sender = socket.sender();
        let driver = driver.spawn_until(&far, 2);
        let task = thread::spawn(move || answer(socket, &["1"]));
        far.send("a");
        sender.try_send(Message::text("x")).unwrap();
        let socket = task.join().unwrap();
        arrive(&far, 2, &sender, driver);
        let mut texts = far.texts();
        texts.sort_unstable();
        assert_eq!(texts, ["1", "x"]);
        drop(socket);
    });
}

/// Sends an answer that the stream does not take at first, and that the driver writes once the stream takes it. The driver runs
/// until it has written so many frames, and then again at the end.
fn an_answer_that_is_not_taken_wakes_the_driver(connect: fn() -> (Connection, Far), frames: usize) {
    check(2, move || {
        let (connection, far) = connect();
        far.limit(1);
        let (driver, socket) = moved(connection);
        let sender = socket.sender();
        let driver = driver.spawn_until(&far, frames);
        let task = thread::spawn(move || answer(socket, &["1"]));
        far.send("a");
        far.limit(usize::MAX);
        let socket = task.join().unwrap();
        arrive(&far, 1, &sender, driver);
        assert_eq!(far.texts(), ["1"]);
        drop(socket);
    });
}

#[test]
fn an_answer_that_a_boxed_stream_does_not_take_wakes_the_driver() {
    an_answer_that_is_not_taken_wakes_the_driver(connection, 1);
}

#[test]
fn an_answer_that_the_kernel_does_not_take_wakes_the_driver() {
    an_answer_that_is_not_taken_wakes_the_driver(tcp_connection, 2);
}

/// The task writes the rest when it waits for the next message, while the driver does the same.
#[test]
fn a_task_that_waits_writes_beside_the_driver() {
    check(1, || {
        let (connection, far) = tcp_connection();
        let (driver, socket) = moved(connection);
        let sender = socket.sender();
        let driver = driver.spawn_until(&far, 4);
        let task = thread::spawn(move || {
            let mut socket = answer(socket, &["1", "2"]);
            assert_eq!(block_on(socket.recv()).unwrap().unwrap(), Message::text("b"));
            block_on(socket.send(Message::text("3"))).unwrap();
            socket
        });
        far.send("a");
        far.wait_for(2);
        far.send("b");
        let socket = task.join().unwrap();
        arrive(&far, 3, &sender, driver);
        assert_eq!(far.texts(), ["1", "2", "3"]);
        drop(socket);
    });
}
