//! `rediss://`: a server with TLS, and what the errors say when its certificate is not the right one.
//!
//! Each test runs itself a second time, in a process whose environment names the authority that it trusts: the environment of a
//! process cannot be changed safely while it runs.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{env, fs, path::PathBuf, process::Command, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use sockeye_redis::Redis;
use sockeye_state::{Broker, Stamp, Topic};
use sockeye_testkit::Proxy;

use self::support::{
    node::{Node, append},
    server::{Disk, Kind, Server},
};

/// The certificate of the authority that this process trusts; what the process has as its trusted authorities.
const TRUSTED: &str = "SSL_CERT_FILE";

/// The folder with the files of a test.
const FOLDER: &str = "SOCKEYE_TLS_FOLDER";

const PASSWORD: &str = "hunter2";

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Runs the test of this name in a process that trusts one authority, and nobody else. In that process: the folder with its files.
fn trusting_one_authority(test: &str) -> Option<Files> {
    if let Some(folder) = env::var_os(FOLDER) {
        return Some(Files { folder: folder.into(), authority: None });
    }
    let files = Files::make(test);
    let mut again = Command::new(env::current_exe().unwrap());
    again.args(["--exact", test, "--nocapture"]).env(FOLDER, &files.folder);
    let status = again.env(TRUSTED, files.path("authority.pem")).env_remove("SSL_CERT_DIR").status().unwrap();
    fs::remove_dir_all(&files.folder).unwrap();
    assert!(status.success(), "see above");
    None
}

struct Files {
    folder: PathBuf,
    authority: Option<Authority>,
}

impl Files {
    /// The authority, and the certificates that it has signed or not.
    fn make(test: &str) -> Self {
        let folder = env::temp_dir().join(format!("sockeye-redis-tls-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = Self { folder, authority: Some(authority("trusted")) };
        let stranger = authority("stranger");
        let trusted = files.authority.as_ref().unwrap();
        fs::write(files.path("authority.pem"), trusted.pem()).unwrap();
        files.certificate("right", "localhost", trusted, |_| {});
        files.certificate("other-name", "redis.example", trusted, |_| {});
        files.certificate("stranger", "localhost", &stranger, |_| {});
        files.certificate("expired", "localhost", trusted, |params| params.not_after = date_time_ymd(2001, 1, 1));
        files
    }

    fn certificate(&self, file: &str, name: &str, issuer: &Authority, change: impl Fn(&mut CertificateParams)) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        fs::write(self.path(&format!("{file}.pem")), params.signed_by(&key, issuer).unwrap().pem()).unwrap();
        fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A server with this certificate, which asks clients for a password and, if `asks`, for a certificate.
    async fn server(&self, certificate: &str, asks: bool) -> Option<Server> {
        let file = |name: &str| self.path(name).display().to_string();
        let (pem, key) = (file(&format!("{certificate}.pem")), file(&format!("{certificate}.key")));
        let trusted = file("authority.pem");
        let asks = if asks { "yes" } else { "no" };
        let files = ["--tls-cert-file", &pem, "--tls-key-file", &key, "--tls-ca-cert-file", &trusted];
        let others = ["--tls-auth-clients", asks, "--requirepass", PASSWORD];
        // Valkey from PyPI has no TLS.
        Server::start_tls(Kind::Redis, Disk::Nothing, &[&files[..], &others[..]].concat()).await
    }
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn url(scheme: &str, port: u16) -> String {
    format!("{scheme}://:{PASSWORD}@localhost:{port}")
}

/// The text of the error with which the broker refuses to connect.
async fn refused(url: &str) -> String {
    let error = Redis::connect(url).await.unwrap_err();
    assert!(error.is_refused(), "{error}");
    let text = format!("{error} {error:?}");
    assert!(text.contains("localhost:") && !text.contains(PASSWORD), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_works_over_tls_with_credentials_of_the_url_and_comes_back() {
    let test = "a_node_works_over_tls_with_credentials_of_the_url_and_comes_back";
    let Some(files) = trusting_one_authority(test) else { return };
    let Some(server) = files.server("right", false).await else { return };
    let proxy = Proxy::start(server.tls_address().unwrap()).await;
    let mut node = Node::start(&url("rediss", proxy.address().port())).await;
    let topic = Topic::room("tls", "room");
    node.subscribe(&topic).await;
    for number in 0..10_u8 {
        node.broker.append(append(&topic, number, Stamp::new([number; 16]))).await.unwrap();
        let arrival = node.next_within(Duration::from_secs(5)).await;
        assert!(matches!(arrival, Some(sockeye_state::Arrival::Appended { .. })), "{arrival:?}");
    }
    // Nothing went through in the clear, neither the password nor a line.
    assert_eq!(proxy.cut(|sent| contains(sent, PASSWORD.as_bytes()) || contains(sent, b"EVALSHA")), 0);
    assert!(proxy.cut_all() >= 2);
    node.next_lost(Duration::from_secs(10)).await;
    node.until_health(true, Duration::from_secs(10)).await;
    assert_eq!(node.broker.tops(vec![topic]).await.unwrap()[0].unwrap().offset, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_the_right_one_is_refused_with_advice() {
    let Some(files) = trusting_one_authority("a_certificate_that_is_not_the_right_one_is_refused_with_advice") else {
        return;
    };
    for (certificate, advice) in [
        ("other-name", "for another name; use a name of the certificate in the URL"),
        ("stranger", "no authority that this process trusts"),
        ("stranger", "SSL_CERT_FILE"),
        ("expired", "has expired; renew it"),
    ] {
        let Some(server) = files.server(certificate, false).await else { return };
        let text = refused(&url("rediss", server.tls_address().unwrap().port())).await;
        assert!(text.contains(advice), "{certificate}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_certificate_of_the_client_is_refused_with_advice() {
    let test = "a_server_that_asks_for_a_certificate_of_the_client_is_refused_with_advice";
    let Some(files) = trusting_one_authority(test) else { return };
    let Some(server) = files.server("right", true).await else { return };
    let text = refused(&url("rediss", server.tls_address().unwrap().port())).await;
    assert!(text.contains("tls-auth-clients no"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_one_of_two_ports_is_an_error_that_says_so() {
    let Some(files) = trusting_one_authority("the_wrong_one_of_two_ports_is_an_error_that_says_so") else { return };
    let Some(server) = files.server("right", false).await else { return };
    let error = Redis::connect(url("rediss", server.address().port())).await.unwrap_err();
    assert!(error.to_string().contains("TLS"), "{error}");
    let error = Redis::connect(url("redis", server.tls_address().unwrap().port())).await.unwrap_err();
    assert!(error.to_string().contains("rediss://"), "{error}");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
