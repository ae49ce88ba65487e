//! What a peer can make a connection hold, measured by an allocator that counts.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, pending},
    pin::Pin,
};

use allocation_counter::{AllocationInfo, measure};
use common::{connect, connect_with_capacity, connection, echo, receive_all, server_end, settled};
use sockeye_testkit::{Frame, PipeEnd, pipe, pipe_with_capacity};
use sockeye_tokio::{
    Budget, Connection, Ended, Message, Overflow, PreparedMessage, Pushed, Role, Sender, Unread, WebSocket,
};
use tokio::{io::AsyncWriteExt, net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};

const MIB: u64 = 1 << 20;

/// Everything runs on the thread of the test, whose allocations are counted.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn serve<F, Fut>(server: PipeEnd, handler: F) -> JoinHandle<Ended>
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(connection(server).serve(handler))
}

fn cost(runtime: &Runtime, work: impl Future<Output = ()>) -> AllocationInfo {
    let mut work = Some(work);
    measure(|| runtime.block_on(work.take().unwrap()))
}

#[test]
fn pings_of_a_client_that_never_reads_cost_a_constant_amount_of_memory() {
    let runtime = runtime();
    let (mut client, connection) = connect_with_capacity(4096);
    let flood = Frame::ping(vec![b'x'; 125]).bytes();
    runtime.block_on(async { drop(tokio::spawn(connection.serve(echo))) });
    let flooding = cost(&runtime, async {
        for _ in 0..300_000 {
            client.send_bytes(&flood).await;
        }
    });
    assert!(flooding.bytes_max < 16 * MIB, "{flooding:?}");
    assert!(flooding.bytes_current < 256 << 10, "{flooding:?}");
}

#[test]
fn peers_that_declare_large_frames_and_send_little_cost_little_memory() {
    let runtime = runtime();
    let mut clients = Vec::new();
    let declaring = cost(&runtime, async {
        for _ in 0..500 {
            let (mut client, server) = pipe();
            serve(server, echo);
            client.write_all(&Frame::binary("x").declared_len(15 << 20).mask([1, 2, 3, 4]).bytes()).await.unwrap();
            clients.push(client);
        }
        settled().await;
    });
    assert!(declaring.bytes_max < 32 * MIB, "{declaring:?}");
}

#[test]
fn a_connection_whose_handler_does_not_receive_holds_little_memory() {
    let runtime = runtime();
    let (mut client, connection) = connect();
    runtime.block_on(async {
        tokio::spawn(connection.serve(|socket| async move {
            pending::<()>().await;
            drop(socket);
        }));
    });
    let mut sent = 0;
    let parking = cost(&runtime, async {
        let wire = Frame::binary(vec![0; 1000]).bytes();
        let mut stuck = 0;
        while stuck < 100 {
            // What the stream does not take any more, the connection does not read any more.
            match tokio::time::timeout(std::time::Duration::ZERO, client.send_bytes(&wire)).await {
                Ok(()) => sent += 1,
                Err(_) => stuck += 1,
            }
        }
    });
    assert!(sent >= 64, "the stream itself takes 64 KiB");
    assert!(parking.bytes_max < 512 << 10, "{parking:?} after {sent} messages");
}

#[test]
fn a_steady_echo_makes_one_allocation_a_message() {
    let runtime = runtime();
    let (mut client, server) = pipe();
    let wire = Frame::binary(vec![3; 100]).mask([1, 2, 3, 4]).bytes();
    let mut answer = vec![0; 102];
    runtime.block_on(async {
        serve(server, echo);
        for _ in 0..10 {
            exchange(&mut client, &wire, &mut answer).await;
        }
    });
    let steady = cost(&runtime, async {
        for _ in 0..1000 {
            exchange(&mut client, &wire, &mut answer).await;
        }
    });
    assert!(steady.count_total <= 1000 + 10, "{steady:?}");
    assert!(steady.bytes_current < 1024, "{steady:?}");
}

async fn exchange(client: &mut PipeEnd, wire: &[u8], answer: &mut [u8]) {
    client.write_all(wire).await.unwrap();
    tokio::io::AsyncReadExt::read_exact(client, answer).await.unwrap();
}

#[test]
fn a_connection_that_waits_for_a_message_owns_no_buffer() {
    let runtime = runtime();
    for size in [20, 16 << 10] {
        let wire = Frame::binary(vec![5; size]).mask([1, 2, 3, 4]).bytes();
        let answer = Frame::binary(vec![5; size]).unmasked().bytes();
        let mut clients = Vec::with_capacity(200);
        // The first ones fill the pools of the thread and of the runtime.
        let warm = cost(&runtime, async { talk_once(100, &wire, &answer, &mut clients).await });
        let idle = cost(&runtime, async { talk_once(100, &wire, &answer, &mut clients).await });
        let each = idle.bytes_current / 100;
        assert!(each < 2048, "{each} bytes for each connection after a message of {size}: {idle:?}, {warm:?}");
    }
}

