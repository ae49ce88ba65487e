//! `rediss://`: the provider of rustls, and what its errors mean for an operator.

use redis::RedisError;
use sockeye_state::BrokerError;

#[cfg(feature = "tls")]
pub(crate) use self::on::{advice, prepare};

#[cfg(not(feature = "tls"))]
pub(crate) use self::off::{advice, prepare};

#[cfg(feature = "tls")]
mod on {
    use std::{error::Error, io, sync::Arc};

    use tokio_rustls::rustls::{
        self, AlertDescription, CertificateError,
        crypto::{CryptoProvider, ring},
    };

    use super::{BrokerError, RedisError};

    /// The crate `redis` panics if rustls cannot tell which provider to use.
    pub(crate) fn prepare() -> Result<(), BrokerError> {
        if CryptoProvider::get_default().is_none() {
            // An error says that another thread was faster.
            let _ = ring::default_provider().install_default();
        }
        Ok(())
    }

    /// What to do about an error of TLS that another try would not change. `None` for every other error.
    pub(crate) fn advice(error: &RedisError) -> Option<&'static str> {
        use CertificateError::{
            Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext,
            UnknownIssuer,
        };

        match tls_error(error)? {
            rustls::Error::InvalidCertificate(reason) => Some(match reason {
                UnknownIssuer => {
                    "no authority that this process trusts has signed the certificate of the server; add the authority to the \
                     certificates of the platform, or name its file in the environment variable SSL_CERT_FILE"
                }
                NotValidForName | NotValidForNameContext { .. } => {
                    "the certificate of the server is for another name; use a name of the certificate in the URL"
                }
                Expired | ExpiredContext { .. } => {
                    "the certificate of the server has expired; renew it, or check the clock of this machine"
                }
                NotValidYet | NotValidYetContext { .. } => {
                    "the certificate of the server is not valid yet; check the clock of this machine"
                }
                _ => "the certificate of the server is not acceptable; check its file on the server",
            }),
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => Some(
                "the server asks for a certificate of the client, which a URL cannot name; set `tls-auth-clients no` on the server",
            ),
            rustls::Error::InvalidMessage(_) => {
                Some("the server does not speak TLS at this port; use the port of `tls-port`, or redis://")
            }
            _ => None,
        }
    }

    /// The error of rustls inside an error of the crate `redis`, which keeps it in an [`Arc`], and mostly in an [`io::Error`].
    fn tls_error(error: &RedisError) -> Option<&rustls::Error> {
        let inner = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
        match inner.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref()?.downcast_ref(),
            None => inner.downcast_ref(),
        }
    }
}

#[cfg(not(feature = "tls"))]
mod off {
    use super::{BrokerError, RedisError};

    pub(crate) fn prepare() -> Result<(), BrokerError> {
        Err(BrokerError::refused(
            "rediss:// needs the feature `tls` of sockeye-redis, or `redis-tls` of sockeye; turn the feature on, or use redis://",
        ))
    }

    pub(crate) fn advice(_error: &RedisError) -> Option<&'static str> {
        None
    }
}
