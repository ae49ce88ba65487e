//! TLS: which certificates are trusted, and what the errors say.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{process::Command, sync::Arc};

use common::{Dialed, echo, echoes, pipes};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use sockeye_client::{ClientRequest, ConnectError, Message, Stage, Tls, WebSocket, rustls};
use sockeye_testkit::{Frame, Peer};
use tokio::io::AsyncWriteExt;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ClientConfig, HandshakeKind, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    },
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    CertifiedIssuer::self_signed(issuer(name), KeyPair::generate().unwrap()).unwrap()
}

fn issuer(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A certificate for `name` and its key. `None` for one that signs itself.
fn certificate(
    name: &str,
    issuer: Option<&Authority>,
    change: impl Fn(&mut CertificateParams),
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
}

/// Connects with `tls` to an echo server with this configuration.
async fn connect(tls: Tls, config: Arc<ServerConfig>, to: ClientRequest) -> Result<WebSocket, ConnectError> {
    let (client, mut dialed) = pipes();
    let client = client.tls(tls).build();
    let server = async {
        let Dialed { stream, .. } = dialed.recv().await.unwrap();
        if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
            echo(stream);
        }
    };
    tokio::join!(client.connect(to), server).0
}

fn to(uri: &str) -> ClientRequest {
    ClientRequest::new(uri)
}

/// The error of a certificate that must not be accepted.
async fn refused(tls: &Tls, config: Arc<ServerConfig>, uri: &str) -> String {
    let error = connect(tls.clone(), config, to(uri)).await.unwrap_err();
    assert!(error.is_server() && error.is_certificate() && error.is_final(), "{error:?}");
    assert_eq!(error.stage(), Stage::Tls);
    assert!(std::error::Error::source(&error).is_some());
    error.to_string()
}

