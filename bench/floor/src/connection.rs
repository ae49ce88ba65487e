//! One connection.

use crate::low_water::LowWater;
use crate::socket::{RECORDS, Received, Socket};
use anyhow::{Context as _, Result};
use bench_serve::frames::Frames;
use bench_serve::opening;
use rustix::event::epoll;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::fd::OwnedFd;

/// The most bytes that are read and sent at once. Measured with messages of 1 MiB: with 256 KiB there are more calls and the
/// client is woken more often; with 1 MiB the bytes have left the core's cache when they are sent. With room for a header, a
/// message of 1 MiB takes two writes, and no third one for a few bytes.
const BUFFER: usize = (512 << 10) + 64;

/// A socket, and as little else as possible. `CLIENT` is whether it was opened here.
#[derive(Debug)]
pub(crate) struct Connection<S, const CLIENT: bool = false> {
    socket: S,
    state: State<CLIENT>,
    /// `Some` while a message was received or sent in part. An idle connection has none.
    batch: Option<Batch>,
    /// `None` if the socket reports the first byte that arrives.
    low_water: Option<LowWater>,
}

#[derive(Debug)]
enum State<const CLIENT: bool> {
    /// What has arrived of the request.
    Opening(Vec<u8>),
    Open(Frames<CLIENT>),
}

/// The bytes that were read and go back.
#[derive(Debug)]
pub(crate) struct Batch {
    buffer: Box<[u8]>,
    /// The range of `buffer` that can be sent.
    ready: Range<usize>,
    /// Whether it is being sent. The connection does not read meanwhile.
    is_leaving: bool,
}

/// The buffers of connections that hold none: each connection has its own, which is still in the cache at its next message.
///
/// Connections that are open and idle need no memory for that: from [`Pool::SIZE`] connections on, several share one.
#[derive(Debug)]
pub(crate) struct Pool {
    unused: [Option<Batch>; Self::SIZE + 1],
    /// Where TLS records are read, of any connection.
    records: Box<[u8]>,
}

impl Pool {
    /// More than the connections of any scenario that measures messages.
    const SIZE: usize = 256;

    /// Where the buffer is that opening handshakes share: making a buffer is not part of one.
    const OPENING: usize = Self::SIZE;

    pub(crate) fn new() -> Self {
        Self { unused: [const { None }; Self::SIZE + 1], records: vec![0; RECORDS].into() }
    }

    fn take(&mut self, place: usize) -> Batch {
        let new = || Batch { buffer: vec![0; BUFFER].into(), ready: 0..0, is_leaving: false };
        self.unused[place].take().unwrap_or_else(new)
    }

    fn put(&mut self, place: usize, batch: Batch) {
        self.unused[place] = Some(batch);
    }
}

