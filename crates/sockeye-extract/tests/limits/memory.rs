//! The memory that counting adds to a connection, and that closed connections leave none.

use allocation_counter::measure;
use sockeye_extract::by_forwarded;
use tokio::{runtime::Handle, runtime::Runtime};

use super::*;

const CONNECTIONS: usize = 300;

/// The bytes of each of many open connections, including the client, and the bytes that are left after all have ended.
fn held(limits: Option<ConnectionLimits>) -> (i64, i64) {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let app = Router::new().route("/", any(handler));
    let address = runtime.block_on(common::serve(match &limits {
        Some(limits) => layered(app, limits),
        None => app,
    }));
    // Each connection is from another client.
    let connect = async |count: usize, peers: &mut Vec<Peer<TcpStream>>| {
        for client in 0..count {
            let client = format!("10.0.{}.{}", client / 256, client % 256);
            peers.push(open(address, request().header("X-Forwarded-For", &client)).await);
        }
    };
    let end = async |peers: &mut Vec<Peer<TcpStream>>| {
        peers.clear();
        // The task that accepts is left.
        while Handle::current().metrics().num_alive_tasks() > 1 {
            yield_now().await;
        }
    };
    let mut peers = Vec::with_capacity(CONNECTIONS);
    // After the first round pools are full and tables have grown.
    runtime.block_on(connect(CONNECTIONS, &mut peers));
    runtime.block_on(end(&mut peers));
    let open = measure(|| runtime.block_on(connect(CONNECTIONS, &mut peers))).bytes_current;
    let ended = measure(|| runtime.block_on(end(&mut peers))).bytes_current;
    (open / CONNECTIONS as i64, open + ended)
}

#[test]
fn a_counted_connection_costs_little_memory_and_leaves_none() {
    let (without, _) = held(None);
    let (total, _) = held(Some(ConnectionLimits::new().total(CONNECTIONS)));
    let (per_key, left) = held(Some(ConnectionLimits::new().total(CONNECTIONS).per_key(1, by_forwarded(1))));
    // The memory of a task comes in steps of 128 bytes.
    assert!(total - without <= 128, "{total} - {without}");
    assert!(per_key - without <= 256, "{per_key} - {without}");
    assert!(left < 16 << 10, "{left}");
}
