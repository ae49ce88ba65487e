//! More than one connection, or more than one future, in a task.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, future::join_all, stream::FuturesUnordered};
use sockeye::{Connection, ReceiveHalf, Role, SendHalf, Stream, WebSocket};
use tokio::{sync::mpsc, time::sleep};

use super::echo;

/// The capacity of the stream between the two inner ends.
const PIPE: usize = 4096;

/// The set has wakers of its own, so a `recv` in it is not woken through the driver's task.
pub(super) async fn in_a_set(socket: WebSocket) {
    let pause = || sleep(Duration::from_millis(7)).map(|()| false).boxed();
    let mut set: FuturesUnordered<_> = [echo(socket).map(|()| true).boxed(), pause()].into_iter().collect();
    while let Some(is_over) = set.next().await {
        if is_over {
            break;
        }
        set.push(pause());
    }
}

/// Passes the socket to a task that serves several sockets.
pub(super) async fn gathered(socket: WebSocket, gatherer: mpsc::Sender<WebSocket>) {
    let _ = gatherer.send(socket).await;
}

pub(super) async fn join(sockets: Vec<WebSocket>) {
    join_all(sockets.into_iter().map(echo)).await;
}

pub(super) async fn set(sockets: Vec<WebSocket>) {
    sockets.into_iter().map(echo).collect::<FuturesUnordered<_>>().collect().await
}

/// Passes everything on to an inner connection, both of whose ends run in this handler: drivers in a driver.
pub(super) async fn nested(outer: WebSocket) {
    let (near, far) = tokio::io::duplex(PIPE);
    let server = Connection::new(Stream::boxed(far), Role::Server).serve(echo);
    let client = Connection::new(Stream::boxed(near), Role::Client).serve(|inner| async move {
        let (to_client, from_client) = outer.into_split();
        let (to_server, from_server) = inner.into_split();
        // When one direction has ended, all four are dropped.
        tokio::select! {
            () = pass(from_client, to_server) => {}
            () = pass(from_server, to_client) => {}
        }
    });
    tokio::join!(server, client);
}

async fn pass(mut from: ReceiveHalf, to: SendHalf) {
    while let Some(Ok(message)) = from.recv().await {
        if message.is_data() && to.send(message).await.is_err() {
            break;
        }
    }
}
