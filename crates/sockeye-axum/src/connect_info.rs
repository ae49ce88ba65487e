//! A key of `ConnectionLimits::per_key` that only axum knows.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, connect_info::MockConnectInfo},
    http::request::Parts,
};
use sockeye_extract::ClientNetwork;

/// A key for [`ConnectionLimits::per_key`](sockeye_extract::ConnectionLimits::per_key): the address that the connection
/// comes from. For servers that clients reach directly; behind a proxy it is the proxy's, and
/// [`by_forwarded`](sockeye_extract::by_forwarded) is the key.
///
/// It is what [`ConnectInfo<SocketAddr>`](ConnectInfo) extracts, so the router has to be served by
/// `into_make_service_with_connect_info`. Without that nobody's address is known, and all clients are counted as one,
/// [`ClientNetwork::UNKNOWN`].
///
/// ```no_run
/// # extern crate sockeye_axum as axum;
/// use std::net::SocketAddr;
/// use axum::{
///     Extension, Router,
///     extract::ws::{ConnectionLimits, WebSocketDefaults, by_connect_info},
/// };
///
/// # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
/// let limits = ConnectionLimits::new().total(50_000).per_key(100, by_connect_info());
/// let app: Router = Router::new().layer(Extension(WebSocketDefaults::new().limits(limits)));
/// axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
/// # }
/// ```
pub fn by_connect_info() -> impl Fn(&Parts) -> Option<ClientNetwork> + Clone + Send + Sync + 'static {
    |parts| {
        let real = parts.extensions.get().map(|ConnectInfo(address)| address);
        let address: Option<&SocketAddr> =
            real.or_else(|| parts.extensions.get().map(|MockConnectInfo(address)| address));
        Some(address.map(SocketAddr::ip).into())
    }
}
