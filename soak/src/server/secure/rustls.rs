//! TLS by rustls.

use std::{os::fd::AsFd as _, sync::Arc};

use anyhow::Result;
use futures_util::future::BoxFuture;
use rcgen::{CertifiedKey, KeyPair};
use sockeye::WebSocketDefaults;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer},
    server::TlsStream,
};

use super::Acceptor;

pub(super) fn acceptor(certificate: &CertifiedKey<KeyPair>) -> Result<impl Acceptor> {
    let key = PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.cert.der().clone()], key.into())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Acceptor for TlsAcceptor {
    type Stream = TlsStream<TcpStream>;

    fn accept(&self, tcp: TcpStream) -> BoxFuture<'static, Option<Self::Stream>> {
        let accepting = TlsAcceptor::accept(self, tcp);
        Box::pin(async move { accepting.await.ok() })
    }

    fn transport(defaults: WebSocketDefaults) -> WebSocketDefaults {
        defaults.transport(|tls: &Self::Stream| Some(tls.get_ref().0.as_fd()))
    }
}
