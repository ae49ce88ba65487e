//! The key for `ConnectionLimits::per_key` that needs axum.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, connect_info::MockConnectInfo},
    http::request::Parts,
};
use sockeye_extract::ClientNetwork;

/// A key for [`ConnectionLimits::per_key`](sockeye_extract::ConnectionLimits::per_key): the [network](ClientNetwork) of the
/// address that the connection comes from. It is for servers that clients reach directly. Behind a proxy this would be the
/// address of the proxy: use [`by_forwarded`](sockeye_extract::by_forwarded) there.
///
/// The address is the one that [`ConnectInfo<SocketAddr>`](ConnectInfo) extracts, so the router has to be served with
/// `into_make_service_with_connect_info`. Otherwise no address is known, and all clients are counted as one,
/// [`ClientNetwork::UNKNOWN`].
///
/// ```no_run
/// # extern crate sockeye_axum as axum;
/// use std::net::SocketAddr;
/// use axum::{
///     Router,
///     extract::ws::{ConnectionLimits, WebSocketDefaults, WebSocketUpgrade, by_connect_info},
///     response::Response,
///     routing::any,
/// };
///
/// async fn ws_handler(ws: WebSocketUpgrade) -> Response {
///     ws.on_upgrade(|_socket| async {})
/// }
///
/// # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
/// let limits = ConnectionLimits::new().total(50_000).per_key(100, by_connect_info());
/// let app: Router = Router::new().route("/ws", any(ws_handler)).layer(WebSocketDefaults::new().limits(limits));
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
