//! Arriving data is received in whichever task the socket is.

use loom::thread;

use super::{check, connection, moved, resting, task::block_on};
use crate::{Message, time::connection_timer::TICKS};

/// In a task other than the driver's, `recv` and the driver watch the stream in turns, and wake each other.
#[test]
fn a_recv_in_another_task_is_woken_for_each_message() {
    check(2, || {
        let (connection, far) = connection();
        let (driver, mut socket) = moved(connection);
        let driver = driver.spawn_until(&far, 1);
        let receiver = thread::spawn(move || {
            for text in ["a", "b"] {
                assert_eq!(block_on(socket.recv()).unwrap().unwrap(), Message::text(text));
            }
            // Makes the driver end.
            socket.sender().try_send(Message::text("done")).unwrap();
            socket
        });
        far.send("a");
        far.send("b");
        receiver.join().unwrap();
        driver.join().unwrap();
    });
}

/// No tick has to end the lease of a task that receives, although the driver reads at the same time.
#[test]
fn a_recv_in_another_task_is_woken_by_the_stream() {
    TICKS.set(false);
    check(2, || {
        let (connection, far) = connection();
        let (driver, mut socket) = moved(connection);
        let driver = driver.spawn_until(&far, 1);
        let receiver = thread::spawn(move || {
            assert_eq!(block_on(socket.recv()).unwrap().unwrap(), Message::text("a"));
            // Makes the driver end.
            socket.sender().try_send(Message::text("done")).unwrap();
            socket
        });
        let peer = thread::spawn(move || far.send("a"));
        receiver.join().unwrap();
        driver.join().unwrap();
        peer.join().unwrap();
    });
}

/// While another task is busy with what it has received, the driver reads on, and answers.
#[test]
fn a_ping_is_answered_while_another_task_has_the_socket() {
    check(2, || {
        let (connection, far) = connection();
        let (driver, mut socket) = moved(connection);
        let driver = driver.spawn_until(&far, 1);
        let receiver = thread::spawn(move || {
            assert_eq!(block_on(socket.recv()).unwrap().unwrap(), Message::text("a"));
            socket
        });
        far.send("a");
        far.ping();
        let socket = receiver.join().unwrap();
        driver.join().unwrap();
        assert_eq!(far.frames(), [(0x8a, Vec::new())]);
        drop(socket);
    });
}

/// The stream and a sender wake the driver at once. The driver takes the receive lock, then the send lock; the sender only
/// the send lock.
#[test]
fn receiving_and_sending_at_once_do_not_deadlock() {
    check(3, || {
        let (connection, far) = connection();
        let (driver, sender) = resting(connection);
        let driver = driver.spawn_until(&far, 2);
        let other = thread::spawn(move || sender.try_send(Message::text("a")).unwrap());
        far.ping();
        other.join().unwrap();
        driver.join().unwrap();
        assert_eq!(far.texts(), ["a"]);
        assert!(far.frames().contains(&(0x8a, Vec::new())));
    });
}
