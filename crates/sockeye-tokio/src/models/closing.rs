//! Who wants the end of a connection gets it, and who waits for it learns of it.

use std::{sync::Arc, time::Duration};

use loom::{sync::Mutex, thread};

use super::{
    check, connection, moved, one_at_a_time, resting,
    stream::Far,
    task::{Task, block_on},
};
use crate::{Budget, Message, Sender, Shutdown};

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

/// A budget that is spent elsewhere has the fattest queue go, also one that was filled before its driver could be woken.
#[test]
fn a_budget_is_obeyed_that_is_spent_while_the_driver_begins() {
    check(3, || {
        let budget = Budget::new(80 << 10);
        let (fat, fat_end) = connection();
        let (other, other_end) = connection();
        fat_end.limit(0);
        other_end.limit(0);
        let (other_driver, to_other) = resting(other.budget(&budget));
        let slot = Arc::new(Mutex::new(None));
        let give = slot.clone();
        let driver = Task::new(fat.budget(&budget).serve(move |mut socket| async move {
            // So much is written while the handler runs.
            socket.send(Message::binary(vec![0; 70 << 10])).await.unwrap();
            *give.lock().unwrap() = Some(socket.sender());
            while let Some(Ok(_)) = socket.recv().await {}
        }));
        let driver = driver.spawn(move || slot.lock().unwrap().as_ref().is_some_and(Sender::is_closed));
        to_other.try_send(Message::binary(vec![0; 20 << 10])).unwrap();
        driver.join().unwrap();
        assert!(!to_other.is_closed());
        drop(other_driver);
    });
}

/// A socket that is dropped in another task closes its connection.
#[test]
fn a_socket_that_is_dropped_elsewhere_closes() {
    check(3, || {
        let (connection, far) = connection();
        let (driver, mut socket) = moved(connection);
        let driver = driver.spawn_until(&far, 2);
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
