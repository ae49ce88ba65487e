//! `cargo bench -p sockeye-redis`: what messages through Redis cost a node and the server, what rooms and kept messages cost the server
//! in memory, and how long a message takes to another node. Prints tables; the figures of the last run are in the guide's page
//! *More than one server*.
//!
//! Times of processors, not of clocks, so that other programs on the machine matter little. The server keeps nothing on disk.
//! `SOCKEYE_REDIS_SERVER` names the program, which is otherwise searched on `PATH`.

mod latency;
mod memory;
mod messages;
#[path = "../../tests/support/mod.rs"]
mod support;

use support::server::{Disk, Kind, Server};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let Some(server) = runtime.block_on(Server::start(Kind::Redis, Disk::Nothing)) else { return };
    runtime.block_on(async { println!("Redis {}\n", server.info("redis_version").await) });
    messages::run(&runtime, &server);
    runtime.block_on(async {
        memory::run(&server).await;
        latency::run(&server).await;
    });
}
