//! A proxy that cuts packets anywhere: bytes that were sent at once arrive in pieces of one byte or more, and a little later.

use std::{collections::HashMap, io, net::SocketAddr, time::Duration};

use anyhow::Result;
use fastrand::Rng;
use tokio::{
    io::AsyncWriteExt as _,
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    task::JoinSet,
    time::sleep,
    try_join,
};

/// A proxy before each of the server's addresses. The proxies end when this is dropped.
pub(super) struct Cutters {
    before: HashMap<SocketAddr, SocketAddr>,
    _proxies: JoinSet<()>,
}

impl Cutters {
    pub(super) async fn start(addresses: impl Iterator<Item = SocketAddr>, seed: u64) -> Result<Self> {
        let (mut before, mut proxies) = (HashMap::new(), JoinSet::new());
        for address in addresses {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            before.insert(address, listener.local_addr()?);
            proxies.spawn(proxy(listener, address, Rng::with_seed(seed ^ before.len() as u64)));
        }
        Ok(Self { before, _proxies: proxies })
    }

    /// The address of the proxy before this address.
    pub(super) fn before(&self, address: SocketAddr) -> SocketAddr {
        self.before.get(&address).copied().unwrap_or(address)
    }
}

async fn proxy(listener: TcpListener, address: SocketAddr, mut rng: Rng) {
    loop {
        // It fails if the client has left meanwhile, or if there are no descriptors left, which the clients report too.
        let Ok((client, _)) = listener.accept().await else { continue };
        tokio::spawn(connection(client, address, rng.fork()));
    }
}

async fn connection(mut client: TcpStream, address: SocketAddr, mut rng: Rng) {
    // Without a connection to the server, the client sees the end of its own.
    let Ok(mut server) = TcpStream::connect(address).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let outcome = {
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let up = carry(from_client, to_server, rng.fork());
        let down = carry(from_server, to_client, rng);
        try_join!(up, down)
    };
    if outcome.is_err() {
        // A reset is passed on as a reset.
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Copies bytes until the end of the stream. An error is a reset by their source.
async fn carry(from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut rng: Rng) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        from.readable().await?;
        // Allocated only now, since thousands of connections are idle most of the time.
        buffer.resize(piece(&mut rng), 0);
        match from.try_read(&mut buffer) {
            Ok(0) => {
                let _ = to.shutdown().await;
                return Ok(());
            }
            // An end that takes no more bytes may still send: the other direction notices its end.
            Ok(read) if to.write_all(&buffer[..read]).await.is_err() => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        buffer = Vec::new();
        if rng.u8(..16) == 0 {
            sleep(Duration::from_millis(rng.u64(1..4))).await;
        }
    }
}

/// How much is copied at once. Small pieces cut headers and characters, and large ones keep long messages moving.
fn piece(rng: &mut Rng) -> usize {
    match rng.u8(..10) {
        0..3 => rng.usize(1..16),
        3..6 => rng.usize(16..2000),
        _ => rng.usize(2000..64 << 10),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        join,
    };

    use super::*;

    /// A client behind a proxy, and the server's end.
    async fn behind() -> (Cutters, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cutters = Cutters::start([address].into_iter(), 7).await.unwrap();
        let (client, accepted) = join!(TcpStream::connect(cutters.before(address)), listener.accept());
        (cutters, client.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn a_cutter_passes_all_bytes_in_many_pieces_and_then_the_end() {
        let (_cutters, mut client, mut server) = behind().await;
        let sent: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        let (mut received, mut pieces) = (Vec::new(), 0);
        while server.read_buf(&mut received).await.unwrap() > 0 {
            pieces += 1;
        }
        assert_eq!(received, sent);
        assert!(pieces > 10, "{pieces}");
        // The other direction has not ended.
        server.write_all(b"bye").await.unwrap();
        drop(server);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"bye");
    }

    #[tokio::test]
    async fn a_cutter_passes_a_reset_on() {
        let (_cutters, client, mut server) = behind().await;
        client.set_zero_linger().unwrap();
        drop(client);
        let error = server.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
