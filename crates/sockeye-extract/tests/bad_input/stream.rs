//! A client that ends its side of the stream, or resets it, in each state of a connection.

use std::net::SocketAddr;

use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    row::{Row, check},
    server,
};

/// Each state in which a client may leave.
fn states() -> Vec<Row> {
    let long = Frame::binary(vec![7; 300_000]).bytes();
    let mut states = vec![
        Row::new("nothing said"),
        Row::new("a message answered").send([Frame::text("hi")]).text("hi"),
        Row::new("half of a long frame").bytes(&long[..200_000]),
        Row::new("within a message").send([Frame::text("a").fin(false), Frame::ping("?")]).pong("?"),
        Row::new("within a character").send([Frame::text(&b"\xE2\x82"[..]).fin(false), Frame::ping("?")]).pong("?"),
    ];
    let frame = Frame::text("x".repeat(200)).bytes();
    for cut in 1..12 {
        states.push(Row::new(format!("{cut} bytes of a frame")).bytes(&frame[..cut]));
    }
    states
}

#[test]
fn a_client_may_end_its_direction_of_the_stream_in_every_state() {
    let mut rows: Vec<_> = states().into_iter().map(Row::waits).collect();
    let close = || Frame::close(1000, "");
    rows.extend([
        Row::new("a message and the end").send([Frame::text("hi")]).half_close().text("hi").end(),
        Row::new("after a Close").send([close()]).half_close().closes(1000),
        Row::new("after an answered Close").send([close()]).closes(1000).half_close(),
        Row::new("after a violation").bytes([0xFF]).half_close().fails(1002),
        Row::new("after an answered violation").bytes([0xFF]).fails(1002).half_close(),
        Row::new("after half of a Close").bytes(&close().bytes()[..7]).waits(),
    ]);
    check(&rows);
}

#[test]
fn a_client_may_reset_its_stream_in_every_state() {
    let mut rows: Vec<_> = states().into_iter().map(Row::reset).collect();
    rows.extend([
        Row::new("unread answers").send(vec![Frame::text("hi"); 1000]).reset(),
        Row::new("an unread Pong").send([Frame::ping("?")]).reset(),
        Row::new("an unread Close").send([Frame::close(1000, "")]).reset(),
        Row::new("after the Close").send([Frame::close(1000, "")]).closes(1000).reset(),
        Row::new("after a violation").bytes([0xFF]).reset(),
        Row::new("after half a message and half a stream").send([Frame::text("a").fin(false)]).half_close().reset(),
    ]);
    check(&rows);
}

/// The same before the connection is a WebSocket, byte by byte of the request.
#[test]
fn a_client_may_leave_after_every_byte_of_the_opening_handshake() {
    let request = UpgradeRequest::new("/").to_string().into_bytes();
    let mut rows = Vec::new();
    for cut in 0..=request.len() {
        rows.extend([(request[..cut].to_vec(), true), (request[..cut].to_vec(), false)]);
    }
    server::check(&rows, async |address: SocketAddr, (bytes, reset): &(Vec<u8>, bool)| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        if *reset {
            stream.set_zero_linger().unwrap();
            return Ok(());
        }
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let right = answer.is_empty()
            || [&b"HTTP/1.1 400 "[..], b"HTTP/1.1 101 "].iter().any(|status| answer.starts_with(status));
        if right { Ok(()) } else { Err(format!("after {} bytes: {}", bytes.len(), answer.escape_ascii())) }
    });
}

/// A client that asks for much and reads nothing, then leaves.
#[test]
fn a_client_may_leave_while_the_server_sends_to_it() {
    let rows = [true, false];
    server::check(&rows, async |address: SocketAddr, reset: &bool| {
        let mut client: Peer<TcpStream> = server::connect(address).await;
        let wire = Frame::binary(vec![1; 100_000]).bytes();
        // More than both kernels hold, so that the server is stuck with some of it.
        let mut stuck = 0;
        while stuck < 1000 {
            match client.stream().try_write(&wire) {
                Ok(_) => stuck = 0,
                Err(_) => stuck += 1,
            }
            tokio::task::yield_now().await;
        }
        if *reset {
            client.stream().set_zero_linger().unwrap();
        } else {
            // What is left of a frame that was cut is a violation, or the end in the middle of one.
            client.shutdown().await;
            let mut rest = Vec::new();
            let _ = client.stream_mut().read_to_end(&mut rest).await;
        }
        Ok(())
    });
}
