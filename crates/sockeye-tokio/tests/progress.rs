//! The connection makes progress whatever the handler does.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

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

use common::{connect, connection, echo, give_away, poll_once, receive_all, server_end, settled, start, tcp};
use futures_util::{
    FutureExt, StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use sockeye_testkit::{Frame, Peer, PipeEnd, opcode};
use sockeye_tokio::{Connection, Message, Role, Sender, Stream, WebSocket};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::{
        coop::{consume_budget, has_budget_remaining},
        yield_now,
    },
    time::{Instant, advance, interval, sleep},
};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(10);

/// What every handler here has to withstand: ten Pings are answered, and a Close.
async fn ten_pings_and_a_close<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Peer<S>) {
    // The handler waits for whatever it waits for.
    settled().await;
    for i in 0..10 {
        client.send(Frame::ping([i])).await;
        loop {
            let frame = client.expect_frame().await;
            if !matches!(frame.payload.first(), Some(b't')) {
                assert_eq!((frame.opcode, &frame.payload[..]), (opcode::PONG, &[i][..]));
                break;
            }
        }
    }
    client.send(Frame::close(1001, "bye")).await;
    loop {
        let frame = client.expect_frame().await;
        if frame.opcode == opcode::CLOSE {
            assert_eq!((frame.close_code(), frame.close_reason()), (Some(1001), "bye"));
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
async fn a_task_that_only_sends_on_a_moved_socket_answers_pings_and_learns_of_the_close() {
    let (mut client, connection) = connect();
    let (socket, task) = give_away(connection).await;
    let mover = tokio::spawn(only_sends(socket));
    ten_pings_and_a_close(&mut client).await;
    drop(client);
    assert!(mover.await.unwrap());
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_and_the_close_are_answered_after_a_cancelled_recv() {
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

/// As a `select!` in a loop does it, when another of its branches is ready and a message comes meanwhile.
#[tokio::test(start_paused = true)]
async fn pings_and_the_close_are_answered_after_a_recv_that_waited_and_received_in_one_poll() {
    let (give, take) = oneshot::channel::<Peer<PipeEnd>>();
    let (give_back, took) = oneshot::channel();
    let (client, task) = start(|mut socket| async move {
        let mut client = take.await.unwrap();
        assert!(poll_once(socket.recv()).await.is_none());
        client.send(Frame::text("a")).await;
        let message = poll_once(socket.recv()).await.unwrap();
        assert_eq!(message.unwrap().unwrap(), Message::text("a"));
        give_back.send(client).ok().unwrap();
        sleep(HOUR).await;
    });
    give.send(client).ok().unwrap();
    let mut client = took.await.unwrap();
    ten_pings_and_a_close(&mut client).await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_and_the_close_are_answered_after_a_cancelled_recv_in_another_task() {
    let (mut client, connection) = connect();
    let (mut socket, _task) = give_away(connection).await;
    tokio::spawn(async move {
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
async fn pings_and_the_close_are_answered_after_the_last_recv_in_another_task() {
    let (mut client, connection) = connect();
    let (mut socket, _task) = give_away(connection).await;
    client.send(Frame::text("while nobody receives, so reading stops")).await;
    settled().await;
    socket.recv().await.unwrap().unwrap();
    ten_pings_and_a_close(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn pings_and_the_close_are_answered_while_a_recv_is_kept_and_not_polled() {
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
async fn pings_and_the_close_are_answered_while_a_recv_waits_in_a_set_of_futures() {
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

/// That there was no more to read is known for one poll: what wakes the handler after it is not noted.
#[tokio::test(start_paused = true)]
async fn a_message_that_comes_between_two_polls_of_the_handler_is_received_in_the_second() {
    for waits_first in [true, false] {
        for together in [&["a"][..], &["a", "b"]] {
            let (give, take) = oneshot::channel::<Peer<PipeEnd>>();
            let (client, task) = start(move |mut socket| async move {
                let mut client = take.await.unwrap();
                if waits_first {
                    assert!(poll_once(socket.recv()).await.is_none());
                }
                client.send_all(together.iter().map(|text| Frame::text(*text))).now_or_never().unwrap();
                let first = poll_once(socket.recv()).await.unwrap();
                assert_eq!(first.unwrap().unwrap(), Message::text("a"));
                client.send(Frame::text("z")).now_or_never().unwrap();
                // What has just been sent wakes it, and nothing else.
                let mut is_second = false;
                poll_fn(|_| if std::mem::replace(&mut is_second, true) { Poll::Ready(()) } else { Poll::Pending })
                    .await;
                for text in together[1..].iter().chain(&["z"]) {
                    assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text(*text));
                }
            });
            // The handler waits.
            yield_now().await;
            let begin = Instant::now();
            give.send(client).ok().unwrap();
            task.await.unwrap();
            assert_eq!(begin.elapsed(), Duration::ZERO, "a deadline has found it");
        }
    }
}

/// What wakes it between two of its polls is used up, though the handler is polled once.
#[tokio::test(start_paused = true)]
async fn a_recv_that_a_set_of_futures_polls_twice_misses_no_message() {
    let (give, take) = oneshot::channel::<Peer<PipeEnd>>();
    let (mut client, task) = start(|mut socket| async move {
        let mut client = take.await.unwrap();
        let mut set: FuturesUnordered<_> = [async move {
            for text in ["a", "b", "c", "d"] {
                let message = socket.recv().await;
                assert_eq!(message.unwrap().unwrap(), Message::text(text));
                // It has been read when this is sent, and there was no more.
                client.send(Frame::text([text.as_bytes()[0] + 1])).await;
                let mut is_second = false;
                poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    if std::mem::replace(&mut is_second, true) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        }]
        .into_iter()
        .collect();
        set.next().await;
    });
    client.send(Frame::text("a")).await;
    let begin = Instant::now();
    give.send(client).ok().unwrap();
    task.await.unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO, "a deadline has found it");
}

#[tokio::test(start_paused = true)]
async fn pings_and_the_close_are_answered_after_a_set_of_futures_with_a_recv_was_dropped() {
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
async fn messages_that_came_while_the_handler_slept_are_received_when_it_wakes() {
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
    // Behind a message that nobody takes, nothing is read: that is how the peer is slowed down. It is still asked whether it
    // is there.
    client.send(Frame::close(1000, "")).await;
    let close = loop {
        let frame = client.expect_frame().await;
        if !frame.is_plain(opcode::PING) {
            break frame;
        }
    };
    assert_eq!(close.close_code(), Some(1000));
    assert_eq!(begun.elapsed().as_secs(), HOUR.as_secs());
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_close_is_answered_at_once_while_the_handler_sleeps_and_received_later() {
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
async fn a_message_is_written_at_once_although_the_handler_then_sleeps() {
    let (mut client, _task) = start(|mut socket| async move {
        socket.send(Message::text("now")).await.unwrap();
        sleep(HOUR).await;
    });
    let before = Instant::now();
    client.expect_text("now").await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_message_from_a_select_over_recv_or_from_a_sender_is_written_at_once() {
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
async fn a_message_of_a_sender_is_written_at_once_while_the_handler_sleeps() {
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
async fn two_drivers_in_one_task_both_make_progress() {
    let ((mut left, a), (mut right, b)) = (connect(), connect());
    tokio::spawn(async move { tokio::join!(a.serve(echo), b.serve(echo)) });
    for i in 0..10 {
        left.send(Frame::binary([i])).await;
        right.send(Frame::binary([i + 100])).await;
        right.expect_binary([i + 100]).await;
        left.expect_binary([i]).await;
    }
}

#[tokio::test]
async fn a_driver_within_the_handler_of_another_makes_progress() {
    let ((mut outer, a), (mut inner, b)) = (connect(), connect());
    tokio::spawn(a.serve(|mut outer| async move {
        let to_outer = outer.sender();
        b.serve(|mut inner| async move {
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
async fn a_message_to_another_connection_is_written_at_once_although_its_handler_sleeps() {
    let (give, take) = oneshot::channel();
    let (mut b, _b_task) = start(|socket| async move {
        give.send(socket.sender()).unwrap();
        receive_all(socket).await;
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

#[tokio::test(start_paused = true)]
async fn a_message_is_written_although_the_handler_returns_right_after_send() {
    let (mut client, task) = start(|mut socket| async move { socket.send(Message::text("and out")).await.unwrap() });
    client.expect_text("and out").await;
    client.expect_close(1000).await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test]
async fn a_socket_that_was_moved_to_a_task_goes_on_after_its_handler_returned() {
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
async fn two_halves_in_two_tasks_make_progress_after_their_handler_returned() {
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

/// So many units of the cooperative budget take long, and come to an end, so that a test which fails does not hang.
const LONG: usize = 3_000_000;

/// Spends all of its budget in every poll. A read of a `TcpStream` takes part in the same budget.
async fn busy() {
    for _ in 0..LONG {
        consume_budget().await;
    }
}

/// A client, and the server's connection to it over TCP. In a box, its stream is no `TcpStream` to the connection.
async fn over_tcp(boxed: bool) -> (Peer<TcpStream>, Connection) {
    let (client, server) = tcp().await;
    let server = if boxed { Stream::boxed(server) } else { server.into() };
    (Peer::client(client), Connection::new(server, Role::Server))
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
        let (mut client, connection) = over_tcp(boxed).await;
        let (guard, ended) = ended();
        let task = tokio::spawn(connection.serve(|socket| async move {
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
async fn a_handler_that_sends_as_fast_as_it_can_answers_pings_and_the_close() {
    let (mut client, connection) = over_tcp(false).await;
    let (tell, told) = oneshot::channel();
    tokio::spawn(connection.serve(|mut socket| async move {
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
async fn a_handler_that_prefers_a_channel_which_is_never_empty_answers_pings_and_the_close() {
    for boxed in [false, true] {
        let (mut client, connection) = over_tcp(boxed).await;
        let (push, mut pushed) = mpsc::unbounded_channel();
        let (guard, ended) = ended();
        let task = tokio::spawn(connection.serve(|mut socket| async move {
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
async fn a_recv_of_an_undriven_socket_with_a_spent_budget_writes_queued_messages() {
    // Unlike a pipe of ours, tokio's takes part in the budget.
    let (client, server) = tokio::io::duplex(1024);
    let mut socket = connection(server).into_websocket();
    socket.try_send(Message::text("queued")).unwrap();
    while has_budget_remaining() {
        consume_budget().await;
    }
    assert!(socket.recv().now_or_never().is_none());
    Peer::client(client).expect_text("queued").await;
}

#[tokio::test(start_paused = true)]
async fn the_close_deadline_is_kept_although_the_handler_spends_its_whole_budget() {
    let (guard, ended) = ended();
    let (mut client, task) = start(|socket| async move {
        drop(socket);
        busy().await;
        drop(guard);
    });
    let control = server_end(&client);
    client.expect_close(1000).await;
    advance(Duration::from_secs(9)).await;
    assert!(!control.is_shut_down(), "the peer has not answered, and may still do so");
    advance(Duration::from_secs(2)).await;
    for _ in 0..5 {
        yield_now().await;
    }
    assert!(control.is_dropped());
    assert!(!ended.load(Ordering::Relaxed), "only because the handler was done");
    task.abort();
}

#[tokio::test]
async fn the_peer_is_drained_after_our_close_although_the_handler_spends_its_whole_budget() {
    let (client, server) = tokio::io::duplex(1024);
    let mut client = Peer::client(client);
    let (guard, ended) = ended();
    let task = tokio::spawn(connection(server).serve(|socket| async move {
        drop(socket);
        busy().await;
        drop(guard);
    }));
    client.expect_close(1000).await;
    client.send_all([Frame::binary(vec![0; 100_000]), Frame::close(1000, "")]).await;
    client.expect_eof().await;
    assert!(!ended.load(Ordering::Relaxed), "only because the handler was done");
    task.abort();
}
