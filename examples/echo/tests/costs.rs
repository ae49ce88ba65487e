//! What the plain loop costs through axum and hyper, counted by an allocator: unlike times, these figures do not vary.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    future::Future,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use allocation_counter::{AllocationInfo, measure};
use futures_util::future::join_all;
use sockeye::{Compression, Memory, Shutdown, WebSocketDefaults};
use tokio::{net::TcpListener, runtime::Runtime};

/// The server, on the test's thread, whose allocations are counted.
struct Server {
    runtime: Runtime,
    addr: SocketAddr,
}

impl Server {
    fn start() -> Self {
        Self::with(None)
    }

    fn with(compression: Option<Compression>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let defaults = WebSocketDefaults::new().compression(compression);
        let addr = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            tokio::spawn(example_echo::serve(listener, Shutdown::new(), defaults));
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

/// A client that allocates nothing while it talks: it uses blocking sockets, and the caller passes the buffers.
struct Client(TcpStream);

impl Client {
    async fn open(addr: SocketAddr) -> Self {
        Self::offering(addr, "").await
    }

    /// Connects with this header in the request.
    async fn offering(addr: SocketAddr, header: &str) -> Self {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_nonblocking(true).unwrap();
        write!(
            stream,
            "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}\r\n"
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

    /// Reads what is there, after the server has run.
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

/// A text frame of a client, with a masking key of zeros, which does not change the payload.
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

/// A buffer for the answer to [`text`]: the frame without the key.
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
        // The runtime's queues allocate now and then.
        assert!(steady.count_total <= 4, "{size} bytes: {steady:?}");
    }
}

/// A copy would need an allocation: a large message is read into its own memory, which grows as it arrives, and is written from
/// there.
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
    // The memory grows by a factor of four, so a third of it may have been allocated before, plus the bytes of a read.
    assert!(steady.bytes_total <= 10 * (SIZE as u64 * 4 / 3 + (256 << 10)), "{steady:?}");
    assert!(steady.bytes_max <= SIZE as u64 * 3 / 2, "{steady:?}");
}

/// Ten connections at once, ten messages of 1 MiB on each: what they held meanwhile is not kept.
#[test]
fn a_connection_that_waits_after_a_burst_of_large_messages_holds_no_more_than_before() {
    const CONNECTIONS: usize = 10;
    const SIZE: usize = 1 << 20;
    let server = Server::start();
    let frame = text(SIZE);
    let mut answers = vec![answer(&frame); CONNECTIONS];
    let open = async || {
        let mut clients = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let mut client = Client::open(server.addr).await;
            client.exchange(&text(20), &mut answer(&text(20))).await;
            clients.push(client);
        }
        clients
    };
    let mut burst = async |clients: &mut [Client]| {
        let talks = clients.iter_mut().zip(&mut answers).map(async |(client, answer)| {
            for _ in 0..10 {
                client.exchange(&frame, answer).await;
            }
        });
        join_all(talks).await;
    };
    let (mut first, mut others) = (server.runtime.block_on(open()), server.runtime.block_on(open()));
    // The burst on the first ones fills the pools of the thread and of the runtime.
    server.runtime.block_on(burst(&mut first));
    let ((), idle) = server.cost(burst(&mut others));
    assert!(idle.bytes_max >= (CONNECTIONS * SIZE / 2) as u64, "the messages were not in flight together: {idle:?}");
    // The runtime's queues allocate now and then.
    assert!(idle.bytes_current <= 4096, "{} bytes are kept: {idle:?}", idle.bytes_current);
}

/// A compressed text of 2,000 bytes as a frame of a client, and the text.
fn compressed() -> (Vec<u8>, String) {
    let text: String = (0..1000).map(|i| format!("{{\"salmon\":{}}}", i * i % 977)).collect();
    let text = text[..2000].to_owned();
    let mut payload = Vec::with_capacity(4000);
    let mut compress = flate2::Compress::new(flate2::Compression::new(6), false);
    compress.compress_vec(text.as_bytes(), &mut payload, flate2::FlushCompress::Sync).unwrap();
    payload.truncate(payload.len() - 4);
    let mut frame = vec![0xC1, 0x80 | 126];
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    (frame, text)
}

/// The memory of each of 2,000 connections that have echoed ten messages and are idle.
fn idle(server: &Server, offer: &str, frame: &[u8], answer: &mut [u8], count: usize) -> i64 {
    let mut clients = Vec::with_capacity(count + 100);
    let mut more = async |count: usize| {
        for _ in 0..count {
            let mut client = Client::offering(server.addr, offer).await;
            for _ in 0..10 {
                client.exchange(frame, answer).await;
            }
            clients.push(client);
        }
    };
    // The first ones fill the pools of the thread and of the runtime.
    server.runtime.block_on(more(100));
    let ((), idle) = server.cost(more(count));
    idle.bytes_current / count as i64
}

#[test]
fn compression_without_context_takeover_costs_an_idle_connection_next_to_nothing() {
    const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let (frame, text) = compressed();
    let plain = {
        let frame = self::text(2000);
        idle(&Server::start(), "", &frame, &mut answer(&frame), 2000)
    };
    let server = Server::with(Some(Compression::new()));
    // The length of the answer is determined once: a frame without a key, compressed at another level.
    let mut client = server.runtime.block_on(Client::offering(server.addr, OFFER));
    let mut head = [0; 4];
    server.runtime.block_on(client.exchange(&frame, &mut head));
    assert_eq!((head[0], head[1]), (0xC1, 126), "it is compressed: {} bytes", text.len());
    let mut answer = vec![0; 4 + usize::from(u16::from_be_bytes([head[2], head[3]]))];
    let low = idle(&server, OFFER, &frame, &mut answer, 2000);
    assert!(low - plain <= 512, "{low} bytes with compression, and {plain} without");
    println!("an idle connection: {plain} bytes, {low} with compression");
}

/// With context takeover a connection keeps a window for each direction that is used: here for received messages.
#[test]
fn a_context_costs_an_idle_connection_its_window() {
    const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    // Stored blocks refer to no earlier data, so one frame works for all messages.
    let payload: Vec<u8> = (0..8000_u32).flat_map(|i| (i * i % 977).to_le_bytes()).collect();
    let length = (payload.len() as u16).to_le_bytes();
    let stored = [&[0][..], &length, &length.map(|byte| !byte), &payload, &[0]].concat();
    let mut frame = vec![0xC2, 0x80 | 126];
    frame.extend((stored.len() as u16).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(stored);
    for (memory, window) in [(Memory::Balanced, 4 << 10), (Memory::Best, 32 << 10)] {
        // The server does not compress: its answers would have another length each time.
        let server = Server::with(Some(Compression::new().memory(memory).threshold(usize::MAX)));
        let each = idle(&server, OFFER, &frame, &mut vec![0; 4 + payload.len()], 100);
        assert!(each <= 1024 + window + 512, "{memory:?}: {each} bytes");
        println!("an idle connection with {memory:?}: {each} bytes");
    }
}
