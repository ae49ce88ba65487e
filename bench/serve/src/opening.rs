//! The opening handshake, with the minimum that the other side needs.

use anyhow::{Context as _, Result, ensure};
use std::net::SocketAddr;
use tungstenite::handshake::derive_accept_key;

/// The nonce of RFC 6455 §1.3: a server accepts any nonce.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The answer to a request; `None` while the request is incomplete.
///
/// # Errors
///
/// When this is no request for a WebSocket, or more than a request.
pub fn answer(request: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = parsed.parse(request).context("this is no HTTP request")? else {
        return Ok(None);
    };
    ensure!(length == request.len(), "the client did not wait for the answer");
    let key = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-key"));
    let key = key.context("the request has no Sec-WebSocket-Key")?;
    let accept = derive_accept_key(key.value);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    Ok(Some(answer.into_bytes()))
}

/// A client's request.
pub fn request(server: SocketAddr) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

/// Whether the answer to the request is complete.
///
/// # Errors
///
/// When the server does not agree, or has sent more than an answer.
pub fn is_accepted(answer: &[u8]) -> Result<bool> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = parsed.parse(answer).context("this is no HTTP answer")? else {
        return Ok(false);
    };
    ensure!(length == answer.len(), "the server did not wait until the connection was open");
    ensure!(parsed.code == Some(101), "the server did not upgrade the connection: {:?}", parsed.code);
    let accept = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept"));
    let accept = accept.context("the answer has no Sec-WebSocket-Accept")?;
    ensure!(accept.value == derive_accept_key(KEY.as_bytes()).as_bytes(), "Sec-WebSocket-Accept is wrong");
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_when_its_head_is_whole() {
        let request = b"GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let text = String::from_utf8(answer(request).unwrap().unwrap()).unwrap();
        assert!(text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{text}");
        assert!(answer(&request[..request.len() - 1]).unwrap().is_none());
        assert!(answer(b"GET / HTTP/1.1\r\n\r\n").is_err());
    }

    #[test]
    fn an_answer_is_checked_when_its_head_is_whole() {
        let request = request("127.0.0.1:80".parse().unwrap());
        let answer = answer(request.as_bytes()).unwrap().unwrap();
        assert!(is_accepted(&answer).unwrap());
        assert!(!is_accepted(&answer[..answer.len() - 1]).unwrap());
        let wrong = String::from_utf8(answer.clone()).unwrap().replace("s3p", "s3q");
        assert!(is_accepted(wrong.as_bytes()).unwrap_err().to_string().contains("Accept is wrong"));
        let early = [&answer[..], &[0x81, 0]].concat();
        assert!(is_accepted(&early).unwrap_err().to_string().contains("did not wait"));
        assert!(is_accepted(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap_err().to_string().contains("404"));
    }
}
