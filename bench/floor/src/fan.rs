//! The floor of a fan-out: what one connection sends goes to all of them, from one buffer, with one call for each.

use crate::{END, LISTENER, accept, listen, wait};
use anyhow::{Context as _, Result, ensure};
use bench_serve::Options;
use bench_serve::frames::{Frames, PARTIAL};
use bench_serve::opening;
use rustix::event::epoll;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

/// The most bytes that are read at once, and so sent at once to each receiver.
const BUFFER: usize = 64 << 10;

/// The most bytes that wait for a receiver. One that reads too slowly is disconnected.
const QUEUE: usize = 64 << 10;

/// Serves until the process is killed.
pub(crate) fn serve(options: &Options) -> Result<()> {
    let (listener, epoll) = listen(options)?;
    let mut room = Room::default();
    let mut buffer = vec![0; BUFFER];
    let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
    loop {
        wait(&epoll, &mut events)?;
        for event in &events {
            match event.data.u64() {
                LISTENER => accept(&listener, |stream| room.add(stream, &epoll))?,
                number => {
                    let flags = event.flags;
                    room.progress(number as usize, flags, &mut buffer);
                }
            }
        }
    }
}

/// All connections.
#[derive(Debug, Default)]
struct Room {
    members: Vec<Option<Member>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Member {
    socket: TcpStream,
    state: State,
    /// What the socket has not taken.
    queue: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// What has arrived of the request.
    Opening(Vec<u8>),
    /// The frames that arrive, and what of them is not complete.
    Open(Frames, Vec<u8>),
}

impl Room {
    fn add(&mut self, socket: TcpStream, epoll: &OwnedFd) -> Result<()> {
        socket.set_nonblocking(true).context("cannot make a socket non-blocking")?;
        socket.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        let number = self.free.pop().unwrap_or_else(|| {
            self.members.push(None);
            self.members.len() - 1
        });
        let directions = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP;
        epoll::add(epoll, &socket, epoll::EventData::new_u64(number as u64), directions | epoll::EventFlags::ET)
            .context("cannot watch a socket")?;
        self.members[number] = Some(Member { socket, state: State::Opening(Vec::new()), queue: Vec::new() });
        Ok(())
    }

    /// Handles the event of a connection.
    fn progress(&mut self, number: usize, flags: epoll::EventFlags, buffer: &mut [u8]) {
        // An earlier event of the same look may have ended the connection.
        let Some(mut member) = self.members.get_mut(number).and_then(Option::take) else { return };
        let mut goes_on = member.drain() && !flags.intersects(END);
        let mut has_more = goes_on && flags.contains(epoll::EventFlags::IN);
        while has_more {
            match member.receive(buffer) {
                Ok(Some((frames, is_all))) => {
                    if !frames.is_empty() {
                        goes_on = member.send(&buffer[frames.clone()]);
                        self.send(&buffer[frames]);
                    }
                    has_more = goes_on && !is_all;
                }
                Ok(None) => (goes_on, has_more) = (false, false),
                Err(error) => {
                    eprintln!("connection {number}: {error:#}");
                    (goes_on, has_more) = (false, false);
                }
            }
        }
        if goes_on {
            self.members[number] = Some(member);
        } else {
            self.free.push(number);
        }
    }

