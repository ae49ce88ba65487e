//! What rooms, kept messages, stamps and subscriptions cost the server in memory.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use sockeye_state::{Append, Broker, Keep, Stamp, Topic};

use crate::support::{node::Node, server::Server};

const ROOMS: usize = 5_000;
const KEPT: usize = 50;

pub(crate) async fn run(server: &Server) {
    server.command(&["FLUSHALL"]).await;
    let node = Node::start(&server.url()).await;
    println!("memory of the server, by `used_memory`, {ROOMS} rooms with names of 12 bytes");
    let empty = used(server).await;
    fill(&node, 0, 1, 100).await;
    let with_stamps = used(server).await;
    let stamps = forget_stamps(server).await;
    let first = used(server).await;
    assert_eq!(stamps, ROOMS);
    row("a room with a history that keeps one message of 100 bytes", first - empty, ROOMS);
    row("a stamp, for five minutes after each append", with_stamps - first, ROOMS);
    for bytes in [100, 1000] {
        server.command(&["FLUSHALL"]).await;
        fill(&node, 1, 1, bytes).await;
        forget_stamps(server).await;
        let one = used(server).await;
        fill(&node, 1, KEPT - 1, bytes).await;
        forget_stamps(server).await;
        let all = used(server).await;
        row(&format!("each further message of {bytes} bytes that is kept"), all - one, ROOMS * (KEPT - 1));
    }
    server.command(&["FLUSHALL"]).await;
    let before = used(server).await;
    node.broker.subscribe((0..ROOMS).map(|room| topic(2, room)).collect()).await.expect("subscribed");
    row("a subscription of one node to one room", used(server).await - before, ROOMS);
    println!();
}

/// Appends as many messages to each room.
async fn fill(node: &Node, round: usize, messages: usize, bytes: usize) {
    let line = "x".repeat(bytes);
    let appends = stream::iter(0..ROOMS * messages).map(|number| {
        let stamp = Stamp::new(fastrand::u128(..).to_le_bytes());
        let keep = Keep::new(KEPT, Duration::from_secs(3600));
        node.broker.append(Append::new(topic(round, number % ROOMS), line.clone().into(), stamp, keep))
    });
    appends
        .buffered(256)
        .for_each(|appended| async move {
            appended.expect("appended");
        })
        .await;
}

/// Deletes the stamps, as the server does after five minutes. Returns how many there were.
async fn forget_stamps(server: &Server) -> usize {
    let mut connection = server.connection().await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*:stamp:*").query_async(&mut connection).await.expect("an answer");
    for keys in keys.chunks(1000) {
        redis::cmd("DEL").arg(keys).query_async::<()>(&mut connection).await.expect("an answer");
    }
    keys.len()
}

fn topic(round: usize, room: usize) -> Topic {
    Topic::room("bench", format!("{round}:room{room:06}"))
}

fn row(what: &str, bytes: usize, count: usize) {
    println!("{what:60} {:>6.0} bytes", bytes as f64 / count as f64);
}

async fn used(server: &Server) -> usize {
    server.info("used_memory").await.parse().expect("a number of bytes")
}
