//! The floor of clients: connections that are opened when somebody asks for them.

use crate::connection::{Connection, Pool};
use crate::{END, LISTENER, listen, wait};
use anyhow::{Context as _, Result, ensure};
use bench_serve::{Options, Order, opening};
use rustix::event::epoll;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

/// The number of the events of whoever asks for connections.
const ORDERS: u64 = LISTENER - 1;

/// Opens connections as ordered, and sends back what comes on them, until nobody gives orders any more.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (listener, epoll) = listen(options)?;
    let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
    // The listener is ready when somebody is there.
    while events.is_empty() {
        wait(&epoll, &mut events)?;
    }
    let mut orders = listener.accept().context("cannot accept whoever gives the orders")?.0;
    epoll::delete(&epoll, &listener).context("cannot forget the listener")?;
    epoll::add(&epoll, &orders, epoll::EventData::new_u64(ORDERS), epoll::EventFlags::IN)
        .context("cannot watch for orders")?;

    let mut pool = Pool::new();
    let mut connections: Vec<Option<Connection<TcpStream, true>>> = Vec::new();
    loop {
        wait(&epoll, &mut events)?;
        for event in &events {
            let number = event.data.u64();
            if number == ORDERS {
                let mut line = [0; 128];
                let read = orders.read(&mut line).context("cannot read the orders")?;
                if read == 0 {
                    return Ok(());
                }
                let Order { server, count } = Order::parse(&line[..read])?;
                for _ in 0..count {
                    let connection = open(server, &epoll, connections.len())?;
                    connections.push(Some(connection));
                }
                orders.write_all(b"\n").context("nobody waits for the connections")?;
                continue;
            }
            let flags = event.flags;
            let ends = flags.intersects(END);
            let Some(slot) = connections.get_mut(number as usize) else { continue };
            let goes_on = match slot {
                Some(connection) => connection.progress(number as usize, &mut pool, ends)?,
                None => false,
            };
            if !goes_on {
                *slot = None;
            }
        }
    }
}

/// Opens a connection. Until the answer has come, nothing else happens.
fn open(server: SocketAddr, epoll: &OwnedFd, number: usize) -> Result<Connection<TcpStream, true>> {
    let mut stream = TcpStream::connect(server).with_context(|| format!("cannot connect to {server}"))?;
    stream.write_all(opening::request(server).as_bytes()).context("cannot send the request")?;
    let (mut answer, mut length) = ([0; 1024], 0);
    while !opening::is_accepted(&answer[..length])? {
        let read = stream.read(&mut answer[length..]).context("cannot read the answer")?;
        ensure!(read > 0, "there is no answer, or a very long one");
        length += read;
    }
    let connection = Connection::opened(stream)?;
    connection.watch(epoll, number as u64)?;
    Ok(connection)
}
