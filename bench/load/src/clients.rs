//! The connections of measured clients, which are accepted here.

use crate::wire::Wire;
use anyhow::{Context as _, Result, ensure};
use bench_serve::opening;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustls::ServerConfig;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How long the clients may take to open a connection.
const LIMIT: Duration = Duration::from_secs(10);

/// A program that opens connections when it is asked to.
///
/// It listens at an address for a connection with its orders, `IP:PORT COUNT` in a line each, and answers with a line when the
/// last one of the connections is open.
#[derive(Debug)]
pub(crate) struct Clients {
    orders: TcpStream,
    listener: TcpListener,
    /// `None` where nothing is encrypted.
    tls: Option<Arc<ServerConfig>>,
    /// Connections that were asked for and are not accepted.
    missing: usize,
}

impl Clients {
    /// The program that takes its orders at this address, and opens its connections over TLS if there is `tls`.
    pub(crate) fn find(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let orders = TcpStream::connect_timeout(&address, LIMIT).context("the client takes no orders")?;
        orders.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        orders.set_read_timeout(Some(LIMIT)).context("cannot limit the time for an answer")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
        set_socket_timeout(&listener, Timeout::Recv, Some(LIMIT)).context("cannot limit the time for a connection")?;
        Ok(Self { orders, listener, tls, missing: 0 })
    }

    /// Lets the program open this many connections, one after the other. [`Clients::accept`] asks for one if it must.
    pub(crate) fn ask(&mut self, count: usize) -> Result<()> {
        if count > 0 {
            let address = self.listener.local_addr().context("the listener has no address")?;
            self.orders.write_all(format!("{address} {count}\n").as_bytes()).context("the client takes no orders")?;
            self.missing += count;
        }
        Ok(())
    }

    /// The next connection, after its opening handshake.
    pub(crate) fn accept(&mut self) -> Result<Wire> {
        if self.missing == 0 {
            self.ask(1)?;
        }
        let (stream, _) = self.listener.accept().context("the client has opened no connection; see its log")?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        stream.set_read_timeout(Some(LIMIT)).context("cannot limit the time for the request")?;
        let mut wire = Wire::accepted(stream, self.tls.as_ref())?;
        let mut request = Vec::new();
        let answer = loop {
            let mut piece = [0; 2048];
            let read = wire.read(&mut piece).context("the request did not come")?;
            ensure!(read > 0, "the client has ended the connection instead of sending a request");
            request.extend_from_slice(&piece[..read]);
            if let Some(answer) = opening::answer(&request)? {
                break answer;
            }
            ensure!(request.len() < 1 << 16, "the request is longer than 64 KiB");
        };
        wire.write_all(&answer).and_then(|()| wire.flush()).context("cannot answer the request")?;
        self.missing -= 1;
        if self.missing == 0 {
            // Until then, a client might read a message together with the answer, which is not what is measured.
            self.orders.read_exact(&mut [0]).context("the client does not say that its connections are open")?;
        }
        Ok(wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::thread;

    /// Opens connections as it is told, and keeps them. Each order is answered with `answer`.
    fn client(listener: TcpListener, answer: &[u8]) -> Vec<TcpStream> {
        let orders = listener.accept().unwrap().0;
        let mut open = Vec::new();
        for line in BufReader::new(&orders).lines() {
            let line = line.unwrap();
            let (address, count) = line.split_once(' ').unwrap();
            for _ in 0..count.parse::<usize>().unwrap() {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(opening::request(address.parse().unwrap()).as_bytes()).unwrap();
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_exact(&mut byte).unwrap();
                    head.extend(byte);
                }
                assert!(opening::is_accepted(&head).unwrap());
                open.push(stream);
            }
            (&orders).write_all(answer).unwrap();
        }
        open
    }

    #[test]
    fn clients_open_as_many_connections_as_they_are_asked_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = thread::spawn(move || client(listener, b"\n"));
        let mut clients = Clients::find(address, None).unwrap();
        clients.ask(2).unwrap();
        // The third one is asked for by itself.
        let accepted: Vec<Wire> = (0..3).map(|_| clients.accept().unwrap()).collect();
        drop(clients);
        let open = client.join().unwrap();
        for (accepted, open) in accepted.iter().zip(&open) {
            assert_eq!(accepted.socket().peer_addr().unwrap(), open.local_addr().unwrap());
        }
        assert_eq!((accepted.len(), open.len()), (3, 3));
    }
}
