//! `Tls`: which certificates are trusted.

mod explain;
mod provider;
pub(crate) mod stage;

use std::{fmt, sync::Arc};

use rustls_platform_verifier::Verifier;
use tokio::sync::OnceCell;
use tokio_rustls::rustls::{
    self, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{ConnectError, Stage};

pub(crate) use self::explain::asked_for;

/// The protocol that TLS announces (ALPN, RFC 7301). Nothing else is spoken.
const ALPN: &[u8] = b"http/1.1";

/// Which certificates are trusted, and how TLS is spoken. A clone shares the roots and the sessions to resume.
///
/// The crypto provider is the one that the process has installed (`CryptoProvider::install_default`), or else ring (feature `tls`), or
/// else aws-lc-rs (feature `aws-lc-rs`). Without any, there is an error, never a panic.
///
/// ```no_run
/// use sockeye_client::{Client, Tls};
///
/// # fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let roots = std::fs::read("ca.pem")?;
/// let client = Client::builder().tls(Tls::pem(&roots)?).build();
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts what the platform trusts: on Windows, macOS, iOS and Android its own verifier decides; elsewhere the roots are read, from
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` if they are set. This is the default of [`Builder::tls`](crate::Builder::tls).
    ///
    /// # Errors
    ///
    /// If there are no roots, or no crypto provider: [`is_caller`](ConnectError::is_caller).
    pub fn platform() -> Result<Self, ConnectError> {
        let provider = provider::provider()?;
        let verifier = Verifier::new(provider.clone()).map_err(|error| {
            let message = "no trusted root certificates were found on this machine: install the package `ca-certificates`, let \
                           `SSL_CERT_FILE` name a file with roots, or use `Tls::webpki` (feature `webpki-roots`)";
            ConnectError::caller(Stage::Tls, format!("{message} ({error})")).with_source(error)
        })?;
        let builder = builder(provider)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(Self::with(builder.with_no_client_auth()))
    }

    /// Trusts Mozilla's roots, which are compiled in, and so are as old as the program: for machines and containers without roots.
    ///
    /// # Errors
    ///
    /// If there is no crypto provider: [`is_caller`](ConnectError::is_caller).
    #[cfg(feature = "webpki-roots")]
    pub fn webpki() -> Result<Self, ConnectError> {
        Self::roots(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }

    /// Trusts these roots only: one or more certificates in PEM, as from a private certificate authority. A self-signed certificate is
    /// its own root.
    ///
    /// # Errors
    ///
    /// If there is no certificate in `roots`, or one that cannot be read, or no crypto provider:
    /// [`is_caller`](ConnectError::is_caller).
    pub fn pem(roots: &[u8]) -> Result<Self, ConnectError> {
        let wrong = |why: &dyn fmt::Display| {
            let message =
                format!("the roots for `Tls::pem` cannot be used: {why}; expected `-----BEGIN CERTIFICATE-----`");
            ConnectError::caller(Stage::Tls, message)
        };
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(roots) {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            store.add(certificate).map_err(|error| wrong(&error))?;
        }
        if store.is_empty() {
            return Err(wrong(&"there is no certificate"));
        }
        Self::roots(store)
    }

    /// Uses a configuration of [`rustls`](crate::rustls), for client certificates, other roots, other versions of TLS. Its list of
    /// ALPN protocols is replaced by `http/1.1`.
    pub fn rustls(config: Arc<ClientConfig>) -> Self {
        Self::with(Arc::unwrap_or_clone(config))
    }

    fn roots(store: RootCertStore) -> Result<Self, ConnectError> {
        let builder = builder(provider::provider()?)?;
        Ok(Self::with(builder.with_root_certificates(store).with_no_client_auth()))
    }

    fn with(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![ALPN.to_vec()];
        Self(Arc::new(config))
    }
}

fn builder(provider: Arc<CryptoProvider>) -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, ConnectError> {
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.map_err(|error: rustls::Error| {
        ConnectError::caller(Stage::Tls, format!("the crypto provider of the process cannot be used: {error}"))
    })
}

/// The TLS of a client. That of the platform is read with the first `wss`.
#[derive(Default)]
pub(crate) struct Setup(OnceCell<Tls>);

impl Setup {
    pub(crate) fn new(tls: Tls) -> Self {
        Self(OnceCell::new_with(Some(tls)))
    }

    async fn get(&self) -> Result<&Arc<ClientConfig>, ConnectError> {
        let tls = self.0.get_or_try_init(|| async {
            // It reads files.
            let platform = tokio::task::spawn_blocking(Tls::platform).await;
            platform.unwrap_or_else(|error| {
                let message = "the roots of the platform were not read";
                Err(ConnectError::caller(Stage::Tls, message).with_source(error))
            })
        });
        Ok(&tls.await?.0)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
