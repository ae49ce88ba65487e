//! The timer of a thread, which all of its connections share.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::mpsc,
    task::Poll,
    thread,
    time::Duration,
};

use common::{connect, receive_all, server_end, settled, start_with};
use sockeye_testkit::{Frame, Peer, PipeEnd, opcode};
use sockeye_tokio::{Ended, Timeouts};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
    time::{Instant, advance, sleep},
};

const SECOND: Duration = Duration::from_secs(1);

fn paused() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

fn start(timeouts: Timeouts) -> (Peer<PipeEnd>, JoinHandle<Ended>) {
    start_with(|connection| connection.timeouts(timeouts), receive_all)
}

async fn leave(mut client: Peer<PipeEnd>, task: JoinHandle<Ended>) {
    client.send(Frame::close(1000, "")).await;
    drop(client);
    task.await.unwrap();
}

/// How long it takes until the next frame, which is a Ping, and is answered.
async fn ping(client: &mut Peer<PipeEnd>) -> Duration {
    let begun = Instant::now();
    let frame = client.expect_frame().await;
    assert!(frame.is_plain(opcode::PING), "{frame:?}");
    client.send(Frame::pong(frame.payload)).await;
    begun.elapsed()
}

#[test]
fn deadlines_are_kept_after_497_days_of_uptime() {
    for days in [490, 498, 1_000] {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            paused().block_on(async {
                let (first, task) = start(Timeouts::new());
                sleep(Duration::from_millis(10)).await;
                leave(first, task).await;
                advance(Duration::from_secs(days * 24 * 3600)).await;
                let (mut second, _task) = start(Timeouts::new());
                // Passes as soon as nobody has anything to do: not while the timer spins.
                sleep(5 * SECOND).await;
                let time = ping(&mut second).await;
                tell.send((10 * SECOND..=17 * SECOND).contains(&time)).unwrap();
            });
        });
        assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok(true), "after {days} days");
    }
}

#[test]
fn the_timer_ticks_no_faster_than_its_living_connections_need() {
    // What a tick may be late by is the peer's, so that the Ping tells how far apart they are.
    let second_ping_after = |first: Timeouts| {
        paused().block_on(async {
            let (client, task) = start(first);
            sleep(SECOND).await;
            leave(client, task).await;
            let (mut client, _task) = start(Timeouts::new());
            ping(&mut client).await
        })
    };
    let quick = second_ping_after(Timeouts::none().keep_alive(Duration::from_millis(160)));
    assert_eq!(quick, second_ping_after(Timeouts::new()));
}

#[test]
fn connections_that_were_opened_together_are_pinged_at_different_times() {
    paused().block_on(async {
        let begun = Instant::now();
        let mut clients: Vec<_> = (0..100).map(|_| start(Timeouts::new())).collect();
        let mut seconds = vec![0; 25];
        while begun.elapsed() < 22 * SECOND {
            for (client, _task) in &mut clients {
                while client.stream().control().available() > 0 {
                    ping(client).await;
                    seconds[begun.elapsed().as_secs() as usize] += 1;
                }
            }
            sleep(SECOND / 10).await;
        }
        assert_eq!(seconds.iter().sum::<usize>(), 100);
        assert!(seconds.iter().all(|&pings| pings <= 35), "{seconds:?}");
    });
}

#[test]
fn after_the_process_was_stopped_bytes_that_are_ready_are_read_before_a_deadline_is_judged() {
    paused().block_on(async {
        let (mut client, task) = start(Timeouts::new());
        let frame = client.expect_frame().await;
        assert!(frame.is_plain(opcode::PING));
        // The answer is there when the process is stopped, and the runtime comes to it only after the timer has fired.
        let server = server_end(&client);
        server.pause_reads();
        client.send(Frame::pong(frame.payload)).await;
        advance(60 * SECOND).await;
        settled().await;
        server.resume_reads();
        ping(&mut client).await;
        assert!(!task.is_finished());

        // One that has not answered goes all the same.
        let frame = client.expect_frame().await;
        assert!(frame.is_plain(opcode::PING));
        advance(60 * SECOND).await;
        let begun = Instant::now();
        client.expect_eof().await;
        assert!(begun.elapsed() <= 2 * SECOND, "{:?}", begun.elapsed());
        task.await.unwrap();
    });
}

#[test]
fn a_driver_that_moves_to_another_runtime_keeps_its_deadlines() {
    let (mut client, connection) = connect();
    let mut driver = pin!(connection.serve(receive_all));
    let mut poll_once = |runtime: &Runtime| {
        let polled = poll_fn(|cx| Poll::Ready(driver.as_mut().poll(cx)));
        assert!(runtime.block_on(polled).is_pending());
    };
    let first = paused();
    poll_once(&first);
    drop(first);
    let second = paused();
    poll_once(&second);
    second.block_on(async {
        let pinged = async {
            for _ in 0..3 {
                ping(&mut client).await;
            }
        };
        tokio::select! {
            () = pinged => {}
            _ = driver => panic!("the peer was there"),
        }
    });
}
