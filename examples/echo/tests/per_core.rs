//! Several runtimes work as one server.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use example_echo::per_core::PerCore;
use futures_util::{SinkExt, StreamExt};
use sockeye::WebSocketDefaults;
use tokio_tungstenite::{connect_async, tungstenite::Message};

/// Linux spreads connections by a hash of their addresses. With this number, all of them reach the same one of two listeners
/// only once in 2^39 runs.
const CLIENTS: usize = 40;

#[tokio::test]
async fn runtimes_that_share_a_port_echo_and_close_with_1001() {
    let server = PerCore::start("127.0.0.1:0".parse().unwrap(), 2, &WebSocketDefaults::new()).unwrap();
    let mut clients = Vec::new();
    for index in 0..CLIENTS {
        let (mut client, _) = connect_async(format!("ws://{}/ws", server.local_addr())).await.unwrap();
        let message = Message::text(format!("client {index}"));
        client.send(message.clone()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), message);
        clients.push(client);
    }

    let drained = tokio::task::spawn_blocking(|| server.shut_down());
    for mut client in clients {
        let Message::Close(Some(frame)) = client.next().await.unwrap().unwrap() else { panic!("no Close") };
        assert_eq!(u16::from(frame.code), 1001);
        assert!(client.next().await.is_none());
    }
    let drained = drained.await.unwrap().unwrap();
    assert_eq!(drained.iter().map(|core| core.closed).sum::<usize>(), CLIENTS);
    assert!(drained.iter().all(|core| (core.lost, core.aborted) == (0, 0)), "{drained:?}");
    if cfg!(target_os = "linux") {
        assert!(drained.len() == 2 && drained.iter().all(|core| core.closed > 0), "{drained:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let error = PerCore::start(addr, 2, &WebSocketDefaults::new()).unwrap_err();
    assert_eq!(error.to_string(), format!("listening on {addr} (see --addr)"));
}
