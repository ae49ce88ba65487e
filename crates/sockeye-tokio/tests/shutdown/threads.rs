//! What a paused clock cannot show: other threads.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use sockeye_testkit::{Peer, pipe};
use sockeye_tokio::{Connection, Role, Shutdown, Stream};
use tokio::runtime::Builder;

use crate::{DEADLINE, echo, polite};

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_yields_is_reported_as_cut() {
    let shutdown = Shutdown::new();
    let ((blocks, blocked), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    let (client, server) = pipe();
    let connection = Connection::new(Stream::boxed(server), Role::Server).shutdown(&shutdown);
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
    assert_eq!((drained.closed, drained.lost, drained.cut), (0, 0, 1));
    release.send(()).unwrap();
    thread.join().unwrap();
    assert_eq!(shutdown.drain(DEADLINE).await, drained);
    drop(client);
}

/// Whenever a connection is told, it is: also in the middle of its first poll, when nobody could wake it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_begin_misses_no_connection_that_is_only_just_starting() {
    for _ in 0..300 {
        let shutdown = Shutdown::new().window(Duration::ZERO);
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (client, server) = pipe();
                let connection = Connection::new(Stream::boxed(server), Role::Server).shutdown(&shutdown);
                tokio::spawn(connection.serve(echo));
                tokio::spawn(polite(Peer::client(client)))
            })
            .collect();
        let begun = Instant::now();
        // One that is missed is closed only at three quarters of this.
        let drained = shutdown.drain(Duration::from_secs(60)).await;
        assert!(begun.elapsed() < Duration::from_secs(30), "one was missed");
        assert_eq!((drained.closed, drained.cut), (4, 0));
        for client in clients {
            assert_eq!(client.await.unwrap(), 1001);
        }
    }
}
