//! A socket in another task than its driver: the task that receives reads by itself, and the driver reads again within two
//! ticks once that task no longer does.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, pending, poll_fn},
    io::ErrorKind,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{connect, echo, give_away, poll_once, receive_all, server_end, settled, tcp};
use sockeye_testkit::{Frame, Peer, opcode};
use sockeye_tokio::{Connection, Error, Message, Role, Timeouts, Unread, WebSocket};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot},
    time::{Instant, advance, sleep, timeout},
};

const HOUR: Duration = Duration::from_secs(3600);

/// The driver looks once for each tick of its thread's timer, and a tick lasts a second.
const TWO_TICKS: Duration = Duration::from_secs(2);

/// Pauses between two messages: while the task has the lease, at its end, and long after it.
const PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_millis(1_000),
    Duration::from_millis(1_999),
    Duration::from_secs(3),
    Duration::from_secs(12),
];

/// A handler's ways to leave its socket to other tasks, all of which echo.
fn forms() -> [fn(WebSocket); 3] {
    [
        |socket| drop(tokio::spawn(echo(socket))),
        |socket| {
            let (send_half, mut receive_half) = socket.into_split();
            let (sender, mut receiver) = mpsc::channel(8);
            tokio::spawn(async move { while send_half.send(receiver.recv().await.unwrap()).await.is_ok() {} });
            tokio::spawn(async move {
                while let Some(Ok(message)) = receive_half.recv().await {
                    if message.is_data() {
                        sender.send(message).await.unwrap();
                    }
                }
            });
        },
        |mut socket| {
            let (sender, mut receiver) = mpsc::channel(8);
            drop(tokio::spawn(async move {
                loop {
                    tokio::select! {
                        received = socket.recv() => match received {
                            Some(Ok(message)) if message.is_data() => sender.send(message).await.unwrap(),
                            Some(Ok(_)) => {}
                            _ => break,
                        },
                        message = receiver.recv() => socket.send(message.unwrap()).await.unwrap(),
                    }
                }
            }));
        },
    ]
}

