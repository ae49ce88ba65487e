//! Connections that are accepted, and not yet handed over by the HTTP layer.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::common::exchange;

#[tokio::test]
async fn no_more_upgrades_are_in_flight_than_upgrades_in_flight_allows() {
    let limits = ConnectionLimits::new().upgrades_in_flight(2).total(4);
    let gate = Arc::new(Semaphore::new(0));
    let (accepted, mut receiver) = mpsc::unbounded_channel();
    let opened = gate.clone();
    // Whatever holds the response back makes the upgrade wait.
    let slow = move |ws: WebSocketUpgrade| async move {
        let response = ws.on_upgrade(common::echo);
        if response.status() == 101 {
            accepted.send(()).unwrap();
            opened.acquire().await.unwrap().forget();
        }
        response
    };
    let address = common::serve(layered(Router::new().route("/", any(slow)), &limits)).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(tokio::spawn(open(address, request())));
        receiver.recv().await.unwrap();
    }
    assert_eq!((limits.in_flight(), limits.open()), (2, 2));
    assert_eq!(
        exchange(address, request()).await,
        "HTTP/1.1 503 Service Unavailable\nretry-after: 1\ncontent-type: text/plain; charset=utf-8\n\
         content-length: 122\n\nServer has reached its limit of WebSockets that are being opened \
         (`ConnectionLimits::upgrades_in_flight`): try again later"
    );
    let refused = limits.refused();
    assert_eq!((refused.upgrades_in_flight, refused.all()), (1, 1));

    gate.add_permits(1);
    while limits.in_flight() == 2 {
        yield_now().await;
    }
    clients.push(tokio::spawn(open(address, request())));
    receiver.recv().await.unwrap();
    gate.add_permits(2);
    let mut peers = Vec::new();
    for client in clients {
        peers.push(client.await.unwrap());
    }
    // Handed over, and still open.
    assert_eq!((limits.in_flight(), limits.open()), (0, 3));

    // A client that goes away while its upgrade waits.
    let (sender, client) = (TcpStream::connect(address).await.unwrap(), request().to_string());
    let mut peer = Peer::client(sender);
    peer.send_bytes(client).await;
    receiver.recv().await.unwrap();
    assert_eq!((limits.in_flight(), limits.open()), (1, 4));
    drop(peer);
    gate.add_permits(1);
    until_open(&limits, 3).await;
    assert_eq!(limits.in_flight(), 0);
}
