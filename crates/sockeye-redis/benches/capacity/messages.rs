//! The time of processors for each message, of the node that sends, of one that receives, and of the server.

use std::{sync::mpsc, thread, time::Duration, time::Instant};

use futures_util::{StreamExt, stream};
use rustix::time::{ClockId, clock_gettime};
use sockeye_state::{Arrival, Broker, Stamp, Topic};
use tokio::runtime::{Builder, Runtime};

use crate::support::{
    node::{Node, append},
    server::Server,
};

const MESSAGES: usize = 100_000;
const ROOMS: usize = 100;
/// As many requests are under way at the same time.
const UNDER_WAY: usize = 256;
const BYTES: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Publish,
    Append,
}

pub(crate) fn run(runtime: &Runtime, server: &Server) {
    println!(
        "{MESSAGES} messages of {BYTES} bytes in {ROOMS} rooms, {UNDER_WAY} under way, one node sends and one receives"
    );
    println!("{:10} {:>13} {:>13} {:>13} {:>20}", "", "sender", "receiver", "server", "all on this machine");
    for how in [How::Publish, How::Append] {
        let before = runtime.block_on(server_time(server));
        let start = Instant::now();
        let (ready, is_ready) = mpsc::channel();
        let url = server.url();
        let receiver = thread::spawn(move || timed(receive(url, how, ready)));
        is_ready.recv().expect("the receiver is subscribed");
        let url = server.url();
        let sent = thread::spawn(move || timed(send(url, how))).join().expect("all are sent");
        let received = receiver.join().expect("all are received");
        let elapsed = start.elapsed();
        let served = runtime.block_on(server_time(server)) - before;
        let each = |time: Duration| format!("{:.1} µs", time.as_secs_f64() * 1e6 / MESSAGES as f64);
        let rate = format!("{:.0} a second", MESSAGES as f64 / elapsed.as_secs_f64());
        let name = format!("{how:?}").to_lowercase();
        println!("{name:10} {:>13} {:>13} {:>13} {rate:>20}", each(sent), each(received), each(served));
    }
    println!();
}

async fn send(url: String, how: How) {
    let node = Node::start(&url).await;
    let line = "x".repeat(BYTES);
    let requests = stream::iter(0..MESSAGES).map(|number| {
        let (broker, id, line) = (&node.broker, node.id, &line);
        async move {
            match how {
                How::Publish => broker.publish(topic(how, number), line.clone().into()).await.expect("published"),
                How::Append => {
                    let append = append(&topic(how, number), line, Stamp::of_node(id, number as u64));
                    broker.append(append).await.expect("appended");
                }
            }
        }
    });
    requests.buffered(UNDER_WAY).for_each(|()| async {}).await;
}

async fn receive(url: String, how: How, ready: mpsc::Sender<()>) {
    let mut node = Node::start(&url).await;
    node.broker.subscribe((0..ROOMS).map(|room| topic(how, room)).collect()).await.expect("subscribed");
    ready.send(()).expect("somebody waits");
    for _ in 0..MESSAGES {
        let arrival = node.next_within(Duration::from_secs(60)).await.expect("all messages arrive");
        assert!(!matches!(arrival, Arrival::Lost(_)), "{arrival:?}");
    }
}

fn topic(how: How, number: usize) -> Topic {
    Topic::room("bench", format!("{how:?}:{}", number % ROOMS))
}

/// The time of the processor in which a thread of its own runs a future.
fn timed(future: impl Future<Output = ()>) -> Duration {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let before = now();
    runtime.block_on(future);
    now() - before
}

async fn server_time(server: &Server) -> Duration {
    let seconds = |text: String| text.parse::<f64>().expect("seconds");
    let (user, system) = (seconds(server.info("used_cpu_user").await), seconds(server.info("used_cpu_sys").await));
    Duration::from_secs_f64(user + system)
}
