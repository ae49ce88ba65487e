//! How much a large room that is sent to without pause holds up another connection on the same thread.

use std::time::Instant;

use sockeye_state::Hub;
use sockeye_testkit::{Frame, Peer, PipeEnd, pipe};
use sockeye_tokio::{Connection, Role, Stream};
use tokio::task::yield_now;

use crate::{
    deliveries::{micros, room_of},
    percentiles::Times,
};

const MEMBERS: usize = 10_000;
const ECHOES: usize = 5_000;

pub(crate) async fn run() {
    let (client, server) = pipe();
    tokio::spawn(Connection::new(Stream::boxed(server), Role::Server).serve(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    }));
    let mut client = Peer::client(client);
    let mut idle = echo(&mut client).await;

    let (hub, members) = room_of(MEMBERS).await;
    let delivery = micros(&hub, &members, 100, 1, |room| room.send("a message")).await;
    let sender = tokio::spawn(send_without_pause(hub.clone()));
    let mut busy = echo(&mut client).await;
    sender.abort();

    println!(
        "an echo on the thread of a room of {MEMBERS} members, in µs: median, 99th percentile, maximum of {ECHOES}"
    );
    println!("  idle room                 {}", idle.summary());
    println!("  sent to without pause     {}", busy.summary());
    let above = (busy.percentile(0.99) - idle.percentile(0.99)).as_secs_f64() * 1e6;
    println!(
        "  the 99th percentile rises by the time of {:.0} single deliveries (of {delivery:.2} µs)",
        above / delivery
    );
}

async fn echo(client: &mut Peer<PipeEnd>) -> Times {
    let mut times = Times::default();
    for _ in 0..ECHOES {
        let start = Instant::now();
        client.send(Frame::text("hello")).await;
        client.expect_text("hello").await;
        times.add(start.elapsed());
        yield_now().await;
    }
    times
}

async fn send_without_pause(hub: Hub<()>) {
    let room = hub.room("room");
    loop {
        room.send("a message");
        yield_now().await;
    }
}
