//! After a Close of ours the peer is drained: it may be in the middle of a message, on a slow line, or a proxy, and has to see
//! the Close before it sees the end of the stream.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{future::pending, time::Duration};

use common::{connect_with_capacity, receive_all, server_end, settled, start, start_with};
use sockeye_testkit::{Frame, Peer, PipeEnd, RawFrame, opcode};
use sockeye_tokio::{Config, Ended, Message, Overflow, Shutdown, Timeouts, close_code};
use tokio::{
    io::AsyncReadExt,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};

const SECOND: Duration = Duration::from_secs(1);
const MIB: usize = 1 << 20;

/// Whether the server has ended its direction, after all that is ready has run.
async fn has_ended(client: &Peer<PipeEnd>) -> bool {
    settled().await;
    server_end(client).is_shut_down()
}

/// The next frame that is a Close. Whatever else was sent before is passed over.
async fn close(client: &mut Peer<PipeEnd>) -> RawFrame {
    loop {
        let frame = client.expect_frame().await;
        if frame.is_plain(opcode::CLOSE) {
            return frame;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_stream_stays_open_after_our_close_until_the_peers_close() {
    for code in [4000, 4002, 1011, 1000, 1001] {
        let (mut client, task) = start(move |mut socket| async move { socket.close_with(code, "").await.unwrap() });
        client.expect_close(code).await;
        // Whoever sees the end of the stream before it has answered calls this unclean.
        sleep(9 * SECOND).await;
        assert!(!has_ended(&client).await);
        client.send(Frame::close(code, "")).await;
        assert!(has_ended(&client).await, "the server ends the stream first, and at once");
        client.expect_eof().await;
        client.shutdown().await;
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_stream_stays_open_after_our_close_until_the_peer_ends_its_direction() {
    let (mut client, task) = start(|socket| async move { drop(socket) });
    client.expect_close(1000).await;
    assert!(!has_ended(&client).await);
    client.shutdown().await;
    client.expect_eof().await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_stream_stays_open_after_our_close_until_the_close_deadline() {
    let (mut client, task) = start(|socket| async move { drop(socket) });
    let begun = Instant::now();
    client.expect_close(1000).await;
    client.expect_eof().await;
    assert_eq!(begun.elapsed(), 10 * SECOND);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_server_ends_the_stream_at_once_when_the_peer_closes_first() {
    let (mut client, task) = start(receive_all);
    client.send(Frame::close(4321, "bye")).await;
    assert_eq!(client.expect_close(4321).await, "bye");
    assert!(has_ended(&client).await);
    drop(client);
    task.await.unwrap();
}

/// A server that says Close with this code while its peer sends.
fn closing_with(code: u16) -> (Peer<PipeEnd>, JoinHandle<Ended>) {
    match code {
        1009 => {
            let config = Config::new().max_message_size(1000);
            start_with(|connection| connection.config(config), receive_all)
        }
        1007 => start(receive_all),
        1008 => {
            let timeouts = Timeouts::new().fragment(SECOND).keep_alive(None);
            start_with(|connection| connection.timeouts(timeouts), receive_all)
        }
        1013 => start_with(
            |connection| connection.overflow(Overflow::Disconnect(code)),
            |socket| async move {
                let sender = socket.sender();
                while sender.push(Message::binary(vec![0; 100_000])).is_ok() {}
            },
        ),
        _ => start(move |mut socket| async move { socket.close_with(code, "enough").await.unwrap() }),
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_16_mib_before_it_reads_still_receives_our_close() {
    for code in [1009, 1007, 1008, close_code::AGAIN, 4000] {
        let (mut client, task) = closing_with(code);
        // A frame of 16 MiB, as long as a legal one may be, which is sent whole before anything is read. It begins with what is
        // wrong about it, and pauses for longer than a message may.
        let bytes = Frame::text([&[0xFF; 4][..], &vec![b'x'; 16 * MIB - 4]].concat()).bytes();
        let bytes = if code == 1007 { bytes } else { Frame::binary(vec![7; 16 * MIB]).bytes() };
        for piece in bytes.chunks(2 * MIB) {
            client.send_bytes(piece).await;
            sleep(SECOND * 3 / 2).await;
        }
        assert!(!has_ended(&client).await, "{code}");
        assert_eq!(close(&mut client).await.close_code(), Some(code));
        client.send_all([Frame::ping("is anybody there?"), Frame::text([0xFF]), Frame::close(code, "")]).await;
        client.expect_eof().await;
        client.shutdown().await;
        task.await.unwrap();
        assert!(server_end(&client).is_dropped());
    }
}

#[tokio::test(start_paused = true)]
async fn after_broken_framing_the_stream_ends_behind_the_close_and_incoming_bytes_are_dropped() {
    let (mut client, task) = start(receive_all);
    client.send(Frame::text("x").opcode(3)).await;
    client.expect_close(1002).await;
    assert!(has_ended(&client).await);
    for _ in 0..5 {
        sleep(SECOND).await;
        client.send_bytes(vec![0; 100_000]).await;
    }
    assert!(!task.is_finished());
    client.shutdown().await;
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_connection_ends_after_two_seconds_without_a_byte() {
    let (mut client, task) = start(receive_all);
    client.send(Frame::text([0xFF])).await;
    client.expect_close(1007).await;
    let mut begun = Instant::now();
    for _ in 0..5 {
        sleep(SECOND).await;
        client.send(Frame::text("I did not read it yet")).await;
        begun = Instant::now();
    }
    client.expect_eof().await;
    assert_eq!(begun.elapsed(), 2 * SECOND);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_connection_ends_after_a_minute_while_the_peer_keeps_sending() {
    let (mut client, task) = start(receive_all);
    client.send(Frame::text([0xFF])).await;
    client.expect_close(1007).await;
    let begun = Instant::now();
    while client.try_send_bytes(Frame::text("and on and on").bytes()).await.is_ok() {
        sleep(SECOND).await;
    }
    assert!((60 * SECOND..62 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_drained_ends_after_close_total_while_the_peer_keeps_sending() {
    for (total, set) in [(300, Timeouts::new()), (20, Timeouts::new().close_total(20 * SECOND))] {
        let (mut client, task) =
            start_with(|connection| connection.timeouts(set), |socket| async move { drop(socket) });
        client.expect_close(1000).await;
        let begun = Instant::now();
        while client.try_send_bytes(Frame::text("and on and on").bytes()).await.is_ok() {
            sleep(SECOND).await;
        }
        let (least, most) = (total * SECOND, (total + 2) * SECOND);
        assert!((least..most).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_queued_messages_are_dropped_and_flushed_is_told() {
    let (mut client, connection) = connect_with_capacity(1000);
    let (tell, told) = oneshot::channel();
    let task = tokio::spawn(connection.serve(|mut socket| async move {
        let sender = socket.sender();
        sender.send(Message::binary(vec![1; 20_000])).await.unwrap();
        for _ in 0..10 {
            sender.send(Message::binary(vec![2; 9_000])).await.unwrap();
        }
        let flushed = tokio::spawn(async move { sender.flushed().await });
        let error = socket.recv().await.unwrap().unwrap_err();
        assert!(error.is_violation(), "{error}");
        tell.send(flushed.await.unwrap().unwrap_err()).unwrap();
    }));
    settled().await;
    client.send(Frame::text([0xFF])).await;
    settled().await;
    client.expect_binary(vec![1; 20_000]).await; // it had been begun
    client.expect_close(1007).await;
    client.send(Frame::close(1007, "")).await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
    let error = told.await.unwrap();
    assert!(error.is_violation(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_large_last_message_reaches_a_slow_client() {
    const BIG: usize = 24 * MIB;
    let (mut client, task) = start(|mut socket| async move {
        socket.send(Message::binary(vec![7; BIG])).await.unwrap();
    });
    // At 1 MB/s.
    let (begun, mut buffer, mut got) = (Instant::now(), vec![0; 100_000], 0);
    while got < BIG + 10 {
        let rest = buffer.len().min(BIG + 10 - got);
        got += client.stream_mut().read(&mut buffer[..rest]).await.unwrap();
        sleep(Duration::from_secs_f64(got as f64 / 1e6).saturating_sub(begun.elapsed())).await;
    }
    assert!(begun.elapsed() > 24 * SECOND);
    client.expect_close(1000).await;
    client.send(Frame::close(1000, "")).await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_close_deadline_starts_again_with_every_byte_that_the_peer_takes() {
    let (mut client, connection) = connect_with_capacity(1000);
    let task = tokio::spawn(connection.serve(|mut socket| async move {
        socket.send(Message::binary(vec![7; 30_000])).await.unwrap();
    }));
    let mut buffer = vec![0; 1200];
    for _ in 0..20 {
        sleep(9 * SECOND).await;
        client.stream_mut().read_exact(&mut buffer).await.unwrap();
    }
    assert!(!task.is_finished());
    let begun = Instant::now();
    task.await.unwrap();
    assert!((10 * SECOND..12 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shutdown_aborts_connections_that_are_still_drained() {
    let shutdown = Shutdown::new().window(Duration::ZERO);
    let of = shutdown.clone();
    let (mut sending, first) = start_with(|connection| connection.shutdown(&of), receive_all);
    let (mut failed, second) = start_with(|connection| connection.shutdown(&of), receive_all);
    failed.send(Frame::text([0xFF])).await;
    failed.expect_close(1007).await;
    let drain = tokio::spawn(async move { shutdown.drain(5 * SECOND).await });
    assert_eq!(close(&mut sending).await.close_code(), Some(1001));
    let begun = Instant::now();
    // Both go on sending, and would have a minute or more.
    while !(first.is_finished() && second.is_finished()) {
        let _ = sending.try_send_bytes(Frame::text("and on").bytes()).await;
        let _ = failed.try_send_bytes(Frame::text("and on").bytes()).await;
        sleep(SECOND / 2).await;
    }
    assert!(begun.elapsed() <= 6 * SECOND, "{:?}", begun.elapsed());
    assert_eq!(drain.await.unwrap().aborted, 2);
}

#[tokio::test]
async fn close_with_cuts_a_reason_that_is_too_long_and_keeps_its_code() {
    let (mut client, _task) = start(|mut socket| async move {
        socket.close_with(4000, "é".repeat(100)).await.unwrap();
        pending::<()>().await;
    });
    assert_eq!(client.expect_close(4000).await, "é".repeat(61));

    let (mut client, _task) = start(|socket| async move {
        socket.sender().close_with(4000, "x".repeat(1000)).unwrap();
        pending::<()>().await;
    });
    assert_eq!(client.expect_close(4000).await, "x".repeat(123));
}

#[tokio::test]
async fn closing_a_closed_sink_is_no_error() {
    use futures_util::SinkExt;

    let (tell, told) = oneshot::channel();
    let (mut client, task) = start(|mut socket| async move {
        SinkExt::close(&mut socket).await.unwrap();
        SinkExt::close(&mut socket).await.unwrap();
        while let Some(Ok(_)) = socket.recv().await {}
        let after = [SinkExt::close(&mut socket).await, socket.close().await];
        tell.send(after.into_iter().all(|closed| closed.is_ok())).unwrap();
    });
    client.expect_close(1000).await;
    client.send(Frame::close(1000, "")).await;
    assert!(told.await.unwrap());
    drop(client);
    task.await.unwrap();

    // The peer closes, and is gone before it is answered.
    let (tell, told) = oneshot::channel();
    let (mut client, task) = start(|mut socket| async move {
        while let Some(Ok(_)) = socket.recv().await {}
        tell.send(SinkExt::close(&mut socket).await).unwrap();
    });
    client.send(Frame::close(1000, "")).await;
    drop(client);
    told.await.unwrap().unwrap();
    task.await.unwrap();
}
