//! An echo on bare epoll with a minimum of WebSocket: it shows what the kernel costs.
//!
//! It answers the opening handshake, unmasks messages in the buffer that it has read into, and sends them back. It validates
//! nothing, and sends as much as possible with one call. So its cost is a few system calls and one pass over the bytes. Other
//! servers are measured as multiples of it.
//!
//! The form `lowat` lets the kernel wait until the rest of a long frame is there (`SO_RCVLOWAT`). In the form `tls`, everything
//! goes through rustls. In the form `fan`, what one connection sends goes to all of them. In the form `client`, it opens connections
//! when it is asked to, and masks what it sends back.

#![forbid(unsafe_code)]

mod client;
mod connection;
mod fan;
mod low_water;
mod socket;

use anyhow::{Context as _, Result, ensure};
use bench_serve::{Options, announce, tls};
use connection::{Connection, Pool};
use low_water::LowWater;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use socket::{Socket, Tls};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

/// The number of the listener's events.
const LISTENER: u64 = u64::MAX;

/// The events that say that a peer will send no more.
const END: epoll::EventFlags = epoll::EventFlags::RDHUP.union(epoll::EventFlags::HUP).union(epoll::EventFlags::ERR);

fn main() -> Result<()> {
    let options = Options::from_arguments(&["floor", "lowat", "tls", "fan", "client"])?;
    ensure!(options.threads.get() == 1, "the floor has one thread");
    match options.form {
        "tls" => {
            let config = tls::config()?;
            serve(&options, None, |stream| Tls::new(stream, &config))
        }
        "fan" => fan::serve(&options),
        "client" => client::run(&options),
        "lowat" => serve(&options, Some(LowWater::default()), Ok),
        _ => serve(&options, None, Ok),
    }
}

fn serve<S: Socket>(
    options: &Options,
    low_water: Option<LowWater>,
    open: impl Fn(TcpStream) -> Result<S>,
) -> Result<()> {
    let (listener, epoll) = listen(options)?;
    let mut pool = Pool::new();
    let mut connections: Vec<Option<Connection<S>>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
    loop {
        wait(&epoll, &mut events)?;
        for event in &events {
            let number = event.data.u64();
            if number == LISTENER {
                accept(&listener, |stream| {
                    let connection: Connection<S> = Connection::new(open(stream)?, low_water)?;
                    let number = free.pop().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    connection.watch(&epoll, number as u64)?;
                    connections[number] = Some(connection);
                    Ok(())
                })?;
                continue;
            }
            let flags = event.flags;
            let ends = flags.intersects(END);
            let slot = &mut connections[number as usize];
            let goes_on = slot.as_mut().is_some_and(|connection| {
                connection.progress(number as usize, &mut pool, ends).unwrap_or_else(|error| {
                    eprintln!("connection {number}: {error:#}");
                    false
                })
            });
            if !goes_on && slot.take().is_some() {
                free.push(number as usize);
            }
        }
    }
}

/// The listener, and the epoll instance that waits for it.
fn listen(options: &Options) -> Result<(TcpListener, OwnedFd)> {
    let listener =
        TcpListener::bind(options.addr).with_context(|| format!("cannot listen on {} (--addr)", options.addr))?;
    listener.set_nonblocking(true).context("cannot make the listener non-blocking")?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("cannot make an epoll instance")?;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)
        .context("cannot watch the listener")?;
    announce(listener.local_addr().context("the listener has no address")?);
    Ok((listener, epoll))
}

/// Waits for events, which replace those of before. There are none if a signal has ended the wait.
fn wait(epoll: &OwnedFd, events: &mut Vec<epoll::Event>) -> Result<()> {
    events.clear();
    match epoll::wait(epoll, spare_capacity(events), None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("cannot wait for events"),
    }
}

fn accept(listener: &TcpListener, mut add: impl FnMut(TcpStream) -> Result<()>) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => add(stream)?,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error).context("cannot accept"),
        }
    }
}
