//! Models of what the threads of a connection share. loom tries out every order of the threads, up to a bound on the number
//! of interruptions, and every value that a relaxed load may see. `cargo xtask loom` runs them.
//!
//! A model ends when all its threads have what they wait for. After a lost wakeup one thread waits for ever; with two locks
//! taken in opposite orders, two threads do. loom then panics with `deadlock`.
//!
//! Each model tests a guarantee through the public API. The models are here because only this crate's own tests have loom's
//! locks.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod answering;
mod budget;
mod bypass;
mod closing;
mod receiving;
mod sending;
mod stream;
mod task;
pub(crate) mod tcp;

use std::sync::Arc;

use loom::{model::Builder, sync::Mutex, thread::JoinHandle};

use crate::{Config, Connection, Role, Sender, Stream, Timeouts, WebSocket};
use stream::Far;
use task::Task;

/// Checks `model` in all orders with at most `interruptions` interruptions of its threads, or as many as
/// `LOOM_MAX_PREEMPTIONS` says. Most mistakes need one or two.
fn check(interruptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(interruptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// A connection of a server, without deadlines, since those need a runtime.
fn connection() -> (Connection, Far) {
    let (near, far) = stream::pair();
    let connection = Connection::new(Stream::boxed(near), Role::Server).timeouts(Timeouts::none());
    (connection, far)
}

/// The same over a model of a `TcpStream`, which every thread may write.
fn tcp_connection() -> (Connection, Far) {
    let (near, far) = stream::pair();
    let connection = Connection::new(tcp::TcpStream::from(near), Role::Server).timeouts(Timeouts::none());
    (connection, far)
}

/// A message is admitted only when nothing is queued.
fn one_at_a_time() -> Config {
    Config::new().write_buffer_size(1)
}

/// A connection whose handler waits for messages, and its driver, which rests.
fn resting(connection: Connection) -> (Task, Sender) {
    let slot = Arc::new(Mutex::new(None));
    let give = slot.clone();
    let mut driver = Task::new(connection.serve(move |mut socket| async move {
        *give.lock().unwrap() = Some(socket.sender());
        while let Some(Ok(_)) = socket.recv().await {}
    }));
    rest(&mut driver);
    let sender = slot.lock().unwrap().take().unwrap();
    (driver, sender)
}

/// A connection whose handler has moved the socket away and returned, and its driver, which has nothing to do.
fn moved(connection: Connection) -> (Task, WebSocket) {
    let slot = Arc::new(Mutex::new(None));
    let give = slot.clone();
    let mut driver = Task::new(connection.serve(move |socket| {
        *give.lock().unwrap() = Some(socket);
        async {}
    }));
    rest(&mut driver);
    let socket = slot.lock().unwrap().take().unwrap();
    (driver, socket)
}

/// The first poll stores the driver's waker, the second finds nothing to do.
fn rest(driver: &mut Task) {
    assert!(driver.poll().is_pending() && driver.poll().is_pending());
}

/// Waits for this many frames, and then ends the driver, which may have had nothing to do with them.
fn arrive(far: &Far, frames: usize, sender: &Sender, driver: JoinHandle<Task>) {
    far.wait_for(frames);
    sender.close_with(1000, "").unwrap();
    driver.join().unwrap();
}
