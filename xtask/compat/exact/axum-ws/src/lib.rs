//! What axum's tests need that is private in axum.

use axum::Router;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// Serves `app` at a free port.
pub fn spawn_service(app: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}
