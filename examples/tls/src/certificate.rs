//! The certificate, which can be replaced while the server runs.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, ensure};
use tokio::sync::watch;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// A certificate chain, the server's own certificate first, and the key of the latter.
type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Where the certificate comes from.
#[derive(Debug)]
pub enum Source {
    /// Made at the start, for `localhost`: no client trusts it by itself.
    SelfSigned,
    /// Two PEM files: the certificate, with the chain to a known one, and its key.
    Files {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
}

/// The certificate that new connections get. All clones are the same certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    source: Arc<Source>,
    /// A whole configuration, because it also remembers TLS sessions. With a new one, no client resumes a session of the old
    /// certificate.
    config: watch::Sender<Arc<ServerConfig>>,
}

impl Certificate {
    /// Reads the certificate, or makes it.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or is not PEM, or when the certificate and the key do not match.
    pub fn new(source: Source) -> anyhow::Result<Self> {
        let config = watch::Sender::new(config(&source)?);
        Ok(Self { source: Arc::new(source), config })
    }

    /// Reads the files again, or makes another certificate. Open connections go on with the old one.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new). New connections then get the old certificate.
    pub fn reload(&self) -> anyhow::Result<()> {
        self.config.send_replace(config(&self.source)?);
        Ok(())
    }

    /// Calls [`reload`](Self::reload) whenever the process gets SIGHUP, and logs how it went.
    ///
    /// # Errors
    ///
    /// When the signal cannot be watched.
    #[cfg(unix)]
    pub fn reload_on_hangup(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        // Here and not in the task: from now on, the signal does not end the process.
        let mut hangups = signal(SignalKind::hangup())?;
        let certificate = self.clone();
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                match certificate.reload() {
                    Ok(()) => tracing::info!("new connections get the new certificate"),
                    Err(error) => tracing::error!("the old certificate stays: {error:#}"),
                }
            }
        });
        Ok(())
    }

    /// What accepts the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.borrow().clone())
    }
}

fn config(source: &Source) -> anyhow::Result<Arc<ServerConfig>> {
    let (chain, key) = match source {
        Source::SelfSigned => self_signed()?,
        Source::Files { certificate, key } => {
            let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
            let chain: Vec<_> = chain.with_context(|| format!("reading the certificate {}", certificate.display()))?;
            ensure!(!chain.is_empty(), "{} has no certificate in PEM", certificate.display());
            let key =
                PrivateKeyDer::from_pem_file(key).with_context(|| format!("reading the key {}", key.display()))?;
            (chain, key)
        }
    };
    // The provider is named here: the default one depends on what other crates of the program turn on.
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()? // 1.2 and 1.3
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and the key cannot be used together")?;
    // What `axum::serve` speaks with axum's feature `http2`, the best first. With `h2`, browsers open WebSockets over HTTP/2
    // (RFC 8441).
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(feature = "self-signed")]
fn self_signed() -> anyhow::Result<Chain> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    Ok((vec![made.cert.der().clone()], key))
}

#[cfg(not(feature = "self-signed"))]
fn self_signed() -> anyhow::Result<Chain> {
    anyhow::bail!("give --certificate and --key, or build with the feature `self-signed`")
}
