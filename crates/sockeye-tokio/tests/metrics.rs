//! What connections tell the `metrics` facade. One test, since the recorder is everybody's.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{collections::BTreeMap, future::poll_fn, task::Poll, time::Duration};

use common::{connect_with_capacity, receive_all, sender_of, settled, tcp};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use sockeye_testkit::{Frame, Peer, PipeEnd};
use sockeye_tokio::{Connection, Message, Overflow, PreparedMessage, Role, Shutdown, WebSocket, proto::Data};
use tokio::{sync::oneshot, task::yield_now};

type Snapshot = BTreeMap<String, f64>;

/// What there is by now. A histogram counts as how many values it has.
fn look(snapshotter: &Snapshotter, seen: &mut Snapshot) {
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let mut name = key.key().name().to_owned();
        for label in key.key().labels() {
            name.push_str(&format!(" {}={}", label.key(), label.value()));
        }
        // A look takes away what it sees.
        match value {
            DebugValue::Counter(count) => *seen.entry(name).or_default() += count as f64,
            DebugValue::Gauge(change) => *seen.entry(name).or_default() += change.0,
            DebugValue::Histogram(values) => *seen.entry(name).or_default() += values.len() as f64,
        }
    }
}

fn start<Fut>(handler: impl FnOnce(WebSocket) -> Fut + Send + 'static) -> Peer<PipeEnd>
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let (client, connection) = connect_with_capacity(1 << 10);
    tokio::spawn(connection.overflow(Overflow::DropNewest).serve(handler));
    client
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        match message {
            // What a message is does not depend on how it is sent.
            Message::Text(_) => socket.send_secret(message).await.unwrap(),
            Message::Binary(_) => socket.send(message).await.unwrap(),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_metric_counts_connections_messages_bytes_and_drops() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().unwrap();
    let mut seen = Snapshot::new();

    let mut client = start(echo);
    client.send_all([Frame::text("four"), Frame::binary("seven b"), Frame::ping("p")]).await;
    client.expect_pong("p").await; // it overtakes
    client.expect_text("four").await;
    client.expect_binary("seven b").await;
    let keep_alive = client.expect_frame().await; // after 20 s of silence
    client.send(Frame::pong(keep_alive.payload)).await;
    look(&snapshotter, &mut seen);
    assert_eq!(seen["sockeye_connections_open"], 1.0);

    client.send(Frame::close(4321, "bye")).await;
    client.expect_close(4321).await;
    client.expect_eof().await;
    drop(client);
    let mut vanished = start(|mut socket| async move {
        let copied = poll_fn(|cx| Poll::Ready(socket.send_copy(Data::text("copy"), cx))).await;
        assert!(copied, "a new connection has nothing that would prevent it");
        echo(socket).await;
    });
    vanished.expect_text("copy").await;
    vanished.send(Frame::text("x")).await;
    vanished.expect_text("x").await;
    drop(vanished);

    let (tell, told) = oneshot::channel();
    let mut slow = start(|mut socket| async move {
        tell.send(socket.sender()).unwrap();
        while let Some(Ok(_)) = socket.recv().await {}
        socket.close().await.unwrap();
    });
    let sender = told.await.unwrap();
    sender.push(Message::binary(vec![0; 1 << 20])).unwrap();
    sender.push(Message::binary(vec![0; 1 << 20])).unwrap();
    yield_now().await;
    look(&snapshotter, &mut seen);
    assert!(seen["sockeye_queue_bytes"] > 1e6, "{seen:?}");
    slow.expect_binary(vec![0; 1 << 20]).await;
    slow.send(Frame::text("\u{fffd}").rsv(1)).await;
    slow.expect_close(1002).await;
    slow.expect_eof().await;
    drop(slow);
    settled().await;
    look(&snapshotter, &mut seen);

    let expected = [
        ("sockeye_connections_open", 0.0),
        ("sockeye_connections_total", 3.0),
        ("sockeye_connections_ended_total code=4xxx by=peer", 1.0),
        ("sockeye_connections_ended_total code=1006 by=nobody", 1.0),
        ("sockeye_connections_ended_total code=1002 by=local", 1.0),
        ("sockeye_messages_total direction=received opcode=text", 2.0),
        ("sockeye_messages_total direction=received opcode=binary", 1.0),
        ("sockeye_messages_total direction=received opcode=ping", 1.0),
        ("sockeye_messages_total direction=received opcode=pong", 1.0),
        ("sockeye_messages_total direction=received opcode=close", 1.0),
        ("sockeye_messages_total direction=sent opcode=text", 3.0),
        ("sockeye_messages_total direction=sent opcode=binary", 2.0),
        ("sockeye_messages_total direction=sent opcode=ping", 1.0),
        ("sockeye_messages_total direction=sent opcode=pong", 1.0),
        ("sockeye_messages_total direction=sent opcode=close", 2.0),
        ("sockeye_payload_bytes_total direction=received opcode=text", 5.0),
        ("sockeye_payload_bytes_total direction=received opcode=binary", 7.0),
        ("sockeye_payload_bytes_total direction=sent opcode=text", 9.0),
        ("sockeye_payload_bytes_total direction=sent opcode=binary", (1 << 20) as f64 + 7.0),
        ("sockeye_messages_dropped_total", 1.0),
        ("sockeye_queue_bytes", 0.0),
        ("sockeye_round_trip_seconds", 1.0),
    ];
    for (name, value) in expected {
        assert_eq!(seen.get(name), Some(&value), "{name}: {seen:#?}");
    }

    // A handler that outlives its connection, and is cut: the end is counted once.
    let shutdown = Shutdown::new();
    let (mut client, connection) = connect_with_capacity(1 << 10);
    tokio::spawn(connection.shutdown(&shutdown).serve(|socket| async move {
        receive_all(socket).await;
        tokio::time::sleep(Duration::from_secs(3600)).await; // still saves something
    }));
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    client.expect_eof().await;
    drop(client);
    settled().await;
    let ended = |seen: &Snapshot| seen.iter().filter(|(name, _)| name.contains("ended")).map(|(_, n)| n).sum::<f64>();
    look(&snapshotter, &mut seen);
    let before = (seen["sockeye_connections_open"], ended(&seen));
    shutdown.drain(Duration::from_secs(5)).await;
    look(&snapshotter, &mut seen);
    assert_eq!((seen["sockeye_connections_open"], ended(&seen)), before);

    // Messages that are written past the queue.
    let (client, server) = tcp().await;
    let (sender, _task) = sender_of(Connection::new(server, Role::Server)).await;
    settled().await;
    let mut seen = Snapshot::new();
    look(&snapshotter, &mut seen);
    seen.clear();
    sender.push_many(&[PreparedMessage::text("four"), PreparedMessage::binary([7]), "five".into()], None);
    assert_eq!(sender.buffered(), 0);
    look(&snapshotter, &mut seen);
    for (name, value) in [
        ("sockeye_messages_total direction=sent opcode=text", 2.0),
        ("sockeye_messages_total direction=sent opcode=binary", 1.0),
        ("sockeye_payload_bytes_total direction=sent opcode=text", 8.0),
        ("sockeye_payload_bytes_total direction=sent opcode=binary", 1.0),
    ] {
        assert_eq!(seen.get(name), Some(&value), "{name}: {seen:#?}");
    }
    // Until the peer does not take them.
    while sender.buffered() == 0 {
        sender.push_many(&[PreparedMessage::binary(vec![0; 1 << 20])], None);
    }
    look(&snapshotter, &mut seen);
    assert_eq!(seen["sockeye_queue_bytes"], sender.buffered() as f64);
    drop(client);
    sender.closed().await;
    settled().await;
    look(&snapshotter, &mut seen);
    assert_eq!(seen["sockeye_queue_bytes"], 0.0);
}
