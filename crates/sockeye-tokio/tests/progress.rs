//! The connection makes progress whatever the handler does.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use sockeye_testkit::{Frame, Peer, PipeEnd, pipe, pipe_with_capacity};
use sockeye_tokio::{Config, Message, Role, Sender, Stream, WebSocket, serve};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::{
        JoinHandle,
        coop::{consume_budget, has_budget_remaining},
        yield_now,
    },
    time::{Instant, advance, interval, sleep},
};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(10);

fn start<F, Fut>(handler: F) -> (Peer<PipeEnd>, JoinHandle<()>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (client, server) = pipe();
    let task = tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), handler));
    (Peer::client(client), task)
}

/// What every handler here has to withstand: ten Pings are answered, and a Close.
async fn ten_pings_and_a_close<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Peer<S>) {
    // The handler waits for whatever it waits for.
    for _ in 0..5 {
        yield_now().await;
    }
    for i in 0..10 {
        client.send(Frame::ping([i])).await;
        loop {
            let frame = client.expect_frame().await;
            if !matches!(frame.payload.first(), Some(b't')) {
                assert_eq!((frame.opcode, &frame.payload[..]), (sockeye_testkit::opcode::PONG, &[i][..]));
                break;
            }
        }
    }
    client.send(Frame::close(1001, "bye")).await;
    loop {
        let frame = client.expect_frame().await;
        if frame.opcode == sockeye_testkit::opcode::CLOSE {
            assert_eq!(frame.payload, 1001_u16.to_be_bytes());
            break;
        }
    }
}

