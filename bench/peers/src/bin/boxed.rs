//! Ours on a boxed stream, which it can only read and write: as with TLS in its process, but without the cost of TLS. The box
//! contains a socket.

#![forbid(unsafe_code)]

use anyhow::Result;
use bench_peers::hidden::Hidden;
use bench_peers::{accept, opening, ours, run};
use sockeye::{Connection, Role, Stream};
use tokio::net::TcpListener;

fn main() -> Result<()> {
    run(&["plain"], async |listener: TcpListener, _form| {
        accept(listener, async |stream| {
            let stream = Hidden(opening::open(stream, None).await?);
            Connection::new(Stream::boxed(stream), Role::Server).serve(ours::echo).await;
            Ok(())
        })
        .await
    })
}
