//! A live viewer of the log: a layer of `tracing` that broadcasts each event to a hub. The members of the hub are connections,
//! which cause events themselves.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    cell::Cell,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use sockeye_state::Hub;
use sockeye_testkit::{Frame, Peer, PipeEnd, opcode, pipe, pipe_with_capacity};
use sockeye_tokio::{Budget, Connection, Role, Stream, WebSocket, close_code};
use tokio::task::yield_now;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Broadcasts each event of the log.
struct ToHub {
    hub: Hub<()>,
    events: Arc<AtomicUsize>,
}

thread_local!(static IS_LOGGING: Cell<bool> = const { Cell::new(false) });

impl<S: tracing::Subscriber> Layer<S> for ToHub {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        self.events.fetch_add(1, Ordering::Relaxed);
        // Events of the broadcast itself are not broadcast: this would never end.
        if !IS_LOGGING.replace(true) {
            self.hub.broadcast(format!("{} {}", event.metadata().level(), event.metadata().target()));
            IS_LOGGING.set(false);
        }
    }
}

/// Runs `work` on a thread of its own, whose log goes to the hub. Returns the number of events; fails if `work` does not end.
fn log_to_hub<Fut: Future<Output = ()>>(work: impl FnOnce(Hub<()>) -> Fut + Send + 'static) -> usize {
    let (tell, told) = mpsc::channel();
    let (hub, events) = (Hub::new(), Arc::new(AtomicUsize::new(0)));
    let layer = ToHub { hub: hub.clone(), events: events.clone() };
    thread::spawn(move || {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
            runtime.unwrap().block_on(work(hub));
        });
        tell.send(()).unwrap();
    });
    told.recv_timeout(Duration::from_secs(30)).expect("it came to its end");
    events.load(Ordering::Relaxed)
}

/// A viewer, and other members that do nothing.
async fn view(mut socket: WebSocket, hub: Hub<()>) {
    let _member = hub.register(socket.sender(), ());
    while let Some(Ok(_)) = socket.recv().await {}
}

async fn member(server: PipeEnd, hub: &Hub<()>, set: impl FnOnce(Connection) -> Connection) {
    let (members, before) = (hub.clone(), hub.len());
    let connection = set(Connection::new(Stream::boxed(server), Role::Server));
    tokio::spawn(connection.serve(|socket| view(socket, members)));
    while hub.len() == before {
        yield_now().await;
    }
}

#[test]
fn a_broken_frame_is_logged_to_those_who_view_the_log() {
    let events = log_to_hub(|hub| async move {
        let (client, server) = pipe();
        member(server, &hub, |connection| connection).await;
        let (viewer, server) = pipe();
        member(server, &hub, |connection| connection).await;
        Peer::client(client).send(Frame::text("x").rsv(1)).await;
        let mut viewer = Peer::client(viewer);
        while !viewer.expect_frame().await.payload.starts_with(b"DEBUG sockeye_tokio") {}
    });
    assert!(events > 0);
}

#[test]
fn an_eviction_is_logged_to_those_who_view_the_log() {
    let events = log_to_hub(|hub| async move {
        let (_client, server) = pipe_with_capacity(64);
        let budget = Budget::new(100_000);
        member(server, &hub, |connection| connection.budget(&budget)).await;
        hub.broadcast("x".repeat(90_000));
        hub.broadcast("x".repeat(20_000));
        while budget.used() > 90_000 {
            yield_now().await;
        }
        assert!(budget.evicted() > 0);
    });
    assert!(events > 0);
}

#[test]
fn a_broadcast_that_overflows_is_logged_to_those_who_view_the_log() {
    let events = log_to_hub(|hub| async move {
        let (client, server) = pipe_with_capacity(64);
        member(server, &hub, |connection| connection).await;
        hub.broadcast("x".repeat(1 << 20));
        hub.broadcast("x");
        assert_eq!(hub.stats().overflowed, 1);
        let mut client = Peer::client(client);
        while client.expect_frame().await.opcode != opcode::CLOSE {}
    });
    assert!(events > 0);
}

/// The value of a member may broadcast when it is dropped.
#[tokio::test]
async fn the_value_of_a_member_may_use_the_hub_when_it_is_dropped() {
    struct Farewell(Option<Hub<Farewell>>);
    impl Drop for Farewell {
        fn drop(&mut self) {
            if let Some(hub) = self.0.take() {
                hub.broadcast(format!("{} are left", hub.len()));
            }
        }
    }

    let hub = Hub::<Farewell>::new();
    let mut clients = Vec::new();
    for goes in [true, false] {
        let (client, server) = pipe();
        clients.push(Peer::client(client));
        let (members, before) = (hub.clone(), hub.len());
        let connection = Connection::new(Stream::boxed(server), Role::Server);
        tokio::spawn(connection.serve(move |mut socket| async move {
            let _member = members.register(socket.sender(), Farewell(goes.then(|| members.clone())));
            while let Some(Ok(_)) = socket.recv().await {}
        }));
        while hub.len() == before {
            yield_now().await;
        }
    }
    clients[0].send(Frame::close(close_code::NORMAL, "")).await;
    clients[1].expect_text("1 are left").await;
}
