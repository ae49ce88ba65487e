//! `Local`, the broker of one process: its memory, its inboxes, and what it does while code of others runs. `sockeye-broker-test`
//! runs the whole contract on it.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod inboxes;
mod memory;
mod model;
mod threads;

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use sockeye_state::{Append, Arrival, BoxFuture, Broker, Inbox, Keep, Local, NodeId, Position, Stamp, Topic};

const HOUR: Duration = Duration::from_secs(3600);

fn topic(name: &str) -> Topic {
    Topic::room("test", name)
}

/// An append whose stamp is the number.
fn append(topic: &Topic, number: u64, envelope: impl Into<Bytes>, keep: Keep) -> Append {
    Append::new(topic.clone(), envelope.into(), Stamp::of_node(NodeId::from_u64(1), number), keep)
}

/// A future that is ready at its first poll, as those of `Local` are as a rule.
fn now<T>(mut future: BoxFuture<'_, T>) -> T {
    match poll(&mut future) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a future that is not ready"),
    }
}

/// Polls until the future is ready: also one that lets others have their turn, or that waits for another thread.
fn finish<T>(mut future: BoxFuture<'_, T>) -> T {
    loop {
        if let Poll::Ready(value) = poll(&mut future) {
            return value;
        }
        std::thread::yield_now();
    }
}

fn poll<T>(future: &mut BoxFuture<'_, T>) -> Poll<T> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A clone that is started, whose inbox calls `arrived`.
fn start(broker: &Local, arrived: impl Fn(Arrival) + Send + Sync + 'static) -> Local {
    let node = broker.clone();
    now(node.start(NodeId::from_u64(2), Inbox::from_fn(arrived))).unwrap();
    node
}

fn start_silent(broker: &Local) -> Local {
    start(broker, |_| {})
}

fn top(node: &Local, name: &str) -> Option<Position> {
    now(node.tops(vec![topic(name)])).unwrap()[0]
}
