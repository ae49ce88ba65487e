//! Connections of members of hubs.

use sockeye_testkit::{Peer, PipeEnd, pipe};
use sockeye_tokio::{Connection, Role, Sender, Stream};
use tokio::sync::oneshot;

/// The client of a connection whose handler receives until the end.
pub(crate) type Client = Peer<PipeEnd>;

/// A connection over a pipe.
pub(crate) async fn connect() -> (Client, Sender) {
    let (near, far) = pipe();
    let (give, taken) = oneshot::channel();
    tokio::spawn(Connection::new(Stream::boxed(far), Role::Server).serve(|mut socket| async move {
        let _ = give.send(socket.sender());
        while let Some(Ok(_)) = socket.recv().await {}
    }));
    (Peer::client(near), taken.await.expect("the handler runs"))
}