/// The client's end of `count` connections over TCP, in this task, and their driver in others. Each has received a message.
async fn connect_each(count: usize, sockets: &mut Vec<(WebSocket, std::net::TcpStream)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..count {
        let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut socket, _) = Connection::new(stream, Role::Client).spawn();
        let mut server = listener.accept().await.unwrap().0.into_std().unwrap();
        std::io::Write::write_all(&mut server, &Frame::text("news").unmasked().bytes()).unwrap();
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("news"));
        socket.send(Message::text("thanks")).await.unwrap();
        sockets.push((socket, server));
    }
    // The drivers begin, and rest.
    settled().await;
}

#[test]
fn a_socket_beside_its_driver_holds_little() {
    let runtime = runtime();
    let mut sockets = Vec::with_capacity(400);
    // Twice as many as are counted, so that no table of the runtime or of the timer grows meanwhile.
    let warm = cost(&runtime, connect_each(256, &mut sockets));
    drop(sockets.drain(128..));
    runtime.block_on(settled());
    let idle = cost(&runtime, connect_each(100, &mut sockets));
    let each = idle.bytes_current / 100;
    assert!(each < 900, "{each} bytes for each connection: {idle:?}, {warm:?}");
}

/// Opens `count` connections over TCP, which keeps no bytes of its own in this process, and has one message echoed on
/// each.
async fn talk_once(count: usize, wire: &[u8], answer: &[u8], clients: &mut Vec<std::net::TcpStream>) {
    use std::io::{ErrorKind, Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..count {
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        let (server, _) = listener.accept().await.unwrap();
        tokio::spawn(Connection::new(server, Role::Server).serve(echo));
        client.write_all(wire).unwrap();
        let (mut received, mut buffer) = (0, [0; 1024]);
        while received < answer.len() {
            match client.read(&mut buffer) {
                Ok(read) => {
                    assert_eq!(buffer[..read], answer[received..received + read]);
                    received += read;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
        clients.push(client);
    }
}

#[test]
fn a_client_that_stops_reading_costs_only_the_bytes_queued_for_it() {
    let runtime = runtime();
    let mut clients = Vec::new();
    let stalled = cost(&runtime, async {
        for _ in 0..100 {
            let (client, server) = pipe_with_capacity(16);
            serve(server, |mut socket| async move {
                socket.send(Message::binary(vec![1; 100])).await.unwrap();
                pending::<()>().await;
                drop(socket);
            });
            clients.push(client);
        }
        settled().await;
    });
    assert!(stalled.bytes_current < 100 * 4096 + (2 << 16), "{stalled:?}");
}

#[test]
fn an_ended_connection_holds_little_memory_while_a_sender_lives() {
    let runtime = runtime();
    let unfinished = Frame::binary(vec![7; 100_000]).fin(false).bytes();
    let endings = [
        ("a Close", Frame::close(1000, "").bytes()),
        ("nothing", Vec::new()),
        ("a part of a header", vec![0x82]),
        ("a part of a payload", unfinished[..90_000].to_vec()),
        ("a part of a message", unfinished),
        ("a violation", vec![0xFF; 10_000]),
    ];
    for (name, wire) in endings {
        for way in [echo_to_the_end, echo_in_a_task] {
            // The first ones fill the pools of the thread and of the runtime.
            let mut senders = runtime.block_on(senders_of_ended(100, &wire, way));
            let ended = cost(&runtime, async { senders.extend(senders_of_ended(100, &wire, way).await) });
            let each = ended.bytes_current / 100;
            assert!(each < 2048, "{each} bytes for each connection that has ended after {name}: {ended:?}");
        }
    }
}

type Way = fn(WebSocket) -> Pin<Box<dyn Future<Output = ()> + Send>>;

fn echo_to_the_end(socket: WebSocket) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(echo(socket))
}

fn echo_in_a_task(socket: WebSocket) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async { drop(tokio::spawn(echo(socket))) })
}

/// Senders of `count` connections, on each of which the client has sent `wire` and ended the stream.
async fn senders_of_ended(count: usize, wire: &[u8], way: Way) -> Vec<Sender> {
    let mut senders = Vec::with_capacity(200);
    for _ in 0..count {
        let (tell, told) = oneshot::channel();
        let (mut client, server) = pipe();
        let task = serve(server, move |socket| {
            let _ = tell.send(socket.sender());
            way(socket)
        });
        client.write_all(wire).await.unwrap();
        client.shutdown().await.unwrap();
        let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
        task.await.unwrap();
        senders.push(told.await.unwrap());
    }
    senders
}

#[test]
fn messages_for_a_dropped_receive_half_cost_no_memory() {
    let runtime = runtime();
    let (mut client, connection) = connect();
    runtime.block_on(async {
        tokio::spawn(connection.serve(|socket| async move {
            let (sending, receiving) = socket.into_split();
            drop(receiving);
            pending::<()>().await;
            drop(sending);
        }));
        tokio::task::yield_now().await;
    });
    let frame = Frame::binary(vec![7; 16 << 20]).bytes();
    let passing = cost(&runtime, async { client.send_bytes(&frame).await });
    assert!(passing.bytes_max < MIB, "{passing:?}");
}

#[test]
fn a_small_ping_of_the_application_pins_no_buffer() {
    let held = |message: fn() -> Option<Message>| {
        const COUNT: usize = 100;
        let runtime = runtime();
        let (clients, servers): (Vec<_>, Vec<_>) = (0..COUNT).map(|_| pipe()).unzip();
        let held = cost(&runtime, async {
            for server in servers {
                serve(server, move |mut socket| async move {
                    if let Some(message) = message() {
                        let _ = socket.send(message).await;
                    }
                    receive_all(socket).await;
                });
            }
            settled().await;
        });
        drop(clients);
        held.bytes_current / COUNT as i64
    };
    let nothing = held(|| None);
    let sent: [fn() -> Option<Message>; 5] = [
        || Some(Message::Ping(vec![])),
        || Some(Message::Pong(vec![7; 100])),
        || Some(Message::Ping(vec![0; 126])), // refused
        || Some(Message::text("x")),
        || Some(Message::binary(vec![7; 5_000])),
    ];
    for (index, message) in sent.into_iter().enumerate() {
        // What the peer has not read is in the pipe.
        let each = held(message);
        assert!(each < 2 * nothing + 16_000, "message {index}: {each} bytes, and {nothing} without");
    }
}

#[test]
fn queued_broadcasts_of_one_letter_hold_at_most_twice_the_limit_of_the_queue() {
    let one = PreparedMessage::text("x");
    let messages: [Box<dyn FnMut() -> PreparedMessage>; 2] =
        [Box::new(move || one.clone()), Box::new(|| PreparedMessage::text("x"))];
    for mut message in messages {
        let runtime = runtime();
        let (_client, connection) = connect_with_capacity(64);
        let (tell, told) = oneshot::channel();
        let budget = Budget::new(100 << 20);
        let sender: Sender = runtime.block_on(async {
            drop(tokio::spawn(connection.budget(&budget).serve(|socket| async move {
                tell.send(socket.sender()).unwrap();
                pending::<()>().await;
            })));
            told.await.unwrap()
        });
        let queued = measure(|| while let Ok(Pushed::Queued) = sender.push_with(message(), Overflow::Wait) {});
        assert!(queued.bytes_current < 2 * MIB as i64, "{queued:?}");
        // Up to the limit, and the header of one frame.
        assert!((MIB as usize - 1024..MIB as usize + 10).contains(&sender.buffered()), "{} bytes", sender.buffered());
        assert_eq!(budget.used(), sender.buffered());
    }
}

#[test]
fn unread_small_messages_cost_about_their_bytes_and_nothing_after_they_were_received() {
    let runtime = runtime();
    let (mut client, connection) = connect_with_capacity(4096);
    server_end(&client).set_read_chunk(26);
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let (opened, (done, told)) = (gate.clone(), oneshot::channel());
    runtime.block_on(async {
        tokio::spawn(connection.unread(Unread::default()).serve(|mut socket| async move {
            opened.notified().await;
            for _ in 0..10_000 {
                assert_eq!(socket.recv().await.unwrap().unwrap().len(), 20);
            }
            done.send(()).unwrap();
            socket.recv().await;
        }));
    });
    let message = Frame::text([b'x'; 20]).bytes();
    let sending = cost(&runtime, async {
        for _ in 0..10_000 {
            client.send_bytes(&message).await;
        }
        settled().await;
    });
    // 260,000 bytes, in memory that doubles up to the bound; and two buffers that the thread keeps for all.
    assert!((260_000..410_000).contains(&sending.bytes_current), "{sending:?}");
    assert!(sending.bytes_max < 600_000, "{sending:?}");
    let receiving = cost(&runtime, async {
        gate.notify_one();
        told.await.unwrap();
        settled().await;
    });
    assert!(sending.bytes_current + receiving.bytes_current < 220_000, "{sending:?} {receiving:?}");
}

#[test]
fn a_peer_that_sends_beyond_the_bound_of_unread_bytes_costs_no_more_memory() {
    let runtime = runtime();
    let (mut client, connection) = connect_with_capacity(4096);
    server_end(&client).set_read_chunk(26);
    runtime.block_on(async {
        tokio::spawn(connection.unread(Unread::default()).serve(|socket| async move {
            pending::<()>().await;
            drop(socket);
        }));
    });
    let message = Frame::text([b'x'; 20]).bytes();
    let flooding = cost(&runtime, async {
        for _ in 0..100_000 {
            client.send_bytes(&message).await;
        }
    });
    assert!(flooding.bytes_current < 470_000, "{flooding:?}");
    assert!(flooding.bytes_max < 770_000, "{flooding:?}");
}