    /// Sends the frames to all connections. Those that have read too little end.
    fn send(&mut self, frames: &[u8]) {
        for (number, slot) in self.members.iter_mut().enumerate() {
            let Some(member) = slot else { continue };
            if matches!(member.state, State::Open(..)) && !member.send(frames) {
                *slot = None;
                self.free.push(number);
            }
        }
    }
}

impl Member {
    /// Reads once. Returns where the frames to send are in `buffer`, and whether that was all; `None` at the end.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<(std::ops::Range<usize>, bool)>> {
        let mut ready = 0..0;
        let start = match &self.state {
            State::Opening(_) => 0,
            State::Open(frames, unfinished) => {
                buffer[..unfinished.len()].copy_from_slice(unfinished);
                ready = 0..unfinished.len();
                ready.end + frames.prepare(&mut buffer[ready.end..])
            }
        };
        ensure!(start + PARTIAL < buffer.len(), "a message is longer than {} bytes", buffer.len());
        let read = match self.socket.read(&mut buffer[start..]) {
            Ok(0) => return Ok(None),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Some((0..0, true))),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Some((0..0, false))),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(error).context("cannot receive"),
        };
        let is_all = start + read < buffer.len();
        match &mut self.state {
            State::Opening(request) => {
                request.extend_from_slice(&buffer[..read]);
                if let Some(answer) = opening::answer(request)? {
                    self.state = State::Open(Frames::default(), Vec::new());
                    ensure!(self.send(&answer), "the answer to the request could not be sent");
                }
            }
            State::Open(frames, unfinished) => {
                frames.turn(buffer, &mut ready, start + read)?;
                unfinished.clear();
                if frames.remaining() > 0 {
                    // Whole messages go to the others.
                    unfinished.extend_from_slice(&buffer[std::mem::take(&mut ready)]);
                }
            }
        }
        Ok(Some((ready, is_all)))
    }

    /// Sends, and keeps what the socket does not take. Returns whether the connection goes on.
    fn send(&mut self, mut bytes: &[u8]) -> bool {
        while self.queue.is_empty() && !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.queue.extend_from_slice(bytes);
        self.queue.len() <= QUEUE
    }

    /// Sends what is queued, as far as possible. Returns whether the connection goes on.
    fn drain(&mut self) -> bool {
        let queue = std::mem::take(&mut self.queue);
        queue.is_empty() || self.send(&queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::buffer::spare_capacity;
    use std::net::TcpListener;

    const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    /// The server, as its loop sees it.
    struct Served {
        listener: TcpListener,
        epoll: OwnedFd,
        room: Room,
        buffer: Vec<u8>,
    }

    impl Served {
        fn new() -> Self {
            Self {
                listener: TcpListener::bind("127.0.0.1:0").unwrap(),
                epoll: epoll::create(epoll::CreateFlags::CLOEXEC).unwrap(),
                room: Room::default(),
                buffer: vec![0; BUFFER],
            }
        }

        /// A client whose opening handshake is over.
        fn join(&mut self) -> TcpStream {
            let mut client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
            self.room.add(self.listener.accept().unwrap().0, &self.epoll).unwrap();
            client.write_all(REQUEST).unwrap();
            let open = |room: &Room| room.members.iter().flatten().all(|one| matches!(one.state, State::Open(..)));
            self.until(open);
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                answer.extend(byte);
            }
            client
        }

        /// Handles events until `is_done`.
        fn until(&mut self, is_done: impl Fn(&Room) -> bool) {
            while !is_done(&self.room) {
                let mut events: Vec<epoll::Event> = Vec::with_capacity(8);
                wait(&self.epoll, &mut events).unwrap();
                for event in &events {
                    let flags = event.flags;
                    self.room.progress(event.data.u64() as usize, flags, &mut self.buffer);
                }
            }
        }
    }

    /// A message with a masking key of zeros, and the message as all get it.
    fn message(length: u16) -> (Vec<u8>, Vec<u8>) {
        let payload = vec![b'a'; usize::from(length)];
        let length = length.to_be_bytes();
        let sent = [&[0x81, 0x80 | 126], &length[..], &[0; 4], &payload].concat();
        (sent, [&[0x81, 126], &length[..], &payload].concat())
    }

    #[test]
    fn all_connections_get_a_message_when_it_is_whole() {
        let mut served = Served::new();
        let mut clients = [served.join(), served.join(), served.join()];
        let (sent, expected) = message(1000);
        clients[1].write_all(&sent[..500]).unwrap();
        served.until(|room| {
            room.members.iter().flatten().any(|one| matches!(&one.state, State::Open(_, u) if !u.is_empty()))
        });
        clients[1].write_all(&sent[500..]).unwrap();
        served.until(|room| {
            room.members.iter().flatten().all(|one| matches!(&one.state, State::Open(_, u) if u.is_empty()))
        });
        for client in &mut clients {
            let mut arrived = vec![0; expected.len()];
            client.read_exact(&mut arrived).unwrap();
            assert!(arrived == expected);
        }
    }

    #[test]
    fn a_connection_that_reads_nothing_ends_and_the_others_go_on() {
        let mut served = Served::new();
        let (mut sender, mut silent) = (served.join(), served.join());
        let (sent, expected) = message(60_000);
        let mut rounds = 0;
        while served.room.members.iter().flatten().count() == 2 {
            sender.write_all(&sent).unwrap();
            rounds += 1;
            let reader = sender.try_clone().unwrap();
            let length = expected.len();
            let reader = std::thread::spawn(move || {
                let mut arrived = vec![0; length];
                (&reader).read_exact(&mut arrived).unwrap();
                arrived
            });
            // Until the sender has its own message.
            while !reader.is_finished() {
                let mut events: Vec<epoll::Event> = Vec::with_capacity(8);
                let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
                epoll::wait(&served.epoll, spare_capacity(&mut events), Some(&now)).unwrap();
                for event in &events {
                    let flags = event.flags;
                    served.room.progress(event.data.u64() as usize, flags, &mut served.buffer);
                }
            }
            assert!(reader.join().unwrap() == expected);
            assert!(rounds < 10_000, "a connection that reads nothing is kept");
        }
        // What the kernel had taken is a beginning of the same messages.
        let mut arrived = Vec::new();
        silent.read_to_end(&mut arrived).unwrap();
        let whole = expected.repeat(rounds);
        assert!(whole.starts_with(&arrived) && arrived.len() < whole.len());
    }
}
