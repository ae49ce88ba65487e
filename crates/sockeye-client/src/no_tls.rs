//! In place of `tls`, without the feature: `wss` is an error that names the feature.

use sockeye_tokio::Stream;

use crate::{ConnectError, Stage, builder::Settings, open::progress::Progress, proxy::ProxyServer, request::Target};

const MISSING: &str =
    "TLS is not compiled in: enable the feature `tls` of `sockeye-client` (or `client-tls` of `sockeye`)";

/// What is needed for the TLS of one connection: there is none.
pub(crate) struct Prepared;

pub(crate) async fn prepare(_: &Settings, target: &Target) -> Result<Prepared, ConnectError> {
    if target.is_secure { Err(ConnectError::caller(Stage::Tls, MISSING)) } else { Ok(Prepared) }
}

pub(crate) async fn prepare_for_proxy(_: &Settings, proxy: &ProxyServer) -> Result<Prepared, ConnectError> {
    if proxy.is_secure { Err(ConnectError::caller(Stage::Proxy, MISSING)) } else { Ok(Prepared) }
}

pub(crate) async fn connect(_: Prepared, stream: Stream, _: &Progress) -> Result<Stream, ConnectError> {
    Ok(stream)
}

pub(crate) async fn connect_to_proxy(_: Prepared, stream: Stream) -> Result<Stream, ConnectError> {
    Ok(stream)
}
