//! What an error of TLS means.

use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use crate::{ConnectError, Stage, error::Blame};

/// The error for the user. `peer` is the server or the proxy.
pub(crate) fn explain(error: io::Error, peer: Blame, stage: Stage) -> ConnectError {
    let who = if peer == Blame::Proxy { "proxy" } else { "server" };
    let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) else {
        let (blame, message) = match error.kind() {
            io::ErrorKind::UnexpectedEof => (peer, format!("the {who} closed the connection during the TLS handshake")),
            _ => (lost(peer), format!("the connection was lost during the TLS handshake: {error}")),
        };
        return ConnectError::new(blame, stage, message).with_source(error);
    };
    match cause {
        Error::InvalidCertificate(problem) => {
            let message = format!("the {who}'s certificate {}", certificate(problem));
            ConnectError::new(peer, stage, message).with_source(error).certificate()
        }
        Error::NoCertificatesPresented => {
            let message = format!("the {who} has no certificate");
            ConnectError::new(peer, stage, message).with_source(error).certificate()
        }
        _ => match asked_for(&error) {
            Some(message) => {
                ConnectError::new(peer, stage, format!("the {who} {message}")).with_source(error).finally()
            }
            None => {
                let message = format!("TLS with the {who} failed: {}", text(cause));
                ConnectError::new(peer, stage, message).with_source(error)
            }
        },
    }
}

/// What the other end has asked for and not got, if `error` is one of TLS that says so.
pub(crate) fn asked_for(error: &io::Error) -> Option<&'static str> {
    match error.get_ref()?.downcast_ref()? {
        Error::AlertReceived(AlertDescription::CertificateRequired | AlertDescription::NoCertificate) => Some(
            "requires a certificate of the client: make a `rustls::ClientConfig` with one, and pass it to `Tls::rustls`",
        ),
        _ => None,
    }
}

fn lost(peer: Blame) -> Blame {
    if peer == Blame::Proxy { Blame::Proxy } else { Blame::Network }
}

fn text(error: &Error) -> String {
    let what = match error {
        Error::InvalidMessage(_) => "the answer is no TLS: is the port right, and is it `wss` and not `ws`?",
        Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion) => {
            "no common version of TLS, or no common cipher suite"
        }
        Error::PeerIncompatible(_) => "no common version of TLS, or no common feature",
        _ => return error.to_string(),
    };
    format!("{what} ({error})")
}

/// What is wrong with a certificate, and what to do.
fn certificate(error: &CertificateError) -> String {
    let advice = match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name: connect by a name of the certificate, or set `ClientRequest::server_name`"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "has expired: its owner must renew it, unless the clock of this machine is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: its owner must replace it, unless the clock of this machine is wrong"
        }
        CertificateError::UnknownIssuer => {
            "is signed by nobody who is trusted: trust a private or self-signed root with `Tls::pem`, or make the other end send \
             its intermediate certificates"
        }
        CertificateError::Revoked => "is revoked: its owner must replace it",
        _ => "is not valid",
    };
    format!("{advice} ({error})")
}
