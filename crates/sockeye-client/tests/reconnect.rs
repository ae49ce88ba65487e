//! `Client::reconnect`: one WebSocket after another, over streams in memory and in paused time.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{Dialed, header, pipes, pipes_with_capacity, read_head, switching};
use futures_util::{SinkExt, StreamExt};
use sockeye_client::{
    Backoff, Builder, ClientRequest, ConnectError, Event, Message, Retry, Shutdown, Sockets, Stage, Timeouts, WebSocket,
};
use sockeye_testkit::PipeEnd;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, accept_async,
    tungstenite::{self, protocol::CloseFrame},
};

type Dials = mpsc::UnboundedReceiver<Dialed>;

/// Sockets of a client, and what it dials.
fn sockets() -> (Sockets, Dials) {
    let (client, dials) = pipes();
    (of(client), dials)
}

fn of(client: Builder) -> Sockets {
    client.build().reconnect(|_| async { Ok(ClientRequest::new("ws://server.example/feed")) })
}

/// What happens, in words.
fn listen(sockets: Sockets) -> (Sockets, Arc<Mutex<Vec<String>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let sockets = sockets.observe(move |event| {
        hears.lock().unwrap().push(match event {
            Event::Connecting { attempt, .. } => format!("connecting {} {}", attempt.failures(), attempt.opened()),
            Event::Connected { .. } => "connected".to_owned(),
            Event::Failed { error, .. } => format!("failed at {}", error.stage()),
            Event::Lost { ended, unsent, .. } => format!("lost {:?} unsent {unsent}", ended.code()),
            Event::Waiting { .. } => "waiting".to_owned(),
            other => format!("{other:?}"),
        });
    });
    (sockets, heard)
}

/// A server that takes the next connection.
async fn accept(dials: &mut Dials) -> WebSocketStream<PipeEnd> {
    accept_async(dials.recv().await.unwrap().stream).await.unwrap()
}

/// A server that answers the next request so, and closes the stream.
async fn answer(dials: &mut Dials, answer: &str) {
    let mut stream = dials.recv().await.unwrap().stream;
    read_head(&mut stream).await;
    stream.write_all(answer.as_bytes()).await.unwrap();
}

async fn close(mut server: WebSocketStream<PipeEnd>, code: u16) {
    let frame = CloseFrame { code: code.into(), reason: "the reason".into() };
    server.close(Some(frame)).await.unwrap();
    while let Some(Ok(_)) = server.next().await {}
}

/// Opens a socket to a server in memory.
async fn opened(sockets: &mut Sockets, dials: &mut Dials) -> (WebSocket, WebSocketStream<PipeEnd>) {
    let (socket, server) = tokio::join!(sockets.next(), accept(dials));
    (socket.unwrap().unwrap(), server)
}

