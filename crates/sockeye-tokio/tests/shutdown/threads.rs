//! What a paused clock cannot show: other threads.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use sockeye_tokio::Shutdown;
use tokio::runtime::Builder;

use crate::{
    DEADLINE,
    common::{connect, echo},
    polite, start,
};

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_yields_in_a_drain_is_reported_as_aborted() {
    let shutdown = Shutdown::new();
    let ((blocks, blocked), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    let (client, connection) = connect();
    let connection = connection.shutdown(&shutdown);
    // In a runtime of its own, which it blocks until the drain is over.
    let thread = thread::spawn(move || {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(connection.serve(|socket| async move {
            blocks.send(()).unwrap();
            released.recv().unwrap();
            drop(socket);
        }));
    });
    blocked.recv().unwrap();
    let drained = shutdown.drain(DEADLINE).await;
    assert_eq!((drained.closed, drained.lost, drained.aborted), (0, 0, 1));
    release.send(()).unwrap();
    thread.join().unwrap();
    assert_eq!(shutdown.drain(DEADLINE).await, drained);
    drop(client);
}

/// Whenever a connection is told, it is: also in the middle of its first poll, when nobody could wake it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_misses_no_connection_that_is_just_starting() {
    for _ in 0..300 {
        let shutdown = Shutdown::new().window(Duration::ZERO);
        let clients: Vec<_> = (0..4).map(|_| tokio::spawn(polite(start(&shutdown, echo).0))).collect();
        let begun = Instant::now();
        // One that is missed is closed only at three quarters of this.
        let drained = shutdown.drain(Duration::from_secs(60)).await;
        assert!(begun.elapsed() < Duration::from_secs(30), "one was missed");
        assert_eq!((drained.closed, drained.aborted), (4, 0));
        for client in clients {
            assert_eq!(client.await.unwrap(), 1001);
        }
    }
}
