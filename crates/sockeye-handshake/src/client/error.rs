//! What is wrong with a client's request, or with the server's answer.

use http::{HeaderName, StatusCode};

use crate::extension;

/// Why a request cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The URI is not that of a WebSocket: `ws://` or `wss://` (or `http://` or `https://` instead), then a host.
    #[error(
        "`{value}` is not a WebSocket URI: expected `ws://` or `wss://` (or `http://`, `https://`), then a valid host"
    )]
    InvalidUri {
        /// The URI.
        value: String,
    },
    /// The URI has userinfo (`user:password@`). The value is not in the error, since it may be a password.
    #[error(
        "the URI has userinfo (`…@`) before its host, which is not sent: send the password in an `Authorization` header"
    )]
    Userinfo,
    /// The URI has a fragment (`#…`).
    #[error(
        "the URI has a fragment (`#…`), which a WebSocket URI must not have: write `%23` for a `#` of the path or query"
    )]
    Fragment,
    /// The URI's port is not from 1 to 65535.
    #[error("`{value}` has no valid port: expected a number from 1 to 65535, or no port")]
    InvalidPort {
        /// The host and the port.
        value: String,
    },
    /// A subprotocol is not a token.
    #[error(
        "subprotocol `{value}` is not a token: expected one or more visible ASCII characters, without separators such as \
         `,` or `/`"
    )]
    InvalidSubprotocol {
        /// The subprotocol.
        value: String,
    },
    /// A subprotocol is requested twice.
    #[error("subprotocol `{value}` is requested twice: request each subprotocol once")]
    RepeatedSubprotocol {
        /// The subprotocol.
        value: String,
    },
    /// This header belongs to the handshake or to the connection.
    #[error(
        "header `{name}` belongs to the handshake and cannot be added: the URI sets the host, `protocols` sets the \
         subprotocols, and `offer` sets the extensions"
    )]
    ReservedHeader {
        /// The header.
        name: HeaderName,
    },
}

/// Why a server's answer does not open a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The status is neither 101 over HTTP/1.1 nor 2xx over HTTP/2: a refusal, a redirect, or a request to authenticate.
    #[error("the server answered with status {0}: expected 101 over HTTP/1.1, or 2xx over HTTP/2")]
    Status(StatusCode),
    /// `Upgrade` is missing or not `websocket`.
    #[error("the answer's `Upgrade` header must be `websocket`, but is missing or different")]
    UpgradeHeader,
    /// `Connection` is missing or does not list `upgrade`.
    #[error("the answer's `Connection` header must list `upgrade`, but is missing or lists only other options")]
    ConnectionHeader,
    /// `Sec-WebSocket-Accept` is missing or does not match the request's key: the server does not speak WebSocket, or the
    /// answer belongs to another request.
    #[error(
        "the answer's `Sec-WebSocket-Accept` header is missing or does not match the request's key: the server does not \
         speak WebSocket, or the answer belongs to another request"
    )]
    AcceptHeader,
    /// The server chose a subprotocol that was not requested.
    #[error("the server chose subprotocol `{value}`, which was not requested: expected a requested one, or none")]
    SubprotocolNotRequested {
        /// The subprotocol.
        value: String,
    },
    /// The server chose no subprotocol, although the request [requires](super::ClientRequest::require_protocol) one.
    #[error("the server chose no subprotocol: expected one of those requested: {requested}")]
    NoSubprotocol {
        /// The requested subprotocols.
        requested: String,
    },
    /// The server accepted an extension that was not offered.
    #[error("the server accepted extension `{value}`, which was not offered: expected an offered one, or none")]
    ExtensionNotOffered {
        /// The extension's name.
        value: String,
    },
    /// The server's answer about an extension does not fit the offer.
    #[error("the server accepted `{value}`, which does not match any offer of this extension")]
    ExtensionParameters {
        /// The answer.
        value: String,
    },
    /// `Sec-WebSocket-Extensions` does not follow its grammar, or lists too much for an answer.
    #[error("the answer's `Sec-WebSocket-Extensions` header is malformed: {0}")]
    MalformedExtensions(#[from] extension::Malformed),
    /// A header is on several lines where its RFC allows one.
    #[error("the answer has more than one `{name}` header: expected a single one")]
    RepeatedHeader {
        /// The header.
        name: HeaderName,
    },
}
