//! A requested end happens, and tasks that wait for the end are woken.

use std::{sync::Arc, time::Duration};

use loom::{sync::Mutex, thread};

use super::{
    check, connection, moved, one_at_a_time, resting,
    stream::Far,
    task::{Task, block_on},
};
use crate::{Budget, Message, Sender, Shutdown};

/// Whether the connection has sent a Close 1001.
fn has_said_close(far: &Far) -> bool {
    far.frames().contains(&(0x88, vec![0x03, 0xe9]))
}

/// A shutdown raises a signal, and wakes the driver even if it was woken before: the driver checks signals before the queue.
#[test]
fn a_shutdown_that_begins_while_the_driver_goes_idle_closes_the_connection() {
    check(3, || {
        let shutdown = Shutdown::new().window(Duration::ZERO);
        let (connection, far) = connection();
        let (driver, sender) = resting(connection.shutdown(&shutdown));
        let driver = driver.spawn({
            let far = far.clone();
            move || has_said_close(&far)
        });
        sender.try_send(Message::text("a")).unwrap();
        shutdown.begin();
        driver.join().unwrap();
        assert_eq!(far.texts(), ["a"]);
    });
}

/// The first poll finds a signal that was raised before there was a waker.
#[test]
fn a_shutdown_that_begins_with_the_connection_closes_it() {
    check(3, || {
        let shutdown = Shutdown::new().window(Duration::ZERO);
        let (connection, far) = connection();
        let driver = connection
            .shutdown(&shutdown)
            .serve(|mut socket| async move { while let Some(Ok(_)) = socket.recv().await {} });
        let driver = Task::new(driver).spawn({
            let far = far.clone();
            move || has_said_close(&far)
        });
        shutdown.begin();
        driver.join().unwrap();
    });
}

/// A message elsewhere that exceeds the budget drops the largest queue, even one filled before its driver had a waker.
#[test]
fn a_budget_that_is_exceeded_while_the_driver_starts_evicts_the_largest_queue() {
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
            // This much is written while the handler runs.
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
fn a_socket_that_is_dropped_in_another_task_closes_its_connection() {
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

/// A Close of another task wakes the tasks that wait for capacity and for the end.
#[test]
fn tasks_that_wait_for_room_or_the_end_are_woken_by_a_close() {
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
