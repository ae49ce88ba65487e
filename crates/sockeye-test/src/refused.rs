//! `Refused`: the HTTP answer to a handshake that opened no WebSocket.

use std::{error, fmt};

use http::{HeaderMap, StatusCode};

/// The most bytes of a body that the message of this error shows.
const SHOWN: usize = 500;

/// The server has answered the opening handshake with anything but 101: a refusal such as 403, a redirect, or a page.
///
/// ```
/// use axum::{Router, response::Response, routing::any};
/// use sockeye_extract::WebSocketUpgrade;
/// use sockeye_test::Client;
///
/// async fn ws_handler(ws: WebSocketUpgrade) -> Response {
///     ws.on_upgrade(|_socket| async {})
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let app: Router = Router::new().route("/ws", any(ws_handler));
/// let refused = Client::to(app).path("/ws").origin("https://evil.example").connect().await.unwrap_err();
/// assert_eq!(refused.status, 403);
/// assert!(refused.body.contains("https://evil.example"));
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refused {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub body: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {} and opened no WebSocket", self.status)?;
        let mut end = self.body.len().min(SHOWN);
        while !self.body.is_char_boundary(end) {
            end -= 1;
        }
        match (self.body[..end].trim(), end < self.body.len()) {
            ("", _) => Ok(()),
            (body, false) => write!(f, ": {body}"),
            (body, true) => write!(f, ": {body}… ({} bytes)", self.body.len()),
        }
    }
}

impl error::Error for Refused {}
