//! Why a request got no answer.

use std::{error::Error as _, io};

use crate::{ConnectError, Stage, error::Blame};

/// Why a request got no answer.
pub(crate) struct Failure {
    pub(super) error: hyper::Error,
    pub(super) head_limit: usize,
}

impl Failure {
    /// The error for the user. `peer` is who should have answered.
    pub(crate) fn explain(self, peer: Blame, stage: Stage) -> ConnectError {
        let who = if peer == Blame::Proxy { "proxy" } else { "server" };
        let Self { error, head_limit } = self;
        if let Some(io) = io_error(&error) {
            #[cfg(feature = "rustls")]
            if let Some(asked) = crate::tls::asked_for(io) {
                // With TLS 1.3 the other end says this after its own handshake.
                return ConnectError::new(peer, stage, format!("the {who} {asked}")).with_source(error).finally();
            }
            let (kind, text) = (io.kind(), io.to_string());
            let blame = match (peer, kind) {
                (Blame::Proxy, _) => Blame::Proxy,
                // The end of a TLS stream without its `close_notify`, too.
                (_, io::ErrorKind::UnexpectedEof) => peer,
                _ => Blame::Network,
            };
            let message = format!("the connection was lost before the {who} answered: {text}");
            return ConnectError::new(blame, stage, message).with_source(error);
        }
        let message = if error.is_incomplete_message() {
            format!("the {who} closed the connection before it answered")
        } else if error.is_canceled() {
            // The request was not sent.
            format!("the {who} sent something, or closed the connection, before it was asked")
        } else if is_too_large(&error) {
            format!(
                "the head of the {who}'s answer is too large: at most {head_limit} bytes and {} headers are allowed; \
                 `Builder::head_limit` sets the bytes",
                super::MAX_HEADERS
            )
        } else if error.is_parse() {
            format!("the {who}'s answer is not HTTP/1.1: does it speak TLS, or another protocol, on this port?")
        } else {
            return ConnectError::because(peer, stage, format_args!("no answer of the {who}"), error);
        };
        ConnectError::new(peer, stage, message).with_source(error)
    }
}

/// hyper has a method for this only on servers. A test compares the text.
fn is_too_large(error: &hyper::Error) -> bool {
    error.is_parse() && error.to_string() == "message head is too large"
}

/// The error of the stream, if that was the cause.
fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref() {
            return Some(io);
        }
        source = cause.source();
    }
    None
}
