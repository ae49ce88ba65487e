//! Large messages that arrive in steps over TCP, where the kernel wakes a `recv` only when much has arrived. The peers' pace is in
//! real time, since the kernel has no other.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{future::pending, time::Duration};

use common::{echo, tcp};
use sockeye_testkit::{Frame, Peer};
use sockeye_tokio::{Connection, Ended, Message, Role, Timeouts, WebSocket, close_code};
use tokio::{
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, interval, timeout},
};

const MIB: usize = 1 << 20;
const STEP: Duration = Duration::from_millis(5);

/// A client, and the task that serves it. The handler echoes, in its own task or in another.
async fn start(timeouts: Timeouts, elsewhere: bool) -> (Peer<TcpStream>, JoinHandle<Ended>) {
    let (client, server) = tcp().await;
    let connection = Connection::new(server, Role::Server).timeouts(timeouts);
    let handler = move |socket: WebSocket| async move {
        if elsewhere { drop(tokio::spawn(echo(socket))) } else { echo(socket).await }
    };
    (Peer::client(client), tokio::spawn(connection.serve(handler)))
}

/// Sends `bytes` in the pieces that end at `ends`, one after the other.
async fn send_in_steps(client: &mut Peer<TcpStream>, bytes: &[u8], ends: impl IntoIterator<Item = usize>) {
    let mut clock = interval(STEP);
    let mut begun = 0;
    for end in ends.into_iter().chain([bytes.len()]) {
        clock.tick().await;
        client.send_bytes(&bytes[begun..end]).await;
        begun = end;
    }
}

/// Whatever is missing when the stream pauses: a mark above that would never be reached.
#[tokio::test]
async fn a_message_that_pauses_anywhere_is_received_and_so_is_the_next() {
    for elsewhere in [false, true] {
        let (mut client, _task) = start(Timeouts::new(), elsewhere).await;
        for missing in [1, 1_000, 16 << 10, (32 << 10) - 1, 32 << 10, (32 << 10) + 1, 300_000, MIB - 70_000] {
            for last in [1, missing] {
                let bytes = Frame::binary(vec![7; MIB]).bytes();
                let pause = bytes.len() - missing;
                send_in_steps(&mut client, &bytes, [40_000.min(pause), pause, bytes.len() - last]).await;
                assert_eq!(client.expect_frame().await.payload.len(), MIB, "{missing} bytes were missing");
                client.send(Frame::text("next")).await;
                client.expect_text("next").await;
            }
        }
    }
}

#[tokio::test]
async fn a_fragmented_message_with_a_ping_between_its_frames_is_received() {
    let (mut client, _task) = start(Timeouts::new(), false).await;
    let first = Frame::binary(vec![1; MIB]).fin(false).bytes();
    send_in_steps(&mut client, &first, [100_000, 400_000, first.len() - 10]).await;
    client.send(Frame::ping(*b"between")).await;
    client.expect_pong(*b"between").await;
    let rest = Frame::continuation(vec![2; MIB]).bytes();
    send_in_steps(&mut client, &rest, [100_000, 400_000, rest.len() - 10]).await;
    assert_eq!(client.expect_frame().await.payload.len(), 2 * MIB);
}

/// Each second brings less than the mark, and more than nothing.
#[tokio::test]
async fn a_peer_that_sends_slowly_is_kept_and_one_that_stops_is_closed_with_1008() {
    let within = Duration::from_millis(400);
    for elsewhere in [false, true] {
        let (mut client, _task) = start(Timeouts::none().fragment(within), elsewhere).await;
        let bytes = Frame::binary(vec![7; MIB]).bytes();
        let begun = Instant::now();
        send_in_steps(&mut client, &bytes[..200_000], (70_000..190_000).step_by(300)).await;
        assert!(begun.elapsed() > 3 * within, "the client was faster than the deadline: {:?}", begun.elapsed());
        client.send_bytes(&bytes[200_000..]).await;
        assert_eq!(client.expect_frame().await.payload.len(), MIB);

        client.send_bytes(&bytes[..200_000]).await;
        client.expect_close(close_code::POLICY).await;
    }
}

/// The end of the stream is reported below any mark.
#[tokio::test]
async fn a_peer_that_leaves_amid_a_message_is_noticed_at_once() {
    let (client, server) = tcp().await;
    let mut client = Peer::client(client);
    let (tell, told) = oneshot::channel();
    let connection = Connection::new(server, Role::Server).timeouts(Timeouts::none());
    tokio::spawn(connection.serve(|mut socket| async move {
        drop(tell.send(socket.recv().await.unwrap().map(|_: Message| ())));
        pending().await
    }));
    let bytes = Frame::binary(vec![7; MIB]).bytes();
    send_in_steps(&mut client, &bytes[..300_000], [70_000, 200_000]).await;
    drop(client);
    let error = timeout(Duration::from_secs(30), told).await.unwrap().unwrap().unwrap_err();
    assert!(error.is_abrupt() || error.is_io(), "{error}");
}
