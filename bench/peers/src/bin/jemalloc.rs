//! The loop of example-echo on jemalloc.

#![forbid(unsafe_code)]

use anyhow::Result;
use bench_peers::{ours, run};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<()> {
    run(&["plain"], async |listener: TcpListener, _form| ours::serve(listener).await)
}