impl<S: Socket, const CLIENT: bool> Connection<S, CLIENT> {
    pub(crate) fn new(socket: S, low_water: Option<LowWater>) -> Result<Self> {
        socket.tcp().set_nonblocking(true).context("cannot make a socket non-blocking")?;
        socket.tcp().set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Self { socket, state: State::Opening(Vec::new()), batch: None, low_water })
    }

    /// The same after the opening handshake.
    pub(crate) fn opened(socket: S) -> Result<Self> {
        Ok(Self { state: State::Open(Frames::default()), ..Self::new(socket, None)? })
    }

    pub(crate) fn watch(&self, epoll: &OwnedFd, number: u64) -> Result<()> {
        // Edge-triggered and in both directions, so that no registration ever changes, and no event is seen twice.
        let directions = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP;
        let interest = directions | epoll::EventFlags::ET;
        epoll::add(epoll, self.socket.tcp(), epoll::EventData::new_u64(number), interest)
            .context("cannot watch a socket")
    }

    /// Reads and sends back until the socket would block. Returns whether the connection goes on.
    ///
    /// `number` is the connection's. `ends` is whether the peer has shut down its direction: no later event reports this again.
    pub(crate) fn progress(&mut self, number: usize, pool: &mut Pool, ends: bool) -> Result<bool> {
        let place = match self.state {
            State::Opening(_) => Pool::OPENING,
            State::Open(_) => number % Pool::SIZE,
        };
        let mut batch = self.batch.take().unwrap_or_else(|| pool.take(place));
        let mut had_all = false;
        loop {
            if batch.is_leaving && !self.send(&mut batch)? {
                self.batch = Some(batch);
                return Ok(true);
            }
            if had_all {
                let remaining = self.remaining();
                if let Some(low_water) = &mut self.low_water {
                    low_water.wait_for(self.socket.tcp(), remaining, batch.room())?;
                }
                if batch.ready.is_empty() {
                    pool.put(place, batch);
                } else {
                    self.batch = Some(batch);
                }
                return Ok(true);
            }
            had_all = match self.receive(&mut batch, &mut pool.records)? {
                Some(Received::Some { all, .. }) => all && !ends,
                Some(Received::End) => return Ok(false),
                None => true,
            };
            // A message that has arrived in part is sent back when it is complete: one write costs less than several. A message
            // that is longer than the buffer is sent in pieces.
            let waits =
                self.remaining() > 0 && batch.room() >= Frames::<CLIENT>::ROOM + Frames::<CLIENT>::SPARE + S::ROOM;
            batch.is_leaving = !batch.ready.is_empty() && !waits;
        }
    }

    /// How much payload of the current frame is missing.
    fn remaining(&self) -> u64 {
        match &self.state {
            State::Opening(_) => 0,
            State::Open(frames) => frames.remaining(),
        }
    }

    /// Reads once. `None` if there is nothing to read.
    fn receive(&mut self, batch: &mut Batch, records: &mut [u8]) -> Result<Option<Received>> {
        let Batch { buffer, ready, .. } = batch;
        let start = match &self.state {
            State::Opening(_) => 0,
            State::Open(frames) => ready.end + frames.prepare(&mut buffer[ready.end..]),
        };
        let end = buffer.len() - Frames::<CLIENT>::SPARE;
        let received = match self.socket.receive(&mut buffer[start..end], records) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => Received::Some { bytes: 0, all: false },
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Received::End,
            Err(error) => return Err(error).context("cannot receive"),
        };
        let Received::Some { bytes: read, .. } = received else { return Ok(Some(received)) };
        match &mut self.state {
            State::Opening(request) => {
                request.extend_from_slice(&buffer[..read]);
                if let Some(answer) = opening::answer(request)? {
                    self.state = State::Open(Frames::default());
                    buffer[..answer.len()].copy_from_slice(&answer);
                    *ready = 0..answer.len();
                }
            }
            State::Open(frames) => frames.turn(buffer, ready, start + read)?,
        }
        Ok(Some(received))
    }

    /// Sends what the socket takes. Returns whether that was all.
    fn send(&mut self, batch: &mut Batch) -> Result<bool> {
        while !batch.ready.is_empty() {
            match self.socket.send(&batch.buffer[batch.ready.clone()]) {
                Ok(written) => batch.ready.start += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        loop {
            match self.socket.pass_on() {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        (batch.ready, batch.is_leaving) = (0..0, false);
        Ok(true)
    }
}

impl Batch {
    /// How many bytes can be read after the ready bytes.
    fn room(&self) -> usize {
        self.buffer.len() - self.ready.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::low_water;
    use rustix::buffer::spare_capacity;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    /// A connection of the server, as its loop sees it.
    struct Served {
        connection: Connection<TcpStream>,
        pool: Pool,
        epoll: OwnedFd,
    }

    impl Served {
        /// A connection whose opening handshake is over, and the client's socket.
        fn open(low_water: Option<LowWater>) -> (Self, TcpStream) {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let connection = Connection::new(listener.accept().unwrap().0, low_water).unwrap();
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
            connection.watch(&epoll, 0).unwrap();
            let mut served = Self { connection, pool: Pool::new(), epoll };
            client.write_all(REQUEST).unwrap();
            served.until(|served| matches!(served.connection.state, State::Open(_)));
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                answer.extend(byte);
            }
            (served, client)
        }

        /// Handles events until `is_done`. Returns whether the connection goes on.
        fn until(&mut self, is_done: impl Fn(&Self) -> bool) -> bool {
            loop {
                let mut events: Vec<epoll::Event> = Vec::with_capacity(4);
                epoll::wait(&self.epoll, spare_capacity(&mut events), None).unwrap();
                for event in &events {
                    let flags = event.flags;
                    let ends = flags.intersects(crate::END);
                    if !self.connection.progress(0, &mut self.pool, ends).unwrap() {
                        return false;
                    }
                }
                if is_done(self) {
                    return true;
                }
            }
        }

        fn mark(&self) -> usize {
            low_water::mark_of(&self.connection.socket)
        }
    }

    /// The header of a frame with a masking key of zeros.
    fn header(length: usize) -> Vec<u8> {
        [&[0x82, 0xff][..], &(length as u64).to_be_bytes(), &[0; 4]].concat()
    }

    #[test]
    fn the_low_water_mark_is_the_rest_of_the_frame_and_one_byte_after_it() {
        let (mut served, mut client) = Served::open(Some(LowWater::default()));
        let length = 100_000;
        client.write_all(&[&header(length)[..], &[7; 1_000]].concat()).unwrap();
        served.until(|served| served.connection.remaining() > 0);
        assert_eq!(served.mark() as u64, served.connection.remaining());
        client.write_all(&vec![7; length - 1_000]).unwrap();
        served.until(|served| served.connection.remaining() == 0);
        assert_eq!(served.mark(), 1);
        let mut echo = vec![0; 10 + length];
        client.read_exact(&mut echo).unwrap();
        assert!(echo[10..].iter().all(|byte| *byte == 7));
    }

    #[test]
    fn a_message_that_is_longer_than_the_buffer_comes_back_with_and_without_a_low_water_mark() {
        for low_water in [None, Some(LowWater::default())] {
            let (mut served, mut client) = Served::open(low_water);
            let length = 5 * BUFFER / 2;
            let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let client = std::thread::spawn(move || {
                let mut reader = client.try_clone().unwrap();
                let sent = [&header(length)[..], &payload].concat();
                let writer = std::thread::spawn(move || client.write_all(&sent).unwrap());
                let mut echo = vec![0; 10 + length];
                reader.read_exact(&mut echo).unwrap();
                writer.join().unwrap();
                assert!(echo[10..] == payload, "the echo is another message");
            });
            // The client ends the connection when all is back.
            assert!(!served.until(|_| false));
            client.join().unwrap();
        }
    }

    #[test]
    fn the_end_of_a_peer_inside_a_frame_is_seen_below_the_low_water_mark() {
        let (mut served, mut client) = Served::open(Some(LowWater::default()));
        client.write_all(&header(100_000)).unwrap();
        served.until(|served| served.connection.remaining() > 0);
        drop(client);
        assert!(!served.until(|_| false));
    }
}