async fn takes_no_time(what: &str, work: impl Future<Output = ()>) {
    let begun = Instant::now();
    work.await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_receives_gets_and_answers_each_message_at_once() {
    for form in forms() {
        let (mut client, connection) = connect();
        let _task = tokio::spawn(connection.serve(move |socket| async move { form(socket) }));
        for pause in PAUSES.into_iter().chain(PAUSES) {
            sleep(pause).await;
            takes_no_time(&format!("after {pause:?}"), async {
                client.send(Frame::text("a")).await;
                client.expect_text("a").await;
            })
            .await;
            takes_no_time(&format!("a ping after {pause:?}"), async {
                client.send(Frame::ping(*b"p")).await;
                client.expect_pong(*b"p").await;
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_task_has_sent_is_written_at_once_although_it_never_receives_again() {
    for pause in PAUSES {
        let (mut client, connection) = connect();
        let (mut socket, _task) = give_away(connection).await;
        client.send(Frame::text("a")).await;
        socket.recv().await.unwrap().unwrap();
        sleep(pause).await;
        takes_no_time(&format!("{pause:?} after a recv"), async {
            socket.send(Message::text("b")).await.unwrap();
            client.expect_text("b").await;
        })
        .await;
    }
}

/// Leaves the socket to a task that has just received, or whose `recv` was given up, and that is busy from now on.
async fn busy(mut socket: WebSocket, gives_up: bool, busy: oneshot::Sender<()>) {
    socket.recv().await.unwrap().unwrap();
    if gives_up {
        timeout(Duration::from_millis(10), socket.recv()).await.unwrap_err();
    }
    busy.send(()).unwrap();
    pending().await
}

#[tokio::test(start_paused = true)]
async fn pings_and_a_close_are_answered_within_two_ticks_once_the_task_is_busy() {
    for gives_up in [false, true] {
        for pause in PAUSES {
            let (mut client, connection) = connect();
            let (socket, _task) = give_away(connection).await;
            let (tell, told) = oneshot::channel();
            tokio::spawn(busy(socket, gives_up, tell));
            client.send(Frame::text("a")).await;
            told.await.unwrap();
            sleep(pause).await;
            let begun = Instant::now();
            client.send(Frame::ping(*b"p")).await;
            client.expect_pong(*b"p").await;
            client.send(Frame::close(1000, "")).await;
            client.expect_close(1000).await;
            assert!(begun.elapsed() <= TWO_TICKS, "{:?}, {pause:?} after a recv", begun.elapsed());
        }
    }
}

/// A driver that reads after two ticks has read the Pongs before their deadline.
#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_is_kept_although_the_task_never_receives_again() {
    for timeouts in [Timeouts::new(), Timeouts::new().keep_alive(Duration::from_secs(1)).pong(Duration::from_secs(1))] {
        let (mut client, connection) = connect();
        let (socket, task) = give_away(connection.timeouts(timeouts)).await;
        let (tell, told) = oneshot::channel();
        tokio::spawn(busy(socket, true, tell));
        client.send(Frame::text("a")).await;
        told.await.unwrap();
        let _ = timeout(HOUR / 4, async {
            loop {
                let ping = client.expect_frame().await;
                client.send(Frame::pong(ping.payload)).await;
            }
        })
        .await;
        assert!(!task.is_finished());
    }
}

/// Without deadlines there are no ticks, so the driver reads at once.
#[tokio::test(start_paused = true)]
async fn without_deadlines_a_ping_is_answered_at_once_although_the_task_is_busy() {
    for gives_up in [false, true] {
        let (mut client, connection) = connect();
        let (socket, _task) = give_away(connection.timeouts(Timeouts::none())).await;
        let (tell, told) = oneshot::channel();
        tokio::spawn(busy(socket, gives_up, tell));
        client.send(Frame::text("a")).await;
        told.await.unwrap();
        takes_no_time("a ping", async {
            client.send(Frame::ping(*b"p")).await;
            client.expect_pong(*b"p").await;
        })
        .await;
    }
}

/// How often `future` is polled.
fn counted<F: Future>(future: F) -> (impl Future<Output = F::Output>, Arc<AtomicUsize>) {
    let polls = Arc::new(AtomicUsize::new(0));
    let count = polls.clone();
    let counted = async move {
        let mut future = pin!(future);
        poll_fn(|cx| {
            count.fetch_add(1, Ordering::Relaxed);
            future.as_mut().poll(cx)
        })
        .await
    };
    (counted, polls)
}

async fn receives_a_hundred<S: AsyncRead + AsyncWrite + Unpin>(mut client: Peer<S>, connection: Connection) -> usize {
    let (give, take) = oneshot::channel();
    let (driver, polls) = counted(connection.serve(|socket| async move { drop(give.send(socket)) }));
    let task = tokio::spawn(driver);
    let mut socket = take.await.unwrap();
    client.send(Frame::text("the first")).await;
    socket.recv().await.unwrap().unwrap();
    settled().await;
    let before = polls.load(Ordering::Relaxed);
    for _ in 0..100 {
        client.send(Frame::text("a")).await;
        socket.recv().await.unwrap().unwrap();
    }
    settled().await;
    let after = polls.load(Ordering::Relaxed);
    task.abort();
    after - before
}

#[tokio::test(start_paused = true)]
async fn a_task_that_receives_does_not_wake_the_driver_for_each_message() {
    let (client, connection) = connect();
    assert_eq!(receives_a_hundred(client, connection).await, 0);
}

#[tokio::test]
async fn a_task_that_receives_from_a_socket_wakes_the_driver_at_most_once_a_tick() {
    let (client, server) = tcp().await;
    let (client, connection) = (Peer::client(client), Connection::new(server, Role::Server));
    let begun = std::time::Instant::now();
    let polls = receives_a_hundred(client, connection).await;
    let ticks = begun.elapsed().as_secs() as usize + 1;
    assert!(polls <= 2 * ticks, "{polls} polls in {ticks} ticks");
}

/// Each wakeup polls both, the driver first.
#[tokio::test(start_paused = true)]
async fn a_task_that_polls_the_driver_and_the_socket_beside_it_comes_to_rest() {
    let settings: [fn(Connection) -> Connection; 3] = [
        |connection| connection,
        |connection| connection.timeouts(Timeouts::none()),
        |connection| connection.unread(Unread::default()),
    ];
    for (number, set) in settings.into_iter().enumerate() {
        let (mut client, connection) = connect();
        let (give, take) = oneshot::channel();
        let driver = set(connection).serve(|socket| async move { drop(give.send(socket)) });
        let outside = async { receive_all(take.await.unwrap()).await };
        let (both, polls) = counted(async move { tokio::join!(biased; driver, outside) });
        let _task = tokio::spawn(both);
        for (arrives, bytes) in [("nothing", vec![]), ("half a message", Frame::text("abcd").bytes()[..7].to_vec())] {
            client.send_bytes(bytes).await;
            settled().await;
            let before = polls.load(Ordering::Relaxed);
            settled().await;
            assert_eq!(polls.load(Ordering::Relaxed), before, "setting {number}, {arrives}");
        }
    }
}

/// Receives, and polls anew all the time.
async fn receives_impatiently(mut socket: WebSocket, received: mpsc::Sender<Option<Result<Message, Error>>>) {
    loop {
        if let Ok(next) = timeout(Duration::from_millis(300), socket.recv()).await {
            let is_last = next.is_none();
            received.send(next).await.unwrap();
            if is_last {
                break;
            }
        }
    }
}

/// The driver runs first, and before the timer's task.
#[tokio::test(start_paused = true)]
async fn what_has_arrived_is_read_before_a_deadline_is_judged() {
    let (mut client, connection) = connect();
    let timeouts = Timeouts::none().fragment(Duration::from_secs(30));
    let (socket, _task) = give_away(connection.timeouts(timeouts)).await;
    let (sender, (tell, mut told)) = (socket.sender(), mpsc::channel(8));
    tokio::spawn(receives_impatiently(socket, tell));
    let bytes = Frame::text("abcd").bytes();
    client.send_bytes(&bytes[..7]).await;
    sleep(Duration::from_millis(29_900)).await;
    sender.try_send(Message::text("wakes the driver")).unwrap();
    client.send_bytes(&bytes[7..]).await;
    advance(Duration::from_millis(200)).await;
    assert_eq!(told.recv().await.unwrap().unwrap().unwrap(), Message::text("abcd"));
}

/// The same for the end of the sending direction.
#[tokio::test(start_paused = true)]
async fn what_arrived_before_a_write_failed_is_received() {
    let (mut client, connection) = connect();
    let (socket, task) = give_away(connection).await;
    let (sender, (tell, mut told)) = (socket.sender(), mpsc::channel(8));
    tokio::spawn(receives_impatiently(socket, tell));
    server_end(&client).fail_writes(ErrorKind::BrokenPipe);
    settled().await;
    sender.try_send(Message::text("wakes the driver")).unwrap();
    client.send(Frame::text("a")).await;
    assert_eq!(told.recv().await.unwrap().unwrap().unwrap(), Message::text("a"));
    assert!(told.recv().await.unwrap().unwrap().unwrap_err().is_io());
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_put_off_the_deadline_of_an_unfinished_message() {
    let (mut client, connection) = connect();
    let (mut socket, _task) = give_away(connection).await;
    tokio::spawn(async move {
        while let Some(Ok(_)) = socket.recv().await {
            sleep(Duration::from_millis(10)).await;
        }
    });
    let begun = Instant::now();
    client.send(Frame::text("a").fin(false)).await;
    let closed = loop {
        client.send(Frame::ping(*b"p")).await;
        let answer = client.expect_frame().await;
        if answer.opcode == opcode::CLOSE {
            break begun.elapsed();
        }
        assert!(begun.elapsed() <= Duration::from_secs(32), "still open after {:?}", begun.elapsed());
        sleep(Duration::from_millis(500)).await;
    };
    assert!(closed >= Duration::from_secs(30), "{closed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_at_once_after_the_socket_has_come_back_to_its_handler() {
    for received in [Duration::from_millis(10), Duration::from_secs(10)] {
        let (mut client, connection) = connect();
        let (tell, told) = oneshot::channel();
        let _task = tokio::spawn(connection.serve(move |mut socket| async move {
            sleep(Duration::from_secs(5)).await;
            let lent = tokio::spawn(async move {
                assert!(poll_once(socket.recv()).await.is_none());
                socket
            });
            let mut socket = lent.await.unwrap();
            timeout(received, socket.recv()).await.unwrap_err();
            tell.send(()).unwrap();
            sleep(HOUR).await;
            drop(socket);
        }));
        told.await.unwrap();
        takes_no_time(&format!("a ping {received:?} later"), async {
            client.send(Frame::ping(*b"p")).await;
            client.expect_pong(*b"p").await;
        })
        .await;
    }
}

/// The ending of a connection has deadlines of its own, whoever had the lease.
#[tokio::test(start_paused = true)]
async fn a_peer_that_stays_after_its_violation_is_left_within_seconds() {
    for pause in PAUSES {
        let (mut client, connection) = connect();
        let (socket, task) = give_away(connection).await;
        tokio::spawn(echo(socket));
        client.send(Frame::text("a")).await;
        client.expect_text("a").await;
        sleep(pause).await;
        let begun = Instant::now();
        client.send_bytes(&[0xf1, 0x80, 1, 2, 3, 4]).await; // reserved bits
        client.expect_close(1002).await;
        timeout(HOUR, task).await.unwrap().unwrap();
        assert!(begun.elapsed() <= Duration::from_secs(15), "{:?}, {pause:?} after a message", begun.elapsed());
    }
}