/// Opens a socket, which the server closes with this code at once. Returns what follows, and after how long.
async fn after_a_close_with(code: u16) -> (Result<(), ConnectError>, Duration) {
    let (mut sockets, mut dials) = sockets();
    let (mut socket, server) = opened(&mut sockets, &mut dials).await;
    let (_, ()) = tokio::join!(async { while let Some(Ok(_)) = socket.recv().await {} }, close(server, code));
    drop(socket);
    let began = Instant::now();
    tokio::select! {
        next = sockets.next() => {
            let error = next.unwrap().unwrap_err();
            assert!(sockets.next().await.is_none(), "an error is the last item");
            (Err(error), began.elapsed())
        }
        _ = dials.recv() => (Ok(()), began.elapsed()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_ends_is_followed_by_another() {
    let (mut sockets, mut dials) = sockets();
    for _ in 0..3 {
        let (mut socket, mut server) = opened(&mut sockets, &mut dials).await;
        server.send("hello".into()).await.unwrap();
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("hello"));
        drop(server);
        assert!(socket.recv().await.unwrap().is_err(), "the stream has ended without a Close");
    }
}

#[tokio::test(start_paused = true)]
async fn sockets_are_a_stream() {
    let (mut sockets, mut dials) = sockets();
    let (socket, _server) = tokio::join!(StreamExt::next(&mut sockets), accept(&mut dials));
    assert!(socket.unwrap().is_ok());
    sockets.stopper().stop();
    assert!(!futures_util::stream::FusedStream::is_terminated(&sockets));
    assert_eq!(sockets.by_ref().map(|_| ()).collect::<Vec<()>>().await, []);
    assert!(futures_util::stream::FusedStream::is_terminated(&sockets));
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_a_fresh_token_and_knows_what_was() {
    let (client, mut dials) = pipes();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let mut sockets = client.build().reconnect(move |attempt| {
        let call = counter.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::task::yield_now().await;
            let request = ClientRequest::new("ws://server.example/").bearer(&format!("token-{call}"));
            Ok(request.header("x-attempt", &format!("{} {}", attempt.failures(), attempt.opened())))
        }
    });
    let server = async {
        for (token, attempt) in [("Bearer token-0", "0 0"), ("Bearer token-1", "1 0")] {
            let mut stream = dials.recv().await.unwrap().stream;
            let head = read_head(&mut stream).await;
            assert_eq!(header(&head, "authorization"), Some(token));
            assert_eq!(header(&head, "x-attempt"), Some(attempt));
        }
        let mut stream = dials.recv().await.unwrap().stream;
        let head = read_head(&mut stream).await;
        stream.write_all(switching(&head, "").as_bytes()).await.unwrap();
        stream
    };
    let (socket, stream) = tokio::join!(sockets.next(), server);
    drop((socket, stream));
    let again =
        async { header(&read_head(&mut dials.recv().await.unwrap().stream).await, "x-attempt").map(String::from) };
    tokio::select! {
        _ = sockets.next() => unreachable!("nobody answers"),
        attempt = again => assert_eq!(attempt.as_deref(), Some("3 1")),
    }
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_request_is_final() {
    let (client, mut dials) = pipes();
    let client = client.build();
    let mut sockets = client.reconnect(|_| async { Err("the token service is closed".into()) });
    let error = sockets.next().await.unwrap().unwrap_err();
    assert!(error.is_caller() && error.is_final() && error.stage() == Stage::Request, "{error:?}");
    assert!(error.to_string().contains("the token service is closed"), "{error}");
    assert!(sockets.next().await.is_none());

    let mut sockets = client.reconnect(|_| async { Ok(ClientRequest::new("ftp://server.example/")) });
    assert!(sockets.next().await.unwrap().unwrap_err().is_caller());
    assert!(sockets.next().await.is_none());
    assert!(dials.try_recv().is_err(), "nothing was dialed");
}

#[tokio::test(start_paused = true)]
async fn a_401_is_final() {
    let (sockets, mut dials) = sockets();
    let (mut sockets, heard) = listen(sockets);
    let refusal = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    let (error, ()) = tokio::join!(sockets.next(), answer(&mut dials, refusal));
    let error = error.unwrap().unwrap_err();
    assert!(error.is_final() && error.response().unwrap().status() == 401, "{error:?}");
    assert!(sockets.next().await.is_none() && sockets.next().await.is_none());
    assert_eq!(*heard.lock().unwrap(), ["connecting 0 0", "failed at HTTP"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_waited_for() {
    let (mut sockets, mut dials) = sockets();
    let server = async {
        answer(&mut dials, "HTTP/1.1 503 Busy\r\nRetry-After: 70\r\nContent-Length: 0\r\n\r\n").await;
        let began = Instant::now();
        let _server = accept(&mut dials).await;
        began.elapsed()
    };
    let (socket, waited) = tokio::join!(sockets.next(), server);
    assert!(socket.unwrap().is_ok());
    assert!((70..=71).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_restarts_is_given_time() {
    for code in [1012, 1013] {
        let (next, waited) = after_a_close_with(code).await;
        assert!(next.is_ok());
        assert!(waited >= Duration::from_secs(5) && waited <= Duration::from_secs(31), "{code}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn some_closes_are_final() {
    for code in [1002, 1003, 1007, 1009, 1010, 3000, 3003] {
        let error = after_a_close_with(code).await.0.unwrap_err();
        assert!(error.is_server() && error.is_final() && error.stage() == Stage::Open, "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&format!("closed the last WebSocket with {code} (`the reason`)")), "{text}");
    }
    for code in [1000, 1001, 1008, 1011, 4000] {
        let (next, waited) = after_a_close_with(code).await;
        assert!(next.is_ok() && waited <= Duration::from_secs(2), "{code}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_application_can_decide_otherwise() {
    let (sockets, mut dials) = sockets();
    let mut sockets = sockets.retry(|ended| match (ended.code(), ended.reason()) {
        (Some(3000), "the reason") => Retry::After(Duration::from_secs(90)),
        (Some(4001), _) => Retry::Stop,
        _ => Retry::Default,
    });
    let (socket, server) = opened(&mut sockets, &mut dials).await;
    close(server, 3000).await;
    let ended = Instant::now();
    drop(socket);
    let (socket, server) = opened(&mut sockets, &mut dials).await;
    assert_eq!(ended.elapsed().as_secs(), 90);
    close(server, 4001).await;
    assert!(sockets.next().await.is_none(), "the match is over");
    drop(socket);
}

#[tokio::test(start_paused = true)]
async fn a_delay_counts_from_the_end_of_the_socket() {
    let (sockets, mut dials) = sockets();
    let mut sockets = sockets.retry(|_| Retry::After(Duration::from_secs(90)));
    let (socket, server) = opened(&mut sockets, &mut dials).await;
    close(server, 1000).await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    let began = Instant::now();
    drop(socket);
    let _pair = opened(&mut sockets, &mut dials).await;
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_closes_is_not_stormed() {
    let (sockets, mut dials) = sockets();
    let (mut sockets, heard) = listen(sockets.backoff(Backoff::new().most(Duration::from_secs(8))));
    for failures in 0..30 {
        let (_socket, server) = opened(&mut sockets, &mut dials).await;
        assert!(heard.lock().unwrap().contains(&format!("connecting {failures} {failures}")), "{heard:?}");
        drop(server);
    }
    let (mut socket, server) = opened(&mut sockets, &mut dials).await;
    assert!(timeout(Duration::from_secs(30), socket.recv()).await.is_err());
    drop((socket, server));
    let _pair = opened(&mut sockets, &mut dials).await;
    assert_eq!(heard.lock().unwrap().last().unwrap(), "connected");
    assert!(heard.lock().unwrap().contains(&"connecting 1 31".to_owned()), "30 s make good for all of it: {heard:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_socket_is_closed_before_the_next_is_opened() {
    let (mut sockets, mut dials) = sockets();
    let (mut held, mut server) = opened(&mut sockets, &mut dials).await;
    let first = async {
        let close = server.next().await.unwrap().unwrap();
        assert!(matches!(close, tungstenite::Message::Close(Some(frame)) if u16::from(frame.code) == 1000));
        assert!(dials.try_recv().is_err(), "two at a time");
        while let Some(Ok(_)) = server.next().await {}
        accept(&mut dials).await
    };
    let (next, _server) = tokio::join!(sockets.next(), first);
    assert!(next.unwrap().is_ok());
    assert!(held.send(Message::text("late")).await.is_err(), "nothing is queued for the next socket");
}

#[tokio::test(start_paused = true)]
async fn a_last_socket_that_does_not_end_is_aborted() {
    let (client, mut dials) = pipes();
    let mut sockets = of(client.timeouts(Timeouts::none()));
    let (held, mut silent) = opened(&mut sockets, &mut dials).await;
    let began = Instant::now();
    let (next, _server) = tokio::join!(sockets.next(), accept(&mut dials));
    assert!(next.unwrap().is_ok());
    assert!((10..=11).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    // The server finds the Close, and then nobody.
    while let Some(Ok(_)) = silent.next().await {}
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_counted() {
    let (client, mut dials) = pipes_with_capacity(1024);
    let (mut sockets, heard) = listen(of(client));
    let (mut socket, server) = opened(&mut sockets, &mut dials).await;
    for _ in 0..5 {
        socket.try_send(Message::binary(vec![0; 16 * 1024])).unwrap();
    }
    // The server reads none of them.
    drop(server);
    while let Some(Ok(_)) = socket.recv().await {}
    let _pair = opened(&mut sockets, &mut dials).await;
    let heard = heard.lock().unwrap();
    assert!(heard.contains(&"lost None unsent 5".to_owned()), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_everything_in_order() {
    let (sockets, mut dials) = sockets();
    let (mut sockets, heard) = listen(sockets);
    let server = async {
        drop(dials.recv().await.unwrap());
        accept(&mut dials).await
    };
    let (socket, server) = tokio::join!(sockets.next(), server);
    close(server, 1003).await;
    drop(socket);
    assert!(sockets.next().await.unwrap().is_err());
    let expected =
        ["connecting 0 0", "failed at HTTP", "waiting", "connecting 1 0", "connected", "lost Some(1003) unsent 0"];
    assert_eq!(*heard.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_stopper_ends_a_wait_at_once() {
    let (sockets, mut dials) = sockets();
    let mut sockets = sockets.retry(|_| Retry::After(Duration::from_secs(3600)));
    let stopper = sockets.stopper();
    let (socket, server) = opened(&mut sockets, &mut dials).await;
    drop((socket, server));
    let began = Instant::now();
    let (next, ()) = tokio::join!(sockets.next(), async {
        tokio::time::sleep(Duration::from_secs(7)).await;
        stopper.clone().stop();
    });
    assert!(next.is_none() && stopper.is_stopped());
    assert_eq!(began.elapsed().as_secs(), 7);
    assert!(sockets.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stopper_ends_an_attempt_and_its_stream() {
    let (mut sockets, mut dials) = sockets();
    let stopper = sockets.stopper();
    let (next, mut stream) = tokio::join!(sockets.next(), async {
        let mut stream = dials.recv().await.unwrap().stream;
        read_head(&mut stream).await;
        stopper.stop();
        stream
    });
    assert!(next.is_none());
    assert!(stream.read_u8().await.is_err(), "the stream of the attempt is gone");
    assert!(dials.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stopper_closes_the_open_socket_behind_what_was_sent() {
    let (mut sockets, mut dials) = sockets();
    let stopper = sockets.stopper();
    let (mut socket, mut server) = opened(&mut sockets, &mut dials).await;
    socket.send(Message::text("last words")).await.unwrap();
    stopper.stop();
    let client = async {
        assert!(!matches!(socket.recv().await, Some(Ok(message)) if message.is_data()));
        drop(socket);
        sockets.next().await
    };
    let (next, received) = tokio::join!(client, async {
        let mut received = Vec::new();
        while let Some(Ok(message)) = server.next().await {
            received.push(message);
        }
        received
    });
    assert!(next.is_none());
    assert_eq!(received[0], "last words".into());
    assert!(matches!(&received[1], tungstenite::Message::Close(Some(frame)) if u16::from(frame.code) == 1000));
}

#[tokio::test(start_paused = true)]
async fn a_stopper_that_was_first_opens_nothing() {
    let (mut sockets, mut dials) = sockets();
    sockets.stopper().stop();
    assert!(sockets.next().await.is_none());
    assert!(dials.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_the_client_is_the_end() {
    let (client, mut dials) = pipes();
    let shutdown = Shutdown::new();
    let mut sockets = of(client.shutdown(&shutdown));
    let (mut socket, mut server) = opened(&mut sockets, &mut dials).await;
    shutdown.begin();
    let (next, ()) = tokio::join!(
        async {
            while let Some(Ok(_)) = socket.recv().await {}
            drop(socket);
            sockets.next().await
        },
        async { while let Some(Ok(_)) = server.next().await {} }
    );
    assert!(next.is_none());
    assert!(dials.try_recv().is_err());
}

/// As `next`, but its future is dropped after each poll.
async fn next_in_pieces(sockets: &mut Sockets) -> Option<Result<WebSocket, ConnectError>> {
    poll_fn(|cx| pin!(sockets.next()).poll(cx)).await
}

#[tokio::test(start_paused = true)]
async fn dropping_next_at_every_await_loses_nothing() {
    let (client, mut dials) = pipes();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let sockets = client.build().reconnect(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(ClientRequest::new("ws://server.example/"))
        }
    });
    let (mut sockets, heard) = listen(sockets);
    for round in 0..3 {
        let server = async {
            answer(&mut dials, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
            let mut stream = dials.recv().await.unwrap().stream;
            let head = read_head(&mut stream).await;
            // In pieces, so that there are more awaits.
            for byte in switching(&head, "").bytes() {
                stream.write_u8(byte).await.unwrap();
                tokio::task::yield_now().await;
            }
            stream
        };
        let (socket, stream) = tokio::join!(next_in_pieces(&mut sockets), server);
        drop(stream);
        assert!(socket.unwrap().unwrap().recv().await.unwrap().is_err());
        assert_eq!(calls.load(Ordering::Relaxed), 2 * (round + 1));
        assert!(dials.try_recv().is_err(), "no stream more than attempts");
    }
    let heard = heard.lock().unwrap();
    assert_eq!(heard.iter().filter(|event| *event == "connected").count(), 3);
    assert_eq!(heard.iter().filter(|event| event.starts_with("failed")).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_sockets_cancels_the_attempt() {
    let (mut sockets, mut dials) = sockets();
    let mut stream = tokio::select! {
        _ = sockets.next() => unreachable!("nobody answers"),
        stream = async {
            let mut stream = dials.recv().await.unwrap().stream;
            read_head(&mut stream).await;
            stream
        } => stream,
    };
    drop(sockets);
    assert!(stream.read_u8().await.is_err(), "the stream is closed");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_sockets_leaves_the_open_one_alone() {
    let (mut sockets, mut dials) = sockets();
    let stopper = sockets.stopper();
    let (mut socket, mut server) = opened(&mut sockets, &mut dials).await;
    drop(sockets);
    stopper.stop();
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(server.next().await.unwrap().unwrap(), "still here".into());
}
