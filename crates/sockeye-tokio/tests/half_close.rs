//! What a peer still gets that has ended its own direction of the stream.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use sockeye_testkit::{Frame, Peer, PipeEnd, pipe, pipe_with_capacity};
use sockeye_tokio::{Connection, Message, Role, Stream, WebSocket};
use tokio::{sync::oneshot, task::JoinHandle};

fn echo(server: PipeEnd) -> JoinHandle<()> {
    tokio::spawn(Connection::new(Stream::boxed(server), Role::Server).serve(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if message.is_data() {
                socket.send(message).await.unwrap();
            }
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_written_though_the_peer_has_half_closed() {
    let (client, server) = pipe();
    let task = echo(server);
    let mut client = Peer::client(client);
    client.send(Frame::text("hi")).await;
    client.send(Frame::ping("there?")).await;
    client.shutdown().await;
    client.expect_pong("there?").await;
    client.expect_text("hi").await;
    client.expect_eof().await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_the_stream_does_not_take_at_once_as_well() {
    let (client, server) = pipe_with_capacity(100);
    let task = echo(server);
    let mut client = Peer::client(client);
    let long = "x".repeat(90);
    for _ in 0..3 {
        client.send(Frame::text(&*long)).await;
    }
    client.shutdown().await;
    for _ in 0..3 {
        client.expect_text(&long).await;
    }
    client.expect_eof().await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_never_reads_is_given_up_at_the_close_deadline() {
    let (client, server) = pipe_with_capacity(100);
    let control = server.control();
    let task = echo(server);
    let mut client = Peer::client(client);
    client.send(Frame::text("x".repeat(80))).await;
    client.send(Frame::text("x".repeat(80))).await;
    client.shutdown().await;
    task.await.unwrap();
    assert!(control.is_dropped());
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_told_and_sends_no_more() {
    let (client, server) = pipe();
    let (tell, told) = oneshot::channel();
    tokio::spawn(Connection::new(Stream::boxed(server), Role::Server).serve(|mut socket| async move {
        socket.send(Message::text("queued")).await.unwrap();
        let abrupt = socket.recv().await.unwrap().unwrap_err();
        let none = socket.recv().await.is_none();
        let refused = socket.send(Message::text("late")).await.unwrap_err();
        let flushed = socket.flushed().await;
        tell.send((abrupt.is_abrupt(), none, refused.is_abrupt(), flushed.is_ok())).unwrap();
    }));
    let mut client = Peer::client(client);
    client.shutdown().await;
    client.expect_text("queued").await;
    client.expect_eof().await;
    assert_eq!(told.await.unwrap(), (true, true, true, true));
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_it_is_the_same() {
    let (client, server) = pipe();
    let mut client = Peer::client(client);
    client.send(Frame::ping("there?")).await;
    client.shutdown().await;
    let mut socket = WebSocket::new(Stream::boxed(server), Role::Server, Default::default());
    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::Ping(b"there?".to_vec()));
    assert!(socket.recv().await.unwrap().unwrap_err().is_abrupt());
    assert!(socket.recv().await.is_none());
    client.expect_pong("there?").await;
    client.expect_eof().await;
}
