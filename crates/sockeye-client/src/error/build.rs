//! How errors are made: each kind of failure has its text here.

use std::{fmt, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{Blame, BoxError, ConnectError, Inner};
use crate::{Stage, open::progress::Attempts, request::Target};

/// The most bytes of a body that a message shows.
const SHOWN: usize = 200;

/// The most addresses that a message shows.
const MOST_SHOWN: usize = 6;

impl ConnectError {
    pub(crate) fn new(blame: Blame, stage: Stage, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            blame,
            stage,
            target: None,
            message: message.into(),
            source: None,
            response: None,
            is_truncated: false,
            attempts: Vec::new(),
            is_timeout: false,
            is_certificate: false,
            is_final: blame == Blame::Caller,
        }))
    }

    /// A mistake of the caller, in the request or in a setting.
    pub(crate) fn caller(stage: Stage, message: impl Into<String>) -> Self {
        Self::new(Blame::Caller, stage, message)
    }

    /// As [`new`](Self::new), with the text of `source` behind `message`.
    pub(crate) fn because<E>(blame: Blame, stage: Stage, message: impl fmt::Display, source: E) -> Self
    where
        E: Into<BoxError>,
    {
        let source = source.into();
        let mut error = Self::new(blame, stage, format!("{message}: {source}"));
        error.0.source = Some(source);
        error
    }

    /// An answer that is no success: `who` is `the server` or `the proxy`.
    pub(crate) fn refused(blame: Blame, stage: Stage, response: Response<Bytes>, is_truncated: bool) -> Self {
        let status = response.status();
        let who = if blame == Blame::Proxy { "proxy" } else { "server" };
        let mut message = format!("the {who} answered {status}");
        if let Some(body) = shown_body(response.body()) {
            message = format!("{message}: `{body}`");
        }
        if let Some(advice) = advice(blame, status) {
            message = format!("{message}; {advice}");
        }
        let mut error = Self::new(blame, stage, message);
        error.0.is_final = is_final(blame, status);
        error.0.is_truncated = is_truncated;
        error.0.response = Some(response);
        error
    }

    /// The limit of [`within`](crate::Builder::within) has passed.
    pub(crate) fn timeout(blame: Blame, stage: Stage, limit: Duration, waited: &str) -> Self {
        let message = format!("{waited} within {limit:?}, at the stage {stage}; `Builder::within` sets this limit");
        let mut error = Self::new(blame, stage, message);
        error.0.is_timeout = true;
        error
    }

    /// No address could be connected to.
    pub(crate) fn unreachable(blame: Blame, what: &str, attempts: Attempts) -> Self {
        let message = match attempts.as_slice() {
            [(address, error)] => format!("{what} cannot be reached at {address}: {error}"),
            attempts => {
                let each = attempts.iter().take(MOST_SHOWN).map(|(address, error)| format!("{address}: {error}"));
                let each = each.collect::<Vec<_>>().join("; ");
                let more = if attempts.len() > MOST_SHOWN { "; ..." } else { "" };
                format!("{what} cannot be reached at any of its {} addresses ({each}{more})", attempts.len())
            }
        };
        Self::new(blame, Stage::Tcp, message).with_attempts(attempts)
    }

    pub(crate) fn to(mut self, target: &Target) -> Self {
        self.0.target.get_or_insert_with(|| target.to_string());
        self
    }

    pub(crate) fn with_attempts(mut self, attempts: Vec<(SocketAddr, io::Error)>) -> Self {
        self.0.attempts = attempts;
        self
    }

    pub(crate) fn with_response(mut self, response: Response<Bytes>) -> Self {
        self.0.response = Some(response);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Trying again would not help.
    pub(crate) fn finally(mut self) -> Self {
        self.0.is_final = true;
        self
    }

    #[cfg(feature = "rustls")]
    pub(crate) fn certificate(mut self) -> Self {
        self.0.is_certificate = true;
        self.finally()
    }
}

/// Whether the same request would get the same answer.
fn is_final(blame: Blame, status: StatusCode) -> bool {
    match status {
        _ if blame == Blame::Proxy => wants_credentials(status),
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::MISDIRECTED_REQUEST
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS => false,
        _ => status.is_redirection() || status.is_client_error(),
    }
}

/// Whether a proxy with this status wants other credentials. tinyproxy answers 407 without any, and 401 to wrong ones.
fn wants_credentials(status: StatusCode) -> bool {
    matches!(status, StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED)
}

fn advice(blame: Blame, status: StatusCode) -> Option<&'static str> {
    match status {
        _ if blame == Blame::Proxy && wants_credentials(status) => {
            Some("the URL of the proxy must have the right `user:password@`")
        }
        _ if blame == Blame::Proxy => Some("the proxy must allow CONNECT to this host and port"),
        StatusCode::UNAUTHORIZED => Some("see `ClientRequest::bearer` and `basic`"),
        _ if status.is_redirection() => Some("redirects are not followed: use the URI in the `Location` header"),
        _ if status.is_success() => Some("expected 101: does this path serve WebSockets?"),
        _ => None,
    }
}

/// The beginning of a body, if it is text: in one line, with control characters escaped.
fn shown_body(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(&body[..body.len().min(SHOWN)]);
    let (text, is_cut) = match text {
        Ok(text) => (text, body.len() > SHOWN),
        // A cut inside of a character.
        Err(error) if body.len() > SHOWN && error.valid_up_to() + 4 > SHOWN => {
            (std::str::from_utf8(&body[..error.valid_up_to()]).ok()?, true)
        }
        Err(_) => return None,
    };
    let text = text.trim();
    let escaped: String = text.chars().flat_map(escape).collect();
    (!text.is_empty()).then(|| if is_cut { format!("{escaped}...") } else { escaped })
}

fn escape(character: char) -> impl Iterator<Item = char> {
    let plain = (!character.is_control()).then_some(character);
    let escaped = character.is_control().then(|| character.escape_default());
    plain.into_iter().chain(escaped.into_iter().flatten())
}