/// Sends ticks until that fails, and returns whether it failed because the connection is closed.
async fn only_sends(mut socket: WebSocket) -> bool {
    let mut clock = interval(TICK);
    loop {
        clock.tick().await;
        if let Err(error) = socket.send(Message::text("tick")).await {
            return error.is_closed();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_only_sends_answers_pings_and_learns_of_the_close() {
    let (tell, told) = oneshot::channel();
    let (mut client, task) = start(|socket| async move {
        let is_closed = only_sends(socket).await;
        tell.send((is_closed, Instant::now())).unwrap();
    });
    ten_pings_and_a_close(&mut client).await;
    let answered = Instant::now();
    drop(client);
    let (is_closed, failed) = told.await.unwrap();
    assert!(is_closed);
    assert!(failed - answered <= TICK, "not the first send after the Close: {:?}", failed - answered);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn so_does_one_whose_socket_has_moved_to_another_task() {
    let (give, take) = oneshot::channel();
    let (mut client, task) = start(|socket| async move { drop(give.send(socket)) });
    let mover = tokio::spawn(async move { only_sends(take.await.unwrap()).await });
    ten_pings_and_a_close(&mut client).await;
    drop(client);
    assert!(mover.await.unwrap());
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn so_does_one_that_has_cancelled_a_recv() {
    let (mut client, task) = start(|mut socket| async move {
        tokio::select! {
            biased;
            _ = socket.recv() => panic!("nothing was sent"),
            () = async {} => {}
        }
        sleep(HOUR).await;
    });
    ten_pings_and_a_close(&mut client).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn so_does_one_that_has_cancelled_a_recv_in_another_task() {
    let (give, take) = oneshot::channel();
    let (mut client, _task) = start(|socket| async move { drop(give.send(socket)) });
    tokio::spawn(async move {
        let mut socket: WebSocket = take.await.unwrap();
        tokio::select! {
            biased;
            _ = socket.recv() => panic!("nothing was sent"),
            () = yield_now() => {}
        }
        pending::<()>().await;
    });
    ten_pings_and_a_close(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_that_takes_a_message_in_another_task_and_receives_no_more() {
    let (give, take) = oneshot::channel();
    let (mut client, _task) = start(|socket| async move { drop(give.send(socket)) });
    let mut socket: WebSocket = take.await.unwrap();
    client.send(Frame::text("while nobody receives, so reading stops")).await;
    for _ in 0..5 {
        yield_now().await;
    }
    socket.recv().await.unwrap().unwrap();
    ten_pings_and_a_close(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_that_keeps_a_recv_and_does_not_poll_it() {
    for moved in [false, true] {
        let handler = |mut socket: WebSocket| async move {
            {
                let mut receiving = pin!(socket.recv());
                assert!(poll_fn(|cx| Poll::Ready(receiving.as_mut().poll(cx).is_pending())).await);
                sleep(HOUR).await;
                // What came meanwhile is there: the Pings are not kept, the Close is.
                assert!(matches!(receiving.await, Some(Ok(Message::Close(Some(frame)))) if frame.code == 1001));
            }
            assert!(socket.recv().await.is_none());
        };
        let (tell, told) = oneshot::channel();
        let (mut client, _task) = start(move |socket| async move {
            if moved {
                tokio::spawn(async move {
                    handler(socket).await;
                    tell.send(()).unwrap();
                });
            } else {
                handler(socket).await;
                tell.send(()).unwrap();
            }
        });
        ten_pings_and_a_close(&mut client).await;
        drop(client);
        told.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn so_does_one_whose_recv_is_in_a_set_of_futures() {
    let (mut client, task) = start(|mut socket| async move {
        let mut set: FuturesUnordered<Pin<Box<dyn Future<Output = bool> + Send + '_>>> = FuturesUnordered::new();
        set.push(Box::pin(async {
            while let Some(Ok(_)) = socket.recv().await {}
            true
        }));
        set.push(Box::pin(async {
            sleep(HOUR).await;
            false
        }));
        assert_eq!(set.next().await, Some(true));
    });
    ten_pings_and_a_close(&mut client).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn so_does_one_that_has_dropped_such_a_set() {
    let (mut client, task) = start(|mut socket| async move {
        let mut set: FuturesUnordered<_> = [socket.recv()].into_iter().collect();
        assert!(set.next().now_or_never().is_none());
        drop(set);
        sleep(HOUR).await;
    });
    ten_pings_and_a_close(&mut client).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_came_while_the_handler_slept_is_there_when_it_wakes() {
    let (client, task) = start(|mut socket| async move {
        sleep(HOUR).await;
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("kept"));
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("and read on"));
        assert!(matches!(socket.recv().await, Some(Ok(Message::Close(_)))));
        assert!(socket.recv().await.is_none());
        assert!(socket.recv().await.is_none());
    });
    let (begun, mut client) = (Instant::now(), client.within(2 * HOUR));
    client.send(Frame::ping("before")).await;
    client.expect_pong("before").await;
    client.send_all([Frame::ping("with it"), Frame::text("kept"), Frame::text("and read on")]).await;
    client.expect_pong("with it").await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    // Behind a message that nobody takes, nothing is read: that is how the peer is slowed down.
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    assert_eq!(begun.elapsed().as_secs(), HOUR.as_secs());
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_close_is_answered_at_once_although_the_handler_sleeps_and_it_learns_of_it_later() {
    let (mut client, task) = start(|mut socket| async move {
        sleep(HOUR).await;
        assert!(matches!(socket.recv().await, Some(Ok(Message::Close(Some(frame)))) if frame.reason == "bye"));
        assert!(socket.recv().await.is_none());
    });
    let begun = Instant::now();
    for i in 0..10 {
        client.send(Frame::ping([i])).await;
        client.expect_pong([i]).await;
    }
    client.send(Frame::close(1001, "bye")).await;
    client.expect_close(1001).await;
    client.expect_eof().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    drop(client);
    task.await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), HOUR.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_message_is_at_the_peer_at_once_although_the_handler_sleeps_for_an_hour() {
    let (mut client, _task) = start(|mut socket| async move {
        socket.send(Message::text("now")).await.unwrap();
        sleep(HOUR).await;
    });
    let before = Instant::now();
    client.expect_text("now").await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn so_it_is_with_a_select_over_recv_and_a_channel_and_from_a_task_with_a_sender() {
    let (push, mut pushed) = mpsc::channel::<&str>(1);
    let (give, take) = oneshot::channel();
    let (mut client, _task) = start(|mut socket| async move {
        give.send(socket.sender()).unwrap();
        loop {
            tokio::select! {
                Some(text) = pushed.recv() => socket.send(Message::text(text)).await.unwrap(),
                received = socket.recv() => if received.is_none() { break },
            }
        }
    });
    let before = Instant::now();
    push.send("pushed").await.unwrap();
    client.expect_text("pushed").await;
    let sender: Sender = take.await.unwrap();
    tokio::spawn(async move { sender.send(Message::text("from a task")).await.unwrap() });
    client.expect_text("from a task").await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn so_it_is_with_a_task_that_has_a_sender_while_the_handler_sleeps() {
    let (mut client, _task) = start(|socket| async move {
        let sender = socket.sender();
        tokio::spawn(async move {
            for i in 0..10 {
                sender.send(Message::binary([i])).await.unwrap();
                sender.flushed().await.unwrap();
            }
        });
        sleep(HOUR).await;
        drop(socket);
    });
    let begun = Instant::now();
    for i in 0..10 {
        client.expect_binary([i]).await;
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_connection_that_nobody_receives_from_stops_reading() {
    let (client, server) = pipe_with_capacity(1 << 20);
    let control = server.control();
    let mut client = Peer::client(client);
    let (wake, woken) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |mut socket| async move {
        woken.await.unwrap();
        for i in 0..200 {
            assert_eq!(socket.recv().await.unwrap().unwrap(), Message::binary(vec![i; 1000]));
        }
    }));
    for i in 0..200 {
        client.send(Frame::binary(vec![i; 1000])).await;
    }
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(control.counters().read_bytes <= 64 << 10, "{:?}", control.counters());
    wake.send(()).unwrap();
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn not_a_byte_is_read_behind_a_message_that_nobody_takes() {
    let (client, server) = pipe();
    let (control, mut client) = (server.control(), Peer::client(client));
    let (wake, mut woken) = mpsc::channel::<()>(1);
    tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |mut socket| async move {
        for i in 0..3 {
            woken.recv().await.unwrap();
            assert_eq!(socket.recv().await.unwrap().unwrap(), Message::binary([i; 100]));
        }
    }));
    let length = Frame::binary([0; 100]).mask([1, 2, 3, 4]).bytes().len();
    for (i, unread) in [0, length, 2 * length].into_iter().enumerate() {
        client.send(Frame::binary([i as u8; 100])).await;
        for _ in 0..10 {
            yield_now().await;
        }
        assert_eq!(control.available(), unread, "message {i}");
    }
    // One is taken: what waits is read at once, and again nothing behind it.
    wake.send(()).await.unwrap();
    for _ in 0..10 {
        yield_now().await;
    }
    assert_eq!(control.available(), 0);
    client.send(Frame::ping("late")).await;
    for _ in 0..10 {
        yield_now().await;
    }
    assert!(control.available() > 0);
    wake.send(()).await.unwrap();
    wake.send(()).await.unwrap();
    client.expect_close(1000).await;
}

/// Of a compressed message it is so little that nothing of it has been inflated: it might become a thousand times as much.
#[cfg(feature = "deflate")]
#[tokio::test]
async fn of_a_compressed_message_less_is_read_ahead() {
    use sockeye_tokio::{
        Connection,
        proto::deflate::{Compression, Parameters},
    };

    let (client, server) = pipe_with_capacity(1 << 20);
    let control = server.control();
    let mut client = Peer::client(client);
    let (wake, woken) = oneshot::channel::<()>();
    let (agreed, compression) = (Parameters::default(), Compression::new());
    let connection = Connection::new(Stream::boxed(server), Role::Server)
        .extension(agreed.encoder(Role::Server, &compression), agreed.decoder(Role::Server, &compression));
    let task = tokio::spawn(connection.serve(|mut socket| async move {
        woken.await.unwrap();
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::binary(vec![7; 300_000]));
    }));
    // Stored blocks: as long as what they stand for.
    let stored = |part: &[u8]| {
        [&[0][..], &(part.len() as u16).to_le_bytes(), &(!part.len() as u16).to_le_bytes(), part].concat()
    };
    let payload: Vec<u8> = vec![7; 300_000].chunks(30_000).flat_map(stored).chain([0]).collect();
    client.send(Frame::binary(payload).rsv(1)).await;
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(control.counters().read_bytes <= (16 << 10) + 14, "{:?}", control.counters());
    wake.send(()).unwrap();
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn no_more_than_64_kib_of_a_large_message_are_read_ahead() {
    let (client, server) = pipe_with_capacity(1 << 20);
    let control = server.control();
    let mut client = Peer::client(client);
    let (wake, woken) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |mut socket| async move {
        woken.await.unwrap();
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::binary(vec![7; 900_000]));
    }));
    client.send(Frame::binary(vec![7; 900_000])).await;
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(control.counters().read_bytes <= (64 << 10) + 14, "{:?}", control.counters());
    wake.send(()).unwrap();
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

/// The driver watches the stream for it, and may not read that much itself.
#[tokio::test(start_paused = true)]
async fn a_large_message_reaches_a_recv_that_waits_in_another_task() {
    let (give, take) = oneshot::channel();
    let (mut client, _task) = start(|socket| async move { drop(give.send(socket)) });
    let mut socket: WebSocket = take.await.unwrap();
    let receiving = tokio::spawn(async move { socket.recv().await.unwrap().unwrap() });
    for _ in 0..5 {
        yield_now().await;
    }
    client.send(Frame::binary(vec![7; 900_000])).await;
    assert_eq!(receiving.await.unwrap(), Message::binary(vec![7; 900_000]));
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}

#[tokio::test]
async fn two_drivers_in_one_task() {
    let ((left, a), (right, b)) = (pipe(), pipe());
    let (mut left, mut right) = (Peer::client(left), Peer::client(right));
    tokio::spawn(async move {
        tokio::join!(
            serve(Stream::boxed(a), Role::Server, Config::default(), echo),
            serve(Stream::boxed(b), Role::Server, Config::default(), echo),
        );
    });
    for i in 0..10 {
        left.send(Frame::binary([i])).await;
        right.send(Frame::binary([i + 100])).await;
        right.expect_binary([i + 100]).await;
        left.expect_binary([i]).await;
    }
}

#[tokio::test]
async fn a_driver_within_the_handler_of_another() {
    let ((outer, a), (inner, b)) = (pipe(), pipe());
    let (mut outer, mut inner) = (Peer::client(outer), Peer::client(inner));
    tokio::spawn(serve(Stream::boxed(a), Role::Server, Config::default(), |mut outer| async move {
        let to_outer = outer.sender();
        serve(Stream::boxed(b), Role::Server, Config::default(), |mut inner| async move {
            while let Some(Ok(message)) = inner.recv().await {
                if message.is_data() {
                    to_outer.send(message.clone()).await.unwrap();
                    inner.send(message).await.unwrap();
                }
            }
        })
        .await;
        outer.send(Message::text("the inner one has ended")).await.unwrap();
    }));
    for i in 0..5 {
        inner.send(Frame::binary([i])).await;
        inner.expect_binary([i]).await;
        outer.expect_binary([i]).await;
        outer.send(Frame::ping([i])).await;
        outer.expect_pong([i]).await;
    }
    inner.send(Frame::close(1000, "")).await;
    inner.expect_close(1000).await;
    drop(inner);
    outer.expect_text("the inner one has ended").await;
}

#[tokio::test(start_paused = true)]
async fn a_send_to_another_connection_from_a_handler_that_then_sleeps() {
    let (give, take) = oneshot::channel();
    let (mut b, _b_task) = start(|mut socket| async move {
        give.send(socket.sender()).unwrap();
        while let Some(Ok(_)) = socket.recv().await {}
    });
    let to_b: Sender = take.await.unwrap();
    let (mut a, _a_task) = start(|mut socket| async move {
        let Some(Ok(message)) = socket.recv().await else { panic!("no message") };
        to_b.send(message).await.unwrap();
        sleep(HOUR).await;
    });
    a.send(Frame::text("to b")).await;
    let before = Instant::now();
    b.expect_text("to b").await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_handler_that_returns_right_after_send() {
    let (mut client, task) = start(|mut socket| async move { socket.send(Message::text("and out")).await.unwrap() });
    client.expect_text("and out").await;
    client.expect_close(1000).await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_handler_that_hands_the_socket_on_and_returns() {
    let (mut client, task) = start(|socket| async move { drop(tokio::spawn(echo(socket))) });
    for i in 0..10 {
        client.send(Frame::binary(vec![i; 10_000])).await;
        client.expect_binary(vec![i; 10_000]).await;
    }
    assert!(!task.is_finished());
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn two_halves_in_two_tasks() {
    let (mut client, task) = start(|socket| async move {
        let (sending, mut receiving) = socket.into_split();
        let (pass, mut passed) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = receiving.recv().await {
                pass.send(message).unwrap();
            }
        });
        tokio::spawn(async move {
            while let Some(message) = passed.recv().await {
                if message.is_data() {
                    sending.send(message).await.unwrap();
                }
            }
        });
    });
    for i in 0..10 {
        client.send(Frame::binary([i])).await;
        client.expect_binary([i]).await;
    }
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    drop(client);
    task.await.unwrap();
}

async fn tcp() -> (Peer<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Peer::client(client), listener.accept().await.unwrap().0)
}

/// So many units of the cooperative budget take long, and come to an end, so that a test which fails does not hang.
const LONG: usize = 3_000_000;

/// Spends all of its budget in every poll. A read of a `TcpStream` takes part in the same budget.
async fn busy() {
    for _ in 0..LONG {
        consume_budget().await;
    }
}

/// Sets the flag when it is dropped.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn ended() -> (Ended, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(false));
    (Ended(flag.clone()), flag)
}

#[tokio::test]
async fn a_handler_that_spends_its_whole_budget_answers_pings_and_the_close() {
    for boxed in [false, true] {
        let (mut client, server) = tcp().await;
        let server = if boxed { Stream::boxed(server) } else { server.into() };
        let (guard, ended) = ended();
        let task = tokio::spawn(serve(server, Role::Server, Config::default(), |socket| async move {
            busy().await;
            drop((socket, guard));
        }));
        for i in 0..10 {
            client.send(Frame::ping([i])).await;
            client.expect_pong([i]).await;
        }
        client.send(Frame::close(1001, "")).await;
        client.expect_close(1001).await;
        client.expect_eof().await;
        assert!(!ended.load(Ordering::Relaxed), "only because the handler was done");
        task.abort();
    }
}

#[tokio::test]
async fn so_does_one_that_sends_as_fast_as_it_can() {
    let (mut client, server) = tcp().await;
    let (tell, told) = oneshot::channel();
    tokio::spawn(serve(server, Role::Server, Config::default(), |mut socket| async move {
        for _ in 0..LONG {
            if let Err(error) = socket.send(Message::text("t")).await {
                return tell.send(error.is_closed()).unwrap();
            }
        }
    }));
    ten_pings_and_a_close(&mut client).await;
    assert!(told.await.expect("only because the handler was done"));
}

#[tokio::test]
async fn so_does_one_that_prefers_a_channel_which_is_never_empty() {
    for boxed in [false, true] {
        let (mut client, server) = tcp().await;
        let server = if boxed { Stream::boxed(server) } else { server.into() };
        let (push, mut pushed) = mpsc::unbounded_channel();
        let (guard, ended) = ended();
        let task = tokio::spawn(serve(server, Role::Server, Config::default(), |mut socket| async move {
            push.send(()).unwrap();
            for _ in 0..LONG {
                // Unlike that of tokio, this `select` polls `recv` with a budget that is spent.
                match select(pin!(pushed.recv()), pin!(socket.recv())).await {
                    Either::Left(_) => push.send(()).unwrap(),
                    Either::Right(_) => panic!("there was always something in the channel"),
                }
            }
            drop(guard);
        }));
        for i in 0..10 {
            client.send(Frame::ping([i])).await;
            client.expect_pong([i]).await;
        }
        client.send(Frame::close(1001, "")).await;
        client.expect_close(1001).await;
        assert!(!ended.load(Ordering::Relaxed), "only because the handler was done");
        task.abort();
    }
}

#[tokio::test]
async fn without_a_driver_a_recv_with_a_spent_budget_writes_what_is_queued() {
    let (client, server) = tokio::io::duplex(1024);
    let mut socket = WebSocket::new(Stream::boxed(server), Role::Server, Config::default());
    socket.try_send(Message::text("queued")).unwrap();
    while has_budget_remaining() {
        consume_budget().await;
    }
    assert!(socket.recv().now_or_never().is_none());
    Peer::client(client).expect_text("queued").await;
}

#[tokio::test(start_paused = true)]
async fn the_close_deadline_passes_although_the_handler_spends_its_whole_budget() {
    let (client, server) = pipe();
    let (control, mut client) = (server.control(), Peer::client(client));
    let (guard, ended) = ended();
    let task = tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |socket| async move {
        drop(socket);
        busy().await;
        drop(guard);
    }));
    client.expect_close(1000).await;
    client.expect_eof().await;
    advance(Duration::from_secs(9)).await;
    assert!(!control.is_dropped(), "the peer has not answered, and may still do so");
    advance(Duration::from_secs(2)).await;
    for _ in 0..5 {
        yield_now().await;
    }
    assert!(control.is_dropped());
    assert!(!ended.load(Ordering::Relaxed), "only because the handler was done");
    task.abort();
}

#[tokio::test]
async fn the_peer_is_heard_out_although_the_handler_spends_its_whole_budget() {
    let (client, server) = tokio::io::duplex(1024);
    let mut client = Peer::client(client);
    let (guard, ended) = ended();
    let task = tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |socket| async move {
        drop(socket);
        busy().await;
        drop(guard);
    }));
    client.expect_close(1000).await;
    client.expect_eof().await;
    client.send(Frame::binary(vec![0; 100_000])).await;
    assert!(!ended.load(Ordering::Relaxed), "only because the handler was done");
    task.abort();
}
