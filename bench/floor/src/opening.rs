//! The opening handshake, with the minimum that a client needs.

use anyhow::{Context as _, Result, ensure};
use tungstenite::handshake::derive_accept_key;

/// The answer to a request; `None` while the request is incomplete.
pub(crate) fn answer(request: &[u8]) -> Result<Option<Vec<u8>>> {
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

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn a_request_is_answered_when_its_head_is_whole() {
        let request = b"GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let text = String::from_utf8(answer(request).unwrap().unwrap()).unwrap();
        assert!(text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{text}");
        assert!(answer(&request[..request.len() - 1]).unwrap().is_none());
        assert!(answer(b"GET / HTTP/1.1\r\n\r\n").is_err());
    }
}
