//! Clients, each in the form of its library's documentation, and in one that somebody would write who has profiled it.
//!
//! All of them send back what comes. They are one program, because their common part is most of it: what is in the program and not
//! used takes no memory.

#![forbid(unsafe_code)]

mod bare;
mod fastwebsockets;
mod sockeye;
mod tokio_websockets;
mod tungstenite;
mod yawc;

use anyhow::Result;
use bench_peers::client::follow;
use bench_peers::run;

const FORMS: [&str; 11] = [
    "floor-tokio",
    "sockeye",
    "sockeye-serve",
    "tungstenite-plain",
    "tungstenite-lean",
    "fastwebsockets-plain",
    "fastwebsockets-bare",
    "yawc-plain",
    "yawc-batched",
    "tokio-websockets-plain",
    "tokio-websockets-batched",
];

fn main() -> Result<()> {
    run(&FORMS, async |listener, form| match form {
        "floor-tokio" => follow(listener, bare::open).await,
        "sockeye" => follow(listener, sockeye::connect).await,
        "sockeye-serve" => {
            let client = sockeye::client();
            follow(listener, |server| sockeye::serve(client.clone(), server)).await
        }
        "tungstenite-plain" => follow(listener, tungstenite::plain).await,
        "tungstenite-lean" => follow(listener, tungstenite::lean).await,
        "fastwebsockets-plain" => follow(listener, fastwebsockets::plain).await,
        "fastwebsockets-bare" => follow(listener, fastwebsockets::bare).await,
        "yawc-plain" => follow(listener, yawc::plain).await,
        "yawc-batched" => follow(listener, yawc::batched).await,
        "tokio-websockets-plain" => follow(listener, tokio_websockets::plain).await,
        _ => follow(listener, tokio_websockets::batched).await,
    })
}
