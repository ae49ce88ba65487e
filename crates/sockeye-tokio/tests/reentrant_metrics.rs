//! A recorder of metrics that calls the connection it is told of. One test, since the recorder is everybody's.
#![cfg(feature = "metrics")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::connect_with_capacity;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use sockeye_testkit::{Frame, opcode};
use sockeye_tokio::{Budget, Message, Overflow, Sender, Shutdown, Timeouts, close_code};

/// What the recorder calls, whenever it is told anything.
#[derive(Default)]
struct Calls {
    known: Mutex<Option<(Sender, Budget, Shutdown)>>,
    told: AtomicUsize,
}

impl Calls {
    fn call(&self) {
        let told = self.told.fetch_add(1, Ordering::Relaxed);
        let known = self.known.lock().unwrap().clone();
        if let Some((sender, budget, shutdown)) = known {
            // A few times, since this is told as well.
            if told < 50 {
                let _ = sender.push_with(Message::text("told"), Overflow::DropNewest);
            }
            assert!(sender.buffered() < 1 << 20 && budget.used() < 1 << 20 && shutdown.connections() < 10);
            let _ = (sender.is_closed(), sender.latency(), sender.dropped());
        }
    }
}

#[derive(Clone)]
struct Calling(Arc<Calls>);

impl CounterFn for Calling {
    fn increment(&self, _: u64) {
        self.0.call();
    }
    fn absolute(&self, _: u64) {}
}

impl GaugeFn for Calling {
    fn increment(&self, _: f64) {
        self.0.call();
    }
    fn decrement(&self, _: f64) {
        self.0.call();
    }
    fn set(&self, _: f64) {}
}

impl HistogramFn for Calling {
    fn record(&self, _: f64) {
        self.0.call();
    }
}

impl Recorder for Calling {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        self.0.call();
    }
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        self.0.call();
        Counter::from_arc(Arc::new(self.clone()))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(self.clone()))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(self.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_metrics_recorder_may_call_the_connection() {
    let calls = Arc::<Calls>::default();
    metrics::set_global_recorder(Calling(calls.clone())).map_err(drop).unwrap();
    let (budget, shutdown) = (Budget::new(100_000), Shutdown::new());
    let (mut client, connection) = connect_with_capacity(1000);
    let timeouts = Timeouts::default().keep_alive(Duration::from_secs(5));
    let connection = connection.timeouts(timeouts).budget(&budget).shutdown(&shutdown);
    let known = calls.clone();
    let told = (budget.clone(), shutdown.clone());
    let task = tokio::spawn(connection.serve(|mut socket| async move {
        *known.known.lock().unwrap() = Some((socket.sender(), told.0, told.1));
        while let Some(Ok(message)) = socket.recv().await {
            if message.is_data() {
                // More than is read, so that some is dropped.
                for _ in 0..3 {
                    let _ = socket.sender().push_with(Message::binary(vec![0; 30_000]), Overflow::DropOldest);
                }
                socket.send(message).await.unwrap();
            }
        }
    }));
    client.send(Frame::ping("p")).await;
    client.send(Frame::text("hello")).await;
    loop {
        let frame = client.expect_frame().await;
        if frame.payload == b"hello" {
            break;
        }
    }
    // A Ping of the keep-alive, and its Pong.
    loop {
        let frame = client.expect_frame().await;
        if frame.opcode == opcode::PING {
            client.send(Frame::pong(frame.payload)).await;
            break;
        }
    }
    client.send(Frame::close(close_code::NORMAL, "")).await;
    while client.expect_frame().await.opcode != opcode::CLOSE {}
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
    assert!(calls.told.load(Ordering::Relaxed) > 20);
    *calls.known.lock().unwrap() = None;
    assert_eq!((budget.used(), shutdown.connections()), (0, 0));
}
