//! TLS, the same for all servers.

use anyhow::{Context as _, Result};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::version::TLS13;
use std::sync::Arc;

/// TLS 1.3 with one cipher suite, and with a new certificate that the load generator does not check.
///
/// # Errors
///
/// When no certificate can be made.
pub fn config() -> Result<Arc<ServerConfig>> {
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let provider = CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).context("cannot make a certificate")?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&TLS13]);
    let config = config.context("ring has no TLS 1.3")?.with_no_client_auth();
    Ok(Arc::new(config.with_single_cert(vec![made.cert.der().clone()], key.into()).context("a useless certificate")?))
}