#[tokio::test]
async fn a_trusted_certificate_for_the_name_is_accepted() {
    let ca = authority("ours");
    let tls = Tls::pem(ca.pem().as_bytes()).unwrap();
    for (name, uri) in [
        ("server.example", "wss://server.example/"),
        ("server.example", "wss://SERVER.example:8443/"),
        ("*.server.example", "wss://a.server.example/"),
        ("192.0.2.1", "wss://192.0.2.1/"),
        ("2001:db8::1", "wss://[2001:db8::1]:8443/"),
    ] {
        let (certificate, key) = certificate(name, Some(&ca), |_| {});
        let mut socket = connect(tls.clone(), server(vec![certificate], key), to(uri)).await.unwrap();
        echoes(&mut socket).await;
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_says_so() {
    let ca = authority("ours");
    let tls = Tls::pem(ca.pem().as_bytes()).unwrap();
    let (certificate, key) = certificate("server.example", Some(&ca), |_| {});
    let config = server(vec![certificate], key);
    for uri in ["wss://other.example/", "wss://192.0.2.1/"] {
        let error = refused(&tls, config.clone(), uri).await;
        assert!(error.contains("another name") && error.contains("`ClientRequest::server_name`"), "{error}");
        assert!(error.contains("server.example"), "{error}");
    }
    let named = to("wss://other.example/").server_name("server.example");
    assert!(connect(tls.clone(), config.clone(), named).await.is_ok());
    let misnamed = to("wss://server.example/").server_name("not a name");
    let error = connect_nowhere(tls, misnamed).await;
    assert!(error.is_caller() && error.to_string().contains("`not a name`"), "{error}");
}

/// The error of a connection that is not even dialed.
async fn connect_nowhere(tls: Tls, request: ClientRequest) -> ConnectError {
    let (client, mut dialed) = pipes();
    let error = client.tls(tls).build().connect(request).await.unwrap_err();
    assert!(dialed.try_recv().is_err());
    assert_eq!(error.stage(), Stage::Tls);
    error
}

#[tokio::test]
async fn a_certificate_must_be_valid_now() {
    let ca = authority("ours");
    let tls = Tls::pem(ca.pem().as_bytes()).unwrap();
    let (expired, key) =
        certificate("server.example", Some(&ca), |params| params.not_after = date_time_ymd(2001, 1, 1));
    let error = refused(&tls, server(vec![expired], key), "wss://server.example/").await;
    assert!(error.contains("has expired"), "{error}");
    let (early, key) = certificate("server.example", Some(&ca), |params| params.not_before = date_time_ymd(4000, 1, 1));
    let error = refused(&tls, server(vec![early], key), "wss://server.example/").await;
    assert!(error.contains("not valid yet"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_says_how_to_trust_it() {
    let (ca, other) = (authority("ours"), authority("another"));
    let tls = Tls::pem(ca.pem().as_bytes()).unwrap();
    let (foreign, key) = certificate("server.example", Some(&other), |_| {});
    let error = refused(&tls, server(vec![foreign], key), "wss://server.example/").await;
    assert!(error.contains("`Tls::pem`"), "{error}");

    let (own, key) = certificate("server.example", None, |_| {});
    let error = refused(&tls, server(vec![own], key), "wss://server.example/").await;
    assert!(error.contains("self-signed") && error.contains("`Tls::pem`"), "{error}");
}

#[tokio::test]
async fn a_missing_intermediate_certificate_says_so() {
    let root = authority("ours");
    let tls = Tls::pem(root.pem().as_bytes()).unwrap();
    let between = CertifiedIssuer::signed_by(issuer("between"), KeyPair::generate().unwrap(), &root).unwrap();
    let (leaf, key) = certificate("server.example", Some(&between), |_| {});
    let chain = vec![leaf.clone(), between.der().clone()];
    assert!(connect(tls.clone(), server(chain, key.clone_key()), to("wss://server.example/")).await.is_ok());
    let error = refused(&tls, server(vec![leaf], key), "wss://server.example/").await;
    assert!(error.contains("intermediate"), "{error}");
}

#[tokio::test]
async fn a_self_signed_certificate_can_be_trusted() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls::pem(made.cert.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut socket = connect(tls, server(vec![made.cert.der().clone()], key), to("wss://localhost/")).await.unwrap();
    echoes(&mut socket).await;
}

#[tokio::test]
async fn a_client_certificate_that_is_required_and_not_given_is_named() {
    let ca = authority("ours");
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider()).build().unwrap();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let (leaf, key) = certificate("server.example", Some(&ca), |_| {});
        let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
        let config = config.with_client_cert_verifier(verifier.clone()).with_single_cert(vec![leaf], key).unwrap();
        let config = Arc::new(config);

        let tls = Tls::pem(ca.pem().as_bytes()).unwrap();
        let error = connect(tls, config.clone(), to("wss://server.example/")).await.unwrap_err();
        assert!(error.is_server() && error.is_final() && !error.is_certificate(), "{error:?}");
        assert!(error.to_string().contains("requires a certificate of the client"), "{error}");

        let (ours, key) = certificate("client.example", Some(&ca), |_| {});
        let with = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let with = with.with_root_certificates(roots.clone()).with_client_auth_cert(vec![ours], key).unwrap();
        assert!(connect(Tls::rustls(Arc::new(with)), config, to("wss://server.example/")).await.is_ok());
    }
}

#[tokio::test]
async fn a_server_without_tls_says_so() {
    let (client, mut dialed) = pipes();
    let client = client.tls(Tls::pem(authority("ours").pem().as_bytes()).unwrap()).build();
    let server = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    let (opened, _stream) = tokio::join!(client.open("wss://server.example/"), server);
    let error = opened.unwrap_err();
    assert!(error.is_server() && !error.is_certificate() && error.stage() == Stage::Tls, "{error:?}");
    assert!(error.to_string().contains("is it `wss` and not `ws`?"), "{error}");

    let hangs_up = async { drop(dialed.recv().await.unwrap().stream) };
    let (opened, ()) = tokio::join!(client.open("wss://server.example/"), hangs_up);
    let error = opened.unwrap_err();
    assert!(!error.is_caller() && error.stage() == Stage::Tls && !error.is_final(), "{error:?}");
}

#[tokio::test]
async fn only_http_1_1_is_announced_and_sessions_are_resumed() {
    let ca = authority("ours");
    let (leaf, key) = certificate("server.example", Some(&ca), |_| {});
    let mut config = Arc::unwrap_or_clone(server(vec![leaf], key));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (client, mut dialed) = pipes();
    let client = client.tls(Tls::pem(ca.pem().as_bytes()).unwrap()).build();
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let server = async {
            let stream = acceptor.accept(dialed.recv().await.unwrap().stream).await.unwrap();
            let (_, session) = stream.get_ref();
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
            let kind = session.handshake_kind();
            echo(stream);
            kind
        };
        let (socket, kind) = tokio::join!(client.connect("wss://server.example/"), server);
        // A message, so that the tickets behind the handshake are read.
        echoes(&mut socket.unwrap()).await;
        assert_eq!(kind, Some(expected));
    }
}

#[tokio::test]
async fn an_end_without_close_notify_is_clean_after_a_close_and_abrupt_without() {
    let ca = authority("ours");
    let tls = Tls::pem(ca.pem().as_bytes()).unwrap();
    for closes in [true, false] {
        let (leaf, key) = certificate("server.example", Some(&ca), |_| {});
        let acceptor = TlsAcceptor::from(server(vec![leaf], key));
        let (client, mut dialed) = pipes();
        let client = client.tls(tls.clone()).build();
        let server = async {
            let mut stream = acceptor.accept(dialed.recv().await.unwrap().stream).await.unwrap();
            let head = common::read_head(&mut stream).await;
            stream.write_all(common::switching(&head, "").as_bytes()).await.unwrap();
            let mut peer = Peer::server(stream);
            if closes {
                peer.send(Frame::close(1000, "")).await;
                peer.expect_close(1000).await;
            }
            // The stream below ends, without a word of TLS.
            drop(peer.into_inner().into_inner().0);
        };
        let (socket, ()) = tokio::join!(
            async {
                let mut socket = client.connect("wss://server.example/").await.unwrap();
                (socket.recv().await, socket.recv().await)
            },
            server
        );
        match socket {
            (Some(Ok(Message::Close(_))), None) => assert!(closes),
            (Some(Err(error)), None) => assert!(!closes && error.is_abrupt(), "{error:?}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn roots_that_are_none_are_an_error_of_the_caller() {
    let good = authority("ours").pem();
    for roots in
        ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &good.replace("MII", "!!!")]
    {
        let error = Tls::pem(roots.as_bytes()).unwrap_err();
        assert!(error.is_caller() && error.stage() == Stage::Tls, "{error:?}");
        assert!(error.to_string().contains("`Tls::pem`"), "{error}");
    }
    let both = format!("a comment\n{good}{}", authority("ours").pem());
    assert!(Tls::pem(both.as_bytes()).is_ok());
}

/// A test of its own process, which has no roots: `SSL_CERT_FILE` and `SSL_CERT_DIR` name none.
#[test]
fn without_roots_wss_is_an_error_and_ws_works() {
    const CHILD: &str = "SOCKEYE_TEST_WITHOUT_ROOTS";
    if std::env::var_os(CHILD).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "without_roots_wss_is_an_error_and_ws_works"]).env(CHILD, "1");
        let output = child.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/dev/null").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (client, mut dialed) = pipes();
        let client = client.build();
        let error = client.open("wss://server.example/").await.unwrap_err();
        assert!(error.is_caller() && error.stage() == Stage::Tls, "{error:?}");
        assert!(error.to_string().contains("`Tls::webpki`"), "{error}");
        assert!(dialed.try_recv().is_err());

        let server = async { drop(echo(dialed.recv().await.unwrap().stream)) };
        let (socket, ()) = tokio::join!(client.connect("ws://server.example/"), server);
        echoes(&mut socket.unwrap()).await;
    });
}

#[cfg(feature = "webpki-roots")]
#[tokio::test]
async fn mozillas_roots_do_not_trust_a_private_authority() {
    let ca = authority("ours");
    let (leaf, key) = certificate("server.example", Some(&ca), |_| {});
    refused(&Tls::webpki().unwrap(), server(vec![leaf], key), "wss://server.example/").await;
}

#[tokio::test]
async fn tls_over_tcp_keeps_its_promises_for_large_messages() {
    let ca = authority("ours");
    let (leaf, key) = certificate("localhost", Some(&ca), |_| {});
    let acceptor = TlsAcceptor::from(server(vec![leaf], key));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        echo(stream).await.unwrap();
    });
    let client = sockeye_client::Client::builder().tls(Tls::pem(ca.pem().as_bytes()).unwrap()).build();
    let request = to(&format!("wss://localhost:{}/", address.port())).address(address);
    let opened = client.open(request).await.unwrap();
    assert_eq!(opened.peer_addr(), Some(address));
    let mut socket = opened.into_websocket();
    let message = Message::Binary(vec![7; 1 << 20]);
    socket.send(message.clone()).await.unwrap();
    assert_eq!(socket.recv().await.unwrap().unwrap(), message);
    socket.close().await.unwrap();
}
