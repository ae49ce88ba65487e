//! TLS over a stream, to the server or to the proxy.

use std::{net::IpAddr, sync::Arc};

use sockeye_tokio::{ReadAhead, Stream};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::explain::explain;
use crate::{
    ConnectError, Stage, builder::Settings, error::Blame, open::progress::Progress, proxy::ProxyServer, request::Target,
};

/// What is needed for the TLS of one connection. `None` without TLS.
pub(crate) type Prepared = Option<(Arc<ClientConfig>, ServerName<'static>)>;

/// Prepares the TLS with the server.
pub(crate) async fn prepare(settings: &Settings, target: &Target) -> Result<Prepared, ConnectError> {
    if !target.is_secure {
        return Ok(None);
    }
    let name = server_name(target.server_name.as_ref().unwrap_or(&target.host), Stage::Tls)?;
    Ok(Some((settings.tls.get().await?.clone(), name)))
}

/// Prepares the TLS with the proxy.
pub(crate) async fn prepare_for_proxy(settings: &Settings, proxy: &ProxyServer) -> Result<Prepared, ConnectError> {
    if !proxy.is_secure {
        return Ok(None);
    }
    let name = server_name(&proxy.host, Stage::Proxy)?;
    Ok(Some((settings.tls.get().await?.clone(), name)))
}

/// Negotiates TLS with the server.
pub(crate) async fn connect(tls: Prepared, stream: Stream, progress: &Progress) -> Result<Stream, ConnectError> {
    progress.enter(Stage::Tls);
    over(tls, stream, Blame::Server, Stage::Tls).await
}

/// Negotiates TLS with the proxy.
pub(crate) async fn connect_to_proxy(tls: Prepared, stream: Stream) -> Result<Stream, ConnectError> {
    over(tls, stream, Blame::Proxy, Stage::Proxy).await
}

async fn over(tls: Prepared, stream: Stream, peer: Blame, stage: Stage) -> Result<Stream, ConnectError> {
    let Some((config, name)) = tls else { return Ok(stream) };
    let connector = TlsConnector::from(config);
    match connector.connect(name, ReadAhead::new(stream)).await {
        #[cfg(unix)]
        Ok(tls) => Ok(Stream::boxed_over(tls, |tls| tls.get_ref().0.get_ref().socket())),
        #[cfg(not(unix))]
        Ok(tls) => Ok(Stream::boxed(tls)),
        Err(error) => Err(explain(error, peer, stage)),
    }
}

/// The name that the certificate must have: a DNS name, or an IP address without brackets.
fn server_name(name: &str, stage: Stage) -> Result<ServerName<'static>, ConnectError> {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(ServerName::from(ip));
    }
    ServerName::try_from(name.to_owned()).map_err(|_| {
        let name: String = name.chars().take(100).flat_map(char::escape_debug).collect();
        ConnectError::caller(
            stage,
            format!("`{name}` cannot be the name in a certificate: expected a DNS name or an IP address"),
        )
    })
}
