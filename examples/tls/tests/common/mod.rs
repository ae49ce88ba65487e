//! The server, and clients that check its certificate.
#![allow(dead_code, reason = "each file of tests uses some of it")]

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use example_tls::{
    certificate::{Certificate, Source},
    listener::TlsListener,
    serve,
};
use futures_util::{SinkExt, StreamExt};
use rcgen::CertifiedKey;
use sockeye::{Drained, Shutdown};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ALL_VERSIONS, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
        SupportedProtocolVersion,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::ring,
        pki_types::{CertificateDer, ServerName, UnixTime},
    },
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) type Client = WebSocketStream<TlsStream<TcpStream>>;
type Made = CertifiedKey<rcgen::KeyPair>;

/// A certificate for `localhost`.
pub(crate) fn made() -> Made {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// The two files of a server's certificate, in an empty folder of the test.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    pub(crate) fn with(test: &str, made: &Made) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{test}"));
        std::fs::create_dir_all(&folder).unwrap();
        let files = Self { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
        files.replace(made);
        files
    }

    pub(crate) fn replace(&self, made: &Made) {
        std::fs::write(&self.certificate, made.cert.pem()).unwrap();
        std::fs::write(&self.key, made.signing_key.serialize_pem()).unwrap();
    }

    pub(crate) fn source(&self) -> Source {
        Source::Files { certificate: self.certificate.clone(), key: self.key.clone() }
    }
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) certificate: Certificate,
    pub(crate) shutdown: Shutdown,
    pub(crate) ended: JoinHandle<io::Result<Drained>>,
}

impl Server {
    pub(crate) async fn start(source: Source) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = tcp.local_addr().unwrap();
        let (certificate, shutdown) = (Certificate::new(source).unwrap(), Shutdown::new());
        let listener = TlsListener::new(tcp, certificate.clone(), HANDSHAKE_TIMEOUT);
        let ended = tokio::spawn(serve(listener, shutdown.clone(), Duration::from_secs(60)));
        Self { addr, certificate, shutdown, ended }
    }

    /// A server, and clients that know its certificate.
    pub(crate) async fn known(test: &str) -> (Self, Trust) {
        let made = made();
        (Self::start(Files::with(test, &made).source()).await, Trust::new(&[&made]))
    }
}

/// What clients trust, and what they speak.
pub(crate) struct Trust(ClientConfig);

impl Trust {
    pub(crate) fn new(made: &[&Made]) -> Self {
        Self::speaking(ALL_VERSIONS, made)
    }

    pub(crate) fn speaking(versions: &[&'static SupportedProtocolVersion], made: &[&Made]) -> Self {
        Self::of(versions, made.iter().map(|made| made.cert.der().clone()))
    }

    pub(crate) fn only(certificate: CertificateDer<'static>) -> Self {
        Self::of(ALL_VERSIONS, [certificate])
    }

    /// Trusts every server.
    pub(crate) fn everybody() -> Self {
        let mut trust = Self::new(&[]);
        trust.0.dangerous().set_certificate_verifier(Arc::new(Everybody));
        trust
    }

    fn of(
        versions: &[&'static SupportedProtocolVersion],
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_protocol_versions(versions).unwrap();
        Self(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// Offers this protocol in ALPN.
    pub(crate) fn offering(mut self, protocol: &str) -> Self {
        self.0.alpn_protocols = vec![protocol.into()];
        self
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::new(self.0.clone()))
    }
}

#[derive(Debug)]
struct Everybody;

impl ServerCertVerifier for Everybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A TLS connection.
pub(crate) async fn secured(addr: SocketAddr, connector: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(addr).await?;
    connector.connect("localhost".try_into().unwrap(), tcp).await
}

/// An open WebSocket of another library.
pub(crate) async fn open(addr: SocketAddr, connector: &TlsConnector) -> Client {
    let stream = secured(addr, connector).await.unwrap();
    client_async("wss://localhost/ws", stream).await.unwrap().0
}

/// Sends a text and a binary message of several TLS records, and waits for them.
pub(crate) async fn echo(client: &mut Client) {
    for message in [Message::text("grüße"), Message::binary(vec![7; 100_000])] {
        client.send(message.clone()).await.unwrap();
        loop {
            match client.next().await.unwrap().unwrap() {
                Message::Ping(_) => {}
                answer => break assert_eq!(answer, message),
            }
        }
    }
}

/// Reads to the end of the connection, and returns the code of the server's Close.
pub(crate) async fn closed(mut client: Client) -> u16 {
    let mut code = None;
    while code.is_none() {
        if let Message::Close(frame) = client.next().await.unwrap().unwrap() {
            code = Some(frame.map_or(1005, |frame| frame.code.into()));
        }
    }
    // The answer to the Close.
    client.flush().await.unwrap();
    // rustls reports an end without close_notify as an error (RFC 8446 §6.1).
    assert_eq!(client.get_mut().read(&mut [0; 64]).await.unwrap(), 0);
    code.unwrap()
}

/// The certificate that the client has got.
pub(crate) fn certificate(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}
