//! TLS, the same for everything that is measured.

use anyhow::{Context as _, Result};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where systems have the certificates that they trust: Debian and Alpine, Fedora, and others.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// A certificate for this machine that signs itself, and its key.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// A new one.
    ///
    /// # Errors
    ///
    /// When no certificate can be made.
    pub fn new() -> Result<Self> {
        let (certificate, key) = make()?;
        Self::read(&certificate, &key)
    }

    /// Makes a new one, and writes it to this folder. Returns the file with what clients trust: this certificate, behind those
    /// that the system trusts, since a client that reads them pays for all of them.
    ///
    /// # Errors
    ///
    /// When no certificate can be made, or no file can be written.
    pub fn write(folder: &Path) -> Result<PathBuf> {
        let (certificate, key) = make()?;
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let write = |name: &str, text: &str| -> Result<PathBuf> {
            let file = folder.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            Ok(file)
        };
        write(CERTIFICATE, &certificate)?;
        write(KEY, &key)?;
        let system = SYSTEM_ROOTS.iter().find_map(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        write("roots.pem", &(system + &certificate))
    }

    /// The one in this folder.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn load(folder: &Path) -> Result<Self> {
        let text = |name: &str| {
            let file = folder.join(name);
            fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
        };
        Self::read(&text(CERTIFICATE)?, &text(KEY)?)
    }

    fn read(certificate: &str, key: &str) -> Result<Self> {
        Ok(Self {
            certificate: CertificateDer::from_pem_slice(certificate.as_bytes()).context("this is no certificate")?,
            key: PrivateKeyDer::from_pem_slice(key.as_bytes()).context("this is no key")?,
        })
    }

    /// A server of TLS 1.3 with one cipher suite, and with this certificate. With `tickets`, it lets clients resume their
    /// sessions.
    ///
    /// # Errors
    ///
    /// When the certificate and its key do not belong together.
    pub fn server(self, tickets: bool) -> Result<Arc<ServerConfig>> {
        let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let provider = CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() };
        let config = ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&TLS13]);
        let config = config.context("ring has no TLS 1.3")?.with_no_client_auth();
        let mut config = config.with_single_cert(vec![self.certificate], self.key).context("a useless certificate")?;
        if !tickets {
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }
}

const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// A certificate and its key, in PEM.
fn make() -> Result<(String, String)> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).context("cannot make a certificate")?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

/// The configuration of a server that the load generator connects to, which does not check its certificate.
///
/// # Errors
///
/// When no certificate can be made.
pub fn config() -> Result<Arc<ServerConfig>> {
    Identity::new()?.server(true)
}

/// The configuration of a client that trusts the certificates of this file: rustls with its defaults.
///
/// # Errors
///
/// When there are no certificates in the file.
pub fn client(roots: &Path) -> Result<Arc<ClientConfig>> {
    let certificates = CertificateDer::pem_file_iter(roots).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.with_context(|| format!("cannot read {}", roots.display()))?;
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates);
    anyhow::ensure!(added > 0, "there are no certificates in {}", roots.display());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().context("ring has no TLS")?;
    Ok(Arc::new(config.with_root_certificates(store).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConnection, HandshakeKind, ServerConnection};

    /// The kind of the handshake between the two, as both see it.
    fn handshake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Option<HandshakeKind> {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut client = ClientConnection::new(client.clone(), name).unwrap();
        let mut server = ServerConnection::new(server.clone()).unwrap();
        while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
            let mut sent = Vec::new();
            client.write_tls(&mut sent).unwrap();
            server.read_tls(&mut &sent[..]).unwrap();
            server.process_new_packets().unwrap();
            sent.clear();
            while server.wants_write() {
                server.write_tls(&mut sent).unwrap();
            }
            client.read_tls(&mut &sent[..]).unwrap();
            client.process_new_packets().unwrap();
        }
        assert_eq!(client.handshake_kind(), server.handshake_kind());
        client.handshake_kind()
    }

    #[test]
    fn a_client_trusts_the_written_certificate_and_resumes_its_session_if_it_may() {
        let folder = std::env::temp_dir().join(format!("bench-identity-{}", std::process::id()));
        let roots = Identity::write(&folder).unwrap();
        for (tickets, second) in [(true, HandshakeKind::Resumed), (false, HandshakeKind::Full)] {
            let client = client(&roots).unwrap();
            let server = Identity::load(&folder).unwrap().server(tickets).unwrap();
            assert_eq!(handshake(&client, &server), Some(HandshakeKind::Full));
            assert_eq!(handshake(&client, &server), Some(second));
        }
        fs::remove_dir_all(&folder).unwrap();
        assert!(client(&roots).unwrap_err().to_string().contains("roots.pem"));
        assert!(Identity::load(&folder).unwrap_err().to_string().contains("certificate.pem"));
    }
}
