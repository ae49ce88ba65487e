//! What a burst of large messages leaves behind in the process, as the system sees it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const MIB: usize = 1 << 20;

/// How many connections send at the same time, and how many messages of 1 MiB each sends.
const CONNECTIONS: usize = 20;
const MESSAGES: usize = 5;

/// How long the process may take to give the memory back.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the burst may leave: the pools of a thread, which lend 64 KiB to a connection only while it is busy, and what the
/// allocator does not give back.
const LEFT: usize = 4 * MIB;

/// The echo server as a process with one thread. Dropping the value ends the process.
struct Server {
    process: Child,
    addr: String,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_example-echo"));
        let mut process =
            command.args(["--threads", "1", "--addr", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { process, addr }
    }

    /// The bytes of memory that are in use now, and the most that ever were.
    fn resident(&self) -> (usize, usize) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
        };
        (kib("VmRSS:"), kib("VmHWM:"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn open(addr: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(
        stream,
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

/// Sends a binary message, and receives it back. The masking key is 0, which does not change the payload.
fn exchange(stream: &TcpStream, payload: &[u8]) {
    let length = (payload.len() as u64).to_be_bytes();
    let frame = [&[0x82, 0x80 | 127][..], &length, &[0; 4], payload].concat();
    let expected = [&[0x82, 127][..], &length, payload].concat();
    thread::scope(|scope| {
        scope.spawn(|| (&*stream).write_all(&frame).unwrap());
        let mut echo = vec![0; expected.len()];
        (&*stream).read_exact(&mut echo).unwrap();
        assert!(echo == expected, "the echo differs");
    });
}

#[test]
fn a_burst_of_large_messages_leaves_no_memory_in_use_ten_seconds_later() {
    let server = Server::start();
    let streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| open(&server.addr)).collect();
    // Longer than the form of the length allows for less.
    let (small, large) = (vec![7; 1 << 16], vec![7; MIB]);
    streams.iter().for_each(|stream| exchange(stream, &small));
    let (before, _) = server.resident();

    thread::scope(|scope| {
        for stream in &streams {
            scope.spawn(|| (0..MESSAGES).for_each(|_| exchange(stream, &large)));
        }
    });

    let start = Instant::now();
    loop {
        let (now, most) = server.resident();
        if now <= before + LEFT {
            assert!(most >= before + 2 * LEFT, "the burst never needed much: {before} bytes before, at most {most}");
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{before} bytes before the burst, at most {most}, and now still {now}");
        thread::sleep(Duration::from_millis(50));
    }
}
