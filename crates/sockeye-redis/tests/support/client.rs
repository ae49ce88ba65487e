//! Connections of members of hubs.

use sockeye_testkit::{Frame, Peer, PipeEnd, opcode, pipe};
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

/// The next text. Pings are answered.
pub(crate) async fn next_text(client: &mut Client) -> String {
    loop {
        let frame = client.expect_frame().await;
        match frame.opcode {
            opcode::PING => client.send(Frame::pong(frame.payload)).await,
            opcode::TEXT => return String::from_utf8(frame.payload).expect("a text"),
            _ => panic!("{frame:?}"),
        }
    }
}
