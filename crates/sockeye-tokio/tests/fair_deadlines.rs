//! Each deadline looks at what the peer does, and at nothing else: not at what our own kernel took, and not at what the
//! application has left unread. Time is paused: it passes when everybody waits for it.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, pending},
    time::Duration,
};

use common::{connect_with_capacity, server_end, start_with};
use sockeye_testkit::{Frame, Peer, PipeEnd, opcode};
use sockeye_tokio::{Ended, Error, Message, Timeouts, WebSocket, close_code};
use tokio::{
    io::AsyncReadExt,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, interval, sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn start<F, Fut>(timeouts: Timeouts, handler: F) -> (Peer<PipeEnd>, JoinHandle<Ended>)
where
    F: FnOnce(WebSocket) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (client, task) = start_with(|connection| connection.timeouts(timeouts), handler);
    (client.within(100 * DAY), task)
}

/// Receives to the end, and gives the error if that is one.
async fn to_the_end(mut socket: WebSocket) -> Option<Error> {
    loop {
        match socket.recv().await? {
            Ok(_) => {}
            Err(error) => return Some(error),
        }
    }
}

mod fragment {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_ping_in_two_halves_does_not_put_off_the_fragment_deadline() {
        let (tell, told) = oneshot::channel();
        let (mut client, _task) = start(Timeouts::new().keep_alive(None), |socket| async {
            tell.send(to_the_end(socket).await).unwrap();
        });
        client.send(Frame::text("begun").fin(false)).await;
        let begun = Instant::now();
        let ping = Frame::ping("0123456789").bytes();
        client.send_bytes(&ping[..9]).await;
        sleep(25 * SECOND).await;
        client.send_bytes(&ping[9..]).await;
        client.expect_pong("0123456789").await;
        client.send_bytes(&ping[..9]).await;
        client.expect_close(close_code::POLICY).await;
        assert_eq!(begun.elapsed(), 30 * SECOND);
        assert!(told.await.unwrap().unwrap().is_timeout());
    }

    #[tokio::test(start_paused = true)]
    async fn messages_that_packets_always_cut_at_the_same_place_keep_the_fragment_deadline() {
        let (mut client, task) = start(Timeouts::new().keep_alive(None), |socket| async {
            assert!(to_the_end(socket).await.is_none());
        });
        // A proxy that cuts packets where it likes: each has the end of one message and three bytes of the next one's payload.
        let bytes = Frame::text("0123456789").bytes();
        let (head, tail) = bytes.split_at(bytes.len() - 7);
        client.send_bytes(head).await;
        for _ in 0..100 {
            sleep(SECOND).await;
            client.send_bytes([tail, head].concat()).await;
        }
        client.send_bytes(tail).await;
        client.send(Frame::close(1000, "")).await;
        client.expect_close(1000).await;
        drop(client);
        task.await.unwrap();
    }

