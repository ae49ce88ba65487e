//! What a message costs that comes from another node, beside one of the same node, and what publishing adds.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use bytes::Bytes;
use sockeye_state::{
    Append, BoxFuture, Broker, BrokerError, Health, Hub, Inbox, Member, NodeId, Page, Position, Topic,
};

use crate::{
    connections::connect,
    deliveries::{TEXT, settle},
};

/// How many messages come in a row.
const IN_A_ROW: usize = 16;

/// A broker that says yes to everything, and keeps the inbox of its node and the last envelope.
#[derive(Clone, Default)]
struct Yes(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    inbox: Option<Inbox>,
    envelope: Option<Bytes>,
}

pub(crate) async fn run() {
    println!(
        "a message of {} bytes, {IN_A_ROW} in a row; µs for each message, until the streams of all have it",
        TEXT.len()
    );
    println!("{:>9} {:>13} {:>18} {:>17}", "members", "of this node", "of this, published", "of another node");
    let other = Yes::default();
    let elsewhere = hub(Some(&other)).await;
    elsewhere.room("room").send(TEXT);
    let envelope = loop {
        tokio::task::yield_now().await;
        if let Some(envelope) = other.0.lock().expect("nobody panics").envelope.take() {
            break envelope;
        }
    };
    for members in [1, 10, 100] {
        let rounds = 200_000 / IN_A_ROW / members;
        let alone = measure(&hub(None).await, members, rounds, |hub| _ = hub.room("room").send(TEXT)).await;
        let published = hub(Some(&Yes::default())).await;
        let published = measure(&published, members, rounds, |hub| _ = hub.room("room").send(TEXT)).await;
        let broker = Yes::default();
        let node = hub(Some(&broker)).await;
        let inbox = broker.0.lock().expect("nobody panics").inbox.clone().expect("the broker was started");
        let topic = Topic::room("sockeye", "room");
        let arrived = measure(&node, members, rounds, |_| inbox.message(topic.clone(), envelope.clone())).await;
        println!("{members:>9} {alone:>13.3} {published:>18.3} {arrived:>17.3}");
    }
    println!();
}

async fn hub(broker: Option<&Yes>) -> Hub<()> {
    let builder = Hub::builder();
    match broker {
        Some(broker) => builder.broker(broker.clone()).build().await.expect("it says yes"),
        None => builder.build().await.expect("the defaults are right"),
    }
}

async fn measure(hub: &Hub<()>, members: usize, rounds: usize, mut send: impl FnMut(&Hub<()>)) -> f64 {
    let mut present: Vec<Member<()>> = Vec::with_capacity(members);
    for _ in 0..members {
        let member = hub.register(connect().await, ());
        member.join("room").await.expect("a valid name");
        present.push(member);
    }
    let (start, mut queued) = (Instant::now(), hub.stats().queued);
    for _ in 0..rounds {
        for _ in 0..IN_A_ROW {
            send(hub);
        }
        queued += (IN_A_ROW * members) as u64;
        settle(hub, &present, queued).await;
    }
    start.elapsed().as_secs_f64() * 1e6 / (rounds * IN_A_ROW) as f64
}

impl Broker for Yes {
    fn start(&self, _: NodeId, inbox: Inbox) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.0.lock().expect("nobody panics").inbox = Some(inbox);
        yes(())
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn subscribe(&self, _: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        yes(())
    }

    fn unsubscribe(&self, _: Vec<Topic>) -> BoxFuture<'_, Result<(), BrokerError>> {
        yes(())
    }

    fn publish(&self, _: Topic, envelope: Bytes) -> BoxFuture<'_, Result<(), BrokerError>> {
        self.0.lock().expect("nobody panics").envelope = Some(envelope);
        yes(())
    }

    fn append(&self, _: Append) -> BoxFuture<'_, Result<Position, BrokerError>> {
        Box::pin(async { Err(BrokerError::refused("there are no histories here")) })
    }

    fn read(&self, _: Topic, _: Option<Position>, _: usize) -> BoxFuture<'_, Result<Page, BrokerError>> {
        Box::pin(async { Err(BrokerError::refused("there are no histories here")) })
    }

    fn tops(&self, topics: Vec<Topic>) -> BoxFuture<'_, Result<Vec<Option<Position>>, BrokerError>> {
        yes(vec![None; topics.len()])
    }

    fn health(&self) -> Health {
        Health::Well
    }
}

fn yes<R: Send + 'static>(answer: R) -> BoxFuture<'static, Result<R, BrokerError>> {
    Box::pin(async move { Ok(answer) })
}
