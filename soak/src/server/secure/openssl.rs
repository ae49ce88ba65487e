//! TLS by OpenSSL: unlike others, its stream has already taken the bytes of a write that returned `Pending`, and needs the same
//! bytes again.

use std::{os::fd::AsFd as _, pin::Pin};

use anyhow::Result;
use futures_util::future::BoxFuture;
use openssl::{
    pkey::PKey,
    ssl::{Ssl, SslAcceptor, SslMethod},
    x509::X509,
};
use rcgen::{CertifiedKey, KeyPair};
use sockeye::WebSocketDefaults;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::Acceptor;

pub(super) fn acceptor(certificate: &CertifiedKey<KeyPair>) -> Result<impl Acceptor> {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    acceptor.set_private_key(&*PKey::private_key_from_der(&certificate.signing_key.serialize_der())?)?;
    acceptor.set_certificate(&*X509::from_der(certificate.cert.der())?)?;
    Ok(acceptor.build())
}

impl Acceptor for SslAcceptor {
    type Stream = SslStream<TcpStream>;

    fn accept(&self, tcp: TcpStream) -> BoxFuture<'static, Option<Self::Stream>> {
        let stream = Ssl::new(self.context()).and_then(|ssl| SslStream::new(ssl, tcp));
        Box::pin(async move {
            let mut stream = stream.ok()?;
            Pin::new(&mut stream).accept().await.ok()?;
            Some(stream)
        })
    }

    fn transport(defaults: WebSocketDefaults) -> WebSocketDefaults {
        defaults.transport(|tls: &Self::Stream| Some(tls.get_ref().as_fd()))
    }
}
