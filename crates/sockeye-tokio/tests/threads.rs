//! Handlers, drivers and senders on several threads at once: nothing is lost, and nobody waits for ever.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{future::Future, pin::Pin, time::Duration};

use common::{connection, echo, tcp};
use futures_util::{SinkExt, StreamExt};
use sockeye_testkit::pipe_with_capacity;
use sockeye_tokio::{Config, Message, Role, WebSocket, serve};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message as Theirs, protocol::Role as TheirRole},
};

type Handler = fn(WebSocket) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// The ways in which an application may echo, each with other tasks and wakers in it.
const WAYS: [(&str, Handler); 6] = [
    ("in the handler", |socket| Box::pin(echo(socket))),
    ("in a task of its own", |socket| Box::pin(async { drop(tokio::spawn(echo(socket))) })),
    ("with two halves in two tasks", |socket| Box::pin(halves(socket))),
    ("with a sender in another task", |socket| Box::pin(through_a_sender(socket))),
    ("with a recv that is cancelled all the time", |socket| Box::pin(cancelling(socket))),
    ("in a task of its own, with a recv that is cancelled all the time", |socket| {
        Box::pin(async { drop(tokio::spawn(cancelling(socket))) })
    }),
];

async fn halves(socket: WebSocket) {
    let (sending, mut receiving) = socket.into_split();
    let (pass, mut passed) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Some(message) = passed.recv().await {
            if sending.send(message).await.is_err() {
                break;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(Ok(message)) = receiving.recv().await {
            if message.is_data() && pass.send(message).await.is_err() {
                break;
            }
        }
    });
}

async fn through_a_sender(mut socket: WebSocket) {
    let sender = socket.sender();
    let (pass, mut passed) = mpsc::channel::<Message>(4);
    tokio::spawn(async move {
        while let Some(message) = passed.recv().await {
            if sender.send(message).await.is_err() {
                break;
            }
        }
    });
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && pass.send(message).await.is_err() {
            break;
        }
    }
}

async fn cancelling(mut socket: WebSocket) {
    loop {
        let received = tokio::select! {
            biased;
            received = socket.recv() => received,
            () = tokio::task::yield_now() => continue,
        };
        match received {
            Some(Ok(message)) if message.is_data() => {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break,
        }
    }
}

/// Messages of many sizes, some answered before the next is sent and some not, with a Ping now and then.
async fn client(stream: impl AsyncRead + AsyncWrite + Unpin, seed: usize, largest: usize) {
    let mut socket = WebSocketStream::from_raw_socket(stream, TheirRole::Client, None).await;
    let size = |i: usize| [0, 1, 100, largest / 40, largest / 5, largest][(i * 7 + seed) % 6];
    let mut i = 0;
    while i < 120 {
        let burst = 1 + (i + seed) % 5;
        for n in i..i + burst {
            socket.feed(Theirs::binary(vec![n as u8; size(n)])).await.unwrap();
        }
        if i % 3 == 0 {
            socket.feed(Theirs::Ping(vec![i as u8].into())).await.unwrap();
        }
        let mut ponged = i % 3 != 0;
        let mut expected = i..i + burst;
        let (mut sink, mut stream) = socket.split();
        let (flushed, ()) = tokio::join!(sink.flush(), async {
            while !expected.is_empty() || !ponged {
                match stream.next().await.unwrap().unwrap() {
                    Theirs::Pong(payload) => {
                        assert_eq!(payload[..], [i as u8]);
                        ponged = true;
                    }
                    // The keep-alive's, on a machine that takes more than 15 s for this.
                    Theirs::Ping(_) => {}
                    message => {
                        let n = expected.next().unwrap();
                        assert!(message.into_data() == vec![n as u8; size(n)], "message {n}");
                    }
                }
            }
        });
        flushed.unwrap();
        socket = sink.reunite(stream).unwrap();
        i += burst;
    }
    socket.close(None).await.unwrap();
    while let Some(message) = socket.next().await {
        assert!(message.unwrap().is_close());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_way_to_echo_on_several_threads_over_tcp_loses_nothing_and_ends() {
    for (name, handler) in WAYS {
        let config = Config::new().write_buffer_size(64 << 10);
        let mut both = Vec::new();
        for seed in 0..12 {
            let (stream, server) = tcp().await;
            both.push(tokio::spawn(client(stream, seed, 200_000)));
            both.push(tokio::spawn(async move { drop(serve(server, Role::Server, config, handler).await) }));
        }
        for task in both {
            // Not a limit on its speed: somebody waits for ever.
            timeout(Duration::from_secs(120), task).await.expect(name).expect(name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_way_to_echo_on_several_threads_over_a_narrow_stream_loses_nothing_and_ends() {
    for (name, handler) in WAYS {
        let config = Config::new().write_buffer_size(3000);
        let mut both = Vec::new();
        for seed in 0..12 {
            let (near, far) = pipe_with_capacity(1000 + seed);
            far.control().set_read_chunk(100 + 37 * seed);
            near.control().set_drop_resets(false);
            far.control().set_vectored(seed % 2 == 0);
            both.push(tokio::spawn(client(near, seed, 80_000)));
            let serving = connection(far).config(config).serve(handler);
            both.push(tokio::spawn(async move { drop(serving.await) }));
        }
        for task in both {
            timeout(Duration::from_secs(120), task).await.expect(name).expect(name);
        }
    }
}