    /// The handler has given up one `recv`, as `select!` does, in the middle of a message, and is busy for a minute.
    async fn upload(timeouts: Timeouts, arrived: usize, elsewhere: bool) -> usize {
        let (tell, told) = oneshot::channel();
        let (mut client, _task) = start(timeouts, move |mut socket| async move {
            let busy = async move {
                assert!(timeout(SECOND, socket.recv()).await.is_err());
                sleep(60 * SECOND).await;
                tell.send(socket.recv().await.unwrap().unwrap().len()).unwrap();
            };
            if elsewhere { tokio::spawn(busy).await.unwrap() } else { busy.await }
        });
        let bytes = Frame::binary(vec![1; 1 << 20]).bytes();
        client.send_bytes(&bytes[..arrived]).await;
        sleep(5 * SECOND).await;
        client.send_bytes(&bytes[arrived..]).await; // goes on, as fast as it is let
        told.await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_not_dropped_for_a_message_that_the_application_has_not_read() {
        for timeouts in [
            Timeouts::none().fragment(30 * SECOND),
            Timeouts::none().keep_alive(20 * SECOND).pong(20 * SECOND),
            Timeouts::new(),
        ] {
            for arrived in [10_000, 70_000, 200_000] {
                for elsewhere in [false, true] {
                    let case = format!("{arrived} had arrived, elsewhere: {elsewhere}, {timeouts:?}");
                    assert_eq!(upload(timeouts, arrived, elsewhere).await, 1 << 20, "{case}");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_send_the_rest_of_its_message_is_closed_with_1008() {
        for arrived in [10_000, 200_000] {
            for elsewhere in [false, true] {
                let (tell, told) = oneshot::channel();
                let (mut client, _task) = start(Timeouts::none().fragment(30 * SECOND), move |socket| async move {
                    let receiving = async { tell.send(to_the_end(socket).await).unwrap() };
                    if elsewhere { tokio::spawn(receiving).await.unwrap() } else { receiving.await }
                });
                let begun = Instant::now();
                client.send_bytes(&Frame::binary(vec![1; 1 << 20]).bytes()[..arrived]).await;
                client.expect_close(close_code::POLICY).await;
                assert_eq!(begun.elapsed(), 30 * SECOND);
                assert!(told.await.unwrap().unwrap().is_timeout());
            }
        }
    }
}

mod idle {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_large_message_in_either_direction_puts_off_the_idle_deadline() {
        let idle = Timeouts::new().idle(60 * SECOND);
        // A download of 400 MB at 2 MB/s.
        let (mut client, connection) = connect_with_capacity(1 << 20);
        let task = tokio::spawn(connection.timeouts(idle).serve(|mut socket| async move {
            socket.send(Message::binary(vec![7; 400_000_000])).await.unwrap();
            pending::<()>().await;
        }));
        let mut buffer = vec![0; 2_000_000];
        for _ in 0..195 {
            client.stream_mut().read_exact(&mut buffer).await.unwrap();
            sleep(SECOND).await;
        }
        assert!(!task.is_finished());

        // An upload of 16 MB at 200 kB/s.
        let (mut client, task) = start(idle, |mut socket| async move {
            assert_eq!(socket.recv().await.unwrap().unwrap().len(), 16_000_000);
        });
        for piece in Frame::binary(vec![7; 16_000_000]).bytes().chunks(200_000) {
            client.send_bytes(piece).await;
            sleep(SECOND).await;
        }
        loop {
            let frame = client.expect_frame().await;
            if !frame.is_plain(opcode::PING) {
                assert_eq!(frame.close_code(), Some(1000));
                break;
            }
        }
        client.send(Frame::close(1000, "")).await;
        client.expect_eof().await;
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_only_pings_and_pongs_is_closed_at_the_idle_deadline() {
        let (mut client, _task) =
            start(Timeouts::new().idle(60 * SECOND), |socket| async { drop(to_the_end(socket).await) });
        let begun = Instant::now();
        loop {
            client.send(Frame::ping("still here")).await;
            let frame = client.expect_frame().await;
            if frame.is_plain(opcode::CLOSE) {
                assert_eq!(frame.close_code(), Some(close_code::AWAY));
                break;
            }
            sleep(SECOND / 2).await;
        }
        assert!((60 * SECOND..70 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
}

mod pong {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_at_4_kib_a_second_has_time_to_answer_a_ping_behind_a_mebibyte() {
        // A stream that takes a megabyte, as a kernel and a proxy may.
        let (mut client, connection) = connect_with_capacity(1 << 20);
        let task = tokio::spawn(connection.serve(|mut socket| async move {
            socket.send(Message::binary(vec![7; 1 << 20])).await.unwrap();
            assert!(to_the_end(socket).await.is_none());
        }));
        let mut buffer = vec![0; 4 << 10];
        for _ in 0..256 {
            client.stream_mut().read_exact(&mut buffer).await.unwrap();
            sleep(SECOND).await;
        }
        assert!(!task.is_finished());
        // What is left is the end of the message, and the Ping.
        let mut rest = [0; 10];
        client.stream_mut().read_exact(&mut rest).await.unwrap();
        let ping = client.expect_frame().await;
        assert!(ping.is_plain(opcode::PING), "{ping:?}");
        client.send_all([Frame::pong(ping.payload), Frame::close(1000, "")]).await;
        client.expect_close(1000).await;
        drop(client);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_has_stopped_is_dropped_when_4_kib_a_second_would_have_reached_the_ping() {
        let (client, connection) = connect_with_capacity(1 << 20);
        let (tell, told) = oneshot::channel();
        let begun = Instant::now();
        let task = tokio::spawn(connection.serve(|mut socket| async move {
            socket.send(Message::binary(vec![7; 400 << 10])).await.unwrap();
            tell.send(to_the_end(socket).await).unwrap();
        }));
        task.await.unwrap();
        // 20 s until the Ping, 20 s for the Pong, a second for each 4 KiB, and at most a tick of the clock.
        let bound = (20 + 20 + 100) * SECOND;
        assert!((bound..=bound + 2 * SECOND).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        let error = told.await.unwrap().unwrap();
        assert_eq!(error.to_string(), "the connection timed out: the peer did not answer a Ping within 120s");
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_vanishes_while_its_message_is_unread_is_dropped() {
        // It takes a welcome, and then nothing.
        let (mut client, connection) = connect_with_capacity(64);
        let (tell, told) = oneshot::channel();
        tokio::spawn(connection.serve(|mut socket| async move {
            socket.send("welcome".into()).await.unwrap();
            let begun = Instant::now();
            socket.sender().closed().await; // or news, when there are some
            tell.send(begun.elapsed()).unwrap();
        }));
        let control = server_end(&client);
        client.expect_text("welcome").await;
        client.send(Frame::text("hello")).await;
        control.set_write_capacity(0);
        assert!(told.await.unwrap() <= 60 * SECOND);
        assert!(control.is_dropped());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_whose_pongs_are_behind_an_unread_message_stays() {
        let (mut client, task) = start(Timeouts::new(), |mut socket| async move {
            socket.send("welcome".into()).await.unwrap();
            pending().await
        });
        client.expect_text("welcome").await;
        client.send(Frame::text("hello")).await;
        // It takes what comes, and its answers lie behind the message that nobody receives.
        for _ in 0..1_000 {
            let frame = client.expect_frame().await;
            assert!(frame.is_plain(opcode::PING), "{frame:?}");
            client.send(Frame::pong(frame.payload)).await;
        }
        assert!(!task.is_finished());
    }
}

mod heartbeat {
    use super::*;

    /// As many applications have it: Pings of its own, and whoever does not answer is thrown out. The handler is busy when the
    /// Pong comes.
    #[tokio::test(start_paused = true)]
    async fn a_pong_reaches_a_handler_that_was_busy_when_it_came() {
        let (mut client, task) = start(Timeouts::new(), |mut socket| async move {
            let (mut ticks, mut is_alive) = (interval(5 * SECOND), true);
            loop {
                tokio::select! {
                    biased;
                    _ = ticks.tick() => {
                        assert!(std::mem::replace(&mut is_alive, false), "it would be thrown out");
                        socket.send(Message::Ping("beat".into())).await.unwrap();
                        sleep(Duration::from_millis(10)).await; // its work
                    }
                    received = socket.recv() => match received {
                        Some(Ok(Message::Pong(payload))) => is_alive = payload == b"beat",
                        Some(Ok(_)) => {}
                        _ => break,
                    }
                }
            }
        });
        for _ in 0..100 {
            let frame = client.expect_frame().await;
            assert!(frame.is_plain(opcode::PING), "{frame:?}");
            client.send(Frame::pong(frame.payload)).await;
        }
        client.send(Frame::close(1000, "")).await;
        client.expect_close(1000).await;
        drop(client);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_latest_pong_of_a_busy_time_is_received_before_the_message_behind_it() {
        let (tell, told) = oneshot::channel();
        let (mut client, _task) = start(Timeouts::new(), |mut socket| async move {
            sleep(SECOND).await;
            let mut received = Vec::new();
            while let Some(message) = socket.recv().await {
                received.push(message.unwrap());
            }
            tell.send(received).unwrap();
        });
        client.send_all((0..10).map(|beat| Frame::pong([beat]))).await;
        client
            .send_all([Frame::ping("answered"), Frame::text("parked"), Frame::pong("read on"), Frame::close_empty()])
            .await;
        let mut expected = vec![Message::Pong(vec![9]), Message::text("parked"), Message::Pong("read on".into())];
        expected.push(Message::Close(None));
        assert_eq!(told.await.unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_behind_a_pong_that_nobody_receives_is_answered_at_once() {
        let (mut client, task) = start(Timeouts::new(), |mut socket| async move {
            sleep(HOUR).await;
            assert_eq!(socket.recv().await.unwrap().unwrap(), Message::Pong("beat".into()));
            assert_eq!(socket.recv().await.unwrap().unwrap(), Message::Close(None));
            assert!(socket.recv().await.is_none());
        });
        let begun = Instant::now();
        client.send_all([Frame::pong("beat"), Frame::close_empty()]).await;
        client.expect_close_empty().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        drop(client);
        task.await.unwrap();
    }
}
