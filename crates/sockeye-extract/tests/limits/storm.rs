//! Many clients at once, on several threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::routing::get;
use sockeye_extract::Message;
use tokio::{task::JoinSet, time::timeout};

use super::*;

const CLIENTS: usize = 200;
const ROUNDS: usize = 5;
const TOTAL: usize = 7;
const PER_USER: usize = 2;

/// How many handlers run, and their maximum.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    fn enter(&self) {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_never_exceeds_a_limit_and_leaves_nothing() {
    let limits = ConnectionLimits::new()
        .total(TOTAL)
        .per_key(PER_USER, |parts| parts.headers.get("x-user").cloned())
        .upgrades_in_flight(3);
    let all = Arc::new(Gauge::default());
    let users: Arc<[Gauge; 10]> = Arc::default();
    let (all_now, users_now) = (all.clone(), users.clone());
    let counted = move |headers: http::HeaderMap, ws: WebSocketUpgrade| async move {
        let user: usize = headers["x-user"].to_str().unwrap().parse().unwrap();
        ws.on_upgrade(move |mut socket| async move {
            all_now.enter();
            users_now[user].enter();
            while let Some(Ok(message)) = socket.recv().await {
                if let Message::Text(_) = message {
                    let _ = socket.send(message).await;
                }
            }
            // Before the connection ends and frees its place.
            users_now[user].leave();
            all_now.leave();
        })
    };
    let address = common::serve(layered(Router::new().route("/", get(counted)), &limits)).await;

    let mut accepted = 0;
    for _ in 0..ROUNDS {
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            clients.spawn(async move {
                let request = request().header("X-User", &(client % 10).to_string());
                let (head, mut peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request).await;
                match &head[9..12] {
                    "101" => {
                        peer.send(Frame::text("hi")).await;
                        peer.expect_text("hi").await;
                        close(peer).await;
                        true
                    }
                    "503" | "429" => false,
                    _ => panic!("{head}"),
                }
            });
        }
        accepted += clients.join_all().await.into_iter().filter(|accepted| *accepted).count();
        timeout(Duration::from_secs(60), until_open(&limits, 0)).await.unwrap();
        assert_eq!(limits.in_flight(), 0);
    }
    assert!(all.most.load(Ordering::SeqCst) <= TOTAL);
    assert!(users.iter().all(|user| user.most.load(Ordering::SeqCst) <= PER_USER));
    assert_eq!(accepted as u64 + limits.refused().all(), (ROUNDS * CLIENTS) as u64);
    assert!(accepted >= ROUNDS);

    // All places are free again, and no more than these.
    let mut peers = Vec::new();
    for client in 0..TOTAL {
        peers.push(open(address, request().header("X-User", &(client / PER_USER).to_string())).await);
    }
    assert_eq!(status(address, request().header("X-User", "9")).await, 503);
    assert_eq!(status(address, request().header("X-User", "0")).await, 429);
}
