//! What a timer stores, how often it ticks, and when it walks its connections.

use tokio::{
    io::{DuplexStream, duplex},
    runtime::{Builder, Runtime},
    task::yield_now,
    time::advance,
};

use super::*;
use crate::{Connection, Role, Stream, Timeouts, shared::Shared, time::connection_timer::HERE};

#[test]
fn the_memory_of_a_timer_shrinks_with_its_connections() {
    let mut state = State::<Shared>::default();
    let ids: Vec<Id> = (0..10_000).map(|_| state.add(Weak::new(), 100)).collect();
    for id in &ids[10..] {
        state.take(*id, 100);
    }
    assert_eq!(state.connections.len(), 10);
    assert!(state.connections.capacity() <= 200, "{}", state.connections.capacity());
    // An id in use is not given out again.
    state.last_id = ids[0];
    assert!(!ids[..10].contains(&state.add(Weak::new(), 100)));
}

#[test]
fn a_timer_ticks_as_often_as_its_most_impatient_connection_needs() {
    let mut state = State::<Shared>::default();
    let slow = state.add(Weak::new(), 100);
    let (one, other) = (state.add(Weak::new(), 2), state.add(Weak::new(), 2));
    assert_eq!(state.fastest(), 2);
    state.take(one, 2);
    assert_eq!(state.fastest(), 2);
    state.take(other, 2);
    state.take(other, 2); // once more changes nothing
    assert_eq!(state.fastest(), 100);
    state.take(slow, 100);
    assert_eq!(state.fastest(), units(TICK));
}

fn paused() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// Opens a connection, and returns when its handler waits for a message. Dropping the returned stream closes the connection.
async fn open(timeouts: Timeouts) -> DuplexStream {
    let (client, server) = duplex(64);
    let connection = Connection::new(Stream::boxed(server), Role::Server).timeouts(timeouts);
    tokio::spawn(connection.serve(|mut socket| async move {
        let _ = socket.recv().await;
    }));
    let_others_run().await;
    client
}

/// Lets every task run as far as it can, while the clock is paused.
async fn let_others_run() {
    for _ in 0..10 {
        yield_now().await;
    }
}

/// How often the timer of this thread has walked all of its connections.
fn fired() -> u32 {
    Timer::of_thread(&HERE).fired.load(Ordering::Relaxed)
}

#[test]
fn opening_a_connection_does_not_fire_the_timer_for_the_others() {
    // A sixteenth of each of these is no whole number of hundredths of a second, as it is not of the defaults.
    for timeouts in [
        Timeouts::new(),
        Timeouts::none().idle(Duration::from_millis(12_345)),
        Timeouts::none().close(Duration::from_millis(777)),
    ] {
        paused().block_on(async {
            let mut clients = vec![open(timeouts).await];
            let before = fired();
            for _ in 0..1_000 {
                clients.push(open(timeouts).await);
            }
            assert_eq!(fired(), before, "{timeouts:?}");
            // The timer still fires when a deadline has passed, once for all connections.
            advance(TICK).await;
            let_others_run().await;
            assert_eq!(fired(), before + 1, "{timeouts:?}");
        });
    }
}

#[test]
fn only_the_first_connection_that_needs_a_faster_timer_fires_it() {
    paused().block_on(async {
        let impatient = || open(Timeouts::none().idle(Duration::from_millis(1_600)));
        let mut clients = vec![open(Timeouts::none().idle(Duration::from_secs(60))).await];
        let before = fired();
        clients.push(impatient().await);
        let faster = fired();
        assert!(faster > before, "it would tick in a second, where it has to in 100 ms");
        for _ in 0..10 {
            clients.push(impatient().await);
        }
        assert_eq!(fired(), faster);
    });
}
