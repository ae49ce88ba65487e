//! When the connections are closed.

use std::time::Duration;

use futures_util::future::join_all;
use sockeye_testkit::{Peer, PipeEnd};
use sockeye_tokio::Shutdown;
use tokio::{
    task::yield_now,
    time::{Instant, advance},
};

use crate::{
    common::{connect, echo},
    polite, start,
};

const WINDOW: Duration = Duration::from_secs(10);

/// When a client was sent its Close.
async fn closed_at(client: Peer<PipeEnd>) -> Instant {
    assert_eq!(polite(client).await, 1001);
    Instant::now()
}

async fn clients(shutdown: &Shutdown, count: usize) -> Vec<Peer<PipeEnd>> {
    let clients = (0..count).map(|_| start(shutdown, echo).0).collect();
    yield_now().await;
    clients
}

/// Each quarter of the window has about as many as the others. With a hundred in each on average, less than 40 or more than
/// 160 would come once in 10^11 runs.
fn assert_spread(closed: &[Instant], start: Instant, window: Duration) {
    assert_eq!(closed.len(), 400);
    let mut quarters = [0; 4];
    for at in closed {
        let quarter = at.duration_since(start).as_millis() * 4 / (window.as_millis() + 1);
        quarters[usize::try_from(quarter).unwrap()] += 1;
    }
    assert!(quarters.iter().all(|count| (40..=160).contains(count)), "{quarters:?}");
}

#[tokio::test(start_paused = true)]
async fn the_closes_of_a_shutdown_are_spread_over_its_window() {
    let shutdown = Shutdown::new().window(WINDOW);
    let clients = clients(&shutdown, 400).await;
    let start = Instant::now();
    shutdown.begin();
    let closed = join_all(clients.into_iter().map(|client| tokio::spawn(closed_at(client)))).await;
    let closed: Vec<_> = closed.into_iter().map(Result::unwrap).collect();
    assert_spread(&closed, start, WINDOW);
    assert!(closed.iter().max().unwrap().duration_since(start) > WINDOW * 3 / 4);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_with_a_window_of_zero_closes_all_at_once() {
    let shutdown = Shutdown::new().window(Duration::ZERO);
    let clients = clients(&shutdown, 100).await;
    let start = Instant::now();
    shutdown.begin();
    for client in clients {
        assert_eq!(closed_at(client).await, start);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_all_connections_in_the_first_half_of_its_time() {
    let shutdown = Shutdown::new().window(WINDOW);
    let clients: Vec<_> =
        clients(&shutdown, 400).await.into_iter().map(|client| tokio::spawn(closed_at(client))).collect();
    let start = Instant::now();
    let drained = shutdown.drain(Duration::from_secs(4)).await;
    assert_eq!((drained.closed, drained.aborted), (400, 0));
    let closed: Vec<_> = join_all(clients).await.into_iter().map(Result::unwrap).collect();
    assert_spread(&closed, start, Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_drain_shortens_the_window_of_a_shutdown_that_has_begun() {
    let shutdown = Shutdown::new().window(WINDOW * 10);
    let clients: Vec<_> =
        clients(&shutdown, 400).await.into_iter().map(|client| tokio::spawn(closed_at(client))).collect();
    let start = Instant::now();
    shutdown.begin();
    // All of them have been told when their turn is.
    advance(Duration::from_millis(1)).await;
    yield_now().await;
    let drained = shutdown.drain(WINDOW).await;
    assert_eq!((drained.closed, drained.aborted), (400, 0));
    let closed: Vec<_> = join_all(clients).await.into_iter().map(Result::unwrap).collect();
    assert_spread(&closed, start, WINDOW / 2 + Duration::from_millis(1));
    // A second one that has more time does not make it longer.
    assert_eq!(shutdown.drain(WINDOW * 100).await, drained);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_returns_before_its_turn_in_a_shutdown_closes_with_1001() {
    let shutdown = Shutdown::new().window(WINDOW * 1000);
    let own = shutdown.clone();
    let (client, _task) = start(&shutdown, |socket| async move {
        own.begun().await;
        drop(socket);
    });
    yield_now().await;
    let begun = Instant::now();
    shutdown.begin();
    assert_eq!(closed_at(client).await, begun);
}

#[tokio::test(start_paused = true)]
async fn the_default_window_is_a_millisecond_for_each_connection_up_to_10_seconds() {
    for (count, window) in [(0, 0), (1, 1), (50, 50), (10_500, 10_000)] {
        let shutdown = Shutdown::new();
        let connections: Vec<_> = (0..count).map(|_| connect().1.shutdown(&shutdown).serve(echo)).collect();
        assert_eq!(shutdown.connections(), count);
        assert_eq!(shutdown.refusing(), None);
        shutdown.begin();
        assert_eq!(shutdown.refusing(), Some(Duration::from_millis(window)), "{count}");
        drop(connections);
        assert_eq!(shutdown.drain(WINDOW).await.lost, count);
    }
}

#[tokio::test(start_paused = true)]
async fn refused_clients_are_told_to_wait_for_the_window_or_for_retry_after() {
    let shutdown = Shutdown::new().window(WINDOW);
    shutdown.begin();
    advance(WINDOW / 2).await;
    assert_eq!(shutdown.refusing(), Some(WINDOW));
    let shutdown = Shutdown::new().window(WINDOW).retry_after(Duration::from_secs(30));
    assert_eq!(shutdown.refusing(), None);
    shutdown.begin();
    assert_eq!(shutdown.refusing(), Some(Duration::from_secs(30)));
}
