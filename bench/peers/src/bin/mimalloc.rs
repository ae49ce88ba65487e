//! The loop of example-echo on mimalloc.

#![forbid(unsafe_code)]

use anyhow::Result;
use bench_peers::{ours, run};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    run(&["plain"], async |listener: TcpListener, _form| ours::serve(listener).await)
}
