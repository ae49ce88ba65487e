//! Who wants the end of a connection gets it, and who waits for it learns of it.

use std::time::Duration;

use loom::thread;

use super::{
    check, connection, moved, one_at_a_time, resting,
    stream::Far,
    task::{Task, block_on},
};
use crate::{Message, Shutdown};

/// The Close with which a server goes away.
fn has_said_goodbye(far: &Far) -> bool {
    far.frames().contains(&(0x88, vec![0x03, 0xe9]))
}

/// A shutdown orders, and wakes the driver although it may have been woken before: it looks at the orders before it looks at
/// the queue.
#[test]
fn a_shutdown_is_obeyed_while_the_driver_goes_to_rest() {
    check(3, || {
        let shutdown = Shutdown::new().window(Duration::ZERO);
        let (connection, far) = connection();
        let (driver, sender) = resting(connection.shutdown(&shutdown));
        let driver = driver.spawn({
            let far = far.clone();
            move || has_said_goodbye(&far)
        });
        sender.try_send(Message::text("a")).unwrap();
        shutdown.begin();
        driver.join().unwrap();
        assert_eq!(far.texts(), ["a"]);
    });
}

/// An order that comes while there is nobody to be woken is found by the first poll.
#[test]
fn a_shutdown_is_obeyed_that_begins_with_the_connection() {
    check(3, || {
        let shutdown = Shutdown::new().window(Duration::ZERO);
        let (connection, far) = connection();
        let driver = connection
            .shutdown(&shutdown)
            .serve(|mut socket| async move { while let Some(Ok(_)) = socket.recv().await {} });
        let driver = Task::new(driver).spawn({
            let far = far.clone();
            move || has_said_goodbye(&far)
        });
        shutdown.begin();
        driver.join().unwrap();
    });
}

/// A socket that is dropped in another task closes its connection.
#[test]
fn a_socket_that_is_dropped_elsewhere_closes() {
    check(3, || {
        let (connection, far) = connection();
        let (driver, mut socket) = moved(connection);
        let driver = driver.spawn({
            let far = far.clone();
            move || far.has(2)
        });
        socket.try_send(Message::text("a")).unwrap();
        drop(socket);
        driver.join().unwrap();
        assert_eq!(far.frames(), [(0x81, b"a".to_vec()), (0x88, vec![0x03, 0xe8])]);
    });
}

/// Who waits for room, and who waits for the end, is woken by a Close of another task: there is nothing to wait for any more.
#[test]
fn who_waits_is_woken_by_a_close() {
    check(2, || {
        let (connection, far) = connection();
        far.limit(0);
        let (driver, sender) = resting(connection.config(one_at_a_time()));
        sender.try_send(Message::text("a")).unwrap();
        let other = thread::spawn({
            let sender = sender.clone();
            move || block_on(sender.closed())
        });
        let closer = sender.clone();
        let closer = thread::spawn(move || closer.close_with(1000, "").unwrap());
        let error = block_on(sender.send(Message::text("b"))).unwrap_err();
        assert!(error.is_closed());
        other.join().unwrap();
        closer.join().unwrap();
        drop(driver);
    });
}
