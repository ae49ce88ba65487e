//! The text of an opening handshake, for tests that talk to a server over a raw stream.

use std::fmt;

/// An HTTP/1.1 upgrade request, line by line. A new request is valid, and methods change it.
///
/// ```
/// use sockeye_testkit::UpgradeRequest;
///
/// let request = UpgradeRequest::new("/ws").without("Host").header("Host", "example.com").to_string();
/// assert!(request.starts_with("GET /ws HTTP/1.1\r\n"));
/// assert!(request.ends_with("Host: example.com\r\n\r\n"));
/// ```
#[derive(Clone, Debug)]
pub struct UpgradeRequest {
    line: String,
    headers: Vec<(String, String)>,
}

impl UpgradeRequest {
    /// The key of the example in RFC 6455 §1.3.
    pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    /// The `Sec-WebSocket-Accept` that a server answers to [`KEY`](Self::KEY).
    pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    /// A valid request for this path at `localhost`, without an `Origin`.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self { line: format!("GET {path} HTTP/1.1"), headers: Vec::new() }
            .header("Host", "localhost")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", Self::KEY)
    }

    /// Replaces the request line.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.line = line.to_owned();
        self
    }

    /// Adds a header line. Several lines may have the same name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes every header line with this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(there, _)| !there.eq_ignore_ascii_case(name));
        self
    }
}

impl fmt::Display for UpgradeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\r\n", self.line)?;
        for (name, value) in &self.headers {
            write!(f, "{name}: {value}\r\n")?;
        }
        f.write_str("\r\n")
    }
}
