//! The crypto provider.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::CryptoProvider;

use crate::{ConnectError, Stage};

/// The process's provider, or else one that is compiled in.
///
/// Not `ClientConfig::builder()`, which panics if two providers are compiled in, or none.
pub(super) fn provider() -> Result<Arc<CryptoProvider>, ConnectError> {
    choose(CryptoProvider::get_default().cloned(), compiled_in())
}

fn choose(
    installed: Option<Arc<CryptoProvider>>,
    compiled_in: Option<CryptoProvider>,
) -> Result<Arc<CryptoProvider>, ConnectError> {
    installed.or(compiled_in.map(Arc::new)).ok_or_else(|| {
        let message = "TLS has no crypto provider: enable the feature `tls` (ring) or `aws-lc-rs` of `sockeye-client`, or call \
                       `CryptoProvider::install_default` of rustls before the first connection";
        ConnectError::caller(Stage::Tls, message)
    })
}

#[cfg(feature = "tls")]
fn compiled_in() -> Option<CryptoProvider> {
    Some(tokio_rustls::rustls::crypto::ring::default_provider())
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "tls")))]
fn compiled_in() -> Option<CryptoProvider> {
    Some(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider())
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "tls")))]
fn compiled_in() -> Option<CryptoProvider> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_provider_there_is_an_error_that_names_the_features() {
        let error = choose(None, None).unwrap_err();
        assert!(error.is_caller() && error.is_final() && error.stage() == Stage::Tls, "{error:?}");
        assert!(error.to_string().contains("`tls`") && error.to_string().contains("`aws-lc-rs`"), "{error}");
    }

    #[test]
    #[cfg(feature = "tls")]
    fn with_any_providers_compiled_in_there_is_one_to_use() {
        assert!(provider().is_ok());
        let installed = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let chosen = choose(Some(installed.clone()), compiled_in()).unwrap();
        assert!(Arc::ptr_eq(&chosen, &installed), "the process's own comes first");
    }
}
