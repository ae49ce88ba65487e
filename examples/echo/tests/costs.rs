//! What the plain loop costs through axum and hyper, counted by an allocator: figures that do not drift as times do.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    future::Future,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use allocation_counter::{AllocationInfo, measure};
use sockeye::Shutdown;
use tokio::{net::TcpListener, runtime::Runtime};

/// The server, on the thread of the test, whose allocations are counted.
struct Server {
    runtime: Runtime,
    addr: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let addr = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            tokio::spawn(example_echo::serve(listener, Shutdown::new()));
            addr
        });
        Self { runtime, addr }
    }

    fn cost<T>(&self, work: impl Future<Output = T>) -> (T, AllocationInfo) {
        let (mut work, mut result) = (Some(work), None);
        let info = measure(|| result = work.take().map(|work| self.runtime.block_on(work)));
        (result.unwrap(), info)
    }
}

/// A client that allocates nothing while it talks: its sockets are the kernel's, and its buffers are handed in.
struct Client(TcpStream);

impl Client {
    async fn open(addr: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
            .write_all(
                b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            )
            .unwrap();
        let mut client = Self(stream);
        let (mut head, mut length) = ([0; 1024], 0);
        while !head[..length].ends_with(b"\r\n\r\n") {
            length += client.read(&mut head[length..]).await;
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        client
    }

    /// Sends a frame and waits until all of `answer` is full.
    async fn exchange(&mut self, frame: &[u8], answer: &mut [u8]) {
        let (mut sent, mut received) = (0, 0);
        while received < answer.len() {
            if sent < frame.len() {
                match self.0.write(&frame[sent..]) {
                    Ok(written) => sent += written,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
            }
            received += self.read_some(&mut answer[received..]).await;
        }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            match self.read_some(buffer).await {
                0 => {}
                read => return read,
            }
        }
    }

    /// Reads what is there, after the server has had its turn.
    async fn read_some(&mut self, buffer: &mut [u8]) -> usize {
        tokio::task::yield_now().await;
        match self.0.read(buffer) {
            Ok(0) => panic!("the server has hung up"),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A text frame of a client, with a key of zeros, which leaves the payload as it is.
fn text(size: usize) -> Vec<u8> {
    let mut frame = vec![0x81];
    match size {
        0..126 => frame.push(0x80 | size as u8),
        126..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend((size as u16).to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((size as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(vec![b'x'; size]);
    frame
}

/// Where the answer to [`text`] goes: the frame without the key.
fn answer(frame: &[u8]) -> Vec<u8> {
    vec![0; frame.len() - 4]
}

#[test]
fn a_connection_that_waits_holds_less_than_a_kibibyte() {
    for size in [20, 16 << 10] {
        let server = Server::start();
        let (frame, mut clients) = (text(size), Vec::with_capacity(400));
        let mut answer = answer(&frame);
        let mut more = async |count: usize| {
            for _ in 0..count {
                let mut client = Client::open(server.addr).await;
                client.exchange(&frame, &mut answer).await;
                clients.push(client);
            }
        };
        // The first ones fill the pools of the thread and of the runtime.
        server.runtime.block_on(more(100));
        let ((), idle) = server.cost(more(300));
        let each = idle.bytes_current / 300;
        assert!(each <= 1024, "{each} bytes for each connection after a message of {size} bytes: {idle:?}");
    }
}

#[test]
fn small_messages_cost_no_allocation_once_there_has_been_one() {
    for size in [0, 20, 125, 126, 1000, 4000] {
        let server = Server::start();
        let frame = text(size);
        let mut answer = answer(&frame);
        let mut client = server.runtime.block_on(Client::open(server.addr));
        server.runtime.block_on(client.exchange(&frame, &mut answer));
        let ((), steady) = server.cost(async {
            for _ in 0..100 {
                client.exchange(&frame, &mut answer).await;
            }
        });
        // Those of the runtime's queues, now and then.
        assert!(steady.count_total <= 4, "{size} bytes: {steady:?}");
    }
}

/// What would be copied would be allocated: a large message is read into its own memory, grows as it arrives, and is written
/// from there.
#[test]
fn a_large_message_is_allocated_once_and_never_copied_by_us() {
    const SIZE: usize = 1 << 20;
    let server = Server::start();
    let frame = text(SIZE);
    let mut answer = answer(&frame);
    let mut client = server.runtime.block_on(Client::open(server.addr));
    server.runtime.block_on(client.exchange(&frame, &mut answer));
    let ((), steady) = server.cost(async {
        for _ in 0..10 {
            client.exchange(&frame, &mut answer).await;
        }
    });
    // Growing by four means that a third of it may have been allocated before, and what a read brings comes on top.
    assert!(steady.bytes_total <= 10 * (SIZE as u64 * 4 / 3 + (256 << 10)), "{steady:?}");
    assert!(steady.bytes_max <= SIZE as u64 * 3 / 2, "{steady:?}");
}
