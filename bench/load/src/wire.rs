//! The stream of a connection: a socket, or TLS over one.

use anyhow::{Context as _, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, ServerConfig, ServerConnection,
    SignatureScheme, StreamOwned,
};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// The stream of a connection.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// A server's side of TLS.
    Accepted(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    /// With `tls`, a TLS client that has not sent anything yet.
    pub(crate) fn new(stream: TcpStream, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let host = ServerName::IpAddress(stream.peer_addr().context("a socket has no peer")?.ip().into());
        let session = ClientConnection::new(config.clone(), host).context("no TLS session")?;
        Ok(Self::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    /// With `tls`, a TLS server that has not received anything yet.
    pub(crate) fn accepted(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Result<Self> {
        let Some(config) = tls else { return Ok(Self::Plain(stream)) };
        let session = ServerConnection::new(config.clone()).context("no TLS session")?;
        Ok(Self::Accepted(Box::new(StreamOwned::new(session, stream))))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref(),
            Self::Accepted(stream) => stream.get_ref(),
        }
    }

    /// Whether the client has resumed an earlier session. `None` if this is no server over TLS.
    pub(crate) fn is_resumed(&self) -> Option<bool> {
        match self {
            Self::Plain(_) | Self::Tls(_) => None,
            Self::Accepted(stream) => Some(stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)),
        }
    }

    /// Whether a read of fewer bytes than wanted has emptied the socket. A read from TLS returns one record at most.
    pub(crate) fn is_empty_after_short_read(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Accepted(stream) => stream.read(buffer),
        }
    }
}

/// What a write to TLS has taken may still be in the session. A flush passes it on to the socket, or fails as a write does.
impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::Accepted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
            Self::Accepted(stream) => stream.flush(),
        }
    }
}

/// A client of TLS 1.3 that accepts any certificate: load goes to this machine alone, and says nothing that is secret.
pub(crate) fn client() -> Result<Arc<ClientConfig>> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_protocol_versions(&[&TLS13]).context("ring has no TLS 1.3")?;
    Ok(Arc::new(config.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer)).with_no_client_auth()))
}

#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
